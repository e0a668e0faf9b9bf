//! Events of the built-in endpoint: their annotations, and a line of JSON for each.
//!
//! The annotations have the names and types that readers over AMQP find; times are milliseconds since 1970. A line is
//! one JSON object without line ends, whatever the body holds.

use std::collections::BTreeMap;

use muster_model::message::Message;
use muster_model::{DeviceId, GenerationId, Json, JsonLimits, Partition, Position, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::body;
use crate::error::Error;
use crate::message::media_type;
use crate::time;

/// Bounds within which a body is shown as JSON; others are shown as text.
const SHOWN_JSON: JsonLimits = JsonLimits {
    bytes: muster_model::message::MAX_MESSAGE,
    depth: 64,
};
/// Bounds of a line: base64 of the largest message, its properties and what is around them.
const LINE: JsonLimits = JsonLimits {
    bytes: 2 << 20,
    depth: 70,
};

/// How the sender of an event had proved who it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Sender {
    /// By a token with the device's own key.
    DeviceKey,
    /// By a token with a policy's key.
    PolicyKey,
    /// By a certificate that chains to a CA certificate of the hub.
    X509Ca,
    /// By a certificate known by its thumbprint.
    X509Thumbprint,
}

impl Sender {
    /// The JSON text that stands in the annotation.
    pub const fn auth_method(self) -> &'static str {
        match self {
            Self::DeviceKey => {
                r#"{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#
            }
            Self::PolicyKey => {
                r#"{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#
            }
            Self::X509Ca => {
                r#"{"scope":"device","type":"x509","issuer":"external","acceptingIpFilterRule":null}"#
            }
            Self::X509Thumbprint => {
                r#"{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}"#
            }
        }
    }
}

/// An event as it is read from the log.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The partition.
    pub partition: Partition,
    /// The place in it.
    pub position: Position,
    /// When the log took it.
    pub enqueued: Wall,
    /// The device that sent it.
    pub device: &'a DeviceId,
    /// Its generation at that time.
    pub generation: GenerationId,
    /// How it had proved who it is.
    pub sender: Sender,
    /// When the hub received it.
    pub received: Wall,
    /// The kind of event, as it is printed (`Telemetry`).
    pub source: &'a str,
    /// What was sent.
    pub message: &'a Message,
}

/// The value of an annotation, in the type that AMQP gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Annotation {
    /// A long.
    Long(i64),
    /// A string.
    Text(String),
    /// A timestamp, in milliseconds since 1970.
    Timestamp(i64),
}

impl EventView<'_> {
    /// The annotations, in the order in which they are shown.
    pub fn annotations(&self) -> Vec<(&'static str, Annotation)> {
        let text = |text: &str| Annotation::Text(text.to_owned());
        let number = i64::try_from(self.position.get()).unwrap_or(i64::MAX);
        let system = &self.message.system;
        let mut all = vec![
            ("iothub-connection-device-id", text(self.device.as_str())),
            ("iothub-connection-auth-method", text(self.sender.auth_method())),
            (
                "iothub-connection-auth-generation-id",
                text(&self.generation.to_string()),
            ),
            (
                "iothub-enqueuedtime",
                Annotation::Timestamp(self.received.millis()),
            ),
            ("iothub-message-source", text(self.source)),
        ];
        for (name, value) in [
            ("iothub-interface-id", &system.interface_id),
            ("dt-dataschema", &system.data_schema),
            ("dt-subject", &system.subject),
        ] {
            if let Some(value) = value {
                all.push((name, text(value)));
            }
        }
        all.push(("x-opt-sequence-number", Annotation::Long(number)));
        all.push(("x-opt-offset", text(&self.position.to_string())));
        all.push((
            "x-opt-enqueued-time",
            Annotation::Timestamp(self.enqueued.millis()),
        ));
        all
    }

    /// The event as one line of JSON, without the line end.
    pub fn line(&self) -> String {
        let annotations: Map<String, Value> = self
            .annotations()
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Annotation::Long(number) | Annotation::Timestamp(number) => Value::from(number),
                    Annotation::Text(text) => Value::from(text),
                };
                (name.to_owned(), value)
            })
            .collect();
        let (body, body_encoding) = shown_body(self.message);
        let line = Line {
            partition: self.partition.get(),
            sequence_number: self.position.get(),
            offset: self.position.to_string(),
            enqueued_time: time::iso(self.enqueued),
            annotations,
            properties: system_properties(self.message),
            application_properties: self
                .message
                .application
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            body,
            body_encoding,
        };
        body::write(&line)
    }
}

