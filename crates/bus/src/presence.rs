//! `hub::Presence` in one process: an index in memory, split so that connections do not wait for each other.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use muster_hub::presence::{Attached, Ending, Epoch, Mailbox, Presence};
use muster_hub::{DeviceBasis, DevicePermit};
use muster_model::identity::{DeviceIdentity, DeviceStatus};
use muster_model::{DeviceId, HubKey, Wall};
use muster_resources::StoreError;

/// Parts of the index; a power of two.
const PARTS: usize = 64;

type Key = (HubKey, DeviceId);
type Part = HashMap<Key, Live>;

/// Keeps which devices are attached to this process.
pub struct LocalPresence {
    parts: Vec<Mutex<Part>>,
    hasher: RandomState,
    next: AtomicU64,
    grace: Duration,
}

/// One attachment.
struct Live {
    epoch: Epoch,
    since: Wall,
    /// The identity as it stood when the permit was given.
    identity: Arc<DeviceIdentity>,
    /// When the token ends; `None` for one that rests on a certificate, whose end cuts no live connection.
    expiry: Option<Wall>,
    /// Whether it rests on a policy of the hub and not on the identity's own credential.
    by_policy: bool,
    mailbox: Arc<Mailbox>,
}

impl LocalPresence {
    /// Makes an empty index; tokens of live attachments are taken for `grace` past their end.
    pub fn new(grace: Duration) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next: AtomicU64::new(1),
            grace,
        }
    }

    fn part(&self, key: &Key) -> MutexGuard<'_, Part> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "any bits of a hash are as good as others"
        )]
        let place = self.hasher.hash_one(key) as usize % PARTS;
        #[expect(clippy::indexing_slicing, reason = "the place is below the number of parts")]
        lock(&self.parts[place])
    }

    /// Ends the attachment of `key` if `ends` says so.
    fn end_if(&self, key: &Key, ending: Ending, ends: impl FnOnce(&Live) -> bool) {
        let mut part = self.part(key);
        if part.get(key).is_some_and(ends)
            && let Some(live) = part.remove(key)
        {
            live.mailbox.end(ending);
        }
    }

    fn end_all(&self, ending: Ending, ends: impl Fn(&Key, &Live) -> bool) {
        for part in &self.parts {
            for (_, live) in lock(part).extract_if(|key, live| ends(key, live)) {
                live.mailbox.end(ending);
            }
        }
    }
}

/// A panic while a part was written leaves a map.
fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Presence for LocalPresence {
    async fn attach(
        &self,
        permit: &DevicePermit,
        mailbox: Arc<Mailbox>,
        now: Wall,
    ) -> Result<Epoch, StoreError> {
        let key = (permit.hub_key(), permit.device().clone());
        let (expiry, by_policy) = match permit.basis() {
            DeviceBasis::CertificateAuthority { .. } | DeviceBasis::Thumbprint { .. } => (None, false),
            DeviceBasis::DeviceKey(_) => (Some(permit.valid_until()), false),
            DeviceBasis::Policy { .. } => (Some(permit.valid_until()), true),
        };
        let mut part = self.part(&key);
        // Drawn under the lock: of two attachments of one identity the one that came later has the larger one.
        let epoch = Epoch(self.next.fetch_add(1, Ordering::Relaxed));
        let live = Live {
            epoch,
            since: now,
            identity: Arc::clone(permit.identity()),
            expiry,
            by_policy,
            mailbox,
        };
        if let Some(replaced) = part.insert(key, live) {
            replaced.mailbox.end(Ending::Replaced);
        }
        Ok(epoch)
    }

    fn detach(&self, hub: HubKey, device: &DeviceId, epoch: Epoch) {
        let key = (hub, device.clone());
        let mut part = self.part(&key);
        if part.get(&key).is_some_and(|live| live.epoch == epoch) {
            part.remove(&key);
        }
    }

    fn attached(&self, hub: HubKey, device: &DeviceId) -> Option<Attached> {
        let key = (hub, device.clone());
        let part = self.part(&key);
        part.get(&key).map(|live| Attached { since: live.since })
    }

    fn changed(&self, hub: HubKey, identity: &DeviceIdentity) {
        let key = (hub, identity.id.clone());
        self.end_if(&key, Ending::Withdrawn, |live| {
            let same_credential = live.by_policy || live.identity.authentication == identity.authentication;
            identity.status == DeviceStatus::Disabled
                || identity.generation != live.identity.generation
                || !same_credential
        });
    }

    fn gone(&self, hub: HubKey, device: &DeviceId) {
        self.end_if(&(hub, device.clone()), Ending::Withdrawn, |_| true);
    }

    fn retain_hubs(&self, hubs: &dyn Fn(HubKey) -> bool) {
        self.end_all(Ending::HubGone, |(hub, _), _| !hubs(*hub));
    }

    fn expire(&self, now: Wall) {
        self.end_all(Ending::TokenExpired, |_, live| {
            live.expiry.is_some_and(|expiry| expiry.plus(self.grace) < now)
        });
    }
}

impl std::fmt::Debug for LocalPresence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalPresence").finish_non_exhaustive()
    }
}
