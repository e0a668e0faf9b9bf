//! The rules on JSON against a reader that is not ours, twins, and the answers that a client reads.
//!
//! Holds that what is taken is JSON, that what is JSON is refused by a rule and never as bad syntax, and that no key
//! stands twice in what was taken.

#![no_main]

mod support;

use libfuzzer_sys::fuzz_target;
use muster_model::{Json, JsonError, JsonLimits};
use muster_wire::arm::HubSummary;
use muster_wire::event::EventLine;
use muster_wire::fault::ReceivedFault;
use muster_wire::refusal::{RefusalDocument, RefusalList};
use muster_wire::twin::{InitialTwinDocument, MAX_DESIRED, MAX_TAGS};
use muster_wire::{Surface, escape_non_ascii};
use serde_json::Value;

const LIMITS: JsonLimits = JsonLimits {
    bytes: 16 * 1024,
    depth: 16,
};

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 4) {
        Some((0, body)) => {
            if let Ok(text) = std::str::from_utf8(body) {
                differential(text);
            }
        }
        Some((1, body)) => twin(body),
        Some((2, body)) => {
            let fault = ReceivedFault::read(body);
            for surface in [Surface::Arm, Surface::Dps, Surface::Hub] {
                let _ = fault.entry(surface);
            }
            let _ = muster_wire::arm::List::<HubSummary>::read(body);
        }
        Some((_, body)) => {
            if let Ok(line) = EventLine::read(body) {
                let _ = line.device();
            }
            if let Ok(read) = RefusalDocument::read(body) {
                assert_eq!(RefusalDocument::read(read.to_json().as_bytes()), Ok(read));
            }
            if let Ok(read) = RefusalList::read(body) {
                assert_eq!(RefusalList::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        None => {}
    }
});

fn differential(text: &str) {
    let theirs = serde_json::from_str::<Value>(text);
    match (Json::parse(text, LIMITS), theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert!(text.len() <= LIMITS.bytes);
            assert!(depth(&theirs) <= LIMITS.depth);
            assert_eq!(ours.value(), theirs);
            assert_eq!(ours.is_object(), theirs.is_object());
            assert_eq!(
                ours.is_empty_object(),
                theirs.as_object().is_some_and(serde_json::Map::is_empty)
            );
            assert_eq!(Json::parse(ours.as_str(), LIMITS).as_ref(), Ok(&ours));
            assert_eq!(serde_json::to_string(&ours).ok().as_deref(), Some(ours.as_str()));
            let escaped = escape_non_ascii(ours.as_str());
            assert!(escaped.is_ascii());
            assert_eq!(serde_json::from_str::<Value>(&escaped).ok(), Some(theirs));
        }
        (Ok(_), Err(error)) => panic!("taken, and no JSON: {error}"),
        (Err(JsonError::Deep(_) | JsonError::DuplicateKey(_) | JsonError::Long(_)), _) | (Err(_), Err(_)) => {
        }
        (Err(error), Ok(_)) => panic!("JSON, and refused: {error}"),
    }
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => members.values().map(depth).max().unwrap_or_default(),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => 0,
    }
}

fn twin(body: &[u8]) {
    let Ok(document) = serde_json::from_slice::<InitialTwinDocument>(body) else {
        return;
    };
    let Ok(twin) = document.parse("initialTwin") else {
        return;
    };
    assert!(twin.tags.value().to_string().len() <= MAX_TAGS);
    assert!(twin.desired.value().to_string().len() <= MAX_DESIRED);
    assert!(twin.tags.is_object() && twin.desired.is_object());
    let written = serde_json::to_string(&InitialTwinDocument::from(&twin)).expect("it is written");
    assert!(serde_json::from_str::<Value>(&written).is_ok());
}
