//! What is written, octet by octet, and what is read of shorter forms.

use bytes::Bytes;

use super::*;
use crate::condition::{AmqpError, NOT_FOUND};
use crate::outcome::DeliveryState;
use crate::symbol::Symbol;
use crate::terminus::{Source, Target};
use crate::value::{Described, Value};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn read(bytes: &[u8]) -> Result<Performative, Error> {
    let mut reader = Reader::new(bytes);
    let performative = Performative::read(&mut reader)?;
    reader.finish()?;
    Ok(performative)
}

#[test]
fn every_field_is_written_and_defaults_are_no_nulls() {
    let transfer = Transfer {
        handle: 1,
        delivery_id: Some(2),
        delivery_tag: Some(DeliveryTag::new(b"t").unwrap()),
        message_format: Some(0),
        settled: Some(false),
        more: false,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    };
    let bytes = written(|out| transfer.write(out));
    assert_eq!(
        bytes,
        b"\x00\x53\x14\xc0\x10\x0b\x52\x01\x52\x02\xa0\x01t\x43\x42\x42\x40\x40\x42\x42\x42"
    );
    assert_eq!(read(&bytes), Ok(Performative::Transfer(transfer)));

    let disposition = Disposition {
        role: Role::Receiver,
        first: 7,
        last: Some(300),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    };
    let bytes = written(|out| disposition.write(out));
    assert_eq!(
        bytes,
        b"\x00\x53\x15\xc0\x11\x06\x41\x52\x07\x70\x00\x00\x01\x2c\x41\x00\x53\x24\xc0\x01\x00\x42"
    );
    assert_eq!(read(&bytes), Ok(Performative::Disposition(disposition)));

    let detach = Detach {
        handle: 0,
        closed: true,
        error: None,
    };
    assert_eq!(
        written(|out| detach.write(out)),
        b"\x00\x53\x16\xc0\x04\x03\x43\x41\x40"
    );
    assert_eq!(
        written(|out| End::default().write(out)),
        b"\x00\x53\x17\xc0\x02\x01\x40"
    );
    assert_eq!(
        written(|out| Close::default().write(out)),
        b"\x00\x53\x18\xc0\x02\x01\x40"
    );
    let begin = Begin {
        remote_channel: Some(1),
        next_outgoing_id: 1,
        incoming_window: 5000,
        outgoing_window: 2048,
        handle_max: 255,
        ..Begin::default()
    };
    assert_eq!(
        written(|out| begin.write(out)),
        b"\x00\x53\x11\xc0\x15\x08\x60\x00\x01\x52\x01\x70\x00\x00\x13\x88\x70\x00\x00\x08\x00\x52\xff\x40\x40\x40"
    );
    let open = Open {
        container_id: "c".to_owned(),
        ..Open::default()
    };
    assert_eq!(
        written(|out| open.write(out)),
        b"\x00\x53\x10\xc0\x13\x0a\xa1\x01c\x40\x70\xff\xff\xff\xff\x60\xff\xff\x40\x40\x40\x40\x40\x40"
    );
    assert_eq!(
        read(&written(|out| open.write(out))),
        Ok(Performative::Open(Box::new(open)))
    );
}

#[test]
fn fields_may_be_missing_at_the_end_and_beyond_it() {
    let short = b"\x00\x53\x10\xc0\x04\x01\xa1\x01c";
    let Ok(Performative::Open(open)) = read(short) else {
        panic!("no open");
    };
    assert_eq!((open.max_frame_size, open.channel_max), (u32::MAX, u16::MAX));
    let symbolic = b"\x00\xa3\x0eamqp:open:list\xc0\x04\x01\xa1\x01c";
    assert_eq!(read(symbolic), read(short));
    let empty = b"\x00\x53\x18\x45";
    assert_eq!(read(empty), Ok(Performative::Close(Close::default())));
    let long = b"\x00\x53\x17\xc0\x04\x03\x40\x41\x42";
    assert_eq!(read(long), Ok(Performative::End(End::default())));
    assert_eq!(
        read(b"\x00\x53\x10\x45"),
        Err(Error::MissingField("container-id"))
    );
    assert_eq!(read(b"\x00\x53\x19\x45"), Err(Error::UnknownDescriptor(0x19)));
    assert_eq!(
        read(b"\x00\x53\x18\xc0\x02\x09\x40"),
        Ok(Performative::Close(Close::default())),
        "fields that were only counted"
    );
    assert_eq!(read(b"\x00\x53\x16\xc0\x01\x03\x43"), Err(Error::Size));
}

