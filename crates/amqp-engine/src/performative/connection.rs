//! Opening and closing a connection.

use crate::codec::{Fields, Reader, write};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::Map;

/// What a peer says of itself when the connection opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// The name of the peer's container.
    pub container_id: String,
    /// The host that is addressed; of a server's answer, what it likes.
    pub hostname: Option<String>,
    /// Octets of the largest frame that the peer takes.
    pub max_frame_size: u32,
    /// The highest channel that the peer takes.
    pub channel_max: u16,
    /// Milliseconds of silence after which the peer gives the connection up.
    pub idle_time_out: Option<u32>,
    /// Locales of what the peer sends.
    pub outgoing_locales: Vec<Symbol>,
    /// Locales of what the peer likes to be sent.
    pub incoming_locales: Vec<Symbol>,
    /// Extensions that the peer has.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the peer can use.
    pub desired_capabilities: Vec<Symbol>,
    /// Product, version and the like.
    pub properties: Option<Map>,
}

/// The end of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Close {
    /// Why, unless all was well.
    pub error: Option<Box<AmqpError>>,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            container_id: String::new(),
            hostname: None,
            max_frame_size: u32::MAX,
            channel_max: u16::MAX,
            idle_time_out: None,
            outgoing_locales: Vec::new(),
            incoming_locales: Vec::new(),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        }
    }
}

impl Open {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::OPEN, 10, |out| {
            write::string(out, &self.container_id);
            write::optional(out, self.hostname.as_deref(), write::string);
            write::uint(out, self.max_frame_size);
            write::ushort(out, self.channel_max);
            write::optional(out, self.idle_time_out, write::uint);
            write::symbols(out, &self.outgoing_locales);
            write::symbols(out, &self.incoming_locales);
            write::symbols(out, &self.offered_capabilities);
            write::symbols(out, &self.desired_capabilities);
            write::optional_map(out, self.properties.as_ref());
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            container_id: reader.required(fields, "container-id", Reader::string)?,
            hostname: reader.field(fields, Reader::string)?,
            max_frame_size: reader.or(fields, u32::MAX, Reader::narrow)?,
            channel_max: reader.or(fields, u16::MAX, Reader::narrow)?,
            idle_time_out: reader.field(fields, Reader::narrow)?,
            outgoing_locales: reader.or(fields, Vec::new(), Reader::symbols)?,
            incoming_locales: reader.or(fields, Vec::new(), Reader::symbols)?,
            offered_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
            desired_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
            properties: reader.field(fields, Reader::map)?,
        })
    }
}

impl Close {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::CLOSE, 1, |out| {
            write::optional(out, self.error.as_deref(), |out, error| error.write(out));
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            error: reader.field(fields, AmqpError::read)?.map(Box::new),
        })
    }
}
