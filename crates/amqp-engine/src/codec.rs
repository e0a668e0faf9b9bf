//! The type system on the wire: constructors, widths, and the bounds within which outside bytes are read.
//!
//! [`Reader`] takes every encoding the standard has and never looks behind its input; [`mod@write`] makes one
//! encoding of each type, the shortest. What a value means is not decided here.

pub(crate) mod constructor;
mod reader;
pub mod write;

pub(crate) use reader::Fields;
pub use reader::{MAX_DEPTH, MAX_VALUES, Reader};

#[cfg(test)]
pub(crate) mod tests;
