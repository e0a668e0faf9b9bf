//! The implementations that a battery runs on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::{ManualClock, Random, RequestId, Wall};
use muster_resources::{Leases, Refusals};
use muster_store::memory::{Memory, Mischief};
use muster_store::{MasterKey, MasterKeys, RefusalBounds, RefusalFile, Registry};

use crate::retry::Repeating;

/// One set of ports over one state.
pub(crate) struct Subject {
    pub(crate) resources: Arc<dyn muster_resources::Store>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) refusals: Arc<dyn Refusals>,
    pub(crate) hub: Arc<dyn muster_hub::ports::Store>,
    pub(crate) dps: Arc<dyn muster_dps::ports::Store>,
    /// Whether a call answers at the first attempt, so that counts of what it did can be relied on.
    pub(crate) exact: bool,
    random: Random,
    now: AtomicU64,
    _directory: Option<tempfile::TempDir>,
}

impl Subject {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Arc::new(open(directory.path()));
        let refusals =
            RefusalFile::open(&directory.path().join("refusals"), RefusalBounds::default()).unwrap();
        Self {
            resources: registry.clone(),
            leases: registry.clone(),
            refusals: Arc::new(refusals),
            hub: registry.clone(),
            dps: registry,
            exact: true,
            random: Random::from_number(1),
            now: AtomicU64::new(0),
            _directory: Some(directory),
        }
    }

    pub(crate) fn memory() -> Self {
        let memory = Arc::new(Memory::new());
        Self {
            resources: memory.clone(),
            leases: memory.clone(),
            refusals: memory.clone(),
            hub: memory.clone(),
            dps: memory,
            exact: true,
            random: Random::from_number(1),
            now: AtomicU64::new(0),
            _directory: None,
        }
    }

    pub(crate) fn mischief(seed: u64) -> Self {
        let repeating = Arc::new(Repeating(Memory::with(Mischief {
            seed,
            delay: 20,
            refuse: 20,
            lose_reply: 40,
            conflict: 0,
        })));
        Self {
            resources: repeating.clone(),
            leases: repeating.clone(),
            refusals: repeating.clone(),
            hub: repeating.clone(),
            dps: repeating,
            exact: false,
            random: Random::from_number(seed),
            now: AtomicU64::new(0),
            _directory: None,
        }
    }

    pub(crate) fn request(&self) -> RequestId {
        self.random.draw(RequestId::random)
    }

    /// A time later than the one before.
    pub(crate) fn now(&self) -> Wall {
        Wall::from_seconds(1_800_000_000 + self.now.fetch_add(1, Ordering::Relaxed).cast_signed())
    }
}

pub(crate) fn key(byte: u8) -> MasterKey {
    MasterKey::new(zeroize::Zeroizing::new([byte; 32]))
}

pub(crate) fn open(directory: &Path) -> Registry {
    open_with(directory, &MasterKeys::only(key(7))).unwrap()
}

pub(crate) fn open_with(directory: &Path, keys: &MasterKeys) -> Result<Registry, muster_store::OpenError> {
    Registry::open(
        directory,
        keys,
        Arc::new(Random::from_number(3)),
        Arc::new(ManualClock::default()),
    )
}
