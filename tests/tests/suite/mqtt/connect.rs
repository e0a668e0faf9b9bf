//! CONNECT and CONNACK: sections 3.1 and 3.2 of the standard, and section 2 of the vendor's documents.

use muster_tests::sas_token;

use super::bytes::{
    ACCEPTED, DISCONNECT, Hello, NOTHING, PINGREQ, Will, ack, packet, publish, publish1, refused, subscribe,
};
use super::{HOUR, Hall};
use crate::ground::HUB;

/// A key that is nobody's.
const OTHER_KEY: &str = "bm90IGEga2V5IG9mIGFueWJvZHkgaW4gdGhpcyBzZXJ2ZXI=";

#[test]
pub(super) fn a_good_connect_is_accepted() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.connected(&device).is_quiet();
    // Keep-alive, clean session and the forms of the user name are the client's choice.
    for keep_alive in [0, 1, 60, 65_535] {
        let mut wire = hall.wire();
        let hello = Hello::of(&device).but(|hello| hello.keep_alive = keep_alive);
        wire.ask(hello.bytes(), ACCEPTED);
        wire.is_quiet();
    }
    for user in [
        format!("{HUB}/d"),
        format!("{HUB}/d/"),
        format!("{HUB}:8883/d/?api-version=2021-04-12"),
        format!("{HUB}/d/?DeviceClientType=x%2F1&model-id=dtmi:com:x;1&api-version=2019-10-01"),
        "localhost/d/api-version=2018-06-30".to_owned(),
    ] {
        let mut wire = hall.wire();
        let hello = Hello::of(&device).but(|hello| hello.user = Some(user.into()));
        wire.ask(hello.bytes(), ACCEPTED);
    }
}

#[test]
pub(super) fn the_first_packet_must_be_connect() {
    let hall = Hall::new();
    let device = hall.device("d");
    let connect = Hello::of(&device).bytes();
    for first in [
        publish(&device.topic(""), "x"),
        publish1(&device.topic(""), 1, "x"),
        subscribe(1, &[(&device.bound(), 1)]),
        PINGREQ.to_vec(),
        DISCONNECT.to_vec(),
        ack(0x40, 1),
        ack(0x62, 1),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n and so on, for as long as it takes"
            .to_vec(),
    ] {
        hall.wire().ended_by([&first[..], &connect].concat());
    }
    assert_eq!(hall.events(), []);
    hall.unharmed();
}

#[test]
pub(super) fn a_second_connect_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.connected(&device).ended_by(Hello::of(&device).bytes());
    hall.connected(&device)
        .ended_by(Hello::new("e", "x/e", None).bytes());
}

#[test]
pub(super) fn another_protocol_name_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for (name, level) in [
        ("mqtt", 4),
        ("MQIsdp", 4),
        ("MQTTX", 4),
        ("", 4),
        ("HTTP", 1),
        ("AMQP", 1),
    ] {
        let hello = Hello::of(&device).but(|hello| {
            hello.protocol = name.into();
            hello.level = level;
        });
        hall.wire().ended_by(hello.bytes());
    }
}

#[test]
pub(super) fn another_level_is_refused_by_code_1() {
    let hall = Hall::new();
    let device = hall.device("d");
    for (name, level) in [
        ("MQIsdp", 3),
        ("MQTT", 3),
        ("MQTT", 0),
        ("MQTT", 6),
        ("MQTT", 132),
        ("MQTT", 255),
    ] {
        let hello = Hello::of(&device).but(|hello| {
            hello.protocol = name.into();
            hello.level = level;
        });
        assert_eq!(hall.answer(hello.bytes()), refused(1), "{name} {level}");
    }
}

#[test]
pub(super) fn a_client_of_version_5_is_told_in_both_forms_that_its_version_is_not_offered() {
    let hall = Hall::new();
    let device = hall.device("d");
    let hello = Hello::of(&device).but(|hello| hello.level = 5);
    let answer = hall.answer(hello.bytes());
    // In the form of 5 ("MQTT Version 5.0", section 3.2.2.2, reason code 0x84), then in that of 3.1.1: a client reads
    // one of them.
    assert_eq!(answer, [&[0x20, 3, 0, 0x84, 0][..], &refused(1)].concat());
}

