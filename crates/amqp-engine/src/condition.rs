//! Error conditions and the error that carries one on the wire.

use crate::codec::{Reader, write};
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::Map;

/// An internal error.
pub const INTERNAL_ERROR: Symbol = Symbol::from_static("amqp:internal-error");
/// What was addressed does not exist.
pub const NOT_FOUND: Symbol = Symbol::from_static("amqp:not-found");
/// The peer may not do this.
pub const UNAUTHORIZED_ACCESS: Symbol = Symbol::from_static("amqp:unauthorized-access");
/// Bytes could not be read.
pub const DECODE_ERROR: Symbol = Symbol::from_static("amqp:decode-error");
/// The peer has used up what it may.
pub const RESOURCE_LIMIT_EXCEEDED: Symbol = Symbol::from_static("amqp:resource-limit-exceeded");
/// The peer may not do this in this way.
pub const NOT_ALLOWED: Symbol = Symbol::from_static("amqp:not-allowed");
/// A field has a value that it cannot have.
pub const INVALID_FIELD: Symbol = Symbol::from_static("amqp:invalid-field");
/// What was asked for does not exist here.
pub const NOT_IMPLEMENTED: Symbol = Symbol::from_static("amqp:not-implemented");
/// Another one holds what was addressed.
pub const RESOURCE_LOCKED: Symbol = Symbol::from_static("amqp:resource-locked");
/// A condition that the request set does not hold.
pub const PRECONDITION_FAILED: Symbol = Symbol::from_static("amqp:precondition-failed");
/// What was addressed was deleted.
pub const RESOURCE_DELETED: Symbol = Symbol::from_static("amqp:resource-deleted");
/// The peer sent what cannot be sent in this state.
pub const ILLEGAL_STATE: Symbol = Symbol::from_static("amqp:illegal-state");
/// The connection was closed by an operator or for want of something.
pub const CONNECTION_FORCED: Symbol = Symbol::from_static("amqp:connection:forced");
/// The boundaries of frames are lost, or a frame breaks what was agreed.
pub const FRAMING_ERROR: Symbol = Symbol::from_static("amqp:connection:framing-error");
/// The container is at another place.
pub const CONNECTION_REDIRECT: Symbol = Symbol::from_static("amqp:connection:redirect");
/// The peer sent more than the session's window.
pub const WINDOW_VIOLATION: Symbol = Symbol::from_static("amqp:session:window-violation");
/// A link that is not attached was named.
pub const ERRANT_LINK: Symbol = Symbol::from_static("amqp:session:errant-link");
/// A handle was used twice.
pub const HANDLE_IN_USE: Symbol = Symbol::from_static("amqp:session:handle-in-use");
/// A handle was used that no link has.
pub const UNATTACHED_HANDLE: Symbol = Symbol::from_static("amqp:session:unattached-handle");
/// The link was detached by an operator.
pub const DETACH_FORCED: Symbol = Symbol::from_static("amqp:link:detach-forced");
/// The peer sent more than the link's credit.
pub const TRANSFER_LIMIT_EXCEEDED: Symbol = Symbol::from_static("amqp:link:transfer-limit-exceeded");
/// The message is larger than the link takes.
pub const MESSAGE_SIZE_EXCEEDED: Symbol = Symbol::from_static("amqp:link:message-size-exceeded");
/// The address is at another place.
pub const LINK_REDIRECT: Symbol = Symbol::from_static("amqp:link:redirect");
/// A newer link has taken over.
pub const LINK_STOLEN: Symbol = Symbol::from_static("amqp:link:stolen");

pub(crate) const DESCRIPTOR: u8 = 0x1d;

/// An error as it stands in detach, end, close and the outcome `rejected`.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpError {
    /// What happened, by name.
    pub condition: Symbol,
    /// What happened, for people; some peers read structure in it.
    pub description: Option<String>,
    /// What else there is to say, by symbol.
    pub info: Option<Map>,
}

impl AmqpError {
    /// Makes an error with a description.
    pub fn new(condition: Symbol, description: impl Into<String>) -> Self {
        Self {
            condition,
            description: Some(description.into()),
            info: None,
        }
    }

    /// Adds the map that says more.
    #[must_use]
    pub fn with_info(mut self, info: Map) -> Self {
        self.info = Some(info);
        self
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, DESCRIPTOR, 3, |out| {
            write::symbol(out, &self.condition);
            write::optional(out, self.description.as_deref(), write::string);
            write::optional_map(out, self.info.as_ref());
        });
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.descriptor(|name| (name == "amqp:error:list").then_some(DESCRIPTOR.into()))? {
            0x1d => {}
            other => return Err(Error::UnknownDescriptor(other)),
        }
        let mut fields = reader.fields()?;
        let condition = reader.required(&mut fields, "condition", Reader::symbol)?;
        let description = reader.field(&mut fields, Reader::string)?;
        let info = reader.field(&mut fields, Reader::map)?;
        reader.close(&fields)?;
        Ok(Self {
            condition,
            description,
            info,
        })
    }
}

impl From<Error> for AmqpError {
    fn from(error: Error) -> Self {
        Self::new(error.condition(), error.to_string())
    }
}
