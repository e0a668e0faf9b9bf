//! A number for each device identity that moves with every change of it, so that a reader may remember what it read.
//!
//! Identities share a bounded number of them by hash: one that moves for another's change costs a read, never a wrong
//! answer. A number moves after the commit and before the change is acknowledged. Who asks for the number first and
//! reads then can hold something older than the number only while the number is about to move.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::HubKey;

/// Numbers that identities share: 32 KiB.
const SLOTS: usize = 4_096;

/// The numbers.
pub(crate) struct Stamps(Vec<AtomicU64>);

/// What a unit of work changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moved {
    /// One identity, by its slot.
    Device(usize),
    /// All of a hub.
    Hub,
}

impl Moved {
    /// A change of one identity.
    pub(crate) fn device(hub: HubKey, id: &str) -> Self {
        Self::Device(slot(hub, id))
    }
}

impl Stamps {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The number of an identity now.
    pub(crate) fn of(&self, hub: HubKey, id: &str) -> Option<u64> {
        // Pairs with the release in `bump`: who sees the new number reads the database as it was committed.
        self.0
            .get(slot(hub, id))
            .map(|stamp| stamp.load(Ordering::Acquire))
    }

    /// Moves the numbers of what was changed.
    pub(crate) fn bump(&self, moved: &[Moved]) {
        if moved.contains(&Moved::Hub) {
            for stamp in &self.0 {
                stamp.fetch_add(1, Ordering::AcqRel);
            }
            return;
        }
        for one in moved {
            if let Moved::Device(slot) = one
                && let Some(stamp) = self.0.get(*slot)
            {
                stamp.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

fn slot(hub: HubKey, id: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one((hub.get(), id));
    // Fewer slots than any machine's numbers reach.
    usize::try_from(hash % SLOTS as u64).unwrap_or(0)
}
