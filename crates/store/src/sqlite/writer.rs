//! The one thread that writes.
//!
//! It takes whatever waits, up to [`BATCH`] units of work, runs each in a savepoint of one transaction, commits once
//! and then answers everybody: a sync is paid once for all that came while the last one ran. A unit that is refused is
//! rolled back alone. Nobody else writes or checkpoints, so nothing here waits for a lock of the database.
//!
//! A commit that fails leaves the outcome of its units unknown, and they are told so. After a failed write or sync of
//! the disk the writer refuses all further work: what the kernel did with the pages is not known, and a second sync
//! that succeeds proves nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;

use muster_model::Clock;
use muster_resources::StoreError;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::stamps::{Moved, Stamps};
use super::unit::{Meta, Unit};
use crate::fault::Fault;
use crate::metrics;
use crate::seal::Sealer;

/// Units of work in one transaction at most.
const BATCH: usize = 128;
/// Units of work that may wait; one more is refused.
const QUEUE: usize = 1_024;
/// Pages in the write-ahead log after which it is copied into the database: 16 MiB. A page that many commits change
/// is copied once; after a crash so much is read again at the start.
const CHECKPOINT_PAGES: i32 = 4_096;

/// A unit of work that waits for the writer.
trait Job: Send {
    /// Runs it; tells whether its changes are to stay.
    fn run(&mut self, unit: &mut Unit<'_>) -> bool;

    /// Answers the waiter: with what [`Job::run`] made of it, or with the failure of the whole batch.
    fn complete(self: Box<Self>, batch: Result<(), &StoreError>);
}

struct Call<T, F> {
    work: Option<F>,
    result: Option<Result<T, Fault>>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Unit<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, unit: &mut Unit<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // A panic in one unit of work is a bug of that unit; the others of the batch must not pay for it.
        let result = catch_unwind(AssertUnwindSafe(|| work(unit)))
            .unwrap_or_else(|_| Err(Fault::unavailable("the unit of work broke down")));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn complete(self: Box<Self>, batch: Result<(), &StoreError>) {
        let answer = match (batch, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Fault::unavailable("the unit of work was not run")),
            (_, Some(Err(Fault::Store(own)))) => Err(Fault::Store(own)),
            // A refusal too: it may rest on what an earlier unit of this batch did.
            (Err(failure), _) => Err(Fault::Store(failure.clone())),
        };
        // A caller that went away does not want the answer.
        let _ = self.reply.send(answer);
    }
}

