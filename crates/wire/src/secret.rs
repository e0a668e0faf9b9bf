//! Keys on their way through a document: written and read as text, never shown, wiped when dropped.

use std::fmt;

use muster_model::SymmetricKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::Error;

/// A text that must not be logged: a key in base64, a connection string.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the one place that must write it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads it as a key of 16 to 64 bytes in base64.
    ///
    /// # Errors
    /// [`Error::Field`] that names `path`, without the text.
    pub fn key(&self, path: &str) -> Result<SymmetricKey, Error> {
        SymmetricKey::from_base64(&self.0)
            .ok_or_else(|| Error::field(path, "must be base64 of 16 to 64 bytes"))
    }

    /// Reads an optional key; an absent and an empty one are `None`, for clients send both to have one generated.
    ///
    /// # Errors
    /// As for [`Secret::key`].
    pub fn optional_key(secret: Option<&Self>, path: &str) -> Result<Option<SymmetricKey>, Error> {
        match secret {
            Some(secret) if !secret.0.trim().is_empty() => secret.key(path).map(Some),
            _ => Ok(None),
        }
    }
}

impl From<&SymmetricKey> for Secret {
    fn from(key: &SymmetricKey) -> Self {
        Self(key.to_base64())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(withheld)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", Secret::new("hunter2".into())).contains("hunter2"));
        let error = Secret::new("hunter2".into()).key("primaryKey").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn an_empty_key_counts_as_absent() {
        assert_eq!(
            Secret::optional_key(Some(&Secret::new(String::new())), "k"),
            Ok(None)
        );
        assert_eq!(Secret::optional_key(None, "k"), Ok(None));
    }
}
