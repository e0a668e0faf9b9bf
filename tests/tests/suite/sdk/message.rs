//! What devices send, and whether it arrived as it was sent.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::cell::{Row, Sdk, Step, Transport};
use super::reader::Event;

/// A message as it is asked for.
pub(crate) struct Message {
    body: Vec<u8>,
    /// The component of the device that it comes from, as plug and play has it.
    component: Option<&'static str>,
    /// System properties by their AMQP names.
    system: Vec<(&'static str, String)>,
    properties: Vec<(&'static str, &'static str)>,
}

/// Every character that the vendor permits in a message id.
const EVERY_SIGN: &str = "-:.+%_#*?!(),=@;$'";

/// Application properties that try the encoding: separators of topics and queries, what must be percent-encoded, what
/// looks encoded already, letters beyond ASCII, and nothing.
const PROPERTIES: &[(&str, &str)] = &[
    ("alert", "true"),
    ("a b/c", "x&y=z"),
    ("empty", ""),
    ("percent", "%41+%2F"),
    ("signs", "#+$?;,:@'\"\\|<>{}"),
    ("größe", "5 µm – 😀"),
];
/// The same for HTTP, where the SDK puts names and values into header fields as they are.
const HEADER_PROPERTIES: &[(&str, &str)] = &[
    ("alert", "true"),
    ("percent", "%41+%2F"),
    ("signs", "#+$?;,:@'\"\\|<>{}"),
    ("under_score-2", "a b  c"),
];

/// A component, as plug and play names it.
const COMPONENT: &str = "thermostat";
/// A model, as plug and play names it.
const MODEL: &str = "dtmi:com:example:Thermostat;1";

/// The model that the client of a row announces when it comes back.
pub(crate) fn model(row: Row, step: Step) -> Option<&'static str> {
    // It is announced with CONNECT; the SDKs have no way to say it over AMQP or HTTP.
    let over_mqtt = matches!(row.transport, Transport::Mqtt | Transport::MqttWs);
    (step == Step::Reconnect && over_mqtt).then_some(MODEL)
}

/// What a step sends: a message with everything, then one with nothing but bytes that are no text.
pub(crate) fn messages(row: Row, step: Step) -> Vec<Message> {
    let text = |what: &str| format!("{what}-{}", row.cell(step));
    let full = Message {
        component: (step == Step::Reconnect).then_some(COMPONENT),
        body: json!({"cell": row.cell(step), "temperature": 21.5, "unit": "°C"})
            .to_string()
            .into_bytes(),
        system: vec![
            ("message-id", format!("{}{EVERY_SIGN}", step.name())),
            ("correlation-id", text("c 1/2&3=4")),
            ("user-id", text("user")),
            ("content-type", "application/json".to_owned()),
            ("content-encoding", "utf-8".to_owned()),
            ("absolute-expiry-time", "2049-12-31T23:59:59Z".to_owned()),
        ],
        properties: match row.transport {
            Transport::Http => HEADER_PROPERTIES.to_vec(),
            _ => PROPERTIES.to_vec(),
        },
    };
    let bare = Message {
        component: None,
        body: [&[0, 0xff, 0xfe, 0x80][..], step.name().as_bytes()].concat(),
        system: Vec::new(),
        properties: Vec::new(),
    };
    vec![full, bare]
}

