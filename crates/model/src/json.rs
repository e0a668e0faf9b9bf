//! JSON that came from outside and passed the rules: bounded depth and size, no key twice, order kept.
//!
//! The text is kept as it was sent; readers parse it when they need the tree.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// What a document may be.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
    /// Most bytes of text.
    pub bytes: usize,
    /// Most levels of nesting; a scalar has depth 1.
    pub depth: usize,
}

impl JsonLimits {
    /// The bounds of a request body that no narrower rule governs.
    pub const BODY: Self = Self {
        bytes: 1 << 20,
        depth: 64,
    };
}

/// Why a text was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// It nests deeper than allowed.
    #[error("the document nests deeper than {0} levels")]
    Deep(usize),
    /// An object names a key twice.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// It is longer than allowed.
    #[error("the document is longer than {0} bytes")]
    Long(usize),
    /// It is not an object where one is due.
    #[error("an object is due here")]
    NotObject,
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
}

/// A JSON document that passed the rules. Compares by text.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Json(Arc<str>);

impl Json {
    /// Checks `text` against `limits` and keeps it without the blanks around it.
    ///
    /// # Errors
    /// Every variant of [`JsonError`] but [`JsonError::NotObject`].
    pub fn parse(text: &str, limits: JsonLimits) -> Result<Self, JsonError> {
        check(text, limits)?;
        Ok(Self(Arc::from(text.trim_matches([' ', '\t', '\n', '\r']))))
    }

    /// Checks `text` as [`Json::parse`] does, and that it is an object.
    ///
    /// # Errors
    /// Every variant of [`JsonError`].
    pub fn parse_object(text: &str, limits: JsonLimits) -> Result<Self, JsonError> {
        let json = Self::parse(text, limits)?;
        if json.is_object() {
            Ok(json)
        } else {
            Err(JsonError::NotObject)
        }
    }

    /// Keeps a tree that was built here.
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(Arc::from(value.to_string()))
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self(Arc::from("{}"))
    }

    /// Tells whether it is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Tells whether it is an object without a member.
    pub fn is_empty_object(&self) -> bool {
        self.is_object() && self.0.trim_matches(['{', '}']).trim().is_empty()
    }

    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tree.
    pub fn value(&self) -> serde_json::Value {
        // The text was checked when this value was made; a tree that cannot be built is shown as null.
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Checks that `text` is one JSON document within `limits` in which no object names a key twice.
///
/// # Errors
/// Every variant of [`JsonError`] but [`JsonError::NotObject`].
pub fn check(text: &str, limits: JsonLimits) -> Result<(), JsonError> {
    if text.len() > limits.bytes {
        return Err(JsonError::Long(limits.bytes));
    }
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walk = Walk {
        left: limits.depth,
        found: &mut found,
    };
    let outcome = walk
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match (found, outcome) {
        (_, Ok(())) => Ok(()),
        (Some(Found::Deep), Err(_)) => Err(JsonError::Deep(limits.depth)),
        (Some(Found::Twice(key)), Err(_)) => Err(JsonError::DuplicateKey(key)),
        (None, Err(error)) => Err(JsonError::Syntax(error.to_string())),
    }
}

enum Found {
    Deep,
    Twice(String),
}

struct Walk<'a> {
    left: usize,
    found: &'a mut Option<Found>,
}

impl Walk<'_> {
    fn inner<E: de::Error>(&mut self) -> Result<Walk<'_>, E> {
        if self.left <= 1 {
            *self.found = Some(Found::Deep);
            return Err(E::custom("too deep"));
        }
        Ok(Walk {
            left: self.left - 1,
            found: self.found,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(twice) = keys.replace(key) {
                *self.found = Some(Found::Twice(twice));
                return Err(de::Error::custom("a key twice"));
            }
            map.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Json {
    /// Reads any document; the caller has checked the rules on the whole text with [`check`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Arc::from(raw.get())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits { bytes: 100, depth: 3 };

    #[test]
    fn keeps_order_and_spelling() {
        let json = Json::parse(" {\"b\": 1.50, \"a\": [1]}\n", LIMITS).unwrap();
        assert_eq!(json.as_str(), "{\"b\": 1.50, \"a\": [1]}");
        assert_eq!(serde_json::to_string(&json).unwrap(), json.as_str());
    }

    #[test]
    fn refuses_what_breaks_a_rule() {
        assert_eq!(
            Json::parse("{\"a\":1,\"a\":2}", LIMITS),
            Err(JsonError::DuplicateKey("a".into()))
        );
        assert_eq!(Json::parse("[[[1]]]", LIMITS), Err(JsonError::Deep(3)));
        assert!(Json::parse("[[1]]", LIMITS).is_ok());
        assert_eq!(
            Json::parse(&format!("\"{}\"", "x".repeat(100)), LIMITS),
            Err(JsonError::Long(100))
        );
        assert!(matches!(Json::parse("{} {}", LIMITS), Err(JsonError::Syntax(_))));
        assert!(matches!(Json::parse("", LIMITS), Err(JsonError::Syntax(_))));
        assert_eq!(Json::parse_object("[]", LIMITS), Err(JsonError::NotObject));
    }

    #[test]
    fn ten_thousand_brackets_end_in_an_error() {
        let limits = JsonLimits {
            bytes: 1 << 20,
            depth: 64,
        };
        assert!(Json::parse(&"[".repeat(10_000), limits).is_err());
        assert_eq!(
            Json::parse(&format!("{}{}", "[".repeat(70), "]".repeat(70)), limits),
            Err(JsonError::Deep(64))
        );
    }
}
