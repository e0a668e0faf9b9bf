//! The open batch: what appenders fill under a short lock while the batch before it is synced.
//!
//! It gives out positions and enqueued times, sums the records up by partition for the index, and remembers who
//! waits. It does no I/O; what is in it counts for nothing until the writer thread took and committed it.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use super::error::Refused;
use super::format::{BATCH_HEADER, POSITION_LIMIT, RECORD_HEADER, RawRecord, RecordKind};
use super::index::{KeyMap, State, Summary};
use super::watermark::Watermark;
use super::{Appended, Options, PartitionKey, Record};

/// The batch that gathers while another one is synced.
pub(super) struct OpenBatch {
    bytes: Vec<u8>,
    count: u32,
    /// Number of this batch, from 1.
    number: u64,
    waiters: Vec<(Arc<Watermark>, u64)>,
    partitions: KeyMap<Lane>,
    summary: Summary,
    base: u64,
    deleted: BTreeSet<u64>,
    mode: Mode,
    rotate: bool,
    stop: bool,
}

/// What the next record of a partition gets, and where the partition stands in the open batch.
struct Lane {
    next: u64,
    last_enqueued: i64,
    batch: u64,
    share: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    DiskFull,
    Poisoned,
    Running,
}

/// A batch that the writer took.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
    pub(super) summary: Summary,
    pub(super) waiters: Vec<(Arc<Watermark>, u64)>,
    pub(super) rotate: bool,
}

impl OpenBatch {
    pub(super) fn new(state: &State) -> Self {
        let lane = |next, last_enqueued| Lane {
            next,
            last_enqueued,
            batch: 0,
            share: 0,
        };
        let partitions = state
            .partitions
            .iter()
            .map(|(key, value)| (*key, lane(value.next, value.last_enqueued)))
            .collect();
        Self {
            bytes: vec![0; BATCH_HEADER],
            count: 0,
            number: 1,
            waiters: Vec::new(),
            partitions,
            summary: Summary::default(),
            base: state.base,
            deleted: state.deleted.clone(),
            mode: Mode::Running,
            rotate: false,
            stop: false,
        }
    }

