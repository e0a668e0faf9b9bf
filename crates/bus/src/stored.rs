//! The form in which an event stands in a record: versioned, length-prefixed, and no noun's own.
//!
//! The record's own fields hold position, times and targets; this is its payload. All integers are
//! little-endian; a text is its length (u32) and its bytes.
//!
//! | Field | Form |
//! |---|---|
//! | version | u8, 1 |
//! | source | u8: 1 telemetry |
//! | authentication | u8: 1 device key, 2 hub policy, 3 X.509 by CA, 4 X.509 by thumbprint |
//! | generation | u64 |
//! | device id | text |
//! | which system properties are there | u16, one bit each in the order of `TEXTS`, bit 11 for the expiry |
//! | system properties | texts; the expiry as Unix µs i64, last |
//! | application properties | count u32, then name and value as texts |
//! | body | the rest |
//!
//! Invariant: a reader of version 1 refuses what it does not know, so a later version is never misread.

use muster_hub::event_log::{AuthMethod, AuthScope, Event, MessageSource, StoredEvent};
use muster_model::message::{Message, SystemProperties};
use muster_model::{DeviceId, GenerationId, Position, Wall};

use crate::log::Stored;

const VERSION: u8 = 1;
const EXPIRY: u16 = 1 << 11;

/// Writes an event's targets and payload.
pub(crate) fn encode(event: &Event) -> ([u8; 8], Vec<u8>) {
    let Message {
        system,
        application,
        body,
    } = &event.message;
    let mut out = Vec::with_capacity(64 + event.message.size() + 8 * application.len());
    out.push(VERSION);
    out.push(match event.source {
        MessageSource::Telemetry => 1,
    });
    out.push(match event.auth {
        AuthMethod::Sas(AuthScope::Device) => 1,
        AuthMethod::Sas(AuthScope::Hub) => 2,
        AuthMethod::X509Ca => 3,
        AuthMethod::X509Thumbprint => 4,
    });
    out.extend_from_slice(&event.generation.get().to_le_bytes());
    text(&mut out, event.device.as_str());
    let texts = texts(system);
    let mut present = 0;
    for (bit, _) in texts.iter().enumerate().filter(|(_, value)| value.is_some()) {
        present |= 1 << bit;
    }
    if system.expiry.is_some() {
        present |= EXPIRY;
    }
    out.extend_from_slice(&u16::to_le_bytes(present));
    for value in texts.into_iter().flatten() {
        text(&mut out, value);
    }
    if let Some(expiry) = system.expiry {
        out.extend_from_slice(&expiry.micros().to_le_bytes());
    }
    // Lengths are bounded by the largest message long before they reach 32 bits.
    out.extend_from_slice(&u32::try_from(application.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in application {
        text(&mut out, name);
        text(&mut out, value);
    }
    out.extend_from_slice(body);
    (event.targets.to_le_bytes(), out)
}

/// Reads an event back; `None` when the record is none of this version.
pub(crate) fn decode(stored: &Stored) -> Option<StoredEvent> {
    let mut input = Input(&stored.payload);
    let [version, source, auth] = input.array()?;
    if version != VERSION || source != 1 {
        return None;
    }
    let auth = match auth {
        1 => AuthMethod::Sas(AuthScope::Device),
        2 => AuthMethod::Sas(AuthScope::Hub),
        3 => AuthMethod::X509Ca,
        4 => AuthMethod::X509Thumbprint,
        _ => return None,
    };
    let generation = GenerationId::new(u64::from_le_bytes(input.array()?));
    let device = DeviceId::parse(&input.text()?).ok()?;
    let present = u16::from_le_bytes(input.array()?);
    if present >= EXPIRY << 1 {
        return None;
    }
    let mut system = SystemProperties::default();
    for (bit, place) in places(&mut system).into_iter().enumerate() {
        if present & (1 << bit) != 0 {
            *place = Some(input.text()?);
        }
    }
    if present & EXPIRY != 0 {
        system.expiry = Some(Wall::from_micros(i64::from_le_bytes(input.array()?)));
    }
    let count = u32::from_le_bytes(input.array()?);
    let mut application = Vec::new();
    for _ in 0..count {
        application.push((input.text()?, input.text()?));
    }
    let targets = u64::from_le_bytes(stored.targets.as_slice().try_into().ok()?);
    let message = Message {
        system,
        application,
        body: input.0.to_vec(),
    };
    let received = Wall::from_micros(stored.received);
    let source = MessageSource::Telemetry;
    Some(StoredEvent {
        position: Position::new(stored.position),
        enqueued: Wall::from_micros(stored.enqueued),
        event: Event {
            device,
            generation,
            auth,
            received,
            source,
            targets,
            message,
        },
    })
}

/// The texts among the system properties, in the order of their bits.
fn texts(system: &SystemProperties) -> [Option<&str>; 11] {
    let SystemProperties {
        message_id,
        correlation_id,
        user_id,
        to,
        content_type,
        content_encoding,
        expiry: _,
        creation_time,
        ack,
        interface_id,
        data_schema,
        subject,
    } = system;
    [
        message_id,
        correlation_id,
        user_id,
        to,
        content_type,
        content_encoding,
        creation_time,
        ack,
        interface_id,
        data_schema,
        subject,
    ]
    .map(Option::as_deref)
}

/// The same places as [`texts`], to be filled.
fn places(system: &mut SystemProperties) -> [&mut Option<String>; 11] {
    [
        &mut system.message_id,
        &mut system.correlation_id,
        &mut system.user_id,
        &mut system.to,
        &mut system.content_type,
        &mut system.content_encoding,
        &mut system.creation_time,
        &mut system.ack,
        &mut system.interface_id,
        &mut system.data_schema,
        &mut system.subject,
    ]
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_event()(
            device in "[A-Za-z0-9._-]{1,128}",
            numbers in any::<(u64, u64, i64, i64)>(),
            auth in 0..4_u8,
            values in proptest::collection::vec(proptest::option::of("\\PC{0,40}"), 11),
            expires in any::<bool>(),
            application in proptest::collection::vec(("\\PC{0,20}", "\\PC{0,20}"), 0..6),
            body in proptest::collection::vec(any::<u8>(), 0..600),
        ) -> Event {
            let (generation, targets, received, expiry) = numbers;
            let mut system = SystemProperties { expiry: expires.then(|| Wall::from_micros(expiry)), ..Default::default() };
            for (place, value) in places(&mut system).into_iter().zip(values) {
                *place = value;
            }
            let auth = [
                AuthMethod::Sas(AuthScope::Device),
                AuthMethod::Sas(AuthScope::Hub),
                AuthMethod::X509Ca,
                AuthMethod::X509Thumbprint,
            ][usize::from(auth)];
            Event {
                device: DeviceId::parse(&device).unwrap(),
                generation: GenerationId::new(generation),
                auth,
                received: Wall::from_micros(received),
                source: MessageSource::Telemetry,
                targets,
                message: Message { system, application, body },
            }
        }
    }

    fn stored(event: &Event) -> Stored {
        let (targets, payload) = encode(event);
        let received = event.received.micros();
        Stored {
            position: 9,
            enqueued: received,
            received,
            targets: targets.to_vec(),
            payload,
        }
    }

    proptest! {
        #[test]
        fn every_event_reads_back_as_it_was(event in any_event()) {
            let read = decode(&stored(&event));
            let enqueued = event.received;
            prop_assert_eq!(read, Some(StoredEvent { position: Position::new(9), enqueued, event }));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&Stored { position: 0, enqueued: 0, received: 0, targets: vec![0; 8], payload });
        }

        #[test]
        fn a_cut_event_is_refused_or_has_a_shorter_body(event in any_event(), cut in any::<prop::sample::Index>()) {
            let mut stored = stored(&event);
            stored.payload.truncate(cut.index(stored.payload.len()));
            if let Some(read) = decode(&stored) {
                prop_assert!(read.event.message.body.len() < event.message.body.len());
            }
        }
    }

    /// A change of these bytes is a new version: events of the first release must stay readable.
    #[test]
    fn the_first_form_is_these_bytes() {
        let system = SystemProperties {
            content_type: Some("a".into()),
            expiry: Some(Wall::from_micros(2)),
            ..Default::default()
        };
        let event = Event {
            device: DeviceId::parse("d").unwrap(),
            generation: GenerationId::new(3),
            auth: AuthMethod::X509Ca,
            received: Wall::EPOCH,
            source: MessageSource::Telemetry,
            targets: 1,
            message: Message {
                system,
                application: vec![("n".into(), "v".into())],
                body: vec![0xff],
            },
        };
        let expected = [
            &[1, 1, 3][..],
            &[3, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, b'd'],
            &[0b0001_0000, 0b1000],
            &[1, 0, 0, 0, b'a'],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 1, 0, 0, 0, b'n', 1, 0, 0, 0, b'v'],
            &[0xff],
        ];
        assert_eq!(encode(&event), ([1, 0, 0, 0, 0, 0, 0, 0], expected.concat()));
    }

    #[test]
    fn a_later_version_is_refused() {
        let event = Event {
            device: DeviceId::parse("d").unwrap(),
            generation: GenerationId::new(1),
            auth: AuthMethod::X509Ca,
            received: Wall::EPOCH,
            source: MessageSource::Telemetry,
            targets: 1,
            message: Message::default(),
        };
        let mut stored = stored(&event);
        stored.payload[0] = 2;
        assert_eq!(decode(&stored), None);
    }
}
