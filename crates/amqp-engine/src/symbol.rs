//! Symbols: the standard's names for things, ASCII by definition.

use std::borrow::{Borrow, Cow};
use std::fmt;

use crate::error::Error;

/// A name in ASCII, such as `amqp:not-found`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(Cow<'static, str>);

impl Symbol {
    /// Makes a symbol of a text that stands in the code; what is not ASCII is the writer's mistake and would be
    /// refused by peers.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Makes a symbol of a text from elsewhere.
    ///
    /// # Errors
    /// [`Error::NotAscii`] if it has other characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_ascii() {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(Error::NotAscii)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Symbol {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Symbol {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Symbol {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Symbol {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.0)
    }
}
