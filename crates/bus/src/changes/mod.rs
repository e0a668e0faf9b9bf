//! `resources::Changes` in memory, which loses notices by seed: the second implementation that keeps the port honest, and
//! the battery that both are held to.
//!
//! A notice only wakes. Whoever watches must therefore look by itself from time to time, and find everything in the store
//! that no notice told of; the battery has such a watcher. The implementation for a server of one process is
//! [`crate::local::LocalChanges`].

mod contract;

use std::sync::{Mutex, PoisonError};

use muster_model::TrustVersion;
use muster_resources::Changes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

pub use contract::changes;

/// Change notices of which some are lost and some come late, behind younger ones.
#[derive(Debug)]
pub struct LossyChanges {
    newest: watch::Sender<TrustVersion>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// In cases of a thousand.
    lost: u32,
    late: u32,
    held: Option<TrustVersion>,
}

impl LossyChanges {
    /// Makes notices of which so many of a thousand are lost, and so many held back until the next one; the same seed and
    /// the same calls give the same run.
    pub fn new(seed: u64, lost: u32, late: u32) -> Self {
        Self {
            newest: watch::Sender::new(TrustVersion::default()),
            state: Mutex::new(State {
                rng: StdRng::seed_from_u64(seed),
                lost,
                late,
                held: None,
            }),
        }
    }

    fn tell(&self, version: TrustVersion) {
        self.newest.send_if_modified(|newest| {
            let newer = version > *newest;
            if newer {
                *newest = version;
            }
            newer
        });
    }
}

impl Changes for LossyChanges {
    fn notify(&self, version: TrustVersion) {
        let (now, before) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.held.take();
            let chance = state.rng.random_range(0..1000);
            let now = if chance < state.lost {
                None
            } else if chance < state.lost + state.late {
                state.held = Some(version);
                None
            } else {
                Some(version)
            };
            (now, before)
        };
        // What was held back comes behind what is younger.
        for version in now.into_iter().chain(before) {
            self.tell(version);
        }
    }

    fn watch(&self) -> watch::Receiver<TrustVersion> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::local::LocalChanges;

    #[tokio::test]
    async fn notices_within_one_process_keep_the_contract() {
        changes(|| Arc::new(LocalChanges::default())).await;
    }

    #[tokio::test]
    async fn notices_that_are_lost_keep_the_contract() {
        for seed in 0..64 {
            changes(|| Arc::new(LossyChanges::new(seed, 400, 300))).await;
        }
    }

    #[test]
    fn what_was_held_back_never_steps_back() {
        let changes = LossyChanges::new(1, 0, 1000);
        let watcher = changes.watch();
        changes.notify(TrustVersion::new(5));
        assert_eq!(*watcher.borrow(), TrustVersion::default());
        changes.notify(TrustVersion::new(3));
        assert_eq!(*watcher.borrow(), TrustVersion::new(5));
        changes.notify(TrustVersion::new(6));
        assert_eq!(*watcher.borrow(), TrustVersion::new(5));
    }
}