/// The way to the writing thread. Dropping it ends the thread after what waits.
pub(crate) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(
        sql: Connection,
        sealer: Arc<Sealer>,
        stamps: Arc<Stamps>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("registry-writer".to_owned())
            .spawn(move || {
                let pages = Arc::new(AtomicI32::new(0));
                let mut desk = Desk {
                    sql,
                    sealer,
                    stamps,
                    moved: Vec::new(),
                    clock,
                    pages,
                    poisoned: None,
                };
                desk.serve(&jobs);
            })
            .map_err(|error| Fault::unavailable(format!("the writer could not be started: {error}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` in the next batch and waits for its commit. A caller that stops waiting does not undo it.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Unit<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call {
            work: Some(work),
            result: None,
            reply,
        });
        let queue = self
            .queue
            .as_ref()
            .ok_or_else(|| Fault::unavailable("the store is closed"))?;
        match queue.try_send(job) {
            Ok(()) => metrics::queued(),
            Err(TrySendError::Full(_)) => {
                metrics::refused();
                return Err(Fault::unavailable("too many writes wait"));
            }
            Err(TrySendError::Disconnected(_)) => return Err(Fault::unavailable("the writer has ended")),
        }
        answer.await.unwrap_or_else(|_| {
            Err(Fault::Store(StoreError::Unknown(
                "the writer has ended".to_owned(),
            )))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the registry broke down");
        }
    }
}

/// What the writing thread owns.
struct Desk {
    sql: Connection,
    sealer: Arc<Sealer>,
    stamps: Arc<Stamps>,
    /// What the batch that runs has changed of identities.
    moved: Vec<Moved>,
    clock: Arc<dyn Clock>,
    /// Pages in the write-ahead log after the last commit.
    pages: Arc<AtomicI32>,
    /// Why nothing more is written.
    poisoned: Option<String>,
}

impl Desk {
    fn serve(&mut self, jobs: &Receiver<Box<dyn Job>>) {
        let pages = Arc::clone(&self.pages);
        let hooked = self
            .sql
            .wal_hook(Some(move |_: &'_ mut rusqlite::hooks::Wal, count| {
                pages.store(count, Ordering::Relaxed);
                Ok(())
            }));
        if let Err(error) = hooked {
            self.poisoned = Some(error.to_string());
        }
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
        let mut open = true;
        while open {
            match jobs.recv() {
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
            // Whoever is ready to run adds to this batch. Where processors are free this returns at once; where they
            // are not, a commit is paid for by more units of work.
            std::thread::yield_now();
            while batch.len() < BATCH {
                match jobs.try_recv() {
                    Ok(job) => batch.push(job),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        open = false;
                        break;
                    }
                }
            }
            let started = self.clock.mono();
            let outcome = self.commit(&mut batch);
            // Also when it failed: its changes may be there.
            self.stamps.bump(&self.moved);
            self.moved.clear();
            metrics::batch(batch.len(), self.clock.mono().since(started));
            for job in batch.drain(..) {
                job.complete(outcome.as_ref().copied());
            }
            if self.pages.load(Ordering::Relaxed) >= CHECKPOINT_PAGES {
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    /// Runs a batch. On success every job that was not refused is durable.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        if let Some(why) = &self.poisoned {
            return Err(StoreError::Unavailable(format!(
                "the store stopped writing after a failure: {why}"
            )));
        }
        let ready = self.run(batch).map_err(StoreError::from);
        if let Err(error) = ready {
            if !self.sql.is_autocommit()
                && let Err(error) = self.sql.execute_batch("ROLLBACK")
            {
                self.poison(&error);
            }
            return Err(error);
        }
        let Err(error) = self.sql.execute_batch("COMMIT") else {
            return Ok(());
        };
        tracing::error!(error = %error, "a commit of the registry failed");
        metrics::commit_failed();
        if is_disk_failure(&error) {
            self.poison(&error);
        }
        if !self.sql.is_autocommit()
            && let Err(error) = self.sql.execute_batch("ROLLBACK")
        {
            self.poison(&error);
        }
        Err(StoreError::Unknown(error.to_string()))
    }

    fn run(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before = Meta::load(&self.sql)?;
        let mut meta = before.clone();
        for job in batch {
            self.sql.prepare_cached("SAVEPOINT job")?.execute([])?;
            let mut kept = meta.clone();
            let mut unit = Unit {
                sql: &self.sql,
                meta: &mut kept,
                sealer: &self.sealer,
                moved: &mut self.moved,
            };
            if job.run(&mut unit) {
                meta = kept;
            } else if self.sql.is_autocommit() {
                // The database rolled all of the transaction back: with it went what the others had done.
                return Err(Fault::unavailable(
                    "the transaction was rolled back by the database",
                ));
            } else {
                self.sql.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
            self.sql.prepare_cached("RELEASE job")?.execute([])?;
        }
        if meta != before {
            meta.save(&self.sql)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) {
        if self.poisoned.is_some() {
            return;
        }
        let done: Result<(i64, i64), _> = self.sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        });
        match done {
            // Readers may hold the tail; the next commit tries again.
            Ok((log, copied)) if copied < log => metrics::checkpoint_partial(),
            Ok(_) => self.pages.store(0, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(error = %error, "a checkpoint of the registry failed");
                if is_disk_failure(&error) {
                    self.poison(&error);
                }
            }
        }
    }

    fn poison(&mut self, error: &rusqlite::Error) {
        tracing::error!(error = %error, "the registry takes no more writes until it is opened again");
        self.poisoned = Some(error.to_string());
    }
}

/// Tells whether the disk failed, as against being full or busy.
fn is_disk_failure(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
