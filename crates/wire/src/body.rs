//! Reading a JSON body: the rules on the whole text first, then its shape, with the path of what does not fit.

use muster_model::{Json, JsonError, JsonLimits};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::Error;

/// Bounds of a body of the provisioning surface. Source: DPS quotas, "message size", read 2026-11.
pub const DPS_BODY: JsonLimits = JsonLimits {
    bytes: 96 * 1024,
    depth: 64,
};

/// Bounds of a body of the hub's service surface: a bulk call of 100 devices with keys and twins has room in it.
pub const HUB_BODY: JsonLimits = JsonLimits {
    bytes: 8 << 20,
    depth: 64,
};

/// Most characters of a path that an error shows; a member's name comes from outside.
const SHOWN_PATH: usize = 200;

/// Reads a body within `limits`. No key may stand twice; members that `T` does not know are ignored.
///
/// # Errors
/// [`Error::Json`], [`Error::Missing`], [`Error::Type`].
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], limits: JsonLimits) -> Result<T, Error> {
    if body.len() > limits.bytes {
        return Err(JsonError::Long(limits.bytes).into());
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| JsonError::Syntax("the document is not UTF-8".into()))?
        .trim_start_matches('\u{feff}');
    muster_model::json::check(text, limits)?;
    read_checked(text)
}

/// Reads a text that already passed the rules.
pub(crate) fn read_checked<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let mut path = error.path().to_string();
        if path == "." {
            "the document".clone_into(&mut path);
        }
        if let Some((end, _)) = path.char_indices().nth(SHOWN_PATH) {
            path.truncate(end);
        }
        // The library's own sentence can quote the value, which may be a key; only the category is passed on.
        match error.inner().classify() {
            Category::Data => Error::Type(path),
            Category::Eof | Category::Io | Category::Syntax => {
                Error::Json(JsonError::Syntax(format!("{path} can't be read")))
            }
        }
    })
}

/// Writes a document. Documents of this crate have text keys and finite numbers only, so this cannot fail for them.
pub(crate) fn write<T: serde::Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap_or_else(|_| "null".to_owned())
}

/// Checks a document inside another one: an object, however deep.
pub(crate) fn object(path: &str, json: Option<Json>) -> Result<Option<Json>, Error> {
    match json {
        None => Ok(None),
        Some(json) if json.as_str() == "null" => Ok(None),
        Some(json) if json.is_object() => Ok(Some(json)),
        Some(_) => Err(Error::field(path, "must be an object")),
    }
}

/// Writes every character beyond ASCII of a JSON text as `\uXXXX`: some clients read payloads of provisioning over MQTT
/// as ASCII. Source: Azure/azure-iot-sdk-node, provisioning transport for MQTT, read 2026-11.
pub fn escape_non_ascii(json: &str) -> String {
    use std::fmt::Write as _;

    if json.is_ascii() {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() * 2);
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(default)]
        number: Option<u32>,
        #[serde(default)]
        raw: Option<Json>,
    }

    #[test]
    fn an_error_names_the_path_and_not_the_value() {
        let error = read::<Outer>(br#"{"inner":{"number":"hunter2"}}"#, DPS_BODY).unwrap_err();
        assert_eq!(error, Error::Type("inner.number".into()));
    }

    #[test]
    fn documents_inside_keep_their_text() {
        let outer: Outer = read(
            br#"{"inner":{"number":null,"raw":{"b": 1.50,"a":[]},"else":1}}"#,
            DPS_BODY,
        )
        .unwrap();
        assert_eq!(outer.inner.number, None);
        assert_eq!(outer.inner.raw.unwrap().as_str(), "{\"b\": 1.50,\"a\":[]}");
    }

    #[test]
    fn a_key_twice_is_refused_before_the_shape_is_read() {
        assert!(matches!(
            read::<Outer>(br#"{"inner":{"number":1,"number":2}}"#, DPS_BODY),
            Err(Error::Json(JsonError::DuplicateKey(_)))
        ));
        assert!(matches!(
            read::<Outer>(&vec![b' '; DPS_BODY.bytes + 1], DPS_BODY),
            Err(Error::Json(JsonError::Long(_)))
        ));
    }

    #[test]
    fn characters_beyond_ascii_become_escapes() {
        let escaped = escape_non_ascii("{\"a\":\"é😀\"}");
        assert_eq!(escaped, "{\"a\":\"\\u00e9\\ud83d\\ude00\"}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).unwrap()["a"],
            "é😀"
        );
    }
}