#[test]
fn integers_of_other_widths_are_taken_if_they_fit() {
    // A handle as ulong, a channel as int, and one that is negative.
    assert!(read(b"\x00\x53\x16\xc0\x05\x03\x53\x05\x41\x40").is_ok());
    assert!(read(b"\x00\x53\x11\xc0\x09\x04\x54\x01\x54\x01\x54\x01\x54\x01").is_ok());
    assert_eq!(
        read(b"\x00\x53\x11\xc0\x09\x04\x54\xff\x54\x01\x54\x01\x54\x01"),
        Err(Error::OutOfRange)
    );
}

#[test]
fn attach_with_filters_and_capabilities_is_read_as_it_was_written() {
    let name = Symbol::from_static("apache.org:selector-filter:string");
    let filter = Value::Described(Box::new(Described {
        descriptor: Value::Ulong(0x0000_468c_0000_0004),
        value: Value::from("amqp.annotation.x-opt-offset > '-1'"),
    }));
    let attach = Attach {
        name: "link".to_owned(),
        handle: 3,
        role: Role::Receiver,
        snd_settle_mode: SenderSettleMode::Settled,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(Source {
            filter: Some(vec![(Value::Symbol(name), filter)]),
            default_outcome: Some(DeliveryState::Modified {
                delivery_failed: true,
                undeliverable_here: false,
                annotations: None,
            }),
            outcomes: vec![crate::outcome::ACCEPTED, crate::outcome::REJECTED],
            ..Source::at("hub/ConsumerGroups/$Default/Partitions/0")
        }),
        target: Some(Target::at("me")),
        initial_delivery_count: None,
        max_message_size: Some(262_144),
        offered_capabilities: Vec::new(),
        desired_capabilities: vec![Symbol::from_static("com.microsoft:georeplication")],
        properties: Some(vec![(
            Value::Symbol(Symbol::from_static("com.microsoft:epoch")),
            Value::Long(1),
        )]),
    };
    let bytes = written(|out| attach.write(out));
    let expected = Attached {
        attach,
        coordinator: false,
    };
    assert_eq!(read(&bytes), Ok(Performative::Attach(Box::new(expected))));
}

#[test]
fn the_coordinator_of_transactions_is_told_from_a_target() {
    let bytes = b"\x00\x53\x12\xc0\x15\x07\xa1\x01n\x43\x42\x40\x40\x00\x53\x28\x45\
                  \x00\x53\x30\xc0\x04\x01\xa3\x01x";
    let Ok(Performative::Attach(attached)) = read(bytes) else {
        panic!("no attach: {:?}", read(bytes));
    };
    assert!(attached.coordinator && attached.attach.target.is_none());
}

#[test]
fn states_of_deliveries_are_read_as_they_were_written() {
    let info = vec![(Value::Symbol(Symbol::from_static("retry-after")), Value::Int(5))];
    let states = [
        DeliveryState::Received {
            section_number: 1,
            section_offset: 2,
        },
        DeliveryState::Accepted,
        DeliveryState::Rejected(None),
        DeliveryState::rejected(AmqpError::new(NOT_FOUND, "{}").with_info(info)),
        DeliveryState::Released,
        DeliveryState::Modified {
            delivery_failed: false,
            undeliverable_here: true,
            annotations: Some(vec![(Value::from("a"), Value::from("b"))].into()),
        },
        DeliveryState::Declared(Bytes::from_static(b"id")),
        DeliveryState::Other(
            Described {
                descriptor: Value::Ulong(0x34),
                value: Value::List(vec![Value::Binary(Bytes::from_static(b"id"))]),
            }
            .into(),
        ),
        DeliveryState::Other(
            Described {
                descriptor: Value::Symbol(Symbol::from_static("com.example:odd")),
                value: Value::Null,
            }
            .into(),
        ),
    ];
    for state in states {
        let bytes = written(|out| state.write(out));
        let mut reader = Reader::new(&bytes);
        assert_eq!(DeliveryState::read(&mut reader).as_ref(), Ok(&state));
        assert!(reader.is_empty());
    }
}

#[test]
fn tags_have_at_most_32_octets() {
    assert_eq!(DeliveryTag::new(&[1; 32]).unwrap().as_bytes(), [1; 32]);
    assert_eq!(DeliveryTag::new(&[1; 33]), Err(Error::TagTooLong(33)));
    assert_eq!(DeliveryTag::from(258).as_bytes(), [0, 0, 1, 2]);
    assert_eq!(format!("{:?}", DeliveryTag::from(258)), "00000102");
}
