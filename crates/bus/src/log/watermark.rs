//! One durable watermark with one waker: how a submitter learns that its records are on disk.
//!
//! A submitter numbers its records; the writer thread moves the watermark to the highest number of each
//! commit. A failure is final: what was durable before stays so, nothing beyond is acknowledged any more.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::Refused;

/// The newest durable ticket of one submitter.
#[derive(Debug, Default)]
pub struct Watermark {
    // Where this watermark stands in the open batch; read and written under that batch's lock only, so the
    // order of memory is the lock's.
    batch: AtomicU64,
    slot: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    durable: u64,
    failed: Option<Refused>,
    waker: Option<Waker>,
}

impl Watermark {
    /// Makes a watermark at ticket 0.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Returns the newest durable ticket, as soon as it is larger than `beyond`; keeps the waker until then.
    ///
    /// # Errors
    ///
    /// Returns why nothing beyond `beyond` will be acknowledged.
    pub fn poll(&self, context: &mut Context<'_>, beyond: u64) -> Poll<Result<u64, Refused>> {
        let mut state = self.lock();
        if state.durable > beyond {
            return Poll::Ready(Ok(state.durable));
        }
        if let Some(reason) = state.failed {
            return Poll::Ready(Err(reason));
        }
        if !state
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Blocks the thread until a ticket is durable. Not for use inside a task.
    ///
    /// # Errors
    ///
    /// Returns why the ticket will not be acknowledged.
    pub fn wait(&self, ticket: u64) -> Result<(), Refused> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match self.poll(&mut context, ticket.saturating_sub(1)) {
                Poll::Ready(Ok(durable)) if durable >= ticket => return Ok(()),
                Poll::Ready(Err(reason)) => return Err(reason),
                Poll::Ready(Ok(_)) | Poll::Pending => thread::park(),
            }
        }
    }

    /// Returns why the watermark moves no more, if so.
    pub fn failed(&self) -> Option<Refused> {
        self.lock().failed
    }

    pub(crate) fn complete(&self, ticket: u64) {
        let mut state = self.lock();
        if state.failed.is_none() {
            state.durable = state.durable.max(ticket);
        }
        wake(state);
    }

    pub(crate) fn fail(&self, reason: Refused) {
        let mut state = self.lock();
        state.failed.get_or_insert(reason);
        wake(state);
    }

    /// The slot taken in batch `number`, if one was.
    pub(super) fn slot(&self, number: u64) -> Option<usize> {
        (self.batch.load(Ordering::Relaxed) == number).then(|| self.slot.load(Ordering::Relaxed))
    }

    pub(super) fn take_slot(&self, number: u64, slot: usize) {
        self.batch.store(number, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment that a panic could leave it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes outside the lock, since the woken task polls at once.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
