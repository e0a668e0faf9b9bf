//! Entity tags: a number that the store gives at each write and never gives twice.
//!
//! How a tag looks on the wire differs from resource to resource; `wire` prints and reads those forms.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of one stored thing. Larger is later, over the whole store, across restores.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ETag(u64);

impl ETag {
    /// Wraps a number that a store handed out.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a caller demands of the stored version before his write happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IfMatch {
    /// No demand was made. What that means (create, or overwrite) is the verb's business.
    Absent,
    /// The thing must exist, in whatever version.
    Any,
    /// The thing must exist in this version.
    Version(ETag),
    /// The thing must exist in a version that this server never gave: the write is always refused.
    Foreign,
}

impl IfMatch {
    /// Tells whether a write may happen to a thing whose version is `current`.
    pub fn allows(self, current: ETag) -> bool {
        match self {
            Self::Absent | Self::Any => true,
            Self::Version(wanted) => wanted == current,
            Self::Foreign => false,
        }
    }

    /// Tells whether the caller demanded that the thing exist.
    pub fn requires_existing(self) -> bool {
        !matches!(self, Self::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_version_never_matches() {
        assert!(!IfMatch::Foreign.allows(ETag::new(1)));
        assert!(IfMatch::Any.allows(ETag::new(1)));
        assert!(IfMatch::Version(ETag::new(1)).allows(ETag::new(1)));
        assert!(!IfMatch::Version(ETag::new(2)).allows(ETag::new(1)));
    }
}
