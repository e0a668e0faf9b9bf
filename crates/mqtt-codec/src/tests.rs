//! Packets by hand, packets that break one rule each, and packets in pieces.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn read(bytes: &[u8]) -> Result<Packet<'_>, Violation> {
    let header = 2;
    Frame {
        first: bytes[0],
        body: &bytes[header..],
    }
    .packet()
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// A CONNECT of the given flags whose payload is `payload`.
fn connect_bytes(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_connect_with_everything_is_read() {
    let payload = b"\0\x01c\0\x01t\0\x02wp\0\x01u\0\x01p";
    let bytes = connect_bytes(0b1110_1110, payload);
    let Packet::Connect(connect) = read(&bytes).unwrap() else {
        panic!("CONNECT")
    };
    assert_eq!(
        connect,
        Connect {
            client_id: "c",
            clean_session: true,
            keep_alive: 60,
            will: Some(Will {
                topic: "t",
                payload: b"wp",
                qos: Qos::AtLeastOnce,
                retain: true,
            }),
            user_name: Some("u"),
            password: Some(b"p"),
        }
    );
}

#[test]
fn a_connect_that_breaks_a_rule_is_refused() {
    for (flags, payload, what) in [
        (0b0000_0001, &b"\0\x01c"[..], "reserved flag"),
        (0b0001_1100, b"\0\x01c\0\x01t\0\0", "will QoS 3"),
        (0b0000_1000, b"\0\x01c", "will QoS without will"),
        (0b0010_0000, b"\0\x01c", "will retain without will"),
        (0b0100_0000, b"\0\x01c\0\x01p", "password without user name"),
        (0b0000_0010, b"\0\x01c\0\x01u", "a field too many"),
        (0b1000_0010, b"\0\x01c", "a field too few"),
        (0b0000_0010, b"\0\x03\xff\xfe\xfd", "not UTF-8"),
        (0b0000_0010, b"\0\x02a\0", "U+0000"),
        (0b0000_0010, b"\0\x03\xed\xa0\x80", "a surrogate"),
        (
            0b0000_0110,
            b"\0\x01c\0\x01+\0\0",
            "a wildcard in the will's topic",
        ),
        (0b0000_0110, b"\0\x01c\0\0\0\0", "an empty topic of a will"),
    ] {
        assert!(read(&connect_bytes(flags, payload)).is_err(), "{what}");
    }
    let mut other = connect_bytes(2, b"\0\0");
    other[8] = 5;
    assert_eq!(read(&other), Err(Violation::Level(5)));
    other[7] = b'X';
    assert_eq!(read(&other), Err(Violation::Protocol));
    let old = b"\x10\0\0\x06MQIsdp\x03\x02\0\0\0\x01c";
    assert_eq!(read(old), Err(Violation::Level(3)));
}

#[test]
fn flags_and_types_that_are_reserved_are_refused() {
    for first in [0x00, 0xf0] {
        assert_eq!(read(&[first, 0]), Err(Violation::Kind));
    }
    for first in [0x11, 0x41, 0x80, 0x81, 0xa0, 0xc1, 0xe8, 0x60, 0x52] {
        assert_eq!(read(&[first, 2, 0, 1]), Err(Violation::Flags), "{first:02x}");
    }
    assert_eq!(read(&[0xc0, 1, 0]), Err(Violation::Truncated));
    assert_eq!(read(&[0xe0, 0]), Ok(Packet::Disconnect));
}

#[test]
fn a_publish_that_breaks_a_rule_is_refused() {
    for (bytes, what) in [
        (&b"\x36\0\0\x01t\0\x01"[..], "QoS 3"),
        (b"\x38\0\0\x01t", "DUP at QoS 0"),
        (b"\x32\0\0\x01t\0\0", "identifier 0"),
        (b"\x32\0\0\x01t\0", "half an identifier"),
        (b"\x30\0\0\x01#", "a wildcard"),
        (b"\x30\0\0\x03a/+", "another wildcard"),
        (b"\x30\0\0\0", "an empty topic"),
        (b"\x30\0\0\x05t", "a topic that is cut off"),
    ] {
        assert!(read(bytes).is_err(), "{what}");
    }
}

#[test]
fn filters_have_their_rules() {
    let filters = |text: &str| {
        let mut out = Vec::new();
        subscribe(&mut out, id(1), &[(text, Qos::AtLeastOnce)]);
        read(&out).is_ok()
    };
    for good in ["#", "+", "a/#", "+/b/+", "/", "$a/+/#", "a//b"] {
        assert!(filters(good), "{good}");
    }
    for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "##"] {
        assert!(!filters(bad), "{bad}");
    }
    for bad in [
        &b"\x82\0\0\x01"[..],
        b"\x82\0\0\x01\0\x01a",
        b"\x82\0\0\x01\0\x01a\x03",
        b"\x82\0\0\0\0\x01a\x01",
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
    assert!(read(b"\xa2\0\0\x01").is_err());
}

#[test]
fn lengths_beyond_the_limit_and_beyond_four_bytes_are_refused_at_once() {
    let mut frames = Frames::default();
    assert_eq!(
        frames.next(&mut &[0x30, 0xff, 0xff, 0x7f][..], 100),
        Err(Violation::TooLarge(100))
    );
    let mut frames = Frames::default();
    assert_eq!(
        frames.next(&mut &[0x30, 0xff, 0xff, 0xff, 0xff][..], LIMIT),
        Err(Violation::Length)
    );
}

fn text() -> impl Strategy<Value = String> {
    "[a-z/$]{1,12}"
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        topic in text(), payload in proptest::collection::vec(any::<u8>(), 0..300),
        number in 1..=u16::MAX, dup in any::<bool>(), retain in any::<bool>(), qos in 0..3_u8,
        user in proptest::option::of(text()), keep_alive in any::<u16>(), clean in any::<bool>(),
    ) {
        let qos = Qos::of(qos).unwrap();
        let delivery = (qos != Qos::AtMostOnce).then(|| (qos, id(number)));
        let sent = Publish { dup: dup && delivery.is_some(), delivery, retain, topic: &topic, payload: &payload };
        let wish = Connect {
            client_id: &topic, clean_session: clean, keep_alive,
            will: dup.then_some(Will { topic: &topic, payload: &payload, qos, retain }),
            user_name: user.as_deref(), password: user.as_ref().map(|_| &payload[..]),
        };
        let mut out = Vec::new();
        publish(&mut out, &sent);
        connect(&mut out, &wish);
        subscribe(&mut out, id(number), &[(&topic, qos), ("a/#", Qos::AtMostOnce)]);
        unsubscribe(&mut out, id(number), &[&topic, "b"]);
        suback(&mut out, id(number), &[0, 1, 0x80]);
        puback(&mut out, id(number));
        unsuback(&mut out, id(number));
        connack(&mut out, Connack { session_present: clean, code: ConnectCode::Accepted });
        pingreq(&mut out);
        pingresp(&mut out);
        disconnect(&mut out);
        let mut frames = Frames::default();
        let mut input = &out[..];
        let mut seen = Vec::new();
        while !input.is_empty() {
            let packet = frames.next(&mut input, LIMIT).unwrap().unwrap().packet().unwrap();
            match &packet {
                Packet::Publish(read) => prop_assert_eq!(*read, sent),
                Packet::Connect(read) => prop_assert_eq!(*read, wish),
                Packet::Subscribe(_, all) => {
                    let all: Vec<_> = all.clone().collect();
                    prop_assert_eq!(all, vec![(&topic[..], qos), ("a/#", Qos::AtMostOnce)]);
                }
                Packet::Unsubscribe(_, all) => prop_assert_eq!(all.clone().collect::<Vec<_>>(), vec![&topic[..], "b"]),
                _ => {}
            }
            seen.push(packet.name());
        }
        prop_assert_eq!(seen, vec![
            "PUBLISH", "CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "SUBACK", "PUBACK", "UNSUBACK", "CONNACK", "PINGREQ",
            "PINGRESP", "DISCONNECT",
        ]);
    }

    #[test]
    fn pieces_of_any_size_give_the_same_packets(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8),
        cuts in proptest::collection::vec(1..50_usize, 1..40),
    ) {
        let mut out = Vec::new();
        for payload in &payloads {
            publish(&mut out, &Publish { dup: false, delivery: None, retain: false, topic: "t", payload });
        }
        let mut frames = Frames::default();
        let mut got = Vec::new();
        let (mut rest, mut cut) = (&out[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            rest = later;
            while let Some(frame) = frames.next(&mut piece, LIMIT).unwrap() {
                let Packet::Publish(publish) = frame.packet().unwrap() else { panic!("PUBLISH") };
                got.push(publish.payload.to_vec());
            }
            prop_assert!(piece.is_empty());
        }
        prop_assert!(!frames.is_within());
        prop_assert_eq!(got, payloads);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut frames = Frames::default();
        let mut input = &bytes[..];
        while let Ok(Some(frame)) = frames.next(&mut input, LIMIT) {
            if let Ok(Packet::Subscribe(_, all)) = frame.packet() {
                prop_assert!(all.count() > 0);
            }
        }
    }
}
