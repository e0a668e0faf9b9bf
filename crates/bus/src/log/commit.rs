//! Group commit: the one thread that takes the open batch, writes it, syncs it and completes its waiters.
//!
//! The writer alone touches the current segment. It publishes a batch to readers first and to the waiters
//! then, so that whoever was told that a record is durable can read it.

use std::io;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::batch::{Mode, Taken, control_room};
use super::error::{Error, Refused};
use super::format::{BatchKind, Identity, RecordKind, padded, seal_batch};
use super::index::{Gathered, State, Summary};
use super::segment::{Draft, file_name, seal};
use super::watermark::Watermark;
use super::{Current, Options, PartitionKey, Shared};
use crate::metrics;

/// A buffer larger than this is given back after this many batches that needed little of one.
const KEPT_BUFFER: usize = 256 * 1024;
const SMALL_BATCHES: u32 = 64;
/// A buffer larger than this is given back at once.
const LARGE_BUFFER: usize = 4 << 20;

impl Shared {
    /// Appends records of the log's own and blocks until they are durable.
    pub(super) fn control(&self, records: &[(RecordKind, PartitionKey, u64)]) -> Result<(), Error> {
        let watermark = Watermark::new();
        let mut ticket = 0;
        for record in records {
            loop {
                let taken = self
                    .open()
                    .append_control(&self.options, *record, &watermark, ticket + 1);
                match taken {
                    Ok(()) => break,
                    // The batch that is full commits without us; ours in it, if any, tell when.
                    Err(Refused::Full) if ticket > 0 => {
                        self.work.notify_one();
                        watermark.wait(ticket).map_err(refused)?;
                    }
                    Err(Refused::Full) => self.flush()?,
                    Err(reason) => return Err(refused(reason)),
                }
            }
            ticket += 1;
            self.work.notify_one();
        }
        watermark.wait(ticket).map_err(refused)
    }

    /// Blocks until the batch that is open now was dealt with.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.ask(false)
    }

    /// Has the writer start a new segment, if the current one has events; blocks until it did.
    pub(super) fn rotate(&self) -> Result<(), Error> {
        self.ask(true)
    }

    fn ask(&self, rotate: bool) -> Result<(), Error> {
        let watermark = Watermark::new();
        {
            let mut open = self.open();
            open.check().map_err(refused)?;
            open.ask_rotation(rotate);
            open.register(&watermark, 1);
        }
        self.work.notify_one();
        match watermark.wait(1) {
            // Events of others may have found no room: not this caller's concern.
            Ok(()) | Err(Refused::DiskFull) => Ok(()),
            Err(reason) => Err(refused(reason)),
        }
    }
}

fn refused(reason: Refused) -> Error {
    match reason {
        Refused::Closed => Error::Closed,
        Refused::DiskFull => Error::Io {
            action: "allocate",
            name: "a new segment".to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        },
        _ => Error::Poisoned,
    }
}

/// Starts the writer thread.
pub(super) fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    let mut spare = Vec::new();
    let mut small = 0_u32;
    loop {
        {
            let mut open = shared.open();
            while open.is_empty() && !open.is_stopped() {
                open = shared.work.wait(open).unwrap_or_else(PoisonError::into_inner);
            }
            if open.is_empty() {
                return;
            }
        }
        // Whoever is ready to run appends first. Where processors are free this returns at once; where they are
        // not, a commit is paid for by more records.
        thread::yield_now();
        let taken = shared.open().take(mem::take(&mut spare));
        let Taken {
            mut bytes,
            count,
            summary,
            waiters,
            rotate,
        } = taken;
        match write(shared, &mut bytes, count, &summary, rotate) {
            Ok(()) => {
                shared.commits.send_modify(|commits| *commits += 1);
                for (watermark, ticket) in waiters {
                    watermark.complete(ticket);
                }
            }
            Err(Failure::DiskFull) => {
                tracing::error!("the event log has no room for another segment; events are refused");
                metrics::disk_full();
                // Nothing of this batch was written; what gathered behind it has the same fate.
                fail_all(shared, waiters, Mode::DiskFull, Refused::DiskFull);
            }
            Err(Failure::Poison(error)) => {
                tracing::error!(error = %Chain(&error), "the event log takes no more records until a restart");
                metrics::poisoned(true);
                fail_all(shared, waiters, Mode::Poisoned, Refused::Poisoned);
                return;
            }
        }
        small = if bytes.len() < KEPT_BUFFER / 8 {
            small.saturating_add(1)
        } else {
            0
        };
        let spared = small >= SMALL_BATCHES && bytes.capacity() > KEPT_BUFFER;
        if spared || bytes.capacity() > LARGE_BUFFER {
            bytes = Vec::new();
        }
        spare = bytes;
    }
}

