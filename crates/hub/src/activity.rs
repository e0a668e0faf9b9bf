//! When devices last did something: noted in memory on every message, written in bulk now and then.
//!
//! Bounded and lossy by design: no entity tag moves, and what does not fit is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_model::{DeviceId, HubKey, Wall};
use muster_resources::StoreError;

use crate::permit::DevicePermit;
use crate::ports::Store;

/// Devices that wait to be written at most.
const WAITING: usize = 100_000;
/// Devices that are written together.
const BATCH: usize = 1_000;

/// Notes when devices last did something.
pub struct Activity {
    store: Arc<dyn Store>,
    seen: Mutex<BTreeMap<(HubKey, DeviceId), Wall>>,
}

impl Activity {
    /// Makes a collector that writes to `store`.
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            seen: Mutex::new(BTreeMap::new()),
        }
    }

    /// Notes that a device did something; never waits.
    pub fn note(&self, permit: &DevicePermit, now: Wall) {
        // A panic while inserting leaves the map whole.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let full = seen.len() >= WAITING;
        let key = (permit.hub_key(), permit.device().clone());
        match seen.get_mut(&key) {
            Some(known) => *known = now.max(*known),
            None if full => {}
            None => {
                seen.insert(key, now);
            }
        }
    }

    /// Writes what was noted; answers how many devices it wrote. Called by the binary every few seconds and at the end.
    ///
    /// # Errors
    /// [`StoreError`] when a batch could not be written; it is dropped, and the rest waits for the next call.
    pub async fn flush(&self) -> Result<usize, StoreError> {
        let mut written = 0;
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return Ok(written);
            }
            let count = batch.len();
            self.store.note_activity(batch).await?;
            written += count;
        }
    }

    fn take(&self) -> Vec<(HubKey, DeviceId, Wall)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::with_capacity(seen.len().min(BATCH));
        while batch.len() < BATCH
            && let Some(((hub, device), at)) = seen.pop_first()
        {
            batch.push((hub, device, at));
        }
        batch
    }
}
