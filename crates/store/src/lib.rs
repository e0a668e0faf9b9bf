//! Keeps what the domains must remember, in SQLite.
//!
//! [`Registry`] stands behind the stores of `resources`, `hub` and `dps`. SQL and the stored forms are known here
//! alone: a noun never derives the form it is stored in. What a store decides is only what must be decided inside a
//! unit of work (is the name free, is this the version); rules stand in the domains. [`RefusalFile`] keeps explained
//! refusals in a file of their own.

mod document;
mod fault;
pub mod memory;
pub mod metrics;
mod seal;
mod sqlite;

pub use seal::{MasterKey, MasterKeys};
pub use sqlite::{OpenError, RefusalBounds, RefusalFile, Registry, begin_new_incarnation, check};
