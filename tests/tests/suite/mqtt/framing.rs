//! The fixed header, texts, and how packets lie in what is sent: sections 1.5, 2 and 4.8 of the standard.

use super::bytes::{
    ACCEPTED, DISCONNECT, Hello, PINGREQ, PINGRESP, ack, length, packet, publish, publish_with, publish1,
    suback, subscribe, text, unsubscribe,
};
use super::{Hall, bodies};

#[test]
pub(super) fn a_packet_may_arrive_in_pieces_of_any_size() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    // Byte by byte, each in a record of its own: CONNECT and one packet of each kind.
    wire.send_bytewise(Hello::of(&device).bytes());
    wire.expect(ACCEPTED);
    wire.send_bytewise(publish1(&device.topic(""), 7, "bytewise"));
    wire.expect(ack(0x40, 7));
    wire.send_bytewise(subscribe(8, &[(&device.bound(), 1)]));
    wire.expect(suback(8, &[1]));
    wire.send_bytewise(unsubscribe(9, &[&device.bound()]));
    wire.expect(ack(0xb0, 9));
    wire.send_bytewise(PINGREQ);
    wire.expect(PINGRESP);
    // Cut once, at every place; what is before the cut comes behind what was after the last one.
    let mut id = 100;
    let mut wanted = vec!["bytewise".to_owned()];
    let whole = publish1(&device.topic("a=b"), 0, "cut");
    let mut sent = Vec::new();
    for cut in 1..whole.len() {
        id += 1;
        let one = publish1(&device.topic("a=b"), id, "cut");
        let (front, back) = one.split_at(cut);
        sent.extend_from_slice(front);
        wire.send(&sent);
        sent = back.to_vec();
        wanted.push("cut".to_owned());
    }
    wire.send(&sent);
    for answered in 101..=id {
        wire.expect(ack(0x40, answered));
    }
    assert_eq!(bodies(&hall.events()), wanted);
}

#[test]
pub(super) fn many_packets_may_arrive_in_one_record() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    // The client need not wait for CONNACK: section 3.1.4.
    let mut all = Hello::of(&device).bytes();
    let mut answers = ACCEPTED.to_vec();
    all.extend(subscribe(1, &[(&device.bound(), 0)]));
    answers.extend(suback(1, &[0]));
    for _ in 0..50 {
        all.extend(PINGREQ);
        answers.extend(PINGRESP);
    }
    wire.ask(&all, &answers);
    let all: Vec<u8> = (1..=200)
        .flat_map(|id| publish1(&device.topic(""), id, id.to_string()))
        .collect();
    wire.send(&all);
    for id in 1..=200 {
        wire.expect(ack(0x40, id));
    }
    let wanted: Vec<String> = (1..=200).map(|id| id.to_string()).collect();
    assert_eq!(bodies(&hall.events()), wanted);
}

#[test]
pub(super) fn remaining_lengths_of_one_to_three_bytes_are_read() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let fixed = publish1(&device.topic(""), 1, "").len() - 2;
    // The borders of the table in section 2.2.3, as far as a message reaches.
    let totals = [127, 128, 16_383, 16_384, 200_000];
    for (id, total) in (1..).zip(totals) {
        let payload = "x".repeat(total - fixed);
        let packet = publish1(&device.topic(""), id, payload);
        assert_eq!(packet.len() - total - 1, length(total).len());
        wire.ask(packet, ack(0x40, id));
    }
    let sizes: Vec<usize> = bodies(&hall.events()).iter().map(String::len).collect();
    assert_eq!(sizes, totals.map(|total| total - fixed));
    // Longer than it need be, which the standard does not forbid.
    wire.ask([0xc0, 0x80, 0], PINGRESP);
    wire.ask([0xc0, 0x80, 0x80, 0x80, 0], PINGRESP);
}

#[test]
pub(super) fn a_remaining_length_of_five_bytes_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for bad in [
        [0x30, 0x80, 0x80, 0x80, 0x80, 1],
        [0x30, 0xff, 0xff, 0xff, 0xff, 0x7f],
        [0xc0, 0x80, 0x80, 0x80, 0x80, 0],
    ] {
        hall.connected(&device).ended_by(bad);
        hall.wire().ended_by(bad);
    }
    let mut long = Hello::of(&device).bytes();
    long.splice(1..3, [0x80, 0x80, 0x80, 0x80, 0]);
    hall.wire().ended_by(long);
    hall.unharmed();
}

#[test]
pub(super) fn reserved_flags_of_the_fixed_header_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let bound = device.bound();
    let hello = Hello::of(&device).body();
    for flags in 1..16 {
        hall.wire().ended_by(packet(0x10 | flags, &hello));
    }
    let subscription = subscribe(1, &[(&bound, 1)]);
    let end = unsubscribe(1, &[&bound]);
    for flags in 0..16 {
        let mut bad = vec![];
        if flags != 0 {
            bad.push(vec![0x40 | flags, 2, 0, 1]);
            bad.push(vec![0xc0 | flags, 0]);
            bad.push(vec![0xe0 | flags, 0]);
        }
        if flags != 2 {
            bad.push([&[0x80 | flags], &subscription[1..]].concat());
            bad.push([&[0xa0 | flags], &end[1..]].concat());
            bad.push(vec![0x60 | flags, 2, 0, 1]);
        }
        for packet in bad {
            hall.connected(&device).ended_by(packet);
        }
    }
    hall.unharmed();
}

