//! The segmented, append-only log: one commit file for all hubs, group commit, and nothing shown or
//! acknowledged that is not on the disk.
//!
//! Appenders copy a record into the open batch under a short lock. One writer thread swaps the batch, writes
//! it once, syncs once and completes every waiter; while one sync runs, the next batch gathers, so there are
//! no timers. Nothing here knows what a record says, and nothing is asynchronous: waiting is a [`Watermark`]
//! or a [`tokio::sync::watch`] channel, which need no runtime.
//!
//! Invariants:
//! - A record is acknowledged, and visible to readers, only after the sync of its batch succeeded.
//! - Positions of a hub's partition rise strictly, from 0, below 2^53, and none is given out twice: not after
//!   retention, not after a restart, not after a torn tail (the next ones are a million further on), not after
//!   a restore (they continue from the restore's own moment).
//! - A failed write or sync ends writing for good; a sync is never tried again.
//! - Opening deletes nothing but what no write that was acknowledged can have left.
//!
//! Locks, in the order in which they nest: `retention`, then `open`, then `view`, then a segment's points. The
//! writer thread takes `open` and `view` one after the other, never both.

mod backup;
mod batch;
mod commit;
mod disk;
mod error;
mod format;
mod index;
mod reader;
mod recover;
mod repair;
mod retain;
mod segment;
#[cfg(test)]
mod tests;
mod watermark;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use tokio::sync::watch;

pub use backup::restore;
use batch::OpenBatch;
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::{Damage, Error, INSPECT_COMMAND, REPAIR_COMMAND, Refused};
use index::{Gathered, State};
pub use reader::{Bounds, From, Stored};
pub use recover::{Recovery, TornTail};
pub use repair::{Inspection, Repair, SegmentReport, inspect, repair};
pub use retain::{Retention, Swept};
use segment::Sealed;
pub use watermark::Watermark;

/// Which life of the data a log belongs to; the registry carries the same one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Incarnation(pub [u8; 16]);

impl std::convert::From<u64> for Incarnation {
    fn from(number: u64) -> Self {
        Self(u128::from(number).to_le_bytes())
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_le_bytes(self.0))
    }
}

/// A hub's partition.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PartitionKey {
    /// The hub's key, never used again after the hub is deleted.
    pub hub: u64,
    /// Number of the partition in its hub.
    pub partition: u16,
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it was received, Unix microseconds.
    pub received: i64,
    /// Where it goes, in the caller's own form; at most 65,535 bytes.
    pub targets: &'a [u8],
    /// What it says, in the caller's own form.
    pub payload: &'a [u8],
}

/// How the log lays itself out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which life of the data this is.
    pub incarnation: Incarnation,
    /// Length of a segment file in bytes. A start reads the newest one whole, so larger ones start slower.
    pub segment_bytes: u64,
    /// Most bytes of the batch that gathers while another one is synced; beyond it records are refused.
    pub batch_bytes: usize,
    /// A segment takes records of at most this span of time, in microseconds: retention goes by segments.
    pub slice: i64,
    /// Bytes of the file system that the log leaves alone.
    pub reserve_bytes: u64,
}

impl Options {
    /// Segments of 64 MiB and one hour, batches of 16 MiB, 64 MiB left alone.
    pub const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            segment_bytes: 64 << 20,
            batch_bytes: 16 << 20,
            slice: 3_600_000_000,
            reserve_bytes: 64 << 20,
        }
    }
}

/// The place that an appended record got. It is not acknowledged before its watermark passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Its position in its partition.
    pub position: u64,
    /// Its enqueued time, Unix microseconds: the given one, or the partition's latest where that is later.
    pub enqueued: i64,
}

/// How a log stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// Segment files.
    pub segments: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// A failed write or sync has ended writing; a restart is needed.
    pub poisoned: bool,
    /// Events are refused for want of room until a sweep finds some.
    pub disk_full: bool,
}

/// The log of one data directory.
pub struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What appenders, the writer thread and readers share.
struct Shared {
    disk: Arc<dyn Disk>,
    options: Options,
    retention: Mutex<()>,
    open: Mutex<OpenBatch>,
    work: Condvar,
    view: RwLock<View>,
    batches: Mutex<reader::BatchCache>,
    commits: watch::Sender<u64>,
}

/// What is durable.
struct View {
    segments: BTreeMap<u64, Arc<Sealed>>,
    current: Current,
    state: State,
}

/// The segment that takes batches.
struct Current {
    identity: format::Identity,
    file: Arc<dyn DiskFile>,
    /// Where the next batch goes; everything before it is durable.
    end: u64,
    /// Preallocated length of the file.
    size: u64,
    table: Gathered,
    first_enqueued: Option<i64>,
}

