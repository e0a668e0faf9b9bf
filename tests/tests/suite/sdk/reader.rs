//! Events as a back end reads them, whichever way: the server's own lines, or an Event Hubs client's program.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value;

/// An event as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// What the hub says about it, by name; times in milliseconds.
    pub(crate) annotations: BTreeMap<String, Value>,
    /// The sender's own properties.
    pub(crate) application: BTreeMap<String, Value>,
    /// The body.
    pub(crate) body: Body,
    /// System properties, by their AMQP names.
    pub(crate) properties: BTreeMap<String, Value>,
    /// Partition and sequence number.
    pub(crate) place: (u64, u64),
}

/// A body, as exactly as the reader shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The JSON that it is.
    Json(Value),
}

impl Event {
    /// Reads an event as lines and programs write it: an object with `annotations`, `properties`,
    /// `applicationProperties`, `body` and, where the body is neither JSON nor text, `bodyEncoding`.
    pub(crate) fn read(line: &Value) -> Self {
        let map = |name: &str| -> BTreeMap<String, Value> {
            line[name]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let number = |name: &str| {
            line[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {line}"))
        };
        let body = match (&line["body"], line["bodyEncoding"].as_str()) {
            (Value::String(text), Some("base64")) => {
                Body::Bytes(BASE64.decode(text.as_bytes()).expect("a body in base64"))
            }
            (Value::String(text), _) => Body::Bytes(text.clone().into_bytes()),
            (json, _) => Body::Json(json.clone()),
        };
        let mut properties = map("properties");
        if let Some(Value::String(expiry)) = properties.get_mut("absolute-expiry-time") {
            *expiry = in_short(expiry);
        }
        Self {
            annotations: map("annotations"),
            application: map("applicationProperties"),
            body,
            properties,
            place: (number("partition"), number("sequenceNumber")),
        }
    }

    /// The device that sent it.
    pub(crate) fn device(&self) -> Option<&str> {
        self.annotations
            .get("iothub-connection-device-id")
            .and_then(Value::as_str)
    }
}

/// A time in ISO 8601 without the zeros at the end of its fraction, of which each reader writes as many as it likes.
fn in_short(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('.')) {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{seconds}Z"),
            rest => format!("{seconds}.{rest}Z"),
        },
        None => time.to_owned(),
    }
}

impl Body {
    /// Says whether these are the bytes, as far as the reader shows them.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes(own) => own == bytes,
            Self::Json(own) => serde_json::from_slice::<Value>(bytes).is_ok_and(|other| other == *own),
        }
    }

    /// Says whether two readers saw the same.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(own), Self::Json(other)) => own == other,
            (_, Self::Bytes(bytes)) => self.is(bytes),
            (Self::Bytes(bytes), _) => other.is(bytes),
        }
    }
}
