//! What goes wrong inside this crate, before it is told in the words of the ports.

use muster_resources::{StoreError, WriteError};
use rusqlite::ErrorCode;

/// Why a unit of work did not succeed.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Something of that name is there already.
    Exists,
    /// Nothing of that name is there.
    Missing,
    /// It is there in another version.
    Stale,
    /// The store failed.
    Store(StoreError),
}

impl Fault {
    /// A row that can't be read.
    pub(crate) fn damaged(
        table: &'static str,
        column: &'static str,
        detail: &(impl ToString + ?Sized),
    ) -> Self {
        Self::Store(StoreError::Damaged {
            table,
            column,
            detail: detail.to_string(),
        })
    }

    /// Nothing was done.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::Store(StoreError::Unavailable(detail.into()))
    }
}

impl From<rusqlite::Error> for Fault {
    /// Every error of a statement comes before the commit, so nothing was done. A failed commit does not come here.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::damaged("(any)", "(pages)", &error)
            }
            _ => Self::unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for WriteError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Exists => Self::Exists,
            Fault::Missing => Self::Missing,
            Fault::Stale => Self::Stale,
            Fault::Store(error) => Self::Store(error),
        }
    }
}

impl From<Fault> for StoreError {
    /// Only for calls that can't be refused; a refusal there undid all of the call, so it is told as such.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            refusal => Self::Unavailable(format!("an unexpected refusal: {refusal:?}")),
        }
    }
}

/// Turns a failed check of stored data into the error that names its place.
pub(crate) fn checked<T, E: ToString>(
    table: &'static str,
    column: &'static str,
    value: Result<T, E>,
) -> Result<T, Fault> {
    value.map_err(|error| Fault::damaged(table, column, &error))
}

/// As [`checked`] for constructors that answer nothing when the data is wrong.
pub(crate) fn present<T>(
    table: &'static str,
    column: &'static str,
    value: Option<T>,
    rule: &str,
) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::damaged(table, column, rule))
}
