//! The initial twin of an enrollment.
//!
//! Whole twins, their patches and their metadata are not here yet: nothing reads them.

use muster_model::Json;
use muster_model::twin::InitialTwin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::body;
use crate::error::Error;

/// Most bytes of tags. Source: IoT Hub, "Understand and use device twins", read 2026-11.
pub const MAX_TAGS: usize = 8 * 1024;
/// Most bytes of desired properties.
pub const MAX_DESIRED: usize = 32 * 1024;
/// Most levels below the root.
const MAX_DEPTH: usize = 10;
/// Most bytes of a key.
const MAX_KEY: usize = 1024;
/// Most bytes of a text value.
const MAX_TEXT: usize = 4096;

/// The twin that a new device gets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InitialTwinDocument {
    /// The back end's own notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Json>,
    /// What stands below `properties`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<InitialProperties>,
}

/// The properties of an initial twin.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InitialProperties {
    /// What the back end wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Json>,
}

impl InitialTwinDocument {
    /// Checks the document and takes it. `path` is where it stands.
    ///
    /// # Errors
    /// [`Error::Field`] that names the member.
    pub fn parse(self, path: &str) -> Result<InitialTwin, Error> {
        let tags = section(&format!("{path}.tags"), self.tags, MAX_TAGS)?;
        let desired = self.properties.and_then(|properties| properties.desired);
        let desired = section(&format!("{path}.properties.desired"), desired, MAX_DESIRED)?;
        Ok(InitialTwin { tags, desired })
    }
}

impl From<&InitialTwin> for InitialTwinDocument {
    fn from(twin: &InitialTwin) -> Self {
        Self {
            tags: (!twin.tags.is_empty_object()).then(|| twin.tags.clone()),
            properties: Some(InitialProperties {
                desired: Some(twin.desired.clone()),
            }),
        }
    }
}

fn section(path: &str, json: Option<Json>, limit: usize) -> Result<Json, Error> {
    let Some(json) = body::object(path, json)? else {
        return Ok(Json::empty_object());
    };
    let json = unwrapped(json);
    let value = json.value();
    // The quota counts content, not layout, so blanks of the sender are left out.
    if value.to_string().len() > limit {
        return Err(Error::field(path, format!("must have {limit} bytes at most")));
    }
    check(path, &value, MAX_DEPTH)?;
    Ok(json)
}

/// A well-known client wraps each section into a lone `additional_properties` when it writes back what it read.
/// Source: azure-iot extension 0.25 of the Azure CLI, `enrollment update`, seen 2026-11.
fn unwrapped(json: Json) -> Json {
    if let Value::Object(members) = json.value()
        && members.len() == 1
        && let Some(inner @ Value::Object(_)) = members.get("additional_properties")
    {
        return Json::from_value(inner);
    }
    json
}

fn check(path: &str, value: &Value, depth: usize) -> Result<(), Error> {
    match value {
        Value::Object(members) => {
            if depth == 0 {
                return Err(Error::field(
                    path,
                    format!("must not nest deeper than {MAX_DEPTH} levels"),
                ));
            }
            for (key, inner) in members {
                let bad = |c: char| c == '.' || c == '$' || c == ' ' || c.is_control();
                if key.is_empty() || key.len() > MAX_KEY || key.contains(bad) {
                    return Err(Error::field(
                        path,
                        "must have keys of 1 to 1024 bytes without '.', '$', blanks and control characters",
                    ));
                }
                check(path, inner, depth - 1)?;
            }
            Ok(())
        }
        Value::Array(items) => {
            if depth == 0 {
                return Err(Error::field(
                    path,
                    format!("must not nest deeper than {MAX_DEPTH} levels"),
                ));
            }
            items.iter().try_for_each(|item| check(path, item, depth - 1))
        }
        Value::String(text) if text.len() > MAX_TEXT => Err(Error::field(
            path,
            format!("must have texts of {MAX_TEXT} bytes at most"),
        )),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<InitialTwin, Error> {
        serde_json::from_str::<InitialTwinDocument>(text)
            .unwrap()
            .parse("initialTwin")
    }

    #[test]
    fn every_level_may_be_missing_or_null() {
        for text in [
            "{}",
            "{\"tags\":null,\"properties\":null}",
            "{\"properties\":{\"desired\":null}}",
        ] {
            assert_eq!(parse(text).unwrap(), InitialTwin::default(), "{text}");
        }
    }

    #[test]
    fn content_is_kept_as_written_and_written_back() {
        let text = "{\"tags\":{\"b\": 1.50},\"properties\":{\"desired\":{\"a\":[1,2]}}}";
        let twin = parse(text).unwrap();
        assert_eq!(body::write(&InitialTwinDocument::from(&twin)), text);
    }

    #[test]
    fn a_lone_wrapper_of_a_client_is_taken_off() {
        let twin = parse(
            "{\"tags\":{\"additional_properties\":{\"a\":1}},\
              \"properties\":{\"desired\":{\"additional_properties\":{},\"b\":2}}}",
        )
        .unwrap();
        assert_eq!(twin.tags.as_str(), "{\"a\":1}");
        assert_eq!(twin.desired.as_str(), "{\"additional_properties\":{},\"b\":2}");
    }

    #[test]
    fn what_breaks_the_rules_of_twins_is_refused() {
        assert!(parse("{\"tags\":[]}").is_err());
        assert!(parse("{\"tags\":{\"a.b\":1}}").is_err());
        assert!(parse("{\"tags\":{\"$a\":1}}").is_err());
        assert!(parse(&format!("{{\"tags\":{{\"a\":\"{}\"}}}}", "x".repeat(5000))).is_err());
        let wide: Vec<String> = (0..900).map(|n| format!("\"k{n:03}\":\"12345\"")).collect();
        assert!(parse(&format!("{{\"tags\":{{{}}}}}", wide.join(","))).is_err());
        assert!(
            parse(&format!(
                "{{\"properties\":{{\"desired\":{{{}}}}}}}",
                wide.join(",")
            ))
            .is_ok()
        );
        let deep = format!("{}1{}", "{\"a\":".repeat(11), "}".repeat(11));
        assert!(parse(&format!("{{\"tags\":{deep}}}")).is_err());
    }
}
