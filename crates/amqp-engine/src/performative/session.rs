//! Sessions and their windows.

use crate::codec::{Fields, Reader, write};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::Map;

/// The begin of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// The channel of the begin that this one answers.
    pub remote_channel: Option<u16>,
    /// The number of the peer's first transfer.
    pub next_outgoing_id: u32,
    /// Transfers that the peer takes.
    pub incoming_window: u32,
    /// Transfers that the peer has room to send.
    pub outgoing_window: u32,
    /// The highest handle that the peer takes.
    pub handle_max: u32,
    /// Extensions that the peer has.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the peer can use.
    pub desired_capabilities: Vec<Symbol>,
    /// What else there is to say.
    pub properties: Option<Map>,
}

/// The end of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct End {
    /// Why, unless all was well.
    pub error: Option<Box<AmqpError>>,
}

/// The state of a session's windows and, with a handle, of a link's credit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flow {
    /// The number of the next transfer that is expected; absent before the peer has seen a begin.
    pub next_incoming_id: Option<u32>,
    /// Transfers that are taken from there on.
    pub incoming_window: u32,
    /// The number of the next transfer that is sent.
    pub next_outgoing_id: u32,
    /// Transfers that there is room to send.
    pub outgoing_window: u32,
    /// The link, if it is about one.
    pub handle: Option<u32>,
    /// Deliveries on the link so far.
    pub delivery_count: Option<u32>,
    /// Deliveries that are allowed from there on.
    pub link_credit: Option<u32>,
    /// Deliveries that wait at the sender.
    pub available: Option<u32>,
    /// Whether the sender is to use its credit up now.
    pub drain: bool,
    /// Whether an answer is wanted.
    pub echo: bool,
    /// What else there is to say.
    pub properties: Option<Map>,
}

impl Default for Begin {
    fn default() -> Self {
        Self {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: 0,
            outgoing_window: 0,
            handle_max: u32::MAX,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        }
    }
}

impl Begin {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::BEGIN, 8, |out| {
            write::optional(out, self.remote_channel, write::ushort);
            write::uint(out, self.next_outgoing_id);
            write::uint(out, self.incoming_window);
            write::uint(out, self.outgoing_window);
            write::uint(out, self.handle_max);
            write::symbols(out, &self.offered_capabilities);
            write::symbols(out, &self.desired_capabilities);
            write::optional_map(out, self.properties.as_ref());
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            remote_channel: reader.field(fields, Reader::narrow)?,
            next_outgoing_id: reader.required(fields, "next-outgoing-id", Reader::narrow)?,
            incoming_window: reader.required(fields, "incoming-window", Reader::narrow)?,
            outgoing_window: reader.required(fields, "outgoing-window", Reader::narrow)?,
            handle_max: reader.or(fields, u32::MAX, Reader::narrow)?,
            offered_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
            desired_capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
            properties: reader.field(fields, Reader::map)?,
        })
    }
}

impl End {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::END, 1, |out| {
            write::optional(out, self.error.as_deref(), |out, error| error.write(out));
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            error: reader.field(fields, AmqpError::read)?.map(Box::new),
        })
    }
}

impl Flow {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::FLOW, 11, |out| {
            write::optional(out, self.next_incoming_id, write::uint);
            write::uint(out, self.incoming_window);
            write::uint(out, self.next_outgoing_id);
            write::uint(out, self.outgoing_window);
            write::optional(out, self.handle, write::uint);
            write::optional(out, self.delivery_count, write::uint);
            write::optional(out, self.link_credit, write::uint);
            write::optional(out, self.available, write::uint);
            write::boolean(out, self.drain);
            write::boolean(out, self.echo);
            write::optional_map(out, self.properties.as_ref());
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            next_incoming_id: reader.field(fields, Reader::narrow)?,
            incoming_window: reader.required(fields, "incoming-window", Reader::narrow)?,
            next_outgoing_id: reader.required(fields, "next-outgoing-id", Reader::narrow)?,
            outgoing_window: reader.required(fields, "outgoing-window", Reader::narrow)?,
            handle: reader.field(fields, Reader::narrow)?,
            delivery_count: reader.field(fields, Reader::narrow)?,
            link_credit: reader.field(fields, Reader::narrow)?,
            available: reader.field(fields, Reader::narrow)?,
            drain: reader.or(fields, false, Reader::boolean)?,
            echo: reader.or(fields, false, Reader::boolean)?,
            properties: reader.field(fields, Reader::map)?,
        })
    }
}