/// Fails the waiters of a batch and of the one behind it. The lock is held until all know, so that no lane
/// gets a record in behind one that was lost.
fn fail_all(shared: &Shared, waiters: Vec<(Arc<Watermark>, u64)>, mode: Mode, reason: Refused) {
    let mut open = shared.open();
    let behind = open.give_up(mode);
    for (watermark, _) in waiters.into_iter().chain(behind.waiters) {
        watermark.fail(reason);
    }
}

enum Failure {
    /// Nothing was written.
    DiskFull,
    /// What is on the disk is not known.
    Poison(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Poison(error)
    }
}

fn write(
    shared: &Shared,
    bytes: &mut Vec<u8>,
    count: u32,
    summary: &Summary,
    rotate_asked: bool,
) -> Result<(), Failure> {
    let first_event = summary
        .shares
        .first()
        .map(|(_, range)| (range.first_position, range.first_enqueued));
    let has_events = first_event.is_some();
    let needed = padded(bytes.len()) as u64;
    let (fits, aged, has_batches) = {
        let view = shared.view();
        let current = &view.current;
        let room = if has_events {
            control_room(&shared.options)
        } else {
            0
        };
        let fits = current.end + needed + current.table.footer_bytes() + room <= current.size;
        let aged = match (current.first_enqueued, first_event) {
            (Some(begun), Some((_, enqueued))) => enqueued.saturating_sub(begun) >= shared.options.slice,
            _ => false,
        };
        (fits, aged, current.first_enqueued.is_some())
    };
    let due = aged || (rotate_asked && has_batches);
    if !fits || due {
        match rotate(shared, needed) {
            // A segment that is only old, or asked to be closed, goes on while there is no room for the next.
            Err(Failure::DiskFull) if fits => {}
            other => other?,
        }
    }
    if count == 0 {
        return Ok(());
    }
    let first = first_event.unwrap_or_default();
    let (identity, file, end) = {
        let view = shared.view();
        (
            view.current.identity,
            Arc::clone(&view.current.file),
            view.current.end,
        )
    };
    seal_batch(bytes, BatchKind::Records, count, first, end, &identity);
    let name = file_name(identity.segment);
    file.write_at(bytes, end).map_err(Error::io("write", &name))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the sync itself for a metric; nothing is decided by it"
    )]
    let begun = Instant::now();
    file.sync_data().map_err(Error::io("sync", &name))?;
    metrics::committed(count, bytes.len(), begun.elapsed());
    let mut view = shared.view_mut();
    let view = &mut *view;
    view.state.apply(summary);
    for (key, range) in &summary.shares {
        view.current.first_enqueued.get_or_insert(range.first_enqueued);
        view.current.table.note(*key, range, end);
    }
    view.current.end = end + bytes.len() as u64;
    Ok(())
}

/// Seals the current segment and starts the next, which has room for `needed` bytes at least.
fn rotate(shared: &Shared, needed: u64) -> Result<(), Failure> {
    let (state, identity, file, end, table) = {
        let view = shared.view();
        let current = &view.current;
        (
            view.state.clone(),
            current.identity,
            Arc::clone(&current.file),
            current.end,
            current.table.clone(),
        )
    };
    let next = Identity {
        segment: identity.segment + 1,
        ..identity
    };
    let current = match start_segment(shared, next, &state, needed) {
        Ok(draft) => draft,
        Err(Error::Io { source, .. }) if is_full(&source) => return Err(Failure::DiskFull),
        Err(error) => return Err(Failure::Poison(error)),
    };
    let (draft, size) = current;
    let sealed = seal(identity, file.as_ref(), end, table)?;
    draft.publish(shared.disk.as_ref())?;
    let mut view = shared.view_mut();
    view.segments.insert(identity.segment, Arc::new(sealed));
    view.current = Current {
        identity: next,
        file: draft.file,
        end: draft.end,
        size,
        table: Gathered::default(),
        first_enqueued: None,
    };
    Ok(())
}

fn start_segment(
    shared: &Shared,
    identity: Identity,
    state: &State,
    needed: u64,
) -> Result<(Draft, u64), Error> {
    let disk = shared.disk.as_ref();
    let length = segment_length(&shared.options, state, needed);
    let free = disk
        .free_space()
        .map_err(Error::io("measure", "the log's directory"))?;
    if free < length.saturating_add(shared.options.reserve_bytes) {
        return Err(Error::io("allocate", file_name(identity.segment))(
            io::ErrorKind::StorageFull.into(),
        ));
    }
    let mut draft = Draft::create(disk, identity, length, state.latest)?;
    if let Err(error) = draft.write_state(state).and_then(|()| draft.sync()) {
        draft.discard(disk);
        return Err(error);
    }
    Ok((draft, length))
}

/// Length of a new segment: the configured one, or what the snapshot and the first batch need.
pub(super) fn segment_length(options: &Options, state: &State, needed: u64) -> u64 {
    let snapshot = 128 + 48 * state.partitions.len() as u64 + 8 * state.deleted.len() as u64;
    options
        .segment_bytes
        .max(snapshot + needed + 2 * control_room(options) + 4096)
}

/// Tells whether the disk had no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Shows an error with its sources, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