impl Message {
    /// The message as a scenario program takes it.
    pub(crate) fn wish(&self) -> Value {
        let map = |pairs: Vec<(String, Value)>| pairs.into_iter().collect::<Map<_, _>>();
        let system = self
            .system
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Value::from(v.as_str())));
        let properties = self
            .properties
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Value::from(*v)));
        json!({
            "body": BASE64.encode(&self.body),
            "component": self.component,
            "system": map(system.collect()),
            "properties": map(properties.collect()),
        })
    }

    /// Says in what an event differs from this message, sent by a device of that row and generation.
    pub(crate) fn differences(&self, event: &Event, row: Row, step: Step, generation: &str) -> Vec<String> {
        let mut found = Vec::new();
        if !event.body.is(&self.body) {
            found.push(format!(
                "body: sent {:?}, read {:?}",
                String::from_utf8_lossy(&self.body),
                event.body
            ));
        }
        let system = self
            .system
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .chain(added_by_sdk(row));
        compare("property", system.collect(), &event.properties, &mut found);
        let own = self
            .properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        compare(
            "application property",
            own.collect(),
            &event.application,
            &mut found,
        );
        let plug_and_play = [
            ("dt-subject", self.component),
            ("dt-dataschema", model(row, step)),
        ];
        annotations(event, row, generation, &plug_and_play, &mut found);
        found
    }
}

/// System properties that an SDK sets by itself.
fn added_by_sdk(row: Row) -> Option<(String, Value)> {
    // azure-iot-device-http 1.14.4 sends the header `iothub-to` with every message.
    (row.sdk == Sdk::NodeDevice && row.transport == Transport::Http).then(|| {
        let to = format!("/devices/{}/messages/events", row.device_id());
        ("to".to_owned(), Value::from(to))
    })
}

/// Says where two maps differ.
fn compare<'a>(
    what: &str,
    mut wanted: Map<String, Value>,
    read: impl IntoIterator<Item = (&'a String, &'a Value)>,
    found: &mut Vec<String>,
) {
    for (name, value) in read {
        match wanted.remove(name) {
            None => found.push(format!("{what} {name}: not sent, read {value}")),
            Some(sent) if sent != *value => found.push(format!("{what} {name}: sent {sent}, read {value}")),
            Some(_) => {}
        }
    }
    found.extend(
        wanted
            .iter()
            .map(|(name, sent)| format!("{what} {name}: sent {sent}, not read")),
    );
}

/// Checks what the hub says about an event: these annotations, no others, in these forms.
fn annotations(
    event: &Event,
    row: Row,
    generation: &str,
    more: &[(&str, Option<&str>)],
    found: &mut Vec<String>,
) {
    let kind = if row.proof.is_x509() { "x509" } else { "sas" };
    // The certificate of a device that a group let in is known to the hub by its thumbprint, as any other.
    let method = json!({"scope": "device", "type": kind, "issuer": "iothub", "acceptingIpFilterRule": null});
    let mut rest = event.annotations.clone();
    let mut take = |name: &str| rest.remove(name).unwrap_or(Value::Null);
    let mut expect = |name: &str, holds: bool, read: &Value| {
        if !holds {
            found.push(format!("annotation {name}: read {read}"));
        }
    };
    let id = take("iothub-connection-device-id");
    expect("iothub-connection-device-id", id == row.device_id(), &id);
    let read = take("iothub-connection-auth-method");
    let parsed = read
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    expect("iothub-connection-auth-method", parsed == Some(method), &read);
    let read = take("iothub-connection-auth-generation-id");
    expect("iothub-connection-auth-generation-id", read == generation, &read);
    let read = take("iothub-message-source");
    expect("iothub-message-source", read == "Telemetry", &read);
    let (received, enqueued) = (take("iothub-enqueuedtime"), take("x-opt-enqueued-time"));
    let in_order = received.as_u64().is_some_and(|received| {
        enqueued
            .as_u64()
            .is_some_and(|enqueued| 0 < received && received <= enqueued)
    });
    expect("iothub-enqueuedtime", in_order, &received);
    let (sequence, offset) = (take("x-opt-sequence-number"), take("x-opt-offset"));
    expect("x-opt-sequence-number", sequence == event.place.1, &sequence);
    expect(
        "x-opt-offset",
        offset.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
        &offset,
    );
    for (name, wanted) in more {
        let read = take(name);
        expect(name, read.as_str() == *wanted, &read);
    }
    for (name, read) in rest {
        found.push(format!("annotation {name}: not expected, read {read}"));
    }
}
