//! Device-to-cloud messages over HTTPS: a single one in headers and body, or several in a JSON batch.
//!
//! HTTP libraries hand header names over in lower case, so names of application properties lose their case here; those
//! of a batch keep it. Names are held to the documented characters; values may be any printable ASCII, for dates and
//! addresses are common in them.

use muster_model::message::{MAX_MESSAGE, MAX_MESSAGE_ID, Message, SystemProperties};
use muster_model::{DeviceId, Json, JsonLimits, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::body;
use crate::error::Error;
use crate::{sas, time};

/// Content type of a batch.
pub const BATCH: &str = "application/vnd.microsoft.iothub.json";
/// Prefix of application properties.
const APPLICATION: &str = "iothub-app-";
/// Most messages of a batch. The C SDK counts 384 bytes for each, so that its batches end below 700.
const MAX_BATCH: usize = 1000;
/// Bounds of a batch. Source: IoT Hub quotas, "device-to-cloud messaging", read 2026-11.
const BATCH_BODY: JsonLimits = JsonLimits {
    bytes: MAX_MESSAGE,
    depth: 64,
};

/// The system properties that have a header of their own, with its name in lower case.
const HEADERS: [&str; 11] = [
    "iothub-messageid",
    "iothub-correlationid",
    "iothub-userid",
    "iothub-to",
    "iothub-expiry",
    "iothub-ack",
    "iothub-contenttype",
    "iothub-contentencoding",
    "iothub-interface-id",
    "dt-subject",
    "iothub-creation-time-utc",
];

/// Tells whether a content type announces a batch.
pub fn is_batch(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|text| media_type(text).eq_ignore_ascii_case(BATCH))
}

/// Takes a single message from its headers, in any order and case, and its body.
///
/// # Errors
/// [`Error::Twice`] and [`Error::Field`] for a header, [`Error::TooLarge`] for the whole.
pub fn from_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: Vec<u8>,
) -> Result<Message, Error> {
    let mut message = Message {
        body,
        ..Message::default()
    };
    let (mut content_type, mut content_encoding) = (None, None);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-encoding") {
            content_encoding = Some(value.to_owned());
        } else {
            property(&mut message, name, value)?;
        }
    }
    // Some clients describe the payload by the headers of HTTP itself.
    let system = &mut message.system;
    system.content_type = system.content_type.take().or(content_type);
    system.content_encoding = system.content_encoding.take().or(content_encoding);
    check(&message)?;
    Ok(message)
}

/// Takes the messages of a batch.
///
/// # Errors
/// [`Error::Json`], [`Error::Type`], [`Error::TooLarge`]; [`Error::Field`] that names the message.
pub fn from_batch(body: &[u8]) -> Result<Vec<Message>, Error> {
    if body.len() > BATCH_BODY.bytes {
        return Err(Error::TooLarge {
            what: "the batch",
            limit: BATCH_BODY.bytes,
        });
    }
    let items: Vec<BatchItem> = body::read(body, BATCH_BODY)?;
    if items.len() > MAX_BATCH {
        return Err(Error::field(
            "the batch",
            format!("must hold {MAX_BATCH} messages at most"),
        ));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| item.check(index))
        .collect()
}

/// Checks the rules that hold for a message whatever protocol brought it.
///
/// # Errors
/// [`Error::TooLarge`] over the size of a message, [`Error::Field`] for an id.
pub fn check(message: &Message) -> Result<(), Error> {
    if message.size() > MAX_MESSAGE {
        return Err(Error::TooLarge {
            what: "the message",
            limit: MAX_MESSAGE,
        });
    }
    if let Some(id) = &message.system.message_id {
        let fits = id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@;$'".contains(&b));
        if !fits || id.len() > MAX_MESSAGE_ID {
            return Err(Error::field(
                "message-id",
                "must have 128 letters, digits or - : . + % _ # * ? ! ( ) , = @ ; $ ' at most",
            ));
        }
    }
    match &message.system.correlation_id {
        Some(id) if id.chars().count() > MAX_MESSAGE_ID => {
            Err(Error::field("correlation-id", "must have 128 characters at most"))
        }
        _ => Ok(()),
    }
}

/// Writes the headers of a single message, for a client.
pub fn to_headers(message: &Message) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut system = message.system.clone();
    for header in HEADERS {
        let value = match header {
            "iothub-expiry" => system.expiry.map(time::iso),
            other => slot(&mut system, other).and_then(Option::take),
        };
        if let Some(value) = value {
            headers.push((header.to_owned(), value));
        }
    }
    for (name, value) in &message.application {
        headers.push((format!("{APPLICATION}{name}"), value.clone()));
    }
    headers
}