#[test]
pub(super) fn connect_flags_that_contradict_each_other_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let plain = Hello::of(&device);
    let will = plain.clone().with_will(&device.topic(""), "w");
    let bad: Vec<(&str, Hello)> = vec![
        ("the reserved flag", plain.clone().but(|h| h.more_flags = 1)),
        (
            "QoS 1 of no will",
            plain.clone().but(|h| h.more_flags = 0b0000_1000),
        ),
        (
            "QoS 2 of no will",
            plain.clone().but(|h| h.more_flags = 0b0001_0000),
        ),
        (
            "retain of no will",
            plain.clone().but(|h| h.more_flags = 0b0010_0000),
        ),
        (
            "QoS 3 of a will",
            will.clone().but(|h| h.more_flags = 0b0001_1000),
        ),
        (
            "a will that is not there",
            plain.clone().but(|h| h.more_flags = 0b0000_0100),
        ),
        (
            "a will that nobody announced",
            will.but(|h| h.fewer_flags = 0b0011_1100),
        ),
        (
            "a password without a user name",
            plain.clone().but(|h| h.user = None),
        ),
        (
            "a user name that nobody announced",
            plain.clone().but(|h| h.fewer_flags = 0b1000_0000),
        ),
        (
            "no user name that was announced",
            plain.clone().but(|h| {
                h.user = None;
                h.password = None;
                h.more_flags = 0b1000_0000;
            }),
        ),
        (
            "no password that was announced",
            plain.clone().but(|h| {
                h.password = None;
                h.more_flags = 0b0100_0000;
            }),
        ),
        (
            "a password that nobody announced",
            plain.but(|h| h.fewer_flags = 0b0100_0000),
        ),
    ];
    for (what, hello) in bad {
        let answer = hall.answer(hello.bytes());
        assert_eq!(answer, NOTHING, "{what}");
    }
    hall.unharmed();
}

#[test]
pub(super) fn a_connect_cut_short_or_too_long_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let body = Hello::of(&device).body();
    for end in 0..body.len() {
        let packet = packet(0x10, &body[..end]);
        assert_eq!(hall.answer(packet), NOTHING, "cut at {end}");
    }
    assert_eq!(hall.answer(packet(0x10, [&body[..], &[0]].concat())), NOTHING);
    // Texts that end beyond the packet.
    let mut beyond = body;
    beyond[10] = 0xff;
    assert_eq!(hall.answer(packet(0x10, beyond)), NOTHING);
    hall.unharmed();
}

#[test]
pub(super) fn texts_of_connect_must_be_utf_8() {
    let hall = Hall::new();
    let device = hall.device("d");
    let change: [fn(&mut Hello); 3] = [
        |hello| hello.client.push(0xff),
        |hello| hello.user.get_or_insert_default().push(0xff),
        |hello| {
            hello.will = Some(Will {
                topic: b"devices/d/messages/events/\xed\xa0\x80".to_vec(),
                payload: vec![],
                qos: 0,
                retain: false,
            });
        },
    ];
    for change in change {
        hall.wire().ended_by(Hello::of(&device).but(change).bytes());
    }
}

#[test]
pub(super) fn an_empty_client_identifier_is_refused_by_code_2() {
    let hall = Hall::new();
    let device = hall.device("d");
    for clean in [true, false] {
        let hello = Hello::of(&device).but(|hello| {
            hello.client.clear();
            hello.clean = clean;
        });
        assert_eq!(hall.answer(hello.bytes()), refused(2), "clean session: {clean}");
        let user = format!(
            "{}/registrations/d/api-version=2019-03-31",
            hall.ground.id_scope()
        );
        let hello = Hello::new("", &user, Some(&device.token)).but(|hello| hello.clean = clean);
        assert_eq!(hall.answer(hello.bytes()), refused(2), "clean session: {clean}");
    }
}

#[test]
pub(super) fn client_identifiers_of_all_lengths_and_letters_are_taken() {
    let hall = Hall::new();
    // Every letter of the standard's list, 23 of them at a time; then the vendor's own.
    let long = "x".repeat(128);
    for id in [
        "0123456789abcdefghijklm",
        "nopqrstuvwxyzABCDEFGHIJ",
        "KLMNOPQRSTUVWXYZ",
        "a",
        "-.%_*?!(),:=@$'",
        "A",
        &long,
    ] {
        let device = hall.device(id);
        let mut wire = hall.connected(&device);
        wire.ask(publish1(&device.topic(""), 1, id), ack(0x40, 1));
    }
    let mut devices: Vec<String> = hall.events().iter().map(|event| event.device.clone()).collect();
    devices.sort();
    assert_eq!(devices.len(), 7);
    assert!(devices.contains(&"a".to_owned()) && devices.contains(&"A".to_owned()));
}

