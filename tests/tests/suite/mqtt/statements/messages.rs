//! Statements about messages, subscriptions and the ends of connections: sections 3.3 to 7.

use super::super::{
    bad_input, connect, framing, provisioning, publish, session, subscribe, websocket, wills,
};
use super::How::{Apart, Held, Otherwise};
use super::{CLIENT, NO_QOS_2, NO_RETAIN, NOTHING_QUEUED, Row, by, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "3.3.1-1",
        "DUP is 1 when a PUBLISH is sent again",
        Apart(NOTHING_QUEUED),
    ),
    row(
        "3.3.1-2",
        "DUP is 0 at QoS 0",
        Held(by![
            publish::dup_at_qos_0_ends_the_connection,
            subscribe::what_is_sent_to_a_device_lies_below_its_filter
        ]),
    ),
    row(
        "3.3.1-3",
        "DUP is not handed on",
        Held(by![publish::a_message_sent_again_is_acknowledged_and_kept_again]),
    ),
    row(
        "3.3.1-4",
        "both bits of QoS set end the connection",
        Held(by![publish::qos_2_and_the_qos_that_is_none_end_the_connection]),
    ),
    row(
        "3.3.1-5",
        "a message with RETAIN is stored for later subscribers",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.3.1-6",
        "a new subscription gets the retained message",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.3.1-7",
        "RETAIN at QoS 0 replaces the retained message",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.3.1-8",
        "what is sent for a new subscription has RETAIN",
        Apart(NO_RETAIN),
    ),
    row(
        "3.3.1-9",
        "what is sent for a standing subscription has no RETAIN",
        Held(by![
            subscribe::what_is_sent_to_a_device_lies_below_its_filter,
            provisioning::a_device_with_a_key_registers_and_sends
        ]),
    ),
    row(
        "3.3.1-10",
        "RETAIN without a body removes the retained message",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.3.1-11",
        "a retained message without a body is not stored",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.3.1-12",
        "without RETAIN nothing is retained or replaced",
        Held(by![
            publish::the_retain_flag_becomes_a_property_and_nothing_is_retained
        ]),
    ),
    row(
        "3.3.2-1",
        "the topic comes first and is UTF-8",
        Held(by![framing::texts_that_are_not_utf_8_end_the_connection]),
    ),
    row(
        "3.3.2-2",
        "a topic holds no wildcard",
        Held(by![publish::wildcards_in_a_topic_end_the_connection]),
    ),
    row(
        "3.3.2-3",
        "what a server sends has a topic that the filter matches",
        Held(by![subscribe::what_is_sent_to_a_device_lies_below_its_filter]),
    ),
    row(
        "3.3.4-1",
        "a PUBLISH is answered as its QoS demands",
        Held(by![
            publish::a_message_at_qos_0_is_kept_and_not_answered,
            publish::a_message_at_qos_1_is_kept_before_it_is_acknowledged
        ]),
    ),
    row(
        "3.3.5-1",
        "of overlapping subscriptions the highest QoS counts",
        Otherwise(
            "the filters that a hub offers do not overlap, and a wider one is refused",
            by![subscribe::what_is_sent_to_a_device_lies_below_its_filter],
        ),
    ),
    row(
        "3.3.5-2",
        "a PUBLISH that is not allowed is acknowledged all the same, or ends the connection",
        Held(by![
            publish::topics_that_are_none_of_a_devices_business_end_the_connection,
            provisioning::other_topics_and_packets_end_the_connection
        ]),
    ),
    row(
        "3.6.1-1",
        "other flags of PUBREL end the connection",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row(
        "3.8.1-1",
        "other flags of SUBSCRIBE end the connection",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row(
        "3.8.3-1",
        "filters of SUBSCRIBE are UTF-8",
        Held(by![framing::texts_that_are_not_utf_8_end_the_connection]),
    ),
    row(
        "3.8.3-2",
        "a server without wildcards refuses filters that have some",
        Held(by![
            subscribe::filters_that_are_not_offered_are_refused_one_by_one
        ]),
    ),
    row(
        "3.8.3-3",
        "SUBSCRIBE has a filter",
        Held(by![subscribe::a_subscribe_without_a_filter_ends_the_connection]),
    ),
    row(
        "3.8.3-4",
        "a requested QoS beyond 2 ends the connection",
        Held(by![
            subscribe::a_requested_qos_with_reserved_bits_ends_the_connection
        ]),
    ),
    row(
        "3.8.4-1",
        "SUBSCRIBE is answered by SUBACK",
        Held(by![subscribe::each_filter_gets_its_code_in_its_place]),
    ),
    row(
        "3.8.4-2",
        "SUBACK has the identifier of its SUBSCRIBE",
        Held(by![subscribe::each_filter_gets_its_code_in_its_place]),
    ),
    row(
        "3.8.4-3",
        "the same filter again takes the place of the first",
        Held(by![
            subscribe::a_filter_subscribed_again_takes_the_place_of_the_first
        ]),
    ),
    row(
        "3.8.4-4",
        "several filters count as if they came one by one",
        Held(by![
            subscribe::subscriptions_in_one_packet_count_as_if_they_came_one_by_one
        ]),
    ),
    row(
        "3.8.4-5",
        "SUBACK has a code for each filter",
        Held(by![
            subscribe::each_filter_gets_its_code_in_its_place,
            subscribe::a_subscribe_with_hundreds_of_filters_gets_as_many_codes
        ]),
    ),
    row(
        "3.8.4-6",
        "a lower QoS may be granted, and is the highest that is sent",
        Held(by![
            subscribe::each_filter_gets_its_code_in_its_place,
            provisioning::answers_have_identifiers_that_differ_and_the_qos_that_was_granted
        ]),
    ),
    row(
        "3.9.3-1",
        "the codes stand in the order of the filters",
        Held(by![subscribe::each_filter_gets_its_code_in_its_place]),
    ),
    row(
        "3.9.3-2",
        "no other codes than 0, 1, 2 and 0x80",
        Held(by![
            subscribe::filters_that_are_not_offered_are_refused_one_by_one
        ]),
    ),
    row(
        "3.10.1-1",
        "other flags of UNSUBSCRIBE end the connection",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row(
        "3.10.3-1",
        "filters of UNSUBSCRIBE are UTF-8",
        Held(by![framing::texts_that_are_not_utf_8_end_the_connection]),
    ),
    row(
        "3.10.3-2",
        "UNSUBSCRIBE has a filter",
        Held(by![subscribe::a_subscribe_without_a_filter_ends_the_connection]),
    ),
    row(
        "3.10.4-1",
        "filters of UNSUBSCRIBE are compared letter by letter",
        Held(by![subscribe::an_unsubscribe_is_answered_whatever_it_names]),
    ),
    row(
        "3.10.4-2",
        "nothing new is sent for a filter that is gone",
        Held(by![
            subscribe::an_unsubscribe_is_answered_whatever_it_names,
            provisioning::who_is_not_subscribed_hears_nothing
        ]),
    ),
    row(
        "3.10.4-3",
        "deliveries at QoS above 0 that have begun are finished",
        Apart(NOTHING_QUEUED),
    ),
    row(
        "3.10.4-4",
        "UNSUBSCRIBE is answered by UNSUBACK",
        Held(by![subscribe::an_unsubscribe_is_answered_whatever_it_names]),
    ),
    row(
        "3.10.4-5",
        "so it is where nothing was subscribed",
        Held(by![subscribe::an_unsubscribe_is_answered_whatever_it_names]),
    ),
    row(
        "3.10.4-6",
        "several filters count as if they came one by one",
        Held(by![subscribe::an_unsubscribe_is_answered_whatever_it_names]),
    ),
    row(
        "3.12.4-1",
        "PINGREQ is answered by PINGRESP",
        Held(by![session::each_ping_is_answered]),
    ),
    row(
        "3.14.1-1",
        "other flags of DISCONNECT end the connection",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row("3.14.4-1", "after DISCONNECT the client closes", Apart(CLIENT)),
    row(
        "3.14.4-2",
        "after DISCONNECT the client sends nothing",
        Apart(CLIENT),
    ),
    row(
        "3.14.4-3",
        "at DISCONNECT the will is discarded",
        Held(by![wills::a_will_is_forgotten_when_the_client_says_goodbye]),
    ),
    row(
        "4.1.0-1",
        "the state of a session is stored as long as it lasts",
        Held(by![session::a_kept_session_outlives_its_connection]),
    ),
    row(
        "4.1.0-2",
        "a session lasts at least as long as its connection",
        Held(by![
            session::a_clean_session_forgets_the_one_before_and_leaves_none
        ]),
    ),
    row(
        "4.3.1-1",
        "a sender at QoS 0 says so and sends once",
        Held(by![subscribe::what_is_sent_to_a_device_lies_below_its_filter]),
    ),
    row(
        "4.3.2-1",
        "a sender at QoS 1 uses a free identifier until PUBACK",
        Held(by![
            provisioning::answers_have_identifiers_that_differ_and_the_qos_that_was_granted
        ]),
    ),
    row(
        "4.3.2-2",
        "a receiver at QoS 1 answers by PUBACK and takes the identifier anew then",
        Held(by![
            publish::a_message_at_qos_1_is_kept_before_it_is_acknowledged,
            publish::an_identifier_can_be_used_again_once_it_is_acknowledged,
            publish::a_message_sent_again_is_acknowledged_and_kept_again
        ]),
    ),
    row("4.3.3-1", "what a sender at QoS 2 does", Apart(NO_QOS_2)),
    row(
        "4.3.3-2",
        "what a receiver at QoS 2 does",
        Otherwise(
            NO_QOS_2,
            by![
                publish::qos_2_and_the_qos_that_is_none_end_the_connection,
                provisioning::other_topics_and_packets_end_the_connection
            ],
        ),
    ),
    row(
        "4.4.0-1",
        "what was not acknowledged is sent again when the session is resumed",
        Apart(NOTHING_QUEUED),
    ),
    row(
        "4.5.0-1",
        "a message is stored for every matching subscription",
        Otherwise(
            "messages of devices go to the readers of the hub's events, where each is kept once",
            by![
                publish::a_message_at_qos_1_is_kept_before_it_is_acknowledged,
                bad_input::ten_thousand_messages_in_a_burst_are_kept_and_acknowledged_in_order
            ],
        ),
    ),
    row(
        "4.5.0-2",
        "a receiver acknowledges whatever it does with the message",
        Held(by![publish::an_answer_to_no_call_is_taken_and_dropped]),
    ),
    row(
        "4.6.0-1",
        "what is sent again goes in the first order",
        Apart(NOTHING_QUEUED),
    ),
    row(
        "4.6.0-2",
        "PUBACKs go in the order of their PUBLISHes",
        Held(by![
            publish::acknowledgements_come_in_the_order_of_the_messages,
            bad_input::ten_thousand_messages_in_a_burst_are_kept_and_acknowledged_in_order
        ]),
    ),
    row(
        "4.6.0-3",
        "PUBRECs go in the order of their PUBLISHes",
        Apart(NO_QOS_2),
    ),
    row(
        "4.6.0-4",
        "PUBRELs go in the order of their PUBRECs",
        Apart(NO_QOS_2),
    ),
    row(
        "4.6.0-5",
        "a topic is ordered by default",
        Held(by![publish::acknowledgements_come_in_the_order_of_the_messages]),
    ),
    row(
        "4.6.0-6",
        "messages of one client reach a reader in their order",
        Held(by![
            publish::acknowledgements_come_in_the_order_of_the_messages,
            provisioning::requests_have_the_forms_that_each_client_sends
        ]),
    ),
    row(
        "4.7.1-1",
        "wildcards stand in filters, not in topics",
        Held(by![
            publish::wildcards_in_a_topic_end_the_connection,
            wills::a_will_that_a_hub_does_not_take_is_refused_by_code_5
        ]),
    ),
    row(
        "4.7.1-2",
        "# stands alone in the last level",
        Held(by![
            subscribe::filters_whose_wildcards_are_misplaced_end_the_connection
        ]),
    ),
    row(
        "4.7.1-3",
        "+ stands alone in its level",
        Held(by![
            subscribe::filters_whose_wildcards_are_misplaced_end_the_connection
        ]),
    ),
    row(
        "4.7.2-1",
        "filters that begin with a wildcard do not match topics that begin with $",
        Held(by![
            subscribe::filters_that_are_not_offered_are_refused_one_by_one,
            provisioning::who_is_not_subscribed_hears_nothing
        ]),
    ),
    row(
        "4.7.3-1",
        "topics and filters are not empty",
        Held(by![
            publish::wildcards_in_a_topic_end_the_connection,
            subscribe::filters_whose_wildcards_are_misplaced_end_the_connection
        ]),
    ),
    row(
        "4.7.3-2",
        "topics and filters hold no U+0000",
        Held(by![framing::texts_with_a_null_end_the_connection]),
    ),
    row(
        "4.7.3-3",
        "topics and filters have 65,535 bytes at most",
        Held(by![publish::a_topic_has_as_many_bytes_as_its_length_can_say]),
    ),
    row(
        "4.7.3-4",
        "topics and filters are not normalised",
        Held(by![publish::topics_are_compared_as_they_are]),
    ),
    row(
        "4.8.0-1",
        "a broken rule ends the connection",
        Held(by![
            framing::a_broken_rule_ends_the_connection_without_another_word,
            framing::types_0_and_15_and_what_only_servers_send_end_the_connection,
            framing::packets_shorter_or_longer_than_their_fields_end_the_connection,
            framing::a_remaining_length_of_five_bytes_ends_the_connection
        ]),
    ),
    row(
        "4.8.0-2",
        "a passing fault while a packet is processed ends its connection",
        Held(by![
            bad_input::a_client_that_never_reads_is_cut_off_and_costs_no_memory
        ]),
    ),
    row(
        "6.0.0-1",
        "packets go in binary frames, and another frame ends the connection",
        Held(by![
            websocket::a_client_that_names_mqtt_gets_it_in_binary_frames,
            websocket::frames_of_text_end_the_connection
        ]),
    ),
    row(
        "6.0.0-2",
        "packets and frames need not begin together",
        Held(by![websocket::packets_and_frames_need_not_begin_together]),
    ),
    row(
        "6.0.0-3",
        "the client names the subprotocol `mqtt`",
        Held(by![websocket::a_client_that_does_not_name_mqtt_gets_no_websocket]),
    ),
    row(
        "6.0.0-4",
        "the server answers with the subprotocol `mqtt`",
        Held(by![websocket::a_client_that_names_mqtt_gets_it_in_binary_frames]),
    ),
    row(
        "7.0.0-1",
        "a server that connects to other servers is a good client too",
        Apart("it connects to no other server"),
    ),
    row(
        "7.0.0-2",
        "no extension is demanded",
        Otherwise(
            "user names, topics and filters are those of an IoT hub, for only its clients come",
            by![
                connect::user_names_that_name_nobody_are_refused_by_code_4,
                publish::topics_that_are_none_of_a_devices_business_end_the_connection
            ],
        ),
    ),
];
