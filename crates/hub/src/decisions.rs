//! Paths that were found, remembered between requests.
//!
//! A path depends on the chain and on the hub's CA certificates alone, and holds while all of its certificates are
//! valid. So it is remembered under the digest of the whole chain and the trust version that last changed those
//! certificates: a change of them makes every older entry unreachable. Only found paths are kept, so that strangers
//! can't fill the memory with chains that lead nowhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_model::{HubKey, TrustVersion};
use muster_pki::{Sha256, Time};

/// Hub, SHA-256 of the presented chain, trust version that last changed the hub's CA certificates.
pub(crate) type Key = (HubKey, Sha256, TrustVersion);

/// A path from a leaf to a verified certificate.
#[derive(Debug)]
pub(crate) struct PathDecision {
    /// The verified certificate.
    pub(crate) anchor: Sha256,
    /// SHA-256 of each certificate, leaf first, the anchor last.
    pub(crate) path: Arc<[Sha256]>,
    /// The first second in which all of them are valid.
    pub(crate) valid_from: Time,
    /// The last such second.
    pub(crate) valid_until: Time,
}

/// Two generations of equal size: when the younger is full it becomes the older, and what the older held and nobody
/// asked for is forgotten.
pub(crate) struct Decisions {
    half: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Arc<PathDecision>>,
    old: HashMap<Key, Arc<PathDecision>>,
}

impl Decisions {
    /// Makes an empty memory for about `capacity` paths.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            half: capacity.div_ceil(2).max(1),
            generations: Mutex::default(),
        }
    }

    /// Answers the path that was found for that chain, while it holds at `now`.
    pub(crate) fn find(&self, key: &Key, now: Time) -> Option<Arc<PathDecision>> {
        // A panic in between leaves two whole maps.
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if let Some(known) = generations.young.get(key) {
            Arc::clone(known)
        } else {
            let known = generations.old.remove(key)?;
            generations.insert(*key, Arc::clone(&known), self.half);
            known
        };
        drop(generations);
        (known.valid_from <= now && now <= known.valid_until).then_some(known)
    }

    /// Remembers a path.
    pub(crate) fn remember(&self, key: Key, decision: Arc<PathDecision>) {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, decision, self.half);
    }
}

impl Generations {
    fn insert(&mut self, key: Key, decision: Arc<PathDecision>, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        (HubKey::new(1), Sha256([number; 32]), TrustVersion::new(1))
    }

    fn decision() -> Arc<PathDecision> {
        Arc::new(PathDecision {
            anchor: Sha256([9; 32]),
            path: Arc::new([]),
            valid_from: Time::from_unix(10),
            valid_until: Time::from_unix(20),
        })
    }

    #[test]
    fn a_path_holds_while_its_certificates_are_valid() {
        let decisions = Decisions::new(4);
        decisions.remember(key(1), decision());
        for (second, holds) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(
                decisions.find(&key(1), Time::from_unix(second)).is_some(),
                holds,
                "{second}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let decisions = Decisions::new(8);
        for number in 0..100 {
            decisions.remember(key(number), decision());
            assert!(decisions.find(&key(0), Time::from_unix(10)).is_some(), "{number}");
        }
        let known = (0..100).filter(|n| decisions.find(&key(*n), Time::from_unix(10)).is_some());
        assert!(known.count() <= 9);
    }

    #[test]
    fn another_version_of_the_hubs_certificates_knows_nothing() {
        let decisions = Decisions::new(4);
        decisions.remember(key(1), decision());
        let later = (HubKey::new(1), Sha256([1; 32]), TrustVersion::new(2));
        assert!(decisions.find(&later, Time::from_unix(10)).is_none());
    }
}