    /// Tells whether [`Self::append`] would take these one after the other.
    pub(super) fn has_room_for(
        &self,
        options: &Options,
        key: PartitionKey,
        records: &[Record<'_>],
    ) -> Result<(), Refused> {
        let mut length = 0;
        for record in records {
            if u16::try_from(record.targets.len()).is_err() {
                return Err(Refused::TooLarge);
            }
            length += RECORD_HEADER + record.targets.len() + record.payload.len();
        }
        if length + BATCH_HEADER > options.batch_bytes {
            return Err(Refused::TooLarge);
        }
        if self.bytes.len() + length > options.batch_bytes {
            return Err(Refused::Full);
        }
        let next = self.partitions.get(&key).map_or(self.base, |lane| lane.next);
        if next.saturating_add(records.len() as u64) > POSITION_LIMIT {
            return Err(Refused::PositionsExhausted);
        }
        Ok(())
    }

    /// Takes an event. The flag tells that the writer may be asleep.
    pub(super) fn append(
        &mut self,
        options: &Options,
        key: PartitionKey,
        record: &Record<'_>,
        watermark: &Arc<Watermark>,
        ticket: u64,
    ) -> Result<(Appended, bool), Refused> {
        self.check()?;
        if self.mode == Mode::DiskFull {
            return Err(Refused::DiskFull);
        }
        if self.deleted.contains(&key.hub) {
            return Err(Refused::HubDeleted);
        }
        let base = self.base;
        let number = self.number;
        let fresh_lane = || Lane {
            next: base,
            last_enqueued: i64::MIN,
            batch: 0,
            share: 0,
        };
        let lane = self.partitions.entry(key).or_insert_with(fresh_lane);
        let enqueued = record.received.max(lane.last_enqueued);
        let Record {
            received,
            targets,
            payload,
        } = *record;
        let position = lane.next;
        let raw = RawRecord {
            kind: RecordKind::Event,
            key,
            position,
            enqueued,
            received,
            targets,
            payload,
        };
        if raw.length() + BATCH_HEADER > options.batch_bytes || u16::try_from(targets.len()).is_err() {
            return Err(Refused::TooLarge);
        }
        if self.bytes.len() + raw.length() > options.batch_bytes {
            return Err(Refused::Full);
        }
        if position >= POSITION_LIMIT {
            return Err(Refused::PositionsExhausted);
        }
        lane.next = position + 1;
        lane.last_enqueued = enqueued;
        if lane.batch != number {
            lane.batch = number;
            lane.share = self.summary.shares.len();
        }
        self.summary.add_at(lane.share, &raw);
        let fresh = self.is_empty();
        raw.encode(&mut self.bytes);
        self.count += 1;
        self.register(watermark, ticket);
        Ok((Appended { position, enqueued }, fresh))
    }

    /// Takes a record of the log's own.
    pub(super) fn append_control(
        &mut self,
        options: &Options,
        record: (RecordKind, PartitionKey, u64),
        watermark: &Arc<Watermark>,
        ticket: u64,
    ) -> Result<(), Refused> {
        self.check()?;
        let (kind, key, position) = record;
        // The state keeps the latest time itself; a record of the log's own moves no clock.
        let raw = RawRecord {
            kind,
            key,
            position,
            enqueued: 0,
            received: 0,
            targets: &[],
            payload: &[],
        };
        let most = options.batch_bytes + usize::try_from(control_room(options) / 2).unwrap_or_default();
        if self.bytes.len() + raw.length() > most {
            return Err(Refused::Full);
        }
        raw.encode(&mut self.bytes);
        self.summary.controls.push(record);
        self.count += 1;
        if kind == RecordKind::HubDeleted {
            self.deleted.insert(key.hub);
            self.partitions.retain(|other, _| other.hub != key.hub);
        }
        self.register(watermark, ticket);
        Ok(())
    }

    pub(super) fn register(&mut self, watermark: &Arc<Watermark>, ticket: u64) {
        let registered = watermark
            .slot(self.number)
            .and_then(|slot| self.waiters.get_mut(slot));
        if let Some((_, highest)) = registered {
            *highest = ticket;
            return;
        }
        watermark.take_slot(self.number, self.waiters.len());
        self.waiters.push((Arc::clone(watermark), ticket));
    }

    pub(super) fn check(&self) -> Result<(), Refused> {
        if self.stop {
            return Err(Refused::Closed);
        }
        if self.mode == Mode::Poisoned {
            return Err(Refused::Poisoned);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.waiters.is_empty() && !self.rotate
    }

    pub(super) fn take(&mut self, mut spare: Vec<u8>) -> Taken {
        spare.clear();
        spare.resize(BATCH_HEADER, 0);
        self.number += 1;
        Taken {
            bytes: mem::replace(&mut self.bytes, spare),
            count: mem::take(&mut self.count),
            summary: mem::take(&mut self.summary),
            waiters: mem::take(&mut self.waiters),
            rotate: mem::take(&mut self.rotate),
        }
    }

    /// Takes no more events, or nothing at all, and hands out what has gathered, to be failed.
    pub(super) fn give_up(&mut self, mode: Mode) -> Taken {
        self.mode = mode;
        self.take(Vec::new())
    }

    pub(super) fn ask_rotation(&mut self, asked: bool) {
        self.rotate |= asked;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop
    }

    pub(super) fn is_disk_full(&self) -> bool {
        self.mode == Mode::DiskFull
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.mode == Mode::Poisoned
    }

    pub(super) fn stop(&mut self) {
        self.stop = true;
    }

    /// Lets events in again after space was found.
    pub(super) fn space_found(&mut self) {
        if self.mode == Mode::DiskFull {
            self.mode = Mode::Running;
        }
    }
}

/// Room that a batch and a segment keep for the log's own records, so that retention goes on when a segment
/// is full and the disk has no room for another.
pub(super) fn control_room(options: &Options) -> u64 {
    (options.segment_bytes / 16).min(64 << 10)
}