/// Writes a batch, for a client.
pub fn to_batch(messages: &[Message]) -> String {
    let items: Vec<BatchItem> = messages
        .iter()
        .map(|message| BatchItem {
            body: Some(Json::from_value(&Value::String(
                data_encoding::BASE64.encode(&message.body),
            ))),
            base64_encoded: None,
            properties: to_headers(message)
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
        })
        .collect();
    body::write(&items)
}

/// The path to which a device sends.
pub fn path(device: &DeviceId) -> String {
    format!("/devices/{}/messages/events", sas::encode(device.as_str()))
}

/// One message of a batch.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct BatchItem {
    body: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64_encoded: Option<bool>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    properties: Map<String, Value>,
}

impl BatchItem {
    fn check(self, index: usize) -> Result<Message, Error> {
        let path = format!("[{index}].body");
        let body = self.body.ok_or_else(|| Error::Missing(path.clone()))?;
        let body = match (body.value(), self.base64_encoded.unwrap_or(true)) {
            (Value::String(text), true) => data_encoding::BASE64
                .decode(text.as_bytes())
                .map_err(|_| Error::field(path, "must be base64"))?,
            (Value::String(text), false) => text.into_bytes(),
            (_, true) => return Err(Error::field(path, "must be base64")),
            (_, false) => body.as_str().as_bytes().to_vec(),
        };
        let mut message = Message {
            body,
            ..Message::default()
        };
        for (name, value) in &self.properties {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Null | Value::Object(_) => {
                    return Err(Error::field(
                        format!("[{index}].properties"),
                        "must hold texts only",
                    ));
                }
            };
            property(&mut message, name, &value)?;
        }
        check(&message)?;
        Ok(message)
    }
}

/// Takes one header, or one property of a batch. Headers that are no property of the message are left out.
fn property(message: &mut Message, name: &str, value: &str) -> Result<(), Error> {
    let folded = name.to_ascii_lowercase();
    let creation = "iothub-creation-time-utc";
    if let Some(rest) = folded.strip_prefix(APPLICATION).filter(|rest| *rest != creation) {
        let kept = name.get(APPLICATION.len()..).unwrap_or(rest);
        if kept.is_empty() || !kept.bytes().all(is_name_byte) {
            return Err(Error::field(
                "a property name",
                "must have letters, digits and ! # $ % & ' * + - . ^ _ ` | ~ only",
            ));
        }
        printable("a property value", value)?;
        if message
            .application
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(kept))
        {
            return Err(Error::Twice(format!("the property {kept}")));
        }
        message.application.push((kept.to_owned(), value.to_owned()));
        return Ok(());
    }
    let header = folded.strip_prefix(APPLICATION).unwrap_or(&folded);
    if header == "iothub-expiry" {
        let at = expiry(value)?;
        if message.system.expiry.replace(at).is_some() {
            return Err(Error::Twice("iothub-expiry".into()));
        }
    } else if let Some(slot) = slot(&mut message.system, header) {
        printable(header, value)?;
        if slot.replace(value.to_owned()).is_some() {
            return Err(Error::Twice(header.to_owned()));
        }
    }
    Ok(())
}

fn slot<'a>(system: &'a mut SystemProperties, header: &str) -> Option<&'a mut Option<String>> {
    Some(match header {
        "iothub-messageid" => &mut system.message_id,
        "iothub-correlationid" => &mut system.correlation_id,
        "iothub-userid" => &mut system.user_id,
        "iothub-to" => &mut system.to,
        "iothub-ack" => &mut system.ack,
        "iothub-contenttype" => &mut system.content_type,
        "iothub-contentencoding" => &mut system.content_encoding,
        "iothub-interface-id" => &mut system.interface_id,
        "dt-subject" => &mut system.subject,
        "iothub-creation-time-utc" => &mut system.creation_time,
        _ => return None,
    })
}

fn expiry(value: &str) -> Result<Wall, Error> {
    time::parse_iso(value)
        .or_else(|| time::parse_rfc1123(value))
        .ok_or_else(|| Error::field("iothub-expiry", "must be a date in ISO 8601"))
}

fn printable(path: &str, value: &str) -> Result<(), Error> {
    if value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        Ok(())
    } else {
        Err(Error::field(path, "must be printable ASCII"))
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The type without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests;
