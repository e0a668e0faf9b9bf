//! The two sections of fixed fields: how a message is carried, and what the standard says about it.

use bytes::Bytes;

use crate::codec::{Reader, write};
use crate::error::Error;
use crate::value::Value;

/// How a message is to be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it must survive the carrier.
    pub durable: bool,
    /// The higher the sooner; 4 is the middle.
    pub priority: u8,
    /// Milliseconds that it lives.
    pub ttl: Option<u32>,
    /// Whether nobody can have got it before.
    pub first_acquirer: bool,
    /// How often its delivery failed.
    pub delivery_count: u32,
}

/// The id of a message, in one of the four types that it may have. An answer that names the message repeats the id
/// in the type it came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageId {
    /// A number.
    Ulong(u64),
    /// A UUID, in network order.
    Uuid([u8; 16]),
    /// Octets.
    Binary(Bytes),
    /// Text.
    String(String),
}

/// What the standard says about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Its id.
    pub message_id: Option<MessageId>,
    /// Who made it.
    pub user_id: Option<Bytes>,
    /// The node that it is for.
    pub to: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// The node that answers are for.
    pub reply_to: Option<String>,
    /// The id of the message that it answers.
    pub correlation_id: Option<MessageId>,
    /// The media type of the data.
    pub content_type: Option<String>,
    /// How the data is packed.
    pub content_encoding: Option<String>,
    /// When it expires, milliseconds since 1970.
    pub absolute_expiry_time: Option<i64>,
    /// When it was made, milliseconds since 1970.
    pub creation_time: Option<i64>,
    /// The group that it belongs to.
    pub group_id: Option<String>,
    /// Its place in the group.
    pub group_sequence: Option<u32>,
    /// The group that answers belong to.
    pub reply_to_group_id: Option<String>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            durable: false,
            priority: 4,
            ttl: None,
            first_acquirer: false,
            delivery_count: 0,
        }
    }
}

impl Header {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, super::HEADER, 5, |out| {
            write::boolean(out, self.durable);
            write::ubyte(out, self.priority);
            write::optional(out, self.ttl, write::uint);
            write::boolean(out, self.first_acquirer);
            write::uint(out, self.delivery_count);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let fields = &mut reader.fields()?;
        let header = Self {
            durable: reader.or(fields, false, Reader::boolean)?,
            priority: reader.or(fields, 4, Reader::narrow)?,
            ttl: reader.field(fields, Reader::narrow)?,
            first_acquirer: reader.or(fields, false, Reader::boolean)?,
            delivery_count: reader.or(fields, 0, Reader::narrow)?,
        };
        reader.close(fields)?;
        Ok(header)
    }
}

impl From<MessageId> for Value {
    fn from(id: MessageId) -> Self {
        match id {
            MessageId::Ulong(number) => Self::Ulong(number),
            MessageId::Uuid(octets) => Self::Uuid(octets),
            MessageId::Binary(octets) => Self::Binary(octets),
            MessageId::String(text) => Self::String(text),
        }
    }
}

impl MessageId {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ulong(number) => write::ulong(out, *number),
            Self::Uuid(octets) => write::value(out, &Value::Uuid(*octets)),
            Self::Binary(octets) => write::binary(out, octets),
            Self::String(text) => write::string(out, text),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.value()? {
            Value::Ulong(number) => Ok(Self::Ulong(number)),
            Value::Uuid(octets) => Ok(Self::Uuid(octets)),
            Value::Binary(octets) => Ok(Self::Binary(octets)),
            Value::String(text) => Ok(Self::String(text)),
            _ => Err(Error::UnexpectedType),
        }
    }
}

impl Properties {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Content type and encoding are symbols by the standard.
        let name = |out: &mut Vec<u8>, text: &str| write::symbol_text(out, text);
        write::described_list(out, super::PROPERTIES, 13, |out| {
            write::optional(out, self.message_id.as_ref(), |out, id| id.write(out));
            write::optional(out, self.user_id.as_deref(), write::binary);
            write::optional(out, self.to.as_deref(), write::string);
            write::optional(out, self.subject.as_deref(), write::string);
            write::optional(out, self.reply_to.as_deref(), write::string);
            write::optional(out, self.correlation_id.as_ref(), |out, id| id.write(out));
            write::optional(out, self.content_type.as_deref(), name);
            write::optional(out, self.content_encoding.as_deref(), name);
            write::optional(out, self.absolute_expiry_time, write::timestamp);
            write::optional(out, self.creation_time, write::timestamp);
            write::optional(out, self.group_id.as_deref(), write::string);
            write::optional(out, self.group_sequence, write::uint);
            write::optional(out, self.reply_to_group_id.as_deref(), write::string);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let fields = &mut reader.fields()?;
        let properties = Self {
            message_id: reader.field(fields, MessageId::read)?,
            user_id: reader.field(fields, Reader::binary)?,
            to: reader.field(fields, Reader::string)?,
            subject: reader.field(fields, Reader::string)?,
            reply_to: reader.field(fields, Reader::string)?,
            correlation_id: reader.field(fields, MessageId::read)?,
            content_type: reader.field(fields, Reader::string)?,
            content_encoding: reader.field(fields, Reader::string)?,
            absolute_expiry_time: reader.field(fields, Reader::timestamp)?,
            creation_time: reader.field(fields, Reader::timestamp)?,
            group_id: reader.field(fields, Reader::string)?,
            group_sequence: reader.field(fields, Reader::narrow)?,
            reply_to_group_id: reader.field(fields, Reader::string)?,
        };
        reader.close(fields)?;
        Ok(properties)
    }
}
