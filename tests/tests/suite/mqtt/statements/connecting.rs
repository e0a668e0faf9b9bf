//! Statements about packets as such, CONNECT and CONNACK: sections 1 to 3.2.

use super::super::{connect, framing, provisioning, publish, session, subscribe, wills};
use super::How::{Apart, Held, Otherwise};
use super::{CLIENT, NO_RETAIN, NOTHING_QUEUED, Row, by, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "1.5.3-1",
        "texts that are not UTF-8 end the connection",
        Held(by![
            framing::texts_that_are_not_utf_8_end_the_connection,
            connect::texts_of_connect_must_be_utf_8
        ]),
    ),
    row(
        "1.5.3-2",
        "texts hold no U+0000",
        Held(by![framing::texts_with_a_null_end_the_connection]),
    ),
    row(
        "1.5.3-3",
        "U+FEFF is a letter wherever it stands",
        Held(by![framing::a_byte_order_mark_is_kept_where_it_stands]),
    ),
    row(
        "2.2.2-1",
        "reserved flags have the listed values",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row(
        "2.2.2-2",
        "other flags end the connection",
        Held(by![
            framing::reserved_flags_of_the_fixed_header_end_the_connection
        ]),
    ),
    row(
        "2.3.1-1",
        "identifiers are not 0",
        Held(by![framing::an_identifier_of_0_ends_the_connection]),
    ),
    row(
        "2.3.1-2",
        "a new packet gets an identifier that is not in use",
        Apart(CLIENT),
    ),
    row(
        "2.3.1-3",
        "a packet sent again keeps its identifier",
        Apart(CLIENT),
    ),
    row(
        "2.3.1-4",
        "the same holds for a server that sends at QoS above 0",
        Held(by![
            provisioning::answers_have_identifiers_that_differ_and_the_qos_that_was_granted
        ]),
    ),
    row(
        "2.3.1-5",
        "PUBLISH at QoS 0 has no identifier",
        Held(by![
            framing::at_qos_0_what_follows_the_topic_is_the_payload,
            provisioning::answers_have_identifiers_that_differ_and_the_qos_that_was_granted
        ]),
    ),
    row(
        "2.3.1-6",
        "PUBACK has the identifier of its PUBLISH",
        Held(by![publish::a_message_at_qos_1_is_kept_before_it_is_acknowledged]),
    ),
    row(
        "2.3.1-7",
        "SUBACK and UNSUBACK have the identifiers of their packets",
        Held(by![
            subscribe::each_filter_gets_its_code_in_its_place,
            subscribe::an_unsubscribe_is_answered_whatever_it_names
        ]),
    ),
    row(
        "3.1.0-1",
        "CONNECT comes first",
        Held(by![connect::the_first_packet_must_be_connect]),
    ),
    row(
        "3.1.0-2",
        "a second CONNECT ends the connection",
        Held(by![
            connect::a_second_connect_ends_the_connection,
            provisioning::other_topics_and_packets_end_the_connection
        ]),
    ),
    row(
        "3.1.2-1",
        "under another protocol name nothing is processed as 3.1.1",
        Held(by![connect::another_protocol_name_ends_the_connection]),
    ),
    row(
        "3.1.2-2",
        "another level is refused by code 1, then the connection ends",
        Held(by![
            connect::another_level_is_refused_by_code_1,
            connect::a_client_of_version_5_is_told_in_both_forms_that_its_version_is_not_offered
        ]),
    ),
    row(
        "3.1.2-3",
        "the reserved flag of CONNECT is 0",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-4",
        "without CleanSession the stored session is resumed, or one is made",
        Held(by![session::a_kept_session_outlives_its_connection]),
    ),
    row(
        "3.1.2-5",
        "messages at QoS above 0 are stored for a session without a connection",
        Apart(NOTHING_QUEUED),
    ),
    row(
        "3.1.2-6",
        "CleanSession discards the session before and begins one that lasts as long as the connection",
        Held(by![
            session::a_clean_session_forgets_the_one_before_and_leaves_none
        ]),
    ),
    row(
        "3.1.2-7",
        "retained messages are no part of a session",
        Otherwise(
            NO_RETAIN,
            by![publish::the_retain_flag_becomes_a_property_and_nothing_is_retained],
        ),
    ),
    row(
        "3.1.2-8",
        "a will is stored and published when the connection ends without DISCONNECT",
        Held(by![
            wills::a_will_is_published_when_the_client_goes_without_a_word,
            wills::a_will_is_published_when_the_client_is_silent_for_too_long,
            wills::a_will_is_published_when_another_connection_takes_over
        ]),
    ),
    row(
        "3.1.2-9",
        "with the will flag, QoS, retain, topic and message of the will are there",
        Held(by![
            wills::a_will_has_any_body_and_cannot_hide_what_it_is,
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-10",
        "a will is gone once it is published or after DISCONNECT",
        Held(by![
            wills::a_will_is_forgotten_when_the_client_says_goodbye,
            wills::a_will_is_published_when_another_connection_takes_over
        ]),
    ),
    row(
        "3.1.2-11",
        "without the will flag there are neither flags nor fields of one",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-12",
        "without the will flag no will is published",
        Held(by![wills::without_a_will_nothing_is_published]),
    ),
    row(
        "3.1.2-13",
        "without the will flag the will's QoS is 0",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-14",
        "a will's QoS is 0, 1 or 2",
        Otherwise(
            "2 is refused by code 5, for a hub offers no QoS 2; 3 ends the connection",
            by![
                wills::a_will_that_a_hub_does_not_take_is_refused_by_code_5,
                connect::connect_flags_that_contradict_each_other_end_the_connection
            ],
        ),
    ),
    row(
        "3.1.2-15",
        "without the will flag the will's retain flag is 0",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-16",
        "a will that is not to be retained is published so",
        Held(by![wills::a_will_that_is_to_be_retained_says_so_in_a_property]),
    ),
    row(
        "3.1.2-17",
        "a will that is to be retained is published so",
        Otherwise(
            NO_RETAIN,
            by![wills::a_will_that_is_to_be_retained_says_so_in_a_property],
        ),
    ),
    row(
        "3.1.2-18",
        "without its flag there is no user name",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-19",
        "with its flag there is a user name",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-20",
        "without its flag there is no password",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-21",
        "with its flag there is a password",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-22",
        "there is no password without a user name",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection
        ]),
    ),
    row(
        "3.1.2-23",
        "within the keep-alive something is sent",
        Apart(CLIENT),
    ),
    row(
        "3.1.2-24",
        "after one and a half keep-alives without a packet the connection ends",
        Held(by![
            session::a_client_silent_for_one_and_a_half_keep_alives_is_cut_off,
            session::half_a_packet_does_not_keep_a_connection_alive,
            session::half_a_record_delays_neither_the_keep_alive_nor_a_newer_connection,
            provisioning::a_silent_registration_is_cut_off_and_half_a_packet_does_not_help
        ]),
    ),
    row(
        "3.1.3-1",
        "the fields of the payload stand in their order",
        Held(by![
            connect::a_good_connect_is_accepted,
            wills::a_will_is_published_when_the_client_goes_without_a_word
        ]),
    ),
    row(
        "3.1.3-2",
        "the client identifier names the session",
        Held(by![session::sessions_belong_to_their_client_identifiers]),
    ),
    row(
        "3.1.3-3",
        "the client identifier is there and comes first",
        Held(by![connect::a_connect_cut_short_or_too_long_ends_the_connection]),
    ),
    row(
        "3.1.3-4",
        "the client identifier is UTF-8",
        Held(by![connect::texts_of_connect_must_be_utf_8]),
    ),
    row(
        "3.1.3-5",
        "identifiers of 1 to 23 letters and digits are taken",
        Held(by![
            connect::client_identifiers_of_all_lengths_and_letters_are_taken
        ]),
    ),
    row(
        "3.1.3-6",
        "an empty identifier may be allowed, and is replaced then",
        Otherwise(
            "it is not allowed, for the identifier says which device it is",
            by![connect::an_empty_client_identifier_is_refused_by_code_2],
        ),
    ),
    row(
        "3.1.3-7",
        "an empty identifier comes with CleanSession",
        Held(by![connect::an_empty_client_identifier_is_refused_by_code_2]),
    ),
    row(
        "3.1.3-8",
        "an empty identifier without CleanSession is refused by code 2",
        Held(by![connect::an_empty_client_identifier_is_refused_by_code_2]),
    ),
    row(
        "3.1.3-9",
        "an identifier that is not taken is refused by code 2",
        Otherwise(
            "only an empty one is; one that differs from the user name is refused by code 5, as by the vendor",
            by![
                connect::an_empty_client_identifier_is_refused_by_code_2,
                connect::who_is_not_authorized_is_refused_by_code_5
            ],
        ),
    ),
    row(
        "3.1.3-10",
        "the topic of a will is UTF-8",
        Held(by![connect::texts_of_connect_must_be_utf_8]),
    ),
    row(
        "3.1.3-11",
        "the user name is UTF-8",
        Held(by![connect::texts_of_connect_must_be_utf_8]),
    ),
    row(
        "3.1.4-1",
        "a CONNECT that breaks a rule ends the connection without CONNACK",
        Held(by![
            connect::connect_flags_that_contradict_each_other_end_the_connection,
            connect::a_connect_cut_short_or_too_long_ends_the_connection
        ]),
    ),
    row(
        "3.1.4-2",
        "an older connection of the same client is ended",
        Held(by![
            session::a_second_connection_of_a_device_ends_the_first,
            session::half_a_record_delays_neither_the_keep_alive_nor_a_newer_connection,
            provisioning::a_second_connection_of_a_registration_ends_the_first
        ]),
    ),
    row(
        "3.1.4-3",
        "CleanSession is acted upon",
        Held(by![
            session::a_kept_session_outlives_its_connection,
            session::a_clean_session_forgets_the_one_before_and_leaves_none
        ]),
    ),
    row(
        "3.1.4-4",
        "a good CONNECT is answered by code 0",
        Held(by![connect::a_good_connect_is_accepted]),
    ),
    row(
        "3.1.4-5",
        "behind a refused CONNECT nothing is processed",
        Held(by![
            connect::a_refusal_ends_the_connection_and_what_follows_is_not_looked_at
        ]),
    ),
    row(
        "3.2.0-1",
        "CONNACK is the first packet of a server",
        Held(by![
            framing::many_packets_may_arrive_in_one_record,
            connect::a_good_connect_is_accepted
        ]),
    ),
    row(
        "3.2.2-1",
        "with CleanSession no session is present",
        Held(by![
            session::a_clean_session_forgets_the_one_before_and_leaves_none
        ]),
    ),
    row(
        "3.2.2-2",
        "without CleanSession CONNACK says whether a session is present",
        Otherwise(
            "so at a hub; a registration has no session to keep and always says 0, as clients expect",
            by![
                session::a_kept_session_outlives_its_connection,
                provisioning::every_session_is_a_clean_one
            ],
        ),
    ),
    row(
        "3.2.2-3",
        "where none is stored, none is present",
        Held(by![
            session::a_kept_session_outlives_its_connection,
            session::a_device_made_anew_has_no_session_of_the_old_one
        ]),
    ),
    row(
        "3.2.2-4",
        "a refusal says that no session is present",
        Held(by![connect::a_refusal_never_says_that_a_session_is_there]),
    ),
    row(
        "3.2.2-5",
        "after a refusal the connection ends",
        Held(by![
            connect::who_is_not_authorized_is_refused_by_code_5,
            connect::user_names_that_name_nobody_are_refused_by_code_4
        ]),
    ),
    row(
        "3.2.2-6",
        "where no code fits, the connection ends without CONNACK",
        Held(by![connect::another_protocol_name_ends_the_connection]),
    ),
];
