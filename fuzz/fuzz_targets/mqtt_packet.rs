//! A peer's bytes as MQTT packets, whole and in pieces.
//!
//! The first byte says into pieces of how many bytes they are cut. Holds that pieces give the packets that the whole
//! gives, that no packet is longer than the limit, that no room is made for what has not come, that what was read is
//! written and read again as the same, and that texts are those that the standard allows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_mqtt_codec::{
    Frames, Packet, connack, connect, disconnect, pingreq, pingresp, puback, publish, suback, subscribe,
    unsuback, unsubscribe,
};

/// Small, so that it is met often.
const LIMIT: usize = 2_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else {
        return;
    };
    let mut whole = Vec::new();
    let end = read(&mut Frames::default(), bytes, &mut whole);
    let mut pieces = Vec::new();
    let mut frames = Frames::default();
    let mut end_of_pieces = Ok(());
    for piece in bytes.chunks(usize::from(cut).max(1)) {
        end_of_pieces = read(&mut frames, piece, &mut pieces);
        if end_of_pieces.is_err() {
            break;
        }
    }
    assert_eq!(pieces, whole);
    assert_eq!(end_of_pieces, end);
    for (first, body) in &whole {
        packet(*first, body);
    }
});

/// Cuts what came into packets, until its end or until it can't be read on.
fn read(
    frames: &mut Frames,
    mut input: &[u8],
    packets: &mut Vec<(u8, Vec<u8>)>,
) -> Result<(), muster_mqtt_codec::Violation> {
    while let Some(frame) = frames.next(&mut input, LIMIT)? {
        assert!(frame.body.len() < LIMIT);
        packets.push((frame.first, frame.body.to_vec()));
    }
    assert!(input.is_empty(), "what is not a packet yet is kept");
    Ok(())
}

fn packet(first: u8, body: &[u8]) {
    let frame = muster_mqtt_codec::Frame { first, body };
    let Ok(packet) = frame.packet() else { return };
    let mut out = Vec::new();
    match &packet {
        Packet::Connack(read) => connack(&mut out, *read),
        Packet::Connect(read) => {
            sound(read.client_id);
            read.user_name.into_iter().for_each(sound);
            read.will.iter().for_each(|will| topic(will.topic));
            connect(&mut out, read);
        }
        Packet::Disconnect => disconnect(&mut out),
        Packet::Pingreq => pingreq(&mut out),
        Packet::Pingresp => pingresp(&mut out),
        Packet::Puback(id) => puback(&mut out, *id),
        Packet::Publish(read) => {
            topic(read.topic);
            publish(&mut out, read);
        }
        Packet::Suback(id, codes) => suback(&mut out, *id, codes),
        Packet::Subscribe(id, filters) => {
            let filters: Vec<_> = filters.clone().collect();
            filters.iter().for_each(|(filter, _)| sound(filter));
            subscribe(&mut out, *id, &filters);
        }
        Packet::Unsuback(id) => unsuback(&mut out, *id),
        Packet::Unsubscribe(id, filters) => {
            let filters: Vec<_> = filters.clone().collect();
            filters.iter().for_each(|filter| sound(filter));
            unsubscribe(&mut out, *id, &filters);
        }
        // Of QoS 2, which nobody here sends.
        Packet::Pubcomp(_) | Packet::Pubrec(_) | Packet::Pubrel(_) => return,
    }
    let mut frames = Frames::default();
    let mut input = &out[..];
    let again = frames
        .next(&mut input, LIMIT)
        .expect("a packet")
        .expect("a whole one");
    assert_eq!(again.packet(), Ok(packet));
    // There is one way to write a packet.
    assert_eq!((again.first, again.body), (first, body));
}

fn sound(text: &str) {
    assert!(!text.contains('\0'));
}

fn topic(text: &str) {
    sound(text);
    assert!(!text.is_empty() && !text.contains(['#', '+']));
}
