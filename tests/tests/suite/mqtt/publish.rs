//! PUBLISH and PUBACK: sections 3.3 and 3.4 of the standard, and what a hub makes of topics, qualities of service, DUP
//! and RETAIN.

use serde_json::json;

use super::bytes::{PINGREQ, PINGRESP, ack, packet, publish, publish_with, publish1, text};
use super::{Hall, bodies};

/// Largest message, in bytes. Source: IoT Hub, "Quotas and throttling".
const LARGEST: usize = 262_144;

#[test]
pub(super) fn a_message_at_qos_0_is_kept_and_not_answered() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    for payload in ["one", "", "three"] {
        wire.send(publish(&device.topic(""), payload));
        wire.is_quiet();
    }
    assert_eq!(bodies(&hall.events_when(3)), ["one", "", "three"]);
}

#[test]
pub(super) fn a_message_at_qos_1_is_kept_before_it_is_acknowledged() {
    let mut hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    for id in [1, 0x00ff, 0x0100, 0xffff, 42] {
        wire.ask(publish1(&device.topic(""), id, id.to_string()), ack(0x40, id));
    }
    // Power goes at once: what was acknowledged is there.
    hall.ground.kill();
    hall.ground.start();
    let events = hall.events();
    assert_eq!(bodies(&events), ["1", "255", "256", "65535", "42"]);
    assert!(events.iter().all(|event| event.device == "d"));
}

#[test]
pub(super) fn acknowledgements_come_in_the_order_of_the_messages() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    // Identifiers in no order, and messages of QoS 0 between them.
    let ids: Vec<u16> = (0..500_u32)
        .map(|place| u16::try_from(place * 7_919 % 65_521 + 1).expect("below a prime"))
        .collect();
    let all: Vec<u8> = ids
        .iter()
        .flat_map(|id| {
            let topic = device.topic("");
            [
                publish1(&topic, *id, format!("1 {id}")),
                publish(&topic, format!("0 {id}")),
            ]
            .concat()
        })
        .collect();
    wire.send(all);
    for id in &ids {
        wire.expect(ack(0x40, *id));
    }
    wire.is_quiet();
    let wanted: Vec<String> = ids
        .iter()
        .flat_map(|id| [format!("1 {id}"), format!("0 {id}")])
        .collect();
    assert_eq!(bodies(&hall.events_when(1_000)), wanted);
}

#[test]
pub(super) fn an_identifier_can_be_used_again_once_it_is_acknowledged() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    for round in 0..20 {
        wire.ask(publish1(&device.topic(""), 1, round.to_string()), ack(0x40, 1));
    }
    assert_eq!(hall.events().len(), 20);
}

#[test]
pub(super) fn a_message_sent_again_is_acknowledged_and_kept_again() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ask(publish_with(0x32, device.topic(""), 5, "x"), ack(0x40, 5));
    wire.ask(publish_with(0x3a, device.topic(""), 5, "x"), ack(0x40, 5));
    // The mark says nothing about another connection either.
    let mut wire = hall.connected(&device);
    wire.ask(publish_with(0x3a, device.topic(""), 5, "x"), ack(0x40, 5));
    let events = hall.events();
    assert_eq!(bodies(&events), ["x", "x", "x"]);
    for event in events {
        // And it is not handed on.
        assert_eq!(event.line["applicationProperties"], json!({}), "{}", event.line);
    }
}

#[test]
pub(super) fn dup_at_qos_0_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let bad = packet(0x38, [&text(device.topic(""))[..], b"x"].concat());
    hall.connected(&device).ended_by(bad);
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn qos_2_and_the_qos_that_is_none_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for first in [0x34, 0x35, 0x3c, 0x36, 0x37, 0x3e, 0x3f] {
        let bad = publish_with(first, device.topic(""), 1, "x");
        hall.connected(&device).ended_by(bad);
    }
    for (first, id) in [(0x50, 1), (0x62, 1), (0x70, 1)] {
        hall.connected(&device).ended_by(ack(first, id));
    }
    assert_eq!(hall.events(), []);
    hall.unharmed();
}

#[test]
pub(super) fn the_retain_flag_becomes_a_property_and_nothing_is_retained() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ask(publish_with(0x33, device.topic("a=1"), 1, "kept"), ack(0x40, 1));
    wire.ask(publish_with(0x32, device.topic("a=1"), 2, "plain"), ack(0x40, 2));
    // A retained message without a body would make a broker forget; here it is one more message.
    wire.ask(publish_with(0x33, device.topic(""), 3, ""), ack(0x40, 3));
    wire.send(packet(0x31, [&text(device.topic(""))[..], b"at QoS 0"].concat()));
    wire.is_quiet();
    let events = hall.events_when(4);
    assert_eq!(bodies(&events), ["kept", "plain", "", "at QoS 0"]);
    let properties: Vec<_> = events
        .iter()
        .map(|event| event.line["applicationProperties"].clone())
        .collect();
    assert_eq!(
        properties,
        [
            json!({"a": "1", "mqtt-retain": "true"}),
            json!({"a": "1"}),
            json!({"mqtt-retain": "true"}),
            json!({"mqtt-retain": "true"}),
        ]
    );
    // A new subscription brings nothing of them.
    wire.ask(
        super::bytes::subscribe(9, &[(&device.bound(), 1)]),
        super::bytes::suback(9, &[1]),
    );
    wire.is_quiet();
}

