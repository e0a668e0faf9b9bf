//! Messages: the sections of a delivery's payload.
//!
//! Reading is lenient where clients are: sections may be missing, keys may be strings or symbols, and a body may be
//! absent. It is bounded by the values of one [`Reader`]. Writing puts the sections that are there in the standard's
//! order, each list with every field. The body's octets are not copied when they are read.

mod batch;
mod properties;

pub use batch::{BATCH_FORMAT, Batch, write_batch};
pub use properties::{Header, MessageId, Properties};

use bytes::Bytes;

use crate::codec::{Reader, write};
use crate::error::Error;
use crate::value::{Map, Value};

pub(crate) const HEADER: u8 = 0x70;
const DELIVERY_ANNOTATIONS: u8 = 0x71;
const MESSAGE_ANNOTATIONS: u8 = 0x72;
pub(crate) const PROPERTIES: u8 = 0x73;
const APPLICATION_PROPERTIES: u8 = 0x74;
const DATA: u8 = 0x75;
const SEQUENCE: u8 = 0x76;
const VALUE: u8 = 0x77;
const FOOTER: u8 = 0x78;

/// A message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// How it is to be carried.
    pub header: Option<Header>,
    /// Notes for the next hop.
    pub delivery_annotations: Option<Map>,
    /// Notes for every hop.
    pub message_annotations: Option<Map>,
    /// What the standard says about a message. Some clients read a section that is there as if all of its fields
    /// were set, so it is written only if it is `Some`.
    pub properties: Option<Box<Properties>>,
    /// What applications say about a message, by name; `None` and empty are different on the wire.
    pub application_properties: Option<Vec<(String, Value)>>,
    /// What it says.
    pub body: Body,
    /// What follows the body, such as a signature.
    pub footer: Option<Map>,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// Nothing at all: there is no body section.
    #[default]
    Empty,
    /// Octets, in one section or several.
    Data(Vec<Bytes>),
    /// Values, in one section or several.
    Sequence(Vec<Vec<Value>>),
    /// One value.
    Value(Value),
}

impl Message {
    /// A message of one data section.
    pub fn data(octets: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Data(vec![octets.into()]),
            ..Self::default()
        }
    }

    /// Reads a message that fills `payload`; its octets are shared with it.
    ///
    /// # Errors
    /// The errors of [`Reader::value`], and [`Error::UnknownDescriptor`], [`Error::SectionOrder`],
    /// [`Error::UnexpectedType`] and [`Error::OutOfRange`] for what is no message.
    pub fn decode(payload: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::shared(payload);
        let mut message = Self::default();
        let mut last = 0;
        while !reader.is_empty() {
            let section = section(&mut reader)?;
            let repeats = matches!(section, DATA | SEQUENCE) && section == last;
            let body_twice = matches!(section, DATA..=VALUE) && matches!(last, DATA..=VALUE);
            if !repeats && (section <= last || body_twice) {
                return Err(Error::SectionOrder);
            }
            last = section;
            message.read_section(section, &mut reader)?;
        }
        Ok(message)
    }

    fn read_section(&mut self, section: u8, reader: &mut Reader<'_>) -> Result<(), Error> {
        match section {
            HEADER => self.header = Some(Header::read(reader)?),
            DELIVERY_ANNOTATIONS => self.delivery_annotations = Some(reader.map()?),
            MESSAGE_ANNOTATIONS => self.message_annotations = Some(reader.map()?),
            PROPERTIES => self.properties = Some(Box::new(Properties::read(reader)?)),
            APPLICATION_PROPERTIES => {
                self.application_properties = Some(
                    reader
                        .map()?
                        .into_iter()
                        .map(|(key, value)| match key {
                            Value::String(key) => Ok((key, value)),
                            Value::Symbol(key) => Ok((key.as_str().to_owned(), value)),
                            _ => Err(Error::UnexpectedType),
                        })
                        .collect::<Result<_, _>>()?,
                );
            }
            DATA => {
                reader.charge()?;
                let octets = reader.binary()?;
                match &mut self.body {
                    Body::Data(sections) => sections.push(octets),
                    body => *body = Body::Data(vec![octets]),
                }
            }
            SEQUENCE => {
                let Value::List(items) = reader.value()? else {
                    return Err(Error::UnexpectedType);
                };
                match &mut self.body {
                    Body::Sequence(sections) => sections.push(items),
                    body => *body = Body::Sequence(vec![items]),
                }
            }
            VALUE => self.body = Body::Value(reader.value()?),
            _ => self.footer = Some(reader.map()?),
        }
        Ok(())
    }

    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(header) = &self.header {
            header.write(out);
        }
        write_map(out, DELIVERY_ANNOTATIONS, self.delivery_annotations.as_ref());
        write_map(out, MESSAGE_ANNOTATIONS, self.message_annotations.as_ref());
        if let Some(properties) = &self.properties {
            properties.write(out);
        }
        if let Some(pairs) = &self.application_properties {
            write::descriptor(out, APPLICATION_PROPERTIES);
            write::pairs(out, pairs, |out, key| write::string(out, key));
        }
        match &self.body {
            Body::Empty => {}
            Body::Data(sections) => {
                for octets in sections {
                    write_data(out, octets);
                }
            }
            Body::Sequence(sections) => {
                for items in sections {
                    write::descriptor(out, SEQUENCE);
                    write::list(out, items);
                }
            }
            Body::Value(value) => {
                write::descriptor(out, VALUE);
                write::value(out, value);
            }
        }
        write_map(out, FOOTER, self.footer.as_ref());
    }

    /// The message as bytes of its own.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.into()
    }

    /// The value of an application property.
    pub fn application_property(&self, name: &str) -> Option<&Value> {
        let pairs = self.application_properties.as_ref()?;
        pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

fn write_map(out: &mut Vec<u8>, section: u8, map: Option<&Map>) {
    if let Some(map) = map {
        write::descriptor(out, section);
        write::map(out, map);
    }
}

fn write_data(out: &mut Vec<u8>, octets: &[u8]) {
    write::descriptor(out, DATA);
    write::binary(out, octets);
}

/// Reads which section follows.
fn section(reader: &mut Reader<'_>) -> Result<u8, Error> {
    let descriptor = reader.descriptor(code)?;
    match u8::try_from(descriptor) {
        Ok(section @ HEADER..=FOOTER) => Ok(section),
        _ => Err(Error::UnknownDescriptor(descriptor)),
    }
}

fn code(name: &str) -> Option<u64> {
    let code = match name {
        "amqp:header:list" => HEADER,
        "amqp:delivery-annotations:map" => DELIVERY_ANNOTATIONS,
        "amqp:message-annotations:map" => MESSAGE_ANNOTATIONS,
        "amqp:properties:list" => PROPERTIES,
        "amqp:application-properties:map" => APPLICATION_PROPERTIES,
        "amqp:data:binary" => DATA,
        "amqp:amqp-sequence:list" => SEQUENCE,
        "amqp:amqp-value:*" => VALUE,
        "amqp:footer:map" => FOOTER,
        _ => return None,
    };
    Some(code.into())
}

#[cfg(test)]
mod tests;