/// A line as a client reads it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EventLine {
    /// The partition.
    pub partition: u16,
    /// The place in it.
    pub sequence_number: u64,
    /// The same as text.
    pub offset: String,
    /// When the log took it.
    pub enqueued_time: String,
    /// What the hub says about it.
    pub annotations: BTreeMap<String, Value>,
    /// What the protocol's own fields said.
    pub properties: BTreeMap<String, String>,
    /// The sender's own properties.
    pub application_properties: BTreeMap<String, String>,
    /// The body: JSON, text, or base64.
    pub body: Option<Json>,
    /// `base64` where the body is neither JSON nor text.
    pub body_encoding: Option<String>,
}

impl EventLine {
    /// Reads a line.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(line: &[u8]) -> Result<Self, Error> {
        body::read(line, LINE)
    }

    /// The device that sent it.
    pub fn device(&self) -> Option<&str> {
        self.annotations
            .get("iothub-connection-device-id")
            .and_then(Value::as_str)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    partition: u16,
    sequence_number: u64,
    offset: String,
    enqueued_time: String,
    annotations: Map<String, Value>,
    properties: Map<String, Value>,
    application_properties: Map<String, Value>,
    body: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
}

/// What the protocol's own fields said, under the names that AMQP gives them.
fn system_properties(message: &Message) -> Map<String, Value> {
    let system = &message.system;
    let mut shown = Map::new();
    for (name, value) in [
        ("message-id", &system.message_id),
        ("correlation-id", &system.correlation_id),
        ("user-id", &system.user_id),
        ("to", &system.to),
        ("content-type", &system.content_type),
        ("content-encoding", &system.content_encoding),
        ("iothub-creation-time-utc", &system.creation_time),
        ("iothub-ack", &system.ack),
    ] {
        if let Some(value) = value {
            shown.insert(name.to_owned(), Value::from(value.as_str()));
        }
    }
    if let Some(expiry) = system.expiry {
        shown.insert("absolute-expiry-time".to_owned(), Value::from(time::iso(expiry)));
    }
    shown
}

/// The body as JSON where its type says so and it is some, as text where it is UTF-8, else in base64.
fn shown_body(message: &Message) -> (Json, Option<&'static str>) {
    let text = |text: &str| Json::from_value(&json!(text));
    match std::str::from_utf8(&message.body) {
        Ok(utf8) => {
            let json = announces_json(message)
                .then(|| Json::parse(&without_layout(utf8), SHOWN_JSON).ok())
                .flatten();
            (json.unwrap_or_else(|| text(utf8)), None)
        }
        Err(_) => (text(&data_encoding::BASE64.encode(&message.body)), Some("base64")),
    }
}

fn announces_json(message: &Message) -> bool {
    let system = &message.system;
    let is_json = system
        .content_type
        .as_deref()
        .map(media_type)
        .is_some_and(|kind| {
            kind.eq_ignore_ascii_case("application/json")
                || kind
                    .get(kind.len().saturating_sub(5)..)
                    .is_some_and(|tail| tail.eq_ignore_ascii_case("+json"))
        });
    let is_utf8 = system
        .content_encoding
        .as_deref()
        .is_none_or(|encoding| encoding.is_empty() || encoding.eq_ignore_ascii_case("utf-8"));
    is_json && is_utf8
}

