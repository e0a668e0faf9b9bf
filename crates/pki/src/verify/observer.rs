//! Listening to a walk, for explaining a refusal to a person.
//!
//! The same code decides and explains: an explanation is a walk with a listener that remembers. A listener
//! also learns of candidates that were refused for another reason whether they really made the signature;
//! these extra checks have a small limit of their own, so that listening never changes a decision.

use crate::certificate::Certificate;
use crate::verify::path::{Origin, Path};
use crate::verify::reason::Reason;

/// What is known about a candidate's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureSeen {
    /// Its key made the signature.
    Right,
    /// Its key did not.
    Wrong,
    /// Not computed: another reason came first, and the listener did not ask or the extra budget was used up.
    NotChecked,
}

/// One thing that a walk found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The leaf itself was looked at.
    Leaf {
        /// The leaf.
        certificate: Certificate,
        /// Why it cannot begin a path, if so.
        rejected: Option<Reason>,
    },
    /// A certificate was tried as issuer of another. Told once for each pair.
    Candidate {
        /// The certificate that needs an issuer.
        certificate: Certificate,
        /// The one that was tried.
        issuer: Certificate,
        /// Where that came from.
        origin: Origin,
        /// What its signature is.
        signature: SignatureSeen,
        /// Why it was not taken, if so.
        rejected: Option<Reason>,
    },
    /// A path was found and shown to the caller.
    Found {
        /// The path.
        path: Path,
    },
    /// A path cannot be continued upward.
    Ended {
        /// The path.
        path: Path,
        /// Why.
        reason: Reason,
    },
    /// The walk met a limit and was given up.
    GaveUp {
        /// Which.
        reason: Reason,
    },
}

/// Listens to a walk.
pub trait Observer {
    /// Says whether events are wanted at all; where not, none is made.
    fn is_listening(&self) -> bool {
        true
    }

    /// Takes one event.
    fn note(&mut self, event: Event);
}

/// Does not listen; costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn is_listening(&self) -> bool {
        false
    }

    fn note(&mut self, _event: Event) {}
}

/// Most events that a recorder keeps.
const MAX_EVENTS: usize = 2_048;

/// Remembers what a walk found out, in order.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    events: Vec<Event>,
}

impl Recorder {
    /// Makes an empty recorder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the events in the order they happened; at most 2,048, which a default budget does not exceed.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Takes the events out.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl Observer for Recorder {
    fn note(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        }
    }
}
