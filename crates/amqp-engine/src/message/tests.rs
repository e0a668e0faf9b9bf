//! Sections as clients write them, and messages that come back as they went.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::codec::tests::any_value;
use crate::symbol::Symbol;

fn decode(bytes: &[u8]) -> Result<Message, Error> {
    Message::decode(&Bytes::copy_from_slice(bytes))
}

#[test]
fn sections_are_written_octet_by_octet() {
    let message = Message {
        message_annotations: Some(vec![(
            Value::Symbol(Symbol::from_static("status")),
            Value::Int(200),
        )]),
        properties: Some(Box::new(Properties {
            correlation_id: Some(MessageId::Ulong(1)),
            content_type: Some("a/b".to_owned()),
            ..Properties::default()
        })),
        application_properties: Some(vec![("k".to_owned(), Value::from("v"))]),
        ..Message::data(&b"{}"[..])
    };
    let bytes = message.to_bytes();
    let expected: &[&[u8]] = &[
        b"\x00\x53\x72\xc1\x0e\x02\xa3\x06status\x71\x00\x00\x00\xc8",
        b"\x00\x53\x73\xc0\x13\x0d\x40\x40\x40\x40\x40\x53\x01\xa3\x03a/b\x40\x40\x40\x40\x40\x40",
        b"\x00\x53\x74\xc1\x07\x02\xa1\x01k\xa1\x01v",
        b"\x00\x53\x75\xa0\x02{}",
    ];
    assert_eq!(bytes, expected.concat());
    assert_eq!(Message::decode(&bytes), Ok(message));
}

#[test]
fn ids_keep_the_type_that_they_came_in() {
    for id in [
        MessageId::Ulong(0),
        MessageId::Uuid([3; 16]),
        MessageId::Binary(Bytes::from_static(b"\x00\xff")),
        MessageId::String("11111111-2222-3333-4444-555555555555".to_owned()),
    ] {
        let properties = Properties {
            message_id: Some(id.clone()),
            ..Properties::default()
        };
        let request = Message {
            properties: Some(Box::new(properties)),
            ..Message::default()
        };
        let read = Message::decode(&request.to_bytes()).unwrap();
        assert_eq!(read.properties.unwrap().message_id, Some(id));
    }
}

#[test]
fn what_clients_write_is_read() {
    // Long descriptors, the empty list, string for symbol, symbol for string, sections left out.
    let message = decode(
        b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x70\x45\
          \x00\x53\x73\xc0\x0c\x07\x40\x40\xa3\x01x\x40\x40\x40\xa1\x01t\
          \x00\xa3\x1eamqp:application-properties:map\xc1\x07\x02\xa3\x01k\xa1\x01v\
          \x00\x53\x77\xb1\x00\x00\x00\x01s",
    );
    // The symbol above is one octet short of its name, so that the next line can be read at all.
    assert!(message.is_err());
    let message = decode(
        b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x70\x45\
          \x00\x53\x73\xc0\x0c\x07\x40\x40\xa3\x01x\x40\x40\x40\xa1\x01t\
          \x00\xa3\x1famqp:application-properties:map\xc1\x07\x02\xa3\x01k\xa1\x01v\
          \x00\x53\x77\xb1\x00\x00\x00\x01s",
    )
    .unwrap();
    assert_eq!(message.header, Some(Header::default()));
    let properties = message.properties.as_ref().unwrap();
    assert_eq!(properties.to.as_deref(), Some("x"));
    assert_eq!(properties.content_type.as_deref(), Some("t"));
    assert_eq!(message.application_property("k"), Some(&Value::from("v")));
    assert_eq!(message.body, Body::Value(Value::from("s")));
    assert_eq!(decode(b""), Ok(Message::default()), "nothing at all is a message");
}

#[test]
fn several_data_sections_are_kept_apart() {
    let message = decode(b"\x00\x53\x75\xa0\x01a\x00\x53\x75\xa0\x00\x00\x53\x75\xa0\x01c").unwrap();
    let octets = ["a", "", "c"].map(Bytes::from);
    assert_eq!(message.body, Body::Data(octets.to_vec()));
}

