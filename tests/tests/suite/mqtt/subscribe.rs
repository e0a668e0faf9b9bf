//! SUBSCRIBE and UNSUBSCRIBE: sections 3.8 to 3.11 and 4.7 of the standard; a hub offers a handful of filters.

use super::Hall;
use super::bytes::{PINGRESP, ack, packet, publish1, suback, subscribe, text, unsubscribe};
use super::wire::Wire;

const ANSWERS: &str = "$iothub/twin/res/#";
const DESIRED: &str = "$iothub/twin/PATCH/properties/desired/#";
const METHODS: &str = "$iothub/methods/POST/#";

/// Asks something of the twin, and gives first byte, topic and body of the answer.
fn answer(wire: &mut Wire, rid: &str) -> (u8, String, String) {
    wire.ask(
        publish1(&format!("$iothub/twin/GET/?$rid={rid}"), 500, ""),
        ack(0x40, 500),
    );
    let packet = wire.packet();
    let start = 1
        + packet
            .iter()
            .skip(1)
            .position(|byte| *byte < 128)
            .expect("a length")
        + 1;
    let rest = &packet[start..];
    let size = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (packet[0], text(&rest[2..2 + size]), text(&rest[2 + size..]))
}

#[test]
pub(super) fn each_filter_gets_its_code_in_its_place() {
    let hall = Hall::new();
    let device = hall.device("d");
    let bound = device.bound();
    let mut wire = hall.connected(&device);
    // Who asks for QoS 2 gets 1.
    for (id, qos, code) in [(0x0102, 0, 0), (0xffff, 1, 1), (1, 2, 1)] {
        for filter in [&bound, ANSWERS, DESIRED, METHODS] {
            wire.ask(subscribe(id, &[(filter, qos)]), suback(id, &[code]));
        }
    }
    let many = [
        (ANSWERS, 0),
        ("a/b", 1),
        (&bound[..], 2),
        ("#", 0),
        (METHODS, 1),
        (DESIRED, 2),
        (ANSWERS, 1),
    ];
    wire.ask(subscribe(7, &many), suback(7, &[0, 0x80, 1, 0x80, 1, 1, 1]));
}

#[test]
pub(super) fn filters_that_are_not_offered_are_refused_one_by_one() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.device("e");
    let mut wire = hall.connected(&device);
    let filters = [
        "#",
        "+",
        "+/#",
        "/",
        "$iothub/#",
        "$iothub/twin/#",
        "$iothub/twin/res/+",
        "$iothub/+/res/#",
        "$SYS/#",
        "$dps/registrations/res/#",
        "$share/group/devices/d/messages/devicebound/#",
        "devices/#",
        "devices/+/messages/devicebound/#",
        "devices/d/#",
        "devices/d/messages/devicebound/",
        "devices/d/messages/events/#",
        "devices/e/messages/devicebound/#",
        "devices/D/messages/devicebound/#",
        "devices/d/modules/m/#",
    ];
    for (id, filter) in (1..).zip(filters) {
        wire.ask(subscribe(id, &[(filter, 1)]), suback(id, &[0x80]));
    }
    let all: Vec<(&str, u8)> = filters.iter().map(|filter| (*filter, 1)).collect();
    wire.ask(subscribe(99, &all), suback(99, &[0x80; 19]));
    wire.is_quiet();
}

#[test]
pub(super) fn filters_whose_wildcards_are_misplaced_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for filter in ["a#", "#/a", "a/#/b", "##", "a+", "+a", "a/b+/c", "a/++", ""] {
        hall.connected(&device).ended_by(subscribe(1, &[(filter, 1)]));
        hall.connected(&device)
            .ended_by(subscribe(1, &[(ANSWERS, 1), (filter, 1)]));
        hall.connected(&device).ended_by(unsubscribe(1, &[filter]));
    }
    hall.unharmed();
}

#[test]
pub(super) fn a_subscribe_without_a_filter_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.connected(&device).ended_by(subscribe(1, &[]));
    hall.connected(&device).ended_by(unsubscribe(1, &[]));
}

#[test]
pub(super) fn a_requested_qos_with_reserved_bits_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for qos in [3, 4, 5, 6, 0x10, 0x40, 0x80, 0x81, 0xff] {
        hall.connected(&device).ended_by(subscribe(1, &[(ANSWERS, qos)]));
        let among = subscribe(1, &[(ANSWERS, 0), (DESIRED, qos), (METHODS, 1)]);
        hall.connected(&device).ended_by(among);
    }
    hall.unharmed();
}