#[test]
pub(super) fn types_0_and_15_and_what_only_servers_send_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for bad in [
        vec![0x00, 0],
        vec![0xf0, 0],
        vec![0xf2, 2, 0, 1],
        ACCEPTED.to_vec(),
        suback(1, &[0]),
        ack(0xb0, 1),
        PINGRESP.to_vec(),
    ] {
        hall.connected(&device).ended_by(&bad);
        hall.wire().ended_by(&bad);
    }
    hall.unharmed();
}

#[test]
pub(super) fn packets_shorter_or_longer_than_their_fields_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let bound = text(device.bound());
    for bad in [
        vec![0xc0, 1, 0],
        vec![0xe0, 1, 0],
        vec![0x40, 0],
        vec![0x40, 1, 0],
        vec![0x40, 3, 0, 1, 0],
        vec![0x30, 0],
        vec![0x30, 1, 0],
        vec![0x30, 2, 0, 9],
        vec![0x32, 4, 0, 1, b't', 0],
        vec![0x82, 1, 0],
        packet(0x82, [&[0, 1], &bound[..]].concat()),
        packet(0x82, [&[0, 1], &bound[..], &[1], &bound[..]].concat()),
        packet(0xa2, [&[0, 1], &bound[..], &[0]].concat()),
    ] {
        hall.connected(&device).ended_by(&bad);
    }
    hall.unharmed();
}

#[test]
pub(super) fn an_identifier_of_0_ends_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for bad in [
        publish1(&device.topic(""), 0, "x"),
        subscribe(0, &[(&device.bound(), 1)]),
        unsubscribe(0, &[&device.bound()]),
        ack(0x40, 0),
    ] {
        hall.connected(&device).ended_by(bad);
    }
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn at_qos_0_what_follows_the_topic_is_the_payload() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    // Were there an identifier, the two digits would be it.
    wire.send(publish(&device.topic(""), "12 in the payload"));
    wire.is_quiet();
    assert_eq!(bodies(&hall.events_when(1)), ["12 in the payload"]);
}

#[test]
pub(super) fn texts_that_are_not_utf_8_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\xaf",
        // Surrogates, alone and as a pair; beyond the last code point.
        b"\xed\xa0\x80",
        b"\xed\xa0\x81\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        let topic = [device.topic("").as_bytes(), bad].concat();
        hall.connected(&device).ended_by(packet(0x30, text(&topic)));
        hall.connected(&device)
            .ended_by(publish_with(0x32, &topic, 1, ""));
        let filter = [b"$iothub/", bad, b"/#"].concat();
        let body = [&[0, 1], &text(&filter)[..]].concat();
        hall.connected(&device).ended_by(packet(0xa2, &body));
        hall.connected(&device)
            .ended_by(packet(0x82, [&body[..], &[1]].concat()));
    }
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn texts_with_a_null_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    hall.connected(&device)
        .ended_by(publish(&device.topic("a=\0"), "x"));
    hall.connected(&device)
        .ended_by(subscribe(1, &[("$iothub/\0/#", 1)]));
    hall.connected(&device)
        .ended_by(unsubscribe(1, &["$iothub/\0/#"]));
    let with_null = |change: fn(&mut Hello)| Hello::of(&device).but(change).bytes();
    hall.wire().ended_by(with_null(|hello| hello.client.push(0)));
    hall.wire().ended_by(with_null(|hello| {
        hello.user.get_or_insert_default().push(0);
    }));
    let will = Hello::of(&device).with_will(&device.topic("a=\0"), "x").bytes();
    hall.wire().ended_by(will);
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_byte_order_mark_is_kept_where_it_stands() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ask(publish1(&device.topic("a=\u{feff}b"), 1, "x"), ack(0x40, 1));
    assert_eq!(hall.events()[0].line["applicationProperties"]["a"], "\u{feff}b");
    // At the front of a topic it makes another topic.
    wire.ended_by(publish1(&format!("\u{feff}{}", device.topic("")), 2, "x"));
    assert_eq!(hall.events().len(), 1);
}

#[test]
pub(super) fn a_broken_rule_ends_the_connection_without_another_word() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    // What came before is still kept, what comes behind is not looked at.
    wire.ask(publish1(&device.topic(""), 1, "before"), ack(0x40, 1));
    let behind = [
        &[0xf0, 0][..],
        &publish1(&device.topic(""), 2, "behind"),
        DISCONNECT,
    ]
    .concat();
    wire.ended_by(behind);
    hall.connected(&device).is_quiet();
    assert_eq!(bodies(&hall.events()), ["before"]);
    hall.unharmed();
}

#[test]
pub(super) fn what_was_asked_before_the_end_is_answered() {
    let hall = Hall::new();
    let device = hall.device("d");
    let asked = [&subscribe(1, &[(&device.bound(), 1)])[..], PINGREQ].concat();
    let answered = [&suback(1, &[1])[..], PINGRESP].concat();
    for end in [DISCONNECT, &[0xf0, 0]] {
        let mut wire = hall.connected(&device);
        wire.send([&asked[..], end].concat());
        assert_eq!(wire.rest(), answered, "before {end:02x?}");
    }
}
