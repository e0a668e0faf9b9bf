//! Several enrollments in one call: each by itself, so that some may go through and others not.

use muster_model::IfMatch;

use crate::error::Error;

/// Most items of one call. Source: DPS service API, bulk operation, read 2026-11-24.
pub const MAX_BULK_ITEMS: usize = 10;

/// What is to be done with several enrollments (`C`, by their ids `I`).
#[derive(Clone, Debug)]
pub enum Bulk<I, C> {
    /// Each must be new.
    Create(Vec<C>),
    /// Each must be there.
    Delete(Vec<I>),
    /// Each must be there and is overwritten.
    Update(Vec<C>),
    /// Each must be there in the version that stands beside it.
    UpdateIfMatch(Vec<(C, IfMatch)>),
}

impl<I, C> Bulk<I, C> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Create(items) | Self::Update(items) => items.len(),
            Self::Delete(items) => items.len(),
            Self::UpdateIfMatch(items) => items.len(),
        }
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks the number of items.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.len() > MAX_BULK_ITEMS {
            return Err(Error::invalid(format!(
                "A bulk operation takes at most {MAX_BULK_ITEMS} items, and this one has {}.",
                self.len()
            )));
        }
        Ok(())
    }
}

/// An item that did not go through.
#[derive(Clone, Debug)]
pub struct BulkFailure<I> {
    /// Which.
    pub id: I,
    /// Why.
    pub error: Error,
}