#[test]
pub(super) fn what_is_sent_to_a_device_lies_below_its_filter() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    // Before there is a subscription nothing comes.
    wire.ask(publish1("$iothub/twin/GET/?$rid=0", 1, ""), ack(0x40, 1));
    wire.is_quiet();
    wire.ask(subscribe(2, &[(ANSWERS, 1)]), suback(2, &[1]));
    for rid in ["1", "a3F", "0f8fad5b-d9cb-469f-a165-70867728950e", "ä%20:x"] {
        let (first, topic, body) = answer(&mut wire, rid);
        // At QoS 0, neither sent again nor retained; the request id is echoed byte for byte.
        assert_eq!(first, 0x30);
        assert!(topic.starts_with("$iothub/twin/res/4"), "{topic}");
        assert!(topic.ends_with(&format!("/?$rid={rid}")), "{topic}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert!(
            body["errorCode"].is_number() && body["message"].is_string(),
            "{body}"
        );
    }
    // One answer, although another filter might be thought to cover it too.
    wire.ask(
        subscribe(3, &[("$iothub/#", 1), (ANSWERS, 0)]),
        suback(3, &[0x80, 0]),
    );
    answer(&mut wire, "once");
    wire.is_quiet();
}

#[test]
pub(super) fn a_filter_subscribed_again_takes_the_place_of_the_first() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    for (id, qos) in [(1, 0), (2, 1), (3, 0)] {
        wire.ask(subscribe(id, &[(ANSWERS, qos)]), suback(id, &[qos]));
        answer(&mut wire, "x");
        wire.is_quiet();
    }
    // One word ends all three.
    wire.ask(unsubscribe(4, &[ANSWERS]), ack(0xb0, 4));
    wire.ask(publish1("$iothub/twin/GET/?$rid=1", 5, ""), ack(0x40, 5));
    wire.is_quiet();
}

#[test]
pub(super) fn an_unsubscribe_is_answered_whatever_it_names() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    for (id, filter) in [
        (1, "a/b"),
        (2, "#"),
        (0xffff, ANSWERS),
        (0x0100, "devices/e/messages/devicebound/#"),
    ] {
        wire.ask(unsubscribe(id, &[filter]), ack(0xb0, id));
    }
    // Filters are compared letter by letter: neither a wider nor a narrower one ends a subscription.
    wire.ask(subscribe(5, &[(ANSWERS, 1)]), suback(5, &[1]));
    let others = [
        "#",
        "$iothub/#",
        "$iothub/twin/res/+",
        "$IOTHUB/twin/res/#",
        "$iothub/twin/res/200/#",
    ];
    wire.ask(unsubscribe(6, &others), ack(0xb0, 6));
    answer(&mut wire, "still");
    // Of several, each counts.
    wire.ask(unsubscribe(7, &["a", ANSWERS, "b"]), ack(0xb0, 7));
    wire.ask(publish1("$iothub/twin/GET/?$rid=1", 8, ""), ack(0x40, 8));
    wire.is_quiet();
}

#[test]
pub(super) fn subscriptions_in_one_packet_count_as_if_they_came_one_by_one() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    // The last of one filter counts, and a refused neighbour spoils nothing.
    wire.ask(
        subscribe(1, &[(ANSWERS, 1), ("x", 0), (ANSWERS, 0)]),
        suback(1, &[1, 0x80, 0]),
    );
    let (first, ..) = answer(&mut wire, "x");
    assert_eq!(first, 0x30);
}

#[test]
pub(super) fn a_subscribe_with_hundreds_of_filters_gets_as_many_codes() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let mut filters = vec![("a/b", 1); 4_000];
    filters.push((ANSWERS, 1));
    let mut codes = vec![0x80; 4_000];
    codes.push(1);
    wire.ask(subscribe(1, &filters), suback(1, &codes));
    let names: Vec<&str> = filters.iter().map(|(filter, _)| *filter).collect();
    wire.ask(unsubscribe(2, &names), ack(0xb0, 2));
    wire.send(packet(0xc0, []));
    wire.expect(PINGRESP);
    // A text whose length leads beyond the packet spoils all of it.
    let beyond = [&[0, 9][..], &text(ANSWERS), &[1, 0xff, 0xff, b'a']].concat();
    wire.ended_by(packet(0x82, beyond));
}
