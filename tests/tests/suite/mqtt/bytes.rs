//! Packets as lists of bytes, good ones by default and bad ones on request. They are written after the tables of the
//! standard, not after our codec.

use super::Device;
use crate::ground::HUB;

/// CONNACK: accepted, no session was there.
pub(super) const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
/// CONNACK: accepted, a session was there.
pub(super) const RESUMED: &[u8] = &[0x20, 2, 1, 0];
/// No byte at all.
pub(super) const NOTHING: &[u8] = &[];
pub(super) const PINGREQ: &[u8] = &[0xc0, 0];
pub(super) const PINGRESP: &[u8] = &[0xd0, 0];
pub(super) const DISCONNECT: &[u8] = &[0xe0, 0];

/// CONNACK that refuses with a code.
pub(super) fn refused(code: u8) -> Vec<u8> {
    vec![0x20, 2, 0, code]
}

/// An acknowledgement: PUBACK is 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70, UNSUBACK 0xb0.
pub(super) fn ack(first: u8, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![first, 2, high, low]
}

/// SUBACK with its codes.
pub(super) fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    packet(0x90, [&id.to_be_bytes()[..], codes].concat())
}

/// A length as the fixed header writes it, in as few bytes as it takes.
pub(super) fn length(mut number: usize) -> Vec<u8> {
    let mut written = Vec::new();
    loop {
        let digit = u8::try_from(number % 128).expect("seven bits");
        number /= 128;
        if number == 0 {
            written.push(digit);
            return written;
        }
        written.push(digit + 128);
    }
}

/// A packet of a first byte and what follows the fixed header.
pub(super) fn packet(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&[first], &length(body.len())[..], body].concat()
}

/// A text behind its length.
pub(super) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let count = u16::try_from(text.len()).expect("a text of at most 65,535 bytes");
    [&count.to_be_bytes()[..], text].concat()
}

/// PUBLISH at most once.
pub(super) fn publish(topic: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    packet(0x30, [&text(topic), payload.as_ref()].concat())
}

/// PUBLISH at least once.
pub(super) fn publish1(topic: &str, id: u16, payload: impl AsRef<[u8]>) -> Vec<u8> {
    publish_with(0x32, topic, id, payload)
}

/// PUBLISH with a first byte of one's own and an identifier.
pub(super) fn publish_with(
    first: u8,
    topic: impl AsRef<[u8]>,
    id: u16,
    payload: impl AsRef<[u8]>,
) -> Vec<u8> {
    packet(
        first,
        [&text(topic), &id.to_be_bytes()[..], payload.as_ref()].concat(),
    )
}

/// SUBSCRIBE.
pub(super) fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(text(filter));
        body.push(*qos);
    }
    packet(0x82, body)
}

/// UNSUBSCRIBE.
pub(super) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        body.extend(text(filter));
    }
    packet(0xa2, body)
}

/// CONNECT in the making.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) protocol: Vec<u8>,
    pub(super) level: u8,
    /// Bits that are set besides those that follow from the rest.
    pub(super) more_flags: u8,
    /// Bits that are not set although they follow from the rest.
    pub(super) fewer_flags: u8,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    pub(super) client: Vec<u8>,
    pub(super) will: Option<Will>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
}

/// A will in the making.
#[derive(Clone, Debug)]
pub(super) struct Will {
    pub(super) topic: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

impl Hello {
    /// A good one of a device, with a clean session.
    pub(super) fn of(device: &Device) -> Self {
        let user = format!("{HUB}/{}/?api-version=2021-04-12", device.id);
        Self::new(&device.id, &user, Some(&device.token))
    }

    /// A good one of anybody.
    pub(super) fn new(client: &str, user: &str, password: Option<&str>) -> Self {
        Self {
            protocol: b"MQTT".to_vec(),
            level: 4,
            more_flags: 0,
            fewer_flags: 0,
            clean: true,
            keep_alive: 300,
            client: client.into(),
            will: None,
            user: Some(user.into()),
            password: password.map(Into::into),
        }
    }

    /// With a session that is kept.
    pub(super) fn kept(mut self) -> Self {
        self.clean = false;
        self
    }

    /// With a will that is to be published at least once.
    pub(super) fn with_will(mut self, topic: &str, payload: &str) -> Self {
        self.will = Some(Will {
            topic: topic.into(),
            payload: payload.into(),
            qos: 1,
            retain: false,
        });
        self
    }

    /// Changes what the test is about.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Everything behind the fixed header.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut payload = text(&self.client);
        if let Some(will) = &self.will {
            flags |= 0b100 | will.qos << 3 | u8::from(will.retain) << 5;
            payload.extend(text(&will.topic));
            payload.extend(text(&will.payload));
        }
        if let Some(user) = &self.user {
            flags |= 0b1000_0000;
            payload.extend(text(user));
        }
        if let Some(password) = &self.password {
            flags |= 0b0100_0000;
            payload.extend(text(password));
        }
        let mut body = text(&self.protocol);
        body.push(self.level);
        body.push((flags | self.more_flags) & !self.fewer_flags);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(payload);
        body
    }

    /// The packet.
    pub(super) fn bytes(&self) -> Vec<u8> {
        packet(0x10, self.body())
    }
}
