//! The twin of a device as it is kept: three documents and their versions.
//!
//! Reading and patching twins comes later; what exists from the first day is that provisioning writes the initial twin
//! and that a move between hubs carries it over.

use crate::json::Json;

/// The documents of a twin.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// The back end's own notes, an object.
    pub tags: Json,
    /// What the back end wants, an object.
    pub desired: Json,
    /// Counts the changes of `desired`, from 1.
    pub desired_version: u64,
    /// What the device reports, an object.
    pub reported: Json,
    /// Counts the changes of `reported`, from 1.
    pub reported_version: u64,
}

impl Default for Twin {
    fn default() -> Self {
        Self {
            tags: Json::empty_object(),
            desired: Json::empty_object(),
            desired_version: 1,
            reported: Json::empty_object(),
            reported_version: 1,
        }
    }
}

/// What provisioning writes into a new twin.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialTwin {
    /// The back end's own notes, an object.
    pub tags: Json,
    /// What the back end wants, an object.
    pub desired: Json,
}

impl Default for InitialTwin {
    fn default() -> Self {
        Self {
            tags: Json::empty_object(),
            desired: Json::empty_object(),
        }
    }
}

impl From<InitialTwin> for Twin {
    fn from(initial: InitialTwin) -> Self {
        Self {
            tags: initial.tags,
            desired: initial.desired,
            ..Self::default()
        }
    }
}
