//! Timers lent to gateways, so that no other crate asks the runtime for them and a paused runtime in a
//! test holds them all.

use std::future::Future;
use std::time::{Duration, Instant};

use thiserror::Error;

/// Says that a wait took longer than it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the time is over")]
pub struct Elapsed;

/// Reads the monotonic clock that the other functions of this module wait by.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for `duration`. To be used for what must happen at a time, never to wait for something to have
/// happened.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits until `deadline`.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
}

/// Waits for `future`, at most for `duration`; the future is dropped when the time is over.
///
/// # Errors
/// [`Elapsed`] if the time was over first.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(duration, future).await.map_err(|_| Elapsed)
}

/// Waits for `future`, at most until `deadline`; the future is dropped when the time is over.
///
/// # Errors
/// [`Elapsed`] if the time was over first.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout_at(deadline.into(), future)
        .await
        .map_err(|_| Elapsed)
}

/// Beats once per `period`, the first time at once. Beats that were missed are left out.
#[derive(Debug)]
pub struct Interval(tokio::time::Interval);

impl Interval {
    /// Starts to beat; a `period` of zero is taken as one millisecond.
    pub fn every(period: Duration) -> Self {
        let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        Self(interval)
    }

    /// Waits for the next beat. Nothing is lost if the wait is given up.
    pub async fn beat(&mut self) {
        self.0.tick().await;
    }
}
