//! The promises of `resources::Changes` as a battery that every implementation runs: a notice wakes, never steps back and
//! is never invented; one may be lost, and a watcher that also looks by itself then misses nothing. Panics at the first
//! promise that is broken.

#![expect(clippy::panic, reason = "a battery tells of a broken promise by panicking")]

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use muster_model::TrustVersion;
use muster_resources::Changes;
use tokio::sync::watch;

const PATIENCE: usize = 10_000;
/// Writers that commit at the same time.
const WRITERS: usize = 4;
/// Changes that each of them makes.
const EACH: usize = 50;

/// Runs the whole battery; `make` gives notices that nobody has used yet.
pub async fn changes<C: Changes + 'static>(make: impl Fn() -> Arc<C>) {
    telling_nobody_does_no_harm(make().as_ref());
    a_notice_is_heard_when_it_is_repeated(make().as_ref()).await;
    every_watcher_is_woken(make().as_ref()).await;
    nothing_is_heard_that_was_not_told(make().as_ref());
    a_watcher_that_comes_late_is_not_woken_by_what_was(make().as_ref());
    a_node_that_looks_by_itself_misses_nothing(make()).await;
}

/// Tells a version until a watcher has heard of it.
fn tell(changes: &dyn Changes, version: u64, watcher: &watch::Receiver<TrustVersion>) {
    let version = TrustVersion::new(version);
    for _ in 0..PATIENCE {
        changes.notify(version);
        if *watcher.borrow() >= version {
            return;
        }
    }
    panic!("a notice was never heard, however often it was repeated");
}

fn telling_nobody_does_no_harm(changes: &dyn Changes) {
    changes.notify(TrustVersion::new(1));
    drop(changes.watch());
    changes.notify(TrustVersion::new(2));
    let watcher = changes.watch();
    tell(changes, 3, &watcher);
}

async fn a_notice_is_heard_when_it_is_repeated(changes: &dyn Changes) {
    let mut watcher = changes.watch();
    assert_eq!(*watcher.borrow_and_update(), TrustVersion::default());
    let other = changes.watch();
    tell(changes, 5, &other);
    assert!(
        watcher.changed().await.is_ok(),
        "the sender lives as long as the port"
    );
    assert_eq!(*watcher.borrow_and_update(), TrustVersion::new(5));
    // Neither an older one nor the same again wakes.
    for version in [3, 5, 4, 5] {
        changes.notify(TrustVersion::new(version));
    }
    assert!(
        !watcher.has_changed().unwrap_or(true),
        "woken by what is known, down to {:?}",
        *watcher.borrow()
    );
    assert_eq!(*watcher.borrow(), TrustVersion::new(5));
}

async fn every_watcher_is_woken(changes: &dyn Changes) {
    let mut watchers: Vec<_> = (0..8).map(|_| changes.watch()).collect();
    let probe = changes.watch();
    tell(changes, 1, &probe);
    for watcher in &mut watchers {
        assert!(watcher.changed().await.is_ok());
        assert_eq!(*watcher.borrow_and_update(), TrustVersion::new(1));
    }
}

fn nothing_is_heard_that_was_not_told(changes: &dyn Changes) {
    let watcher = changes.watch();
    let mut told = BTreeSet::from([TrustVersion::default()]);
    let mut heard = TrustVersion::default();
    for round in 0..200_u64 {
        // Seven apart, with older ones between.
        let version = TrustVersion::new(if round % 3 == 2 { round } else { 7 * round });
        told.insert(version);
        changes.notify(version);
        let now = *watcher.borrow();
        assert!(now >= heard, "a notice stepped back from {heard:?} to {now:?}");
        assert!(told.contains(&now), "{now:?} was never told");
        heard = now;
    }
}

fn a_watcher_that_comes_late_is_not_woken_by_what_was(changes: &dyn Changes) {
    let probe = changes.watch();
    tell(changes, 9, &probe);
    let late = changes.watch();
    assert!(!late.has_changed().unwrap_or(true), "woken by what was before");
    // It knows what was heard last all the same, so that it can tell whether its own view is older.
    assert_eq!(*late.borrow(), TrustVersion::new(9));
}

/// Writers commit to a store and tell of it; a node reads what it lacks when it is woken, and now and then by itself. It
/// ends with every change, in the order of the commits, whatever was lost between.
async fn a_node_that_looks_by_itself_misses_nothing(changes: Arc<dyn Changes>) {
    let store: Arc<Mutex<Vec<TrustVersion>>> = Arc::default();
    let mut watcher = changes.watch();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, changes) = (Arc::clone(&store), Arc::clone(&changes));
            async move {
                for _ in 0..EACH {
                    let version = {
                        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                        let version = TrustVersion::new(store.len() as u64 + 1);
                        store.push(version);
                        version
                    };
                    // Others commit and tell before this one tells.
                    tokio::task::yield_now().await;
                    changes.notify(version);
                }
            }
        })
        .collect();
    let node = async {
        let mut seen = Vec::new();
        let all = WRITERS * EACH;
        let mut woken = 0_usize;
        for _ in 0..PATIENCE {
            tokio::select! {
                biased;
                heard = watcher.changed() => {
                    assert!(heard.is_ok(), "the sender lives as long as the port");
                    woken += 1;
                }
                // Stands for the time after which a node looks by itself.
                () = tokio::task::yield_now() => {}
            }
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend(store.iter().skip(seen.len()).copied());
            if seen.len() == all {
                break;
            }
        }
        assert_eq!(seen.len(), all, "the node never caught up");
        assert!(seen.is_sorted(), "changes are read in the order of the commits");
        assert!(woken <= all, "more notices than changes");
    };
    join_all(writers, node).await;
}

/// Runs the writers beside the node on this task, in turns.
async fn join_all(writers: Vec<impl Future<Output = ()>>, node: impl Future<Output = ()>) {
    let mut writers: Vec<_> = writers.into_iter().map(|writer| Some(Box::pin(writer))).collect();
    let mut node = pin!(node);
    let mut node_done = false;
    std::future::poll_fn(|context| {
        for slot in &mut writers {
            if let Some(writer) = slot
                && writer.as_mut().poll(context).is_ready()
            {
                *slot = None;
            }
        }
        if !node_done && node.as_mut().poll(context).is_ready() {
            node_done = true;
        }
        if node_done && writers.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
