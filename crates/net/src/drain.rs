//! How a server ends: it stops accepting, tells everyone, waits until a deadline, then cuts.
//!
//! A [`Drainer`] is held by whoever ends the server; everyone who works for it holds a [`Drain`]. No step
//! is a sleep: the wait ends with the last tracked task or with the deadline. Only what runs in
//! [`Drain::bounded`] or was started by [`task`](crate::task) is tracked; holding a token is not.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

/// Longest wait for tasks that were cut to be dropped; a task that never waits is left behind.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Cut,
}

/// Ends a server.
#[derive(Debug)]
pub struct Drainer {
    stage: watch::Sender<Stage>,
    drain: Drain,
}

/// Tells how a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that were cut at the deadline; 0 if everything ended by itself.
    pub cut: usize,
}

impl Drainer {
    /// Makes a drainer of which nothing has ended yet.
    pub fn new() -> Self {
        let (stage, watched) = watch::channel(Stage::Running);
        let drain = Drain {
            stage: watched,
            running: watch::channel(0).0,
        };
        Self { stage, drain }
    }

    /// Makes a token for one more worker.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Tells everyone to come to an end. May be called again without effect.
    pub fn begin(&self) {
        self.advance(Stage::Draining);
    }

    /// Tells everyone to come to an end, waits for that, and cuts what is left after `deadline`.
    pub async fn finish(&self, deadline: Duration) -> Drained {
        self.begin();
        let mut running = self.drain.running.subscribe();
        let all_ended = running.wait_for(|running| *running == 0);
        if tokio::time::timeout(deadline, all_ended).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = *running.borrow();
        self.advance(Stage::Cut);
        let all_ended = running.wait_for(|running| *running == 0);
        if tokio::time::timeout(CUT_GRACE, all_ended).await.is_err() {
            tracing::warn!(
                tasks = *self.drain.running.borrow(),
                "some tasks do not end and are left behind"
            );
        }
        Drained { cut }
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let further = *stage < to;
            *stage = (*stage).max(to);
            further
        });
    }
}

impl Default for Drainer {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells a worker when to come to an end, and tracks what runs under it.
#[derive(Clone, Debug)]
pub struct Drain {
    stage: watch::Receiver<Stage>,
    running: watch::Sender<usize>,
}

impl Drain {
    /// Makes a token that never tells anything, for tests and one-off use.
    pub fn never() -> Self {
        Drainer::new().drain()
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        *self.stage.borrow() != Stage::Running
    }

    /// Waits until the end begins. Nothing is lost if the wait is given up.
    pub async fn begun(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Runs `future` until it is done or cut; `None` if it was cut. The drain waits for it.
    pub async fn bounded<F: Future>(&self, future: F) -> Option<F::Output> {
        self.track().run(future).await
    }

    /// Counts one more running task, from now on.
    pub(crate) fn track(&self) -> Tracked {
        self.running.send_modify(|running| *running += 1);
        Tracked { drain: self.clone() }
    }

    async fn reached(&self, wanted: Stage) {
        let mut stage = self.stage.clone();
        if stage.wait_for(|stage| *stage >= wanted).await.is_err() {
            // The drainer is gone without having said so: there is nothing to wait for any more.
            std::future::pending::<()>().await;
        }
    }
}

/// A task that the drain waits for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Tracked {
    drain: Drain,
}

impl Tracked {
    /// Runs `future` until it is done or cut; `None` if it was cut.
    pub(crate) async fn run<F: Future>(self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.drain.reached(Stage::Cut) => None,
            output = future => Some(output),
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.drain
            .running
            .send_modify(|running| *running = running.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_that_end_when_told() {
        let drainer = Drainer::new();
        let drain = drainer.drain();
        let task = crate::task::spawn(&drainer.drain(), async move {
            drain.begun().await;
            7
        });
        assert_eq!(drainer.finish(Duration::from_mins(1)).await, Drained { cut: 0 });
        assert_eq!(task.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn cuts_tasks_that_do_not_listen() {
        let drainer = Drainer::new();
        let deaf = crate::task::spawn(&drainer.drain(), std::future::pending::<()>());
        assert_eq!(drainer.finish(Duration::from_mins(1)).await, Drained { cut: 1 });
        assert_eq!(deaf.await, Err(crate::task::Cut));
    }

    #[tokio::test(start_paused = true)]
    async fn held_tokens_alone_hold_nothing_up() {
        let drainer = Drainer::new();
        let token = drainer.drain();
        assert!(!token.has_begun());
        assert_eq!(drainer.finish(Duration::from_mins(1)).await, Drained { cut: 0 });
        assert!(token.has_begun());
    }
}
