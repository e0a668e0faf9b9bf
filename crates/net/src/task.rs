//! Tasks lent to gateways, so that no other crate asks the runtime for them and none outlives its server.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;
use tracing::Instrument;

use crate::drain::Drain;

/// Says that a task gave no result: it was cut at the end of a drain, or it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the task ended without a result")]
pub struct Cut;

/// A running task's result to come. Dropping it lets the task run on.
#[derive(Debug)]
pub struct Handle<T>(tokio::task::JoinHandle<Option<T>>);

impl<T> Handle<T> {
    /// Cuts the task at its next wait.
    pub fn cut(&self) {
        self.0.abort();
    }
}

impl<T> Future for Handle<T> {
    type Output = Result<T, Cut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|joined| joined.ok().flatten().ok_or(Cut))
    }
}

/// Runs `future` by itself, in the caller's tracing span. The drain waits for it and cuts it at its
/// deadline.
pub fn spawn<F>(drain: &Drain, future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Handle(tokio::spawn(drain.track().run(future).in_current_span()))
}

/// Runs `work`, which blocks, on a thread made for such; it is not cut, and the drain waits for it.
pub fn spawn_blocking<T: Send + 'static>(
    drain: &Drain,
    work: impl FnOnce() -> T + Send + 'static,
) -> Handle<T> {
    let tracked = drain.track();
    Handle(tokio::task::spawn_blocking(move || {
        let result = work();
        drop(tracked);
        Some(result)
    }))
}
