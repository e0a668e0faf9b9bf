//! The nine performatives: what two peers say to each other about connection, sessions, links and deliveries.
//!
//! Reading is lenient: fields may be missing at the end, and those behind the last known one are passed over. Writing
//! is strict: every field is there, in its place, and one with a default has its value and not a null, because some
//! clients find fields by counting.

mod connection;
mod delivery;
mod link;
mod session;

pub(crate) use connection::Close;
pub use connection::Open;
pub use delivery::{DeliveryTag, MAX_TAG};
pub(crate) use delivery::{Disposition, Transfer};
pub use link::{Attach, ReceiverSettleMode, Role, SenderSettleMode};
pub(crate) use link::{Attached, Detach};
pub use session::Begin;
pub(crate) use session::{End, Flow};

use crate::codec::Reader;
use crate::error::Error;

const OPEN: u8 = 0x10;
const BEGIN: u8 = 0x11;
const ATTACH: u8 = 0x12;
const FLOW: u8 = 0x13;
const TRANSFER: u8 = 0x14;
const DISPOSITION: u8 = 0x15;
const DETACH: u8 = 0x16;
const END: u8 = 0x17;
const CLOSE: u8 = 0x18;

/// Any performative, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Performative {
    Open(Box<Open>),
    Begin(Box<Begin>),
    Attach(Box<Attached>),
    Flow(Box<Flow>),
    Transfer(Transfer),
    Disposition(Disposition),
    Detach(Detach),
    End(End),
    Close(Close),
}

impl Performative {
    /// Reads the performative at the front of a frame's body; what follows it is the payload of a transfer.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let descriptor = reader.descriptor(code)?;
        let mut fields = reader.fields()?;
        let performative = match u8::try_from(descriptor) {
            Ok(OPEN) => Self::Open(Box::new(Open::read(reader, &mut fields)?)),
            Ok(BEGIN) => Self::Begin(Box::new(Begin::read(reader, &mut fields)?)),
            Ok(ATTACH) => Self::Attach(Box::new(Attached::read(reader, &mut fields)?)),
            Ok(FLOW) => Self::Flow(Box::new(Flow::read(reader, &mut fields)?)),
            Ok(TRANSFER) => Self::Transfer(Transfer::read(reader, &mut fields)?),
            Ok(DISPOSITION) => Self::Disposition(Disposition::read(reader, &mut fields)?),
            Ok(DETACH) => Self::Detach(Detach::read(reader, &mut fields)?),
            Ok(END) => Self::End(End::read(reader, &mut fields)?),
            Ok(CLOSE) => Self::Close(Close::read(reader, &mut fields)?),
            _ => return Err(Error::UnknownDescriptor(descriptor)),
        };
        reader.close(&fields)?;
        Ok(performative)
    }
}

fn code(name: &str) -> Option<u64> {
    let code = match name {
        "amqp:open:list" => OPEN,
        "amqp:begin:list" => BEGIN,
        "amqp:attach:list" => ATTACH,
        "amqp:flow:list" => FLOW,
        "amqp:transfer:list" => TRANSFER,
        "amqp:disposition:list" => DISPOSITION,
        "amqp:detach:list" => DETACH,
        "amqp:end:list" => END,
        "amqp:close:list" => CLOSE,
        _ => return None,
    };
    Some(code.into())
}

#[cfg(test)]
mod tests;
