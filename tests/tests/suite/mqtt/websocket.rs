//! MQTT inside WebSockets: section 6 of the standard. Frames are written by hand, after RFC 6455.

use super::bytes::{ACCEPTED, Hello, PINGREQ, PINGRESP, ack, packet, publish1, suback, subscribe, text};
use super::wire::Wire;
use super::{Hall, bodies};

/// The key and its answer of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Asks for a WebSocket and gives the head of the answer.
fn asked(hall: &Hall, subprotocol: &str) -> (Wire, String) {
    let mut wire = hall.web();
    wire.send(format!(
        "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{subprotocol}\r\n"
    ));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.take(1));
    }
    (
        wire,
        String::from_utf8(head).expect("a head in ASCII").to_lowercase(),
    )
}

/// Opens a WebSocket for MQTT.
fn opened(hall: &Hall) -> Wire {
    let (wire, head) = asked(hall, "Sec-WebSocket-Protocol: mqtt\r\n");
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    wire
}

/// A frame of a client.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload = payload.as_ref();
    let mut frame = vec![first];
    match u16::try_from(payload.len()).expect("a frame of medium length") {
        short @ 0..126 => frame.push(0x80 | short.to_le_bytes()[0]),
        long => {
            frame.push(0xfe);
            frame.extend(long.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The next frame of the server: its first byte and its payload.
fn received(wire: &mut Wire) -> (u8, Vec<u8>) {
    let head = wire.take(2);
    let count = match head[1] {
        126 => {
            let long = wire.take(2);
            u16::from_be_bytes([long[0], long[1]])
        }
        short => {
            assert!(short < 126, "a short frame without a mask, {head:02x?}");
            short.into()
        }
    };
    (head[0], wire.take(count.into()))
}

/// Demands these bytes next, in binary frames of whatever size.
fn expect(wire: &mut Wire, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    let mut got = Vec::new();
    while got.len() < bytes.len() {
        let (first, payload) = received(wire);
        assert_eq!(first, LAST | BINARY);
        got.extend(payload);
    }
    assert_eq!(got, bytes);
}

/// Demands that the server ends the connection, with at most a word of WebSocket about it.
fn ends(wire: &mut Wire) {
    let rest = wire.rest();
    assert!(
        rest.first().is_none_or(|first| *first == LAST | CLOSE),
        "{rest:02x?}"
    );
}

#[test]
pub(super) fn a_client_that_names_mqtt_gets_it_in_binary_frames() {
    let hall = Hall::new();
    let device = hall.device("d");
    for names in ["mqtt", "amqp-of-tomorrow, mqtt"] {
        let (mut wire, head) = asked(&hall, &format!("Sec-WebSocket-Protocol: {names}\r\n"));
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{head}");
        let accept = format!("\r\nsec-websocket-accept: {}\r\n", ACCEPT.to_lowercase());
        assert!(head.contains(&accept), "{head}");
        wire.send(frame(LAST | BINARY, Hello::of(&device).bytes()));
        expect(&mut wire, ACCEPTED);
        wire.send(frame(LAST | BINARY, publish1(&device.topic(""), 1, names)));
        expect(&mut wire, ack(0x40, 1));
    }
    assert_eq!(bodies(&hall.events()), ["mqtt", "amqp-of-tomorrow, mqtt"]);
    // A broken rule ends it as it does outside of WebSockets.
    let mut wire = opened(&hall);
    wire.send(frame(LAST | BINARY, PINGREQ));
    ends(&mut wire);
    hall.unharmed();
}

#[test]
pub(super) fn a_client_that_does_not_name_mqtt_gets_no_websocket() {
    let hall = Hall::new();
    for line in [
        "",
        "Sec-WebSocket-Protocol: mqttx\r\n",
        "Sec-WebSocket-Protocol: \r\n",
    ] {
        let (_, head) = asked(&hall, line);
        assert!(head.starts_with("http/1.1 400 "), "{line}: {head}");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
    }
}

#[test]
pub(super) fn frames_of_text_end_the_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = opened(&hall);
    wire.send(frame(LAST | BINARY, Hello::of(&device).bytes()));
    expect(&mut wire, ACCEPTED);
    // In another kind of frame it would be a message.
    let message = packet(0x30, [text(device.topic("")), b"x".to_vec()].concat());
    assert!(message.is_ascii());
    wire.send(frame(LAST | TEXT, message));
    ends(&mut wire);
    let mut wire = opened(&hall);
    wire.send(frame(LAST | TEXT, "hello"));
    ends(&mut wire);
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events(), []);
    hall.unharmed();
}

#[test]
pub(super) fn packets_and_frames_need_not_begin_together() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = opened(&hall);
    // A packet in frames of one byte, with an empty one and one of WebSocket itself between them.
    for byte in Hello::of(&device).bytes() {
        wire.send(frame(LAST | BINARY, [byte]));
    }
    expect(&mut wire, ACCEPTED);
    wire.send(frame(LAST | BINARY, &PINGREQ[..1]));
    wire.send(frame(LAST | BINARY, ""));
    wire.send(frame(LAST | PING, "alive"));
    assert_eq!(received(&mut wire), (LAST | PONG, b"alive".to_vec()));
    // The end of one packet, two whole ones and the beginning of a fourth in one frame, which itself comes in pieces.
    let message = publish1(&device.topic(""), 7, "x".repeat(3_000));
    let (begin, end) = message.split_at(1_000);
    let many = [
        &PINGREQ[1..],
        &subscribe(5, &[(&device.bound(), 1)]),
        PINGREQ,
        begin,
    ]
    .concat();
    let (first, second) = many.split_at(20);
    wire.send(frame(MORE | BINARY, first));
    wire.send(frame(LAST | CONTINUATION, second));
    expect(&mut wire, [PINGRESP, &suback(5, &[1]), PINGRESP].concat());
    wire.send(frame(LAST | BINARY, end));
    expect(&mut wire, ack(0x40, 7));
    assert_eq!(bodies(&hall.events())[0].len(), 3_000);
}
