//! Writes packets, each behind what the buffer holds already.

use crate::packet::{Connack, Connect, PacketId, Publish, Qos};

/// Most bytes behind a fixed header. Source: section 2.2.3.
const MOST: usize = 268_435_455;

/// Writes CONNACK.
pub fn connack(out: &mut Vec<u8>, connack: Connack) {
    out.extend_from_slice(&[0x20, 2, u8::from(connack.session_present), connack.code.number()]);
}

/// Writes the CONNACK of MQTT 5 that says that its version is not offered: reason code 0x84, no properties.
/// Source: "MQTT Version 5.0", section 3.2.2.2.
pub fn connack_v5_unsupported(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x20, 3, 0, 0x84, 0]);
}

/// Writes CONNECT.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let mut flags = u8::from(connect.clean_session) << 1;
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(b"\0\x04MQTT\x04\0");
    body.extend_from_slice(&connect.keep_alive.to_be_bytes());
    bytes(&mut body, connect.client_id.as_bytes());
    if let Some(will) = &connect.will {
        flags |= 1 << 2 | will.qos.number() << 3 | u8::from(will.retain) << 5;
        bytes(&mut body, will.topic.as_bytes());
        bytes(&mut body, will.payload);
    }
    if let Some(name) = connect.user_name {
        flags |= 1 << 7;
        bytes(&mut body, name.as_bytes());
    }
    if let Some(password) = connect.password {
        flags |= 1 << 6;
        bytes(&mut body, password);
    }
    if let Some(place) = body.get_mut(7) {
        *place = flags;
    }
    header(out, 0x10, body.len());
    out.extend_from_slice(&body);
}

/// Writes DISCONNECT.
pub fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xe0, 0]);
}

/// Writes PINGREQ.
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xc0, 0]);
}

/// Writes PINGRESP.
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// Writes PUBACK.
pub fn puback(out: &mut Vec<u8>, id: PacketId) {
    acknowledgement(out, 0x40, id);
}

/// Writes PUBLISH. A topic of more than 65,535 bytes is cut, and so is a payload that is longer than a packet may be:
/// whoever writes topics bounds them.
pub fn publish(out: &mut Vec<u8>, publish: &Publish<'_>) {
    let topic = publish.topic.as_bytes();
    let topic = topic
        .get(..topic.len().min(usize::from(u16::MAX)))
        .unwrap_or(topic);
    let before = 2 + topic.len() + if publish.delivery.is_some() { 2 } else { 0 };
    let length = publish.payload.len().min(MOST - before);
    let flags = u8::from(publish.dup) << 3 | publish.qos().number() << 1 | u8::from(publish.retain);
    header(out, 0x30 | flags, before + length);
    bytes(out, topic);
    if let Some((_, id)) = publish.delivery {
        out.extend_from_slice(&id.get().to_be_bytes());
    }
    out.extend_from_slice(publish.payload.get(..length).unwrap_or_default());
}

/// Writes SUBACK, with one code for each filter: 0, 1, 2 or 0x80.
pub fn suback(out: &mut Vec<u8>, id: PacketId, codes: &[u8]) {
    header(out, 0x90, 2 + codes.len());
    out.extend_from_slice(&id.get().to_be_bytes());
    out.extend_from_slice(codes);
}

/// Writes SUBSCRIBE.
pub fn subscribe(out: &mut Vec<u8>, id: PacketId, filters: &[(&str, Qos)]) {
    let length: usize = filters.iter().map(|(filter, _)| filter.len() + 3).sum();
    header(out, 0x82, 2 + length);
    out.extend_from_slice(&id.get().to_be_bytes());
    for (filter, qos) in filters {
        bytes(out, filter.as_bytes());
        out.push(qos.number());
    }
}

/// Writes UNSUBACK.
pub fn unsuback(out: &mut Vec<u8>, id: PacketId) {
    acknowledgement(out, 0xb0, id);
}

/// Writes UNSUBSCRIBE.
pub fn unsubscribe(out: &mut Vec<u8>, id: PacketId, filters: &[&str]) {
    let length: usize = filters.iter().map(|filter| filter.len() + 2).sum();
    header(out, 0xa2, 2 + length);
    out.extend_from_slice(&id.get().to_be_bytes());
    for filter in filters {
        bytes(out, filter.as_bytes());
    }
}

fn acknowledgement(out: &mut Vec<u8>, first: u8, id: PacketId) {
    let [high, low] = id.get().to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

fn header(out: &mut Vec<u8>, first: u8, length: usize) {
    out.push(first);
    let mut rest = length.min(MOST);
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits are left")]
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Writes bytes behind their length; more than 65,535 are cut.
fn bytes(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.get(..usize::from(length)).unwrap_or(text));
}