#[test]
fn sections_out_of_order_are_refused() {
    for bytes in [
        &b"\x00\x53\x75\xa0\x00\x00\x53\x73\x45"[..],
        b"\x00\x53\x73\x45\x00\x53\x73\x45",
        b"\x00\x53\x77\x40\x00\x53\x77\x40",
        b"\x00\x53\x75\xa0\x00\x00\x53\x77\x40",
    ] {
        assert_eq!(decode(bytes), Err(Error::SectionOrder), "{bytes:02x?}");
    }
    assert_eq!(decode(b"\x00\x53\x79\x40"), Err(Error::UnknownDescriptor(0x79)));
    assert_eq!(decode(b"\x40"), Err(Error::NotDescribed));
}

#[test]
fn a_batch_gives_its_messages_one_by_one() {
    let messages = [b"one".to_vec(), vec![7; 300], Vec::new()].map(|octets| Message::data(octets).to_bytes());
    let mut payload = b"\x00\x53\x72\xc1\x01\x00".to_vec();
    write_batch(&mut payload, messages.iter().map(|bytes| &**bytes));
    let read: Result<Vec<Bytes>, Error> = Batch::new(payload.into()).collect();
    assert_eq!(read.unwrap(), messages);
    let mut broken = Batch::new(Bytes::from_static(b"\x00\x53\x75\xa0\x09abc"));
    assert_eq!(broken.next(), Some(Err(Error::Truncated)));
    assert_eq!(broken.next(), None, "an error ends it");
}

fn any_id() -> impl Strategy<Value = MessageId> {
    prop_oneof![
        any::<u64>().prop_map(MessageId::Ulong),
        any::<[u8; 16]>().prop_map(MessageId::Uuid),
        vec(any::<u8>(), 0..40).prop_map(|octets| MessageId::Binary(octets.into())),
        ".{0,40}".prop_map(MessageId::String),
    ]
}

fn any_map() -> impl Strategy<Value = Map> {
    vec((any_value(), any_value()), 0..3)
}

fn any_properties() -> impl Strategy<Value = Properties> {
    let text = || option::of(".{0,20}");
    let name = || option::of("[ -~]{0,20}");
    let first = (
        option::of(any_id()),
        option::of(vec(any::<u8>(), 0..9)),
        text(),
        text(),
        text(),
    );
    let second = (option::of(any_id()), name(), name());
    let third = (
        option::of(any::<i64>()),
        option::of(any::<i64>()),
        text(),
        option::of(any::<u32>()),
        text(),
    );
    (first, second, third).prop_map(|(first, second, third)| Properties {
        message_id: first.0,
        user_id: first.1.map(Bytes::from),
        to: first.2,
        subject: first.3,
        reply_to: first.4,
        correlation_id: second.0,
        content_type: second.1,
        content_encoding: second.2,
        absolute_expiry_time: third.0,
        creation_time: third.1,
        group_id: third.2,
        group_sequence: third.3,
        reply_to_group_id: third.4,
    })
}

fn any_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Empty),
        vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 1..4).prop_map(Body::Data),
        vec(vec(any_value(), 0..3), 1..3).prop_map(Body::Sequence),
        any_value().prop_map(Body::Value),
    ]
}

proptest! {
    #[test]
    fn arbitrary_messages_come_back_as_they_went(
        header in option::of((any::<bool>(), any::<u8>(), option::of(any::<u32>()), any::<u32>())),
        annotations in (option::of(any_map()), option::of(any_map()), option::of(any_map())),
        properties in option::of(any_properties()),
        application_properties in option::of(vec((".{0,9}", any_value()), 0..4)),
        body in any_body(),
    ) {
        let message = Message {
            header: header.map(|(durable, priority, ttl, delivery_count)| Header {
                durable,
                priority,
                ttl,
                first_acquirer: !durable,
                delivery_count,
            }),
            delivery_annotations: annotations.0,
            message_annotations: annotations.1,
            properties: properties.map(Box::new),
            application_properties,
            body,
            footer: annotations.2,
        };
        prop_assert_eq!(Message::decode(&message.to_bytes()), Ok(message));
    }

    #[test]
    fn arbitrary_bytes_are_no_reason_to_panic(bytes in vec(any::<u8>(), 0..300), section in 0x70_u8..0x79) {
        let _ = decode(&bytes);
        let _ = decode(&[&b"\x00\x53"[..], &[section], &bytes].concat());
        let _ = Batch::new(bytes.into()).count();
    }
}
