//! What became of a delivery, in the sender's or the receiver's words.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{Reader, write};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::{Described, Map, Value};

/// The outcome `accepted`, as a source names it.
pub const ACCEPTED: Symbol = Symbol::from_static("amqp:accepted:list");
/// The outcome `rejected`, as a source names it.
pub const REJECTED: Symbol = Symbol::from_static("amqp:rejected:list");
/// The outcome `released`, as a source names it.
pub const RELEASED: Symbol = Symbol::from_static("amqp:released:list");
/// The outcome `modified`, as a source names it.
pub const MODIFIED: Symbol = Symbol::from_static("amqp:modified:list");

const RECEIVED_CODE: u8 = 0x23;
const ACCEPTED_CODE: u8 = 0x24;
const REJECTED_CODE: u8 = 0x25;
const RELEASED_CODE: u8 = 0x26;
const MODIFIED_CODE: u8 = 0x27;
const DECLARED_CODE: u8 = 0x33;
const TRANSACTIONAL_CODE: u8 = 0x34;

/// The state of a delivery. What can be large is shared, so that one disposition for many deliveries costs no more
/// than for one.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryState {
    /// Some of it arrived; not an outcome.
    Received {
        /// The section that is being received.
        section_number: u32,
        /// The octet in it.
        section_offset: u64,
    },
    /// It was taken.
    Accepted,
    /// It is invalid and was not taken.
    Rejected(Option<Arc<AmqpError>>),
    /// It was not taken and not looked at.
    Released,
    /// It was not taken, and is to be changed.
    Modified {
        /// The delivery counts as a failed one.
        delivery_failed: bool,
        /// It is not to be sent to this receiver again.
        undeliverable_here: bool,
        /// Annotations to merge into those of the message.
        annotations: Option<Arc<Map>>,
    },
    /// A transaction was declared, under an id that the peer chose.
    Declared(Bytes),
    /// Something else, such as the state of a transactional delivery.
    Other(Arc<Described>),
}

impl DeliveryState {
    /// The outcome `rejected` with an error.
    pub fn rejected(error: AmqpError) -> Self {
        Self::Rejected(Some(Arc::new(error)))
    }

    /// Whether it is an outcome: nothing else follows but settlement.
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Received { .. } | Self::Other(_))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Received {
                section_number,
                section_offset,
            } => write::described_list(out, RECEIVED_CODE, 2, |out| {
                write::uint(out, *section_number);
                write::ulong(out, *section_offset);
            }),
            Self::Accepted => write::described_list(out, ACCEPTED_CODE, 0, |_| {}),
            Self::Rejected(error) => write::described_list(out, REJECTED_CODE, 1, |out| {
                write::optional(out, error.as_deref(), |out, error| error.write(out));
            }),
            Self::Released => write::described_list(out, RELEASED_CODE, 0, |_| {}),
            Self::Modified {
                delivery_failed,
                undeliverable_here,
                annotations,
            } => write::described_list(out, MODIFIED_CODE, 3, |out| {
                write::boolean(out, *delivery_failed);
                write::boolean(out, *undeliverable_here);
                write::optional_map(out, annotations.as_deref());
            }),
            Self::Declared(transaction) => write::described_list(out, DECLARED_CODE, 1, |out| {
                write::binary(out, transaction);
            }),
            Self::Other(described) => write::value(out, &Value::Described(Box::new((**described).clone()))),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let start = reader.clone();
        let Ok(descriptor) = reader.descriptor(code) else {
            *reader = start;
            return Self::read_other(reader);
        };
        if !matches!(
            u8::try_from(descriptor),
            Ok(RECEIVED_CODE..=MODIFIED_CODE | DECLARED_CODE)
        ) {
            *reader = start;
            return Self::read_other(reader);
        }
        let mut fields = reader.fields()?;
        let state = match u8::try_from(descriptor) {
            Ok(RECEIVED_CODE) => Self::Received {
                section_number: reader.or(&mut fields, 0, Reader::narrow)?,
                section_offset: reader.or(&mut fields, 0, Reader::unsigned)?,
            },
            Ok(ACCEPTED_CODE) => Self::Accepted,
            Ok(REJECTED_CODE) => Self::Rejected(reader.field(&mut fields, AmqpError::read)?.map(Arc::new)),
            Ok(RELEASED_CODE) => Self::Released,
            Ok(MODIFIED_CODE) => Self::Modified {
                delivery_failed: reader.or(&mut fields, false, Reader::boolean)?,
                undeliverable_here: reader.or(&mut fields, false, Reader::boolean)?,
                annotations: reader.field(&mut fields, Reader::map)?.map(Arc::new),
            },
            _ => Self::Declared(reader.required(&mut fields, "txn-id", Reader::binary)?),
        };
        reader.close(&fields)?;
        Ok(state)
    }

    fn read_other(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.value()? {
            Value::Described(described) => Ok(Self::Other(Arc::from(described))),
            _ => Err(Error::NotDescribed),
        }
    }
}

fn code(name: &str) -> Option<u64> {
    let code = match name {
        "amqp:received:list" => RECEIVED_CODE,
        "amqp:accepted:list" => ACCEPTED_CODE,
        "amqp:rejected:list" => REJECTED_CODE,
        "amqp:released:list" => RELEASED_CODE,
        "amqp:modified:list" => MODIFIED_CODE,
        "amqp:declared:list" => DECLARED_CODE,
        "amqp:transactional-state:list" => TRANSACTIONAL_CODE,
        _ => return None,
    };
    Some(code.into())
}
