//! Calls that only Muster has.

pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod refusal;