/// Leaves out blanks and line ends between the tokens of a JSON text; numbers and texts stay as they were written.
fn without_layout(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == '"' {
                inside = false;
            }
        } else if c == '"' {
            inside = true;
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use muster_model::message::SystemProperties;
    use proptest::prelude::*;

    use super::*;

    fn view<'a>(device: &'a DeviceId, message: &'a Message) -> EventView<'a> {
        EventView {
            partition: Partition::new(1),
            position: Position::new(42),
            enqueued: Wall::from_millis(1_661_622_799_514),
            device,
            generation: GenerationId::new(637_553_997_165_220_462),
            sender: Sender::DeviceKey,
            received: Wall::from_millis(1_661_622_799_500),
            source: "Telemetry",
            message,
        }
    }

    fn message(content_type: Option<&str>, body: &[u8]) -> Message {
        Message {
            system: SystemProperties {
                content_type: content_type.map(str::to_owned),
                ..SystemProperties::default()
            },
            application: vec![("level".into(), "hot".into())],
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_line_holds_what_readers_look_for() {
        let device = DeviceId::parse("dev1").unwrap();
        let message = message(Some("application/json; charset=utf-8"), b"{\"t\":\n 1.50}");
        assert_eq!(
            view(&device, &message).line(),
            "{\"partition\":1,\"sequenceNumber\":42,\"offset\":\"42\",\
             \"enqueuedTime\":\"2022-08-27T17:53:19.5140000Z\",\"annotations\":{\
             \"iothub-connection-device-id\":\"dev1\",\"iothub-connection-auth-method\":\
             \"{\\\"scope\\\":\\\"device\\\",\\\"type\\\":\\\"sas\\\",\\\"issuer\\\":\\\"iothub\\\",\
             \\\"acceptingIpFilterRule\\\":null}\",\"iothub-connection-auth-generation-id\":\"637553997165220462\",\
             \"iothub-enqueuedtime\":1661622799500,\"iothub-message-source\":\"Telemetry\",\
             \"x-opt-sequence-number\":42,\"x-opt-offset\":\"42\",\"x-opt-enqueued-time\":1661622799514},\
             \"properties\":{\"content-type\":\"application/json; charset=utf-8\"},\
             \"applicationProperties\":{\"level\":\"hot\"},\"body\":{\"t\":1.50}}"
        );
        let read = EventLine::read(view(&device, &message).line().as_bytes()).unwrap();
        assert_eq!(read.device(), Some("dev1"));
        assert_eq!(read.body.unwrap().as_str(), "{\"t\":1.50}");
    }

    #[test]
    fn a_body_is_json_text_or_base64() {
        let device = DeviceId::parse("dev1").unwrap();
        let shown = |kind: Option<&str>, body: &[u8]| {
            let message = message(kind, body);
            let read = EventLine::read(view(&device, &message).line().as_bytes()).unwrap();
            (read.body.unwrap().as_str().to_owned(), read.body_encoding)
        };
        assert_eq!(shown(None, b"{\"a\":1}"), ("\"{\\\"a\\\":1}\"".into(), None));
        assert_eq!(
            shown(Some("application/json"), b"{\"a\":"),
            ("\"{\\\"a\\\":\"".into(), None)
        );
        assert_eq!(
            shown(Some("application/vnd.x+json"), b"[\"a \\\" b\", 1]"),
            ("[\"a \\\" b\",1]".into(), None)
        );
        assert_eq!(
            shown(Some("application/json"), b"\xff"),
            ("\"/w==\"".into(), Some("base64".into()))
        );
        assert_eq!(shown(None, b""), ("\"\"".into(), None));
    }

    #[test]
    fn auth_methods_are_json() {
        for sender in [
            Sender::DeviceKey,
            Sender::PolicyKey,
            Sender::X509Ca,
            Sender::X509Thumbprint,
        ] {
            let value: Value = serde_json::from_str(sender.auth_method()).unwrap();
            assert!(value["acceptingIpFilterRule"].is_null());
        }
    }

    proptest! {
        #[test]
        fn a_line_never_holds_a_line_end(
            body in prop::collection::vec(any::<u8>(), 0..60),
            text in "[{}\\[\\]\",:0-9 \n\r\\\\a]{0,40}",
        ) {
            let device = DeviceId::parse("d").unwrap();
            for bytes in [body.as_slice(), text.as_bytes()] {
                let message = message(Some("application/json"), bytes);
                let line = view(&device, &message).line();
                prop_assert!(!line.contains(['\n', '\r']));
                prop_assert!(EventLine::read(line.as_bytes()).is_ok());
            }
        }

        #[test]
        fn arbitrary_lines_never_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = EventLine::read(&line);
        }
    }
}