#[test]
pub(super) fn topics_that_are_none_of_a_devices_business_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.device("e");
    for topic in [
        "a/b",
        "/",
        "d",
        "devices/e/messages/events/",
        "devices/D/messages/events/",
        "Devices/d/messages/events/",
        "devices/d/Messages/events/",
        "devices//messages/events/",
        "devices/d//messages/events/",
        "/devices/d/messages/events/",
        "devices/d/messages/eventss/",
        "devices/d/messages/devicebound/",
        "devices/d/modules/m/messages/events/",
        "$iothub/twin/res/200/?$rid=1",
        "$iothub/twin/PATCH/properties/desired/?$version=1",
        "$iothub/methods/POST/m/?$rid=1",
        "$iothub/twin/GET/",
        "$SYS/broker/version",
        "$dps/registrations/PUT/iotdps-register/?$rid=1",
        "$share/group/devices/d/messages/events/",
    ] {
        hall.connected(&device).ended_by(publish1(topic, 1, "x"));
        hall.connected(&device).ended_by(publish(topic, "x"));
    }
    assert_eq!(hall.events(), []);
    hall.unharmed();
}

#[test]
pub(super) fn topics_are_compared_as_they_are() {
    let hall = Hall::new();
    let device = hall.device("d");
    // The same for a reader, not for a server: an encoded letter, a decomposed one.
    for topic in [
        "devices/%64/messages/events/",
        "devices/d\u{301}/messages/events/",
        " devices/d/messages/events/",
    ] {
        hall.connected(&device).ended_by(publish1(topic, 1, "x"));
    }
    // What the vendor's clients write: without the last slash, and with one behind the bag.
    let mut wire = hall.connected(&device);
    wire.ask(publish1("devices/d/messages/events", 1, "x"), ack(0x40, 1));
    wire.ask(publish1("devices/d/messages/events/a=b/", 2, "x"), ack(0x40, 2));
    assert_eq!(hall.events()[1].line["applicationProperties"], json!({"a": "b"}));
}

#[test]
pub(super) fn wildcards_in_a_topic_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for topic in [
        "#",
        "+",
        "devices/+/messages/events/",
        "devices/d/messages/events/#",
        "devices/d/messages/events/a=+",
        "devices/d/messages/#",
    ] {
        hall.connected(&device).ended_by(publish1(topic, 1, "x"));
    }
    hall.connected(&device).ended_by(publish1("", 1, "x"));
    hall.connected(&device).ended_by(publish("", "x"));
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_topic_has_as_many_bytes_as_its_length_can_say() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let room = 65_535 - device.topic("a=").len();
    let topic = device.topic(&format!("a={}", "v".repeat(room)));
    assert_eq!(topic.len(), 65_535);
    wire.ask(publish1(&topic, 1, "x"), ack(0x40, 1));
    let events = hall.events();
    let value = events[0].line["applicationProperties"]["a"].as_str();
    assert_eq!(value.map(str::len), Some(room));
}

#[test]
pub(super) fn the_largest_message_is_taken_and_a_larger_one_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ask(publish1(&device.topic(""), 1, "x".repeat(LARGEST)), ack(0x40, 1));
    // Names and values of properties count.
    let rest = "x".repeat(LARGEST - 4);
    wire.ask(publish1(&device.topic("ab=cd"), 2, rest), ack(0x40, 2));
    for bad in [
        publish1(&device.topic(""), 3, "x".repeat(LARGEST + 1)),
        publish1(&device.topic("ab=cde"), 3, "x".repeat(LARGEST - 4)),
        publish_with(0x33, device.topic(""), 3, "x".repeat(LARGEST)),
        publish(&device.topic(""), "x".repeat(LARGEST + 1)),
        publish(&device.topic(""), "x".repeat(1_000_000)),
    ] {
        hall.connected(&device).ended_by(bad);
    }
    let sizes: Vec<usize> = bodies(&hall.events()).iter().map(String::len).collect();
    assert_eq!(sizes, [LARGEST, LARGEST - 4]);
    hall.unharmed();
}

#[test]
pub(super) fn a_bag_becomes_properties() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let bag =
        "%24.mid=m1&$.cid=c1&$.ct=application%2Fjson&$.ce=utf-8&alert=true&with%20blank=a%2Bb&none&empty=";
    wire.ask(publish1(&device.topic(bag), 1, "{\"t\": 1}"), ack(0x40, 1));
    let event = &hall.events()[0];
    assert_eq!(event.body, json!({"t": 1}));
    assert_eq!(
        event.line["properties"],
        json!({"message-id": "m1", "correlation-id": "c1", "content-type": "application/json",
               "content-encoding": "utf-8"})
    );
    assert_eq!(
        event.line["applicationProperties"],
        json!({"alert": "true", "with blank": "a+b", "none": "", "empty": ""})
    );
    // What cannot be read ends the connection, and nothing of it is kept.
    for bag in ["a=%ff", "$.exp=soon", "$.mid=a%20b"] {
        hall.connected(&device)
            .ended_by(publish1(&device.topic(bag), 1, "x"));
    }
    assert_eq!(hall.events().len(), 1);
}

#[test]
pub(super) fn bodies_are_kept_byte_for_byte() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let all: Vec<u8> = (0..=255).collect();
    wire.ask(publish1(&device.topic(""), 1, &all), ack(0x40, 1));
    let event = &hall.events()[0];
    assert_eq!(event.line["bodyEncoding"], "base64");
    let body = event.body.as_str().expect("base64");
    assert_eq!(data_encoding::BASE64.decode(body.as_bytes()).ok(), Some(all));
}

#[test]
pub(super) fn an_acknowledgement_of_nothing_changes_nothing() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.send(ack(0x40, 77));
    wire.ask(PINGREQ, PINGRESP);
}

#[test]
pub(super) fn an_answer_to_no_call_is_taken_and_dropped() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ask(publish1("$iothub/methods/res/200/?$rid=1", 3, "{}"), ack(0x40, 3));
    wire.send(publish("$iothub/methods/res/200/?$rid=1", "{}"));
    wire.is_quiet();
    assert_eq!(hall.events(), []);
}
