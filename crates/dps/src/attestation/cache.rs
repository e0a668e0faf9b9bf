//! Remembers which verified path a chain has, so that a device that polls costs no signature check.
//!
//! An entry is named by everything that its path follows from: the service, the trust version of its CA certificates,
//! the chain as presented and the certificates of groups that came into question. It holds only inside the validity of
//! every certificate of the paths that were found. Which group decides is asked anew each time. Refusals are not kept: a stranger
//! could fill the cache with them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use muster_model::{DpsKey, TrustVersion};
use muster_pki::{Sha256, Time};

use super::path::Survey;

/// What an entry follows from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) service: DpsKey,
    pub(super) version: TrustVersion,
    /// See `Candidates::digest`.
    pub(super) digest: Sha256,
}

/// A bounded memory; the oldest entry goes first.
pub(crate) struct Cache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Arc<Survey>>,
    order: VecDeque<Key>,
}

impl Cache {
    /// Makes a cache for this many entries; a path of three certificates takes some 300 bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: Mutex::default(),
        }
    }

    pub(super) fn find(&self, key: &Key, now: Time) -> Option<Arc<Survey>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let survey = inner.entries.get(key)?;
        survey.is_valid_at(now).then(|| Arc::clone(survey))
    }

    pub(super) fn keep(&self, key: Key, survey: Arc<Survey>) {
        if self.capacity == 0 {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.entries.insert(key, survey).is_none() {
            inner.order.push_back(key);
            if inner.order.len() > self.capacity
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.entries.remove(&oldest);
            }
        }
    }
}
