//! Trust decisions: which paths by signature lead from a presented leaf to certificates that somebody
//! configured.
//!
//! [`walk()`] finds the paths and shows each to its caller, nearest first; what a path is worth (a verified CA
//! on it, an enrollment group, a common name) is the caller's rule. Nothing here knows hubs, enrollments or
//! devices, asks a network, or reads a clock.
//!
//! Kept from the service's contract: the chain is built by signature only, in whatever order it was
//! presented; configured certificates need not be presented; extended key usage, name constraints and
//! revocation are not looked at.

mod anchors;
mod budget;
mod observer;
mod path;
mod possession;
mod reason;
mod rules;
mod walk;

pub use anchors::{AnchorSet, Anchors};
pub use budget::Budget;
pub use observer::{Event, Observer, Recorder, SignatureSeen, Silent};
pub use path::{Origin, Path, Step};
pub use possession::{PopFailure, proves_possession};
pub use reason::Reason;
pub use walk::{Walked, walk};
