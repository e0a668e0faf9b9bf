//! Wills: a hub takes them for its events, where they carry `iothub-MessageType=Will`.

use serde_json::json;

use super::bytes::{ACCEPTED, DISCONNECT, Hello, NOTHING, Will, ack, publish1, refused};
use super::wire::Wire;
use super::{GLANCE, Hall, bodies};

fn connected(hall: &Hall, hello: &Hello) -> Wire {
    let mut wire = hall.wire();
    wire.ask(hello.bytes(), ACCEPTED);
    wire
}

#[test]
pub(super) fn a_will_is_published_when_the_client_goes_without_a_word() {
    let hall = Hall::new();
    let device = hall.device("d");
    let hello = Hello::of(&device).with_will(&device.topic("a=b"), "gone");
    // By the network, by a broken rule, by ending one direction.
    connected(&hall, &hello).vanish();
    let events = hall.events_when(1);
    assert_eq!(bodies(&events), ["gone"]);
    assert_eq!(
        events[0].line["applicationProperties"],
        json!({"a": "b", "iothub-MessageType": "Will"})
    );
    assert_eq!(events[0].device, "d");
    connected(&hall, &hello).ended_by([0xf0, 0]);
    hall.events_when(2);
    let mut wire = connected(&hall, &hello);
    wire.half_close();
    wire.ends();
    hall.events_when(3);
    // By a topic that is none of its business, and by what no hub offers.
    connected(&hall, &hello).ended_by(publish1("a/b", 1, ""));
    hall.events_when(4);
    connected(&hall, &hello).ended_by(ack(0x62, 1));
    hall.events_when(5);
}

#[test]
pub(super) fn a_will_is_published_when_the_client_is_silent_for_too_long() {
    let hall = Hall::new();
    let device = hall.device("d");
    let hello = Hello::of(&device)
        .with_will(&device.topic(""), "silent")
        .but(|hello| hello.keep_alive = 1);
    connected(&hall, &hello).ends();
    assert_eq!(bodies(&hall.events_when(1)), ["silent"]);
}

#[test]
pub(super) fn a_will_is_published_when_another_connection_takes_over() {
    let hall = Hall::new();
    let device = hall.device("d");
    let hello = Hello::of(&device).with_will(&device.topic(""), "first");
    let mut old = connected(&hall, &hello);
    let mut new = hall.connected(&device);
    old.ends();
    assert_eq!(bodies(&hall.events_when(1)), ["first"]);
    // Once, and the new connection has none.
    new.ended_by([0xf0, 0]);
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events().len(), 1);
}

#[test]
pub(super) fn a_will_is_forgotten_when_the_client_says_goodbye() {
    let hall = Hall::new();
    let device = hall.device("d");
    let hello = Hello::of(&device).with_will(&device.topic(""), "never");
    for _ in 0..5 {
        connected(&hall, &hello).ended_by(DISCONNECT);
    }
    // Nor does one that was never connected leave one.
    let stranger = hello.clone().but(|hello| hello.password = None);
    assert_eq!(hall.answer(stranger.bytes()), refused(5));
    let mut last = connected(&hall, &hello);
    last.ask(publish1(&device.topic(""), 1, "last"), ack(0x40, 1));
    last.ended_by(DISCONNECT);
    assert!(!hall.connected(&device).has_ended(GLANCE * 20));
    assert_eq!(bodies(&hall.events()), ["last"]);
}

#[test]
pub(super) fn without_a_will_nothing_is_published() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.connected(&device).vanish();
    hall.connected(&device).ended_by([0xf0, 0]);
    assert!(!hall.connected(&device).has_ended(GLANCE * 20));
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_will_that_is_to_be_retained_says_so_in_a_property() {
    let hall = Hall::new();
    let device = hall.device("d");
    for (count, qos, retain) in [(1, 0, false), (2, 1, false), (3, 0, true), (4, 1, true)] {
        let hello = Hello::of(&device).but(|hello| {
            hello.will = Some(Will {
                topic: device.topic("").into(),
                payload: b"w".to_vec(),
                qos,
                retain,
            });
        });
        connected(&hall, &hello).vanish();
        let events = hall.events_when(count);
        let mut properties = json!({"iothub-MessageType": "Will"});
        if retain {
            properties["mqtt-retain"] = "true".into();
        }
        assert_eq!(events[count - 1].line["applicationProperties"], properties);
    }
}

#[test]
pub(super) fn a_will_has_any_body_and_cannot_hide_what_it_is() {
    let hall = Hall::new();
    let device = hall.device("d");
    let topic = device.topic("iothub-messagetype=other&a=b");
    let hello = Hello::of(&device).with_will(&topic, "");
    connected(&hall, &hello).vanish();
    let events = hall.events_when(1);
    assert_eq!(bodies(&events), [""]);
    assert_eq!(
        events[0].line["applicationProperties"],
        json!({"a": "b", "iothub-MessageType": "Will"})
    );
    let hello = Hello::of(&device).with_will(&device.topic(""), &"w".repeat(65_535));
    connected(&hall, &hello).vanish();
    assert_eq!(bodies(&hall.events_when(2))[1].len(), 65_535);
}

#[test]
pub(super) fn a_will_that_a_hub_does_not_take_is_refused_by_code_5() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.device("e");
    for topic in [
        "a/b",
        "devices/e/messages/events/",
        "devices/d/messages/devicebound/",
        "$iothub/twin/GET/?$rid=1",
        "devices/d/messages/events/a=%ff",
    ] {
        let hello = Hello::of(&device).with_will(topic, "w");
        assert_eq!(hall.answer(hello.bytes()), refused(5), "{topic}");
    }
    let hello = Hello::of(&device).but(|hello| {
        hello.will = Some(Will {
            topic: device.topic("").into(),
            payload: vec![],
            qos: 2,
            retain: false,
        });
    });
    assert_eq!(hall.answer(hello.bytes()), refused(5), "QoS 2");
    // A wildcard or no topic at all is a broken rule.
    for topic in ["devices/+/messages/events/", "devices/d/messages/events/#", ""] {
        let hello = Hello::of(&device).with_will(topic, "w");
        assert_eq!(hall.answer(hello.bytes()), NOTHING, "{topic}");
    }
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events(), []);
}
