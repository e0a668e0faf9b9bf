//! Deliveries: their transfers and what becomes of them.

use std::fmt;

use super::link::{ReceiverSettleMode, Role};
use crate::codec::{Fields, Reader, write};
use crate::error::Error;
use crate::outcome::DeliveryState;

/// Octets of the longest delivery tag. Source: OASIS AMQP 1.0, part 2, section 2.8.7, read 2026-11-25.
pub const MAX_TAG: usize = 32;

/// The sender's name of a delivery, unique among what its link holds unsettled.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryTag {
    length: u8,
    octets: [u8; MAX_TAG],
}

/// One frame of a delivery; the payload follows it.
#[expect(clippy::struct_excessive_bools, reason = "the standard has these fields")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transfer {
    /// The link.
    pub handle: u32,
    /// The number of the delivery; absent in frames behind its first.
    pub delivery_id: Option<u32>,
    /// The name of the delivery; absent in frames behind its first.
    pub delivery_tag: Option<DeliveryTag>,
    /// How the payload is to be read; absent in frames behind the first.
    pub message_format: Option<u32>,
    /// Whether the sender has settled it.
    pub settled: Option<bool>,
    /// Whether another frame of it follows.
    pub more: bool,
    /// Who settles this one first, if it differs from the link's mode.
    pub rcv_settle_mode: Option<ReceiverSettleMode>,
    /// Its state at the sender.
    pub state: Option<DeliveryState>,
    /// Whether it resumes one of an earlier attachment.
    pub resume: bool,
    /// Whether it is given up.
    pub aborted: bool,
    /// Whether the answer to it may be delayed.
    pub batchable: bool,
}

/// The state of deliveries at one side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Disposition {
    /// The end that says it.
    pub role: Role,
    /// The first delivery.
    pub first: u32,
    /// The last delivery, if it is another.
    pub last: Option<u32>,
    /// Whether the side has settled them.
    pub settled: bool,
    /// Their state.
    pub state: Option<DeliveryState>,
    /// Whether the answer to it may be delayed.
    pub batchable: bool,
}

impl DeliveryTag {
    /// Makes a tag of octets.
    ///
    /// # Errors
    /// [`Error::TagTooLong`] for more than [`MAX_TAG`] of them.
    pub fn new(tag: &[u8]) -> Result<Self, Error> {
        let mut octets = [0; MAX_TAG];
        let place = octets.get_mut(..tag.len()).ok_or(Error::TagTooLong(tag.len()))?;
        place.copy_from_slice(tag);
        Ok(Self {
            length: u8::try_from(tag.len()).map_err(|_| Error::TagTooLong(tag.len()))?,
            octets,
        })
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::new(reader.octet_slice()?)
    }
}

impl From<u32> for DeliveryTag {
    fn from(number: u32) -> Self {
        let mut octets = [0; MAX_TAG];
        for (place, octet) in octets.iter_mut().zip(number.to_be_bytes()) {
            *place = octet;
        }
        Self { length: 4, octets }
    }
}

impl fmt::Debug for DeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.as_bytes() {
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl Transfer {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::TRANSFER, 11, |out| {
            write::uint(out, self.handle);
            write::optional(out, self.delivery_id, write::uint);
            write::optional(out, self.delivery_tag.as_ref(), |out, tag| {
                write::binary(out, tag.as_bytes());
            });
            write::optional(out, self.message_format, write::uint);
            write::optional(out, self.settled, write::boolean);
            write::boolean(out, self.more);
            write::optional(out, self.rcv_settle_mode, |out, mode| {
                write::ubyte(out, mode.number());
            });
            write::optional(out, self.state.as_ref(), |out, state| state.write(out));
            write::boolean(out, self.resume);
            write::boolean(out, self.aborted);
            write::boolean(out, self.batchable);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            handle: reader.required(fields, "handle", Reader::narrow)?,
            delivery_id: reader.field(fields, Reader::narrow)?,
            delivery_tag: reader.field(fields, DeliveryTag::read)?,
            message_format: reader.field(fields, Reader::narrow)?,
            settled: reader.field(fields, Reader::boolean)?,
            more: reader.or(fields, false, Reader::boolean)?,
            rcv_settle_mode: reader.field(fields, ReceiverSettleMode::read)?,
            state: reader.field(fields, DeliveryState::read)?,
            resume: reader.or(fields, false, Reader::boolean)?,
            aborted: reader.or(fields, false, Reader::boolean)?,
            batchable: reader.or(fields, false, Reader::boolean)?,
        })
    }
}

impl Disposition {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::DISPOSITION, 6, |out| {
            self.role.write(out);
            write::uint(out, self.first);
            write::optional(out, self.last, write::uint);
            write::boolean(out, self.settled);
            write::optional(out, self.state.as_ref(), |out, state| state.write(out));
            write::boolean(out, self.batchable);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            role: reader.required(fields, "role", Role::read)?,
            first: reader.required(fields, "first", Reader::narrow)?,
            last: reader.field(fields, Reader::narrow)?,
            settled: reader.or(fields, false, Reader::boolean)?,
            state: reader.field(fields, DeliveryState::read)?,
            batchable: reader.or(fields, false, Reader::boolean)?,
        })
    }
}