/// Writes an error with its sources, for messages.
pub(crate) fn chain(error: &Error) -> String {
    commit::Chain(error).to_string()
}

impl Log {
    /// Opens the log of a directory that must hold one.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Missing`] when there is none, and otherwise what is wrong with it; nothing was changed
    /// then.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovery), Error> {
        let (view, recovery) = recover::open(disk.as_ref(), &options)?;
        Ok((Self::start(disk, options, view)?, recovery))
    }

    /// Starts a new log in a directory that must hold none.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Exists`], or what the disk answered.
    pub fn create(disk: Arc<dyn Disk>, options: Options, now: i64) -> Result<Self, Error> {
        let view = recover::create(disk.as_ref(), &options, now)?;
        Self::start(disk, options, view)
    }

    fn start(disk: Arc<dyn Disk>, options: Options, view: View) -> Result<Self, Error> {
        let open = OpenBatch::new(&view.state);
        let shared = Arc::new(Shared {
            disk,
            options,
            retention: Mutex::new(()),
            open: Mutex::new(open),
            work: Condvar::new(),
            view: RwLock::new(view),
            batches: Mutex::default(),
            commits: watch::Sender::new(0),
        });
        let writer = commit::spawn(Arc::clone(&shared)).map_err(Error::io("start", "the writer thread"))?;
        crate::metrics::poisoned(false);
        Ok(Self {
            shared,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Appends a record; never waits. The record is durable when `watermark` reaches `ticket`, which must be
    /// larger than any given for this watermark before.
    ///
    /// # Errors
    ///
    /// Returns why nothing was taken.
    pub fn append(
        &self,
        key: PartitionKey,
        record: &Record<'_>,
        watermark: &Arc<Watermark>,
        ticket: u64,
    ) -> Result<Appended, Refused> {
        let (appended, fresh) =
            self.shared
                .open()
                .append(&self.shared.options, key, record, watermark, ticket)?;
        if fresh {
            self.shared.work.notify_one();
        }
        Ok(appended)
    }

    /// Appends records of one partition that belong together: they stand in one batch, so either all of them are
    /// durable, when `watermark` reaches `ticket`, or none. Never waits. No record at all appends nothing.
    ///
    /// # Errors
    ///
    /// Returns why nothing was taken.
    pub fn append_all(
        &self,
        key: PartitionKey,
        records: &[Record<'_>],
        watermark: &Arc<Watermark>,
        ticket: u64,
    ) -> Result<(), Refused> {
        let mut open = self.shared.open();
        open.has_room_for(&self.shared.options, key, records)?;
        let mut wake = false;
        for record in records {
            let (_, fresh) = open.append(&self.shared.options, key, record, watermark, ticket)?;
            wake |= fresh;
        }
        drop(open);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Watches for commits; the value counts them.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// Makes a hub's records unreadable, durably and for good; the next sweep gives their space back. Blocks
    /// until it is on disk. A repeat changes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Poisoned`] or [`Error::Closed`].
    pub fn delete_hub(&self, hub: u64) -> Result<(), Error> {
        if self.shared.view().state.deleted.contains(&hub) {
            return Ok(());
        }
        let key = PartitionKey { hub, partition: 0 };
        self.shared.control(&[(format::RecordKind::HubDeleted, key, 0)])
    }

    /// Returns the hubs that have a position in some partition and were not deleted, in order.
    pub fn hubs(&self) -> Vec<u64> {
        let view = self.shared.view();
        let state = &view.state;
        let hubs: BTreeSet<u64> = state.partitions.keys().map(|key| key.hub).collect();
        hubs.difference(&state.deleted).copied().collect()
    }

    /// Returns the latest time that any record carries, Unix microseconds; 0 in a new log.
    pub fn latest(&self) -> i64 {
        self.shared.view().state.latest
    }

    /// Tells how the log stands.
    pub fn status(&self) -> Status {
        let (poisoned, disk_full) = {
            let open = self.shared.open();
            (open.is_poisoned(), open.is_disk_full())
        };
        let view = self.shared.view();
        let sealed: u64 = view.segments.values().map(|sealed| sealed.size).sum();
        Status {
            segments: view.segments.len() as u64 + 1,
            bytes: sealed + view.current.size,
            poisoned,
            disk_full,
        }
    }

    /// Commits what was appended, then ends the writer thread; reading goes on. Blocks until it is done. A
    /// repeat does nothing.
    pub fn close(&self) {
        self.shared.open().stop();
        self.shared.work.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = writer.map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!("the log's writer thread panicked");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    // A thread that panics under one of these locks leaves the value as it was: every change is made at the
    // end of the work under the lock.
    fn open(&self) -> MutexGuard<'_, OpenBatch> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}
