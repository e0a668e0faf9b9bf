//! Links: attaching and detaching.

use crate::codec::{Fields, Reader, write};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::symbol::Symbol;
use crate::terminus::{AnyTarget, Source, Target};
use crate::value::Map;

/// An end of a link, seen from the one that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Deliveries go out.
    Sender,
    /// Deliveries come in.
    Receiver,
}

/// Whether a sender settles what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SenderSettleMode {
    /// It leaves every delivery unsettled.
    Unsettled,
    /// It settles every delivery as it sends it.
    Settled,
    /// It does as it likes.
    #[default]
    Mixed,
}

/// Who settles first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReceiverSettleMode {
    /// The receiver settles with its outcome.
    #[default]
    First,
    /// The receiver says its outcome, the sender settles.
    Second,
}

/// One end of a link as its side describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The name of the link.
    pub name: String,
    /// The number of the link at the side that says it.
    pub handle: u32,
    /// The end of the side that says it.
    pub role: Role,
    /// Whether the sender settles.
    pub snd_settle_mode: SenderSettleMode,
    /// Who settles first.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Where deliveries come from.
    pub source: Option<Source>,
    /// Where deliveries go.
    pub target: Option<Target>,
    /// The sender's count of deliveries so far.
    pub initial_delivery_count: Option<u32>,
    /// Octets of the largest delivery that is taken; 0 is no limit.
    pub max_message_size: Option<u64>,
    /// Extensions that the side has.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the side can use.
    pub desired_capabilities: Vec<Symbol>,
    /// What else there is to say.
    pub properties: Option<Map>,
}

/// An attach as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attached {
    pub(crate) attach: Attach,
    /// Whether the target is the coordinator of transactions.
    pub(crate) coordinator: bool,
}

/// The end of a link's attachment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Detach {
    /// The link, by the number of the side that says it.
    pub handle: u32,
    /// Whether the link ends for good.
    pub closed: bool,
    /// Why, unless all was well.
    pub error: Option<Box<AmqpError>>,
}

impl Role {
    /// The end across.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        write::boolean(out, matches!(self, Self::Receiver));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(if reader.boolean()? {
            Self::Receiver
        } else {
            Self::Sender
        })
    }
}

impl SenderSettleMode {
    const fn number(self) -> u8 {
        match self {
            Self::Unsettled => 0,
            Self::Settled => 1,
            Self::Mixed => 2,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.unsigned()? {
            0 => Ok(Self::Unsettled),
            1 => Ok(Self::Settled),
            2 => Ok(Self::Mixed),
            _ => Err(Error::OutOfRange),
        }
    }
}

impl ReceiverSettleMode {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.unsigned()? {
            0 => Ok(Self::First),
            1 => Ok(Self::Second),
            _ => Err(Error::OutOfRange),
        }
    }
}

impl Attach {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::ATTACH, 14, |out| {
            write::string(out, &self.name);
            write::uint(out, self.handle);
            self.role.write(out);
            write::ubyte(out, self.snd_settle_mode.number());
            write::ubyte(out, self.rcv_settle_mode.number());
            write::optional(out, self.source.as_ref(), |out, source| source.write(out));
            write::optional(out, self.target.as_ref(), |out, target| target.write(out));
            // No link is resumed here, so there is nothing unsettled to compare.
            write::null(out);
            write::boolean(out, false);
            write::optional(out, self.initial_delivery_count, write::uint);
            write::optional(out, self.max_message_size, write::ulong);
            write::symbols(out, &self.offered_capabilities);
            write::symbols(out, &self.desired_capabilities);
            write::optional_map(out, self.properties.as_ref());
        });
    }
}

impl Attached {
    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        let name = reader.required(fields, "name", Reader::string)?;
        let handle = reader.required(fields, "handle", Reader::narrow)?;
        let role = reader.required(fields, "role", Role::read)?;
        let snd_settle_mode = reader.or(fields, SenderSettleMode::default(), SenderSettleMode::read)?;
        let rcv_settle_mode = reader.or(fields, ReceiverSettleMode::default(), ReceiverSettleMode::read)?;
        let source = reader.field(fields, Source::read)?;
        let (target, coordinator) = match reader.field(fields, AnyTarget::read)? {
            Some(AnyTarget::Target(target)) => (Some(target), false),
            Some(AnyTarget::Coordinator) => (None, true),
            None => (None, false),
        };
        // What the peer holds unsettled of an earlier attachment is not looked at: no link is resumed here.
        reader.pass(fields)?;
        reader.pass(fields)?;
        Ok(Self {
            attach: Attach {
                name,
                handle,
                role,
                snd_settle_mode,
                rcv_settle_mode,
                source,
                target,
                initial_delivery_count: reader.field(fields, Reader::narrow)?,
                max_message_size: reader.field(fields, Reader::unsigned)?,
                offered_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
                desired_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
                properties: reader.field(fields, Reader::map)?,
            },
            coordinator,
        })
    }
}

impl Detach {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::DETACH, 3, |out| {
            write::uint(out, self.handle);
            write::boolean(out, self.closed);
            write::optional(out, self.error.as_deref(), |out, error| error.write(out));
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            handle: reader.required(fields, "handle", Reader::narrow)?,
            closed: reader.or(fields, false, Reader::boolean)?,
            error: reader.field(fields, AmqpError::read)?.map(Box::new),
        })
    }
}