#[test]
pub(super) fn who_is_not_authorized_is_refused_by_code_5() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.device("e");
    let audience = format!("{HUB}/devices/d");
    let expired = sas_token(&audience, OTHER_KEY, None, -HOUR);
    let forged = sas_token(&audience, OTHER_KEY, None, HOUR);
    let user = |id: &str| format!("{HUB}/{id}/?api-version=2021-04-12");
    let hellos = [
        ("no password", Hello::new("d", &user("d"), None)),
        ("another's key", Hello::new("d", &user("d"), Some(&forged))),
        ("an expired token", Hello::new("d", &user("d"), Some(&expired))),
        (
            "another's token",
            Hello::new("e", &user("e"), Some(&device.token)),
        ),
        (
            "a device that is not there",
            Hello::new("f", &user("f"), Some(&device.token)),
        ),
        (
            "another client identifier",
            Hello::new("e", &user("d"), Some(&device.token)),
        ),
        (
            "another case of it",
            Hello::new("D", &user("d"), Some(&device.token)),
        ),
        (
            "a hub that is not there",
            Hello::new(
                "d",
                "no-hub.azure-devices.muster.localhost/d",
                Some(&device.token),
            ),
        ),
        (
            "a foreign host",
            Hello::new("d", "example.org/d", Some(&device.token)),
        ),
    ];
    for (what, hello) in hellos {
        assert_eq!(hall.answer(hello.bytes()), refused(5), "{what}");
    }
    // Of each the operator finds a record.
    assert_eq!(hall.refusals().len(), 9);
    let disable = [
        "iot",
        "hub",
        "device-identity",
        "update",
        "--hub-name",
        "muster-hub",
    ];
    let disable = [&disable[..], &["--device-id", "d", "--status", "disabled"]].concat();
    hall.ground.json(&disable);
    assert_eq!(
        hall.answer(Hello::of(&device).bytes()),
        refused(5),
        "a disabled device"
    );
}

#[test]
pub(super) fn user_names_that_name_nobody_are_refused_by_code_4() {
    let hall = Hall::new();
    let device = hall.device("d");
    for user in [
        None,
        Some(""),
        Some("d"),
        Some("/"),
        Some("/d"),
        Some(&format!("{HUB}/")[..]),
        Some(&format!("{HUB}//?api-version=2021-04-12")),
        Some(&format!("{HUB}/d/?api-version=1999-01-01")),
        Some(&format!("{HUB}/d/m/x/?api-version=2021-04-12")),
    ] {
        let hello = Hello::of(&device).but(|hello| {
            hello.user = user.map(Into::into);
            hello.password = user.is_some().then(|| device.token.clone().into());
        });
        assert_eq!(hall.answer(hello.bytes()), refused(4), "{user:?}");
    }
}

#[test]
pub(super) fn a_refusal_ends_the_connection_and_what_follows_is_not_looked_at() {
    let hall = Hall::new();
    let device = hall.device("d");
    let bad = Hello::of(&device).but(|hello| hello.password = None).bytes();
    let follows = [
        publish1(&device.topic(""), 1, "x"),
        Hello::of(&device).bytes(),
        publish1(&device.topic(""), 2, "x"),
    ]
    .concat();
    assert_eq!(hall.answer([bad, follows.clone()].concat()), refused(5));
    // A good one was judged on the way, and nothing came of it.
    let level = Hello::of(&device).but(|hello| hello.level = 3).bytes();
    assert_eq!(hall.answer([level, follows].concat()), refused(1));
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_refusal_never_says_that_a_session_is_there() {
    let hall = Hall::new();
    let device = hall.device("d");
    drop(hall.resumed(&device));
    assert!(hall.resumed(&device).1, "there is one");
    let hello = Hello::of(&device).kept().but(|hello| hello.password = None);
    assert_eq!(hall.answer(hello.bytes()), refused(5));
    let hello = Hello::of(&device).kept().but(|hello| hello.level = 3);
    assert_eq!(hall.answer(hello.bytes()), refused(1));
    assert!(hall.resumed(&device).1, "there still is");
}

#[test]
pub(super) fn a_module_is_refused_while_there_are_none() {
    let hall = Hall::new();
    let device = hall.device("d");
    let user = format!("{HUB}/d/m/?api-version=2021-04-12");
    let hello = Hello::new("d/m", &user, Some(&device.token));
    assert_eq!(hall.answer(hello.bytes()), refused(5));
}
