//! Retention: by age and size per hub, in steps of a segment's share of a partition.
//!
//! Segments are shared by all hubs and cover a slice of time each. A sweep first raises the floors of the
//! partitions, durably, so that what is given up never shows again; then it gives space back. Segments at the
//! front that hold nothing any more are unlinked; one further back, or one that is mostly given up while
//! another hub still needs the rest, is written again with the rest alone and put in its own place, so that
//! order, positions and segment numbers stay. A reader that lags gets the first record that is retained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use super::commit::Chain;
use super::error::Error;
use super::format::{BATCH_HEADER, BatchKind, Identity, RawRecord, RecordKind, Records, SEGMENT_HEADER};
use super::index::RangeEntry;
use super::segment::{Draft, Sealed, WalkEnd, file_name, walk};
use super::{Log, PartitionKey, Shared};
use crate::metrics;

/// How long a hub's records are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    /// Records are kept at least this long, in microseconds, unless `bytes` says otherwise.
    pub age: i64,
    /// Beyond this many bytes the oldest go.
    pub bytes: Option<u64>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Bytes given back to the disk.
    pub bytes: u64,
    /// Segments unlinked.
    pub unlinked: u64,
    /// Segments written again with what must live longer.
    pub rewritten: u64,
}

impl Log {
    /// Gives up what retention no longer covers and what deleted hubs left. `retention` tells what holds for a
    /// hub; one for which it tells nothing keeps everything. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Returns what the disk answered, or [`Error::Poisoned`].
    pub fn sweep(&self, retention: &dyn Fn(u64) -> Option<Retention>, now: i64) -> Result<Swept, Error> {
        let shared = &*self.shared;
        let _one_at_a_time = shared.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = shared.view().current.first_enqueued;
        if begun.is_some_and(|begun| now.saturating_sub(begun) >= shared.options.slice) {
            shared.rotate()?;
        }
        let floors = shared.floors(retention, now);
        if !floors.is_empty() {
            shared.control(&floors)?;
        }
        let mut swept = shared.unlink_front()?;
        shared.rewrite_mixed(&mut swept);
        metrics::swept(swept.bytes);
        let free = shared
            .disk
            .free_space()
            .map_err(Error::io("measure", "the log's directory"))?;
        if free
            >= shared
                .options
                .segment_bytes
                .saturating_add(shared.options.reserve_bytes)
        {
            shared.open().space_found();
        }
        Ok(swept)
    }
}

/// One hub's share of one segment.
struct Share {
    segment: u64,
    entry: RangeEntry,
}

impl Shared {
    /// Works out which floors rise, from the oldest segment on.
    fn floors(
        &self,
        retention: &dyn Fn(u64) -> Option<Retention>,
        now: i64,
    ) -> Vec<(RecordKind, PartitionKey, u64)> {
        let view = self.view();
        let mut hubs: BTreeMap<u64, Vec<Share>> = BTreeMap::new();
        let mut totals: BTreeMap<u64, u64> = BTreeMap::new();
        for (segment, sealed) in &view.segments {
            for entry in sealed.ranges.iter().filter(|entry| view.is_live(entry)) {
                hubs.entry(entry.key.hub).or_default().push(Share {
                    segment: *segment,
                    entry: *entry,
                });
                *totals.entry(entry.key.hub).or_default() += entry.range.bytes;
            }
        }
        for (key, (range, _)) in &view.current.table.partitions {
            *totals.entry(key.hub).or_default() += range.bytes;
        }
        let mut floors: BTreeMap<PartitionKey, u64> = BTreeMap::new();
        for (hub, shares) in &hubs {
            let Some(retention) = retention(*hub) else {
                continue;
            };
            let oldest = now.saturating_sub(retention.age);
            let mut total = totals.get(hub).copied().unwrap_or_default();
            // The segment whose share crossed the limit goes as a whole.
            let mut crossed = None;
            for Share { segment, entry } in shares {
                let too_much =
                    crossed == Some(*segment) || retention.bytes.is_some_and(|bytes| total > bytes);
                if too_much {
                    crossed = Some(*segment);
                }
                if too_much || entry.range.last_enqueued < oldest {
                    floors.insert(entry.key, entry.range.last_position + 1);
                    total = total.saturating_sub(entry.range.bytes);
                }
            }
        }
        floors
            .into_iter()
            .map(|(key, position)| (RecordKind::Floor, key, position))
            .collect()
    }

    /// Unlinks the segments before the first that holds something.
    fn unlink_front(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let (given_up, first_kept) = {
            let view = self.view();
            let dead: Vec<_> = view
                .segments
                .iter()
                .take_while(|(_, sealed)| !sealed.ranges.iter().any(|entry| view.is_live(entry)))
                .map(|(segment, sealed)| (*segment, sealed.size))
                .collect();
            let next = dead.last().map(|(segment, _)| segment + 1);
            (dead, next)
        };
        let Some(first_kept) = first_kept else {
            return Ok(swept);
        };
        // Known to be gone before they go: a start would otherwise miss them.
        self.control(&[(
            RecordKind::Trimmed,
            PartitionKey { hub: 0, partition: 0 },
            first_kept,
        )])?;
        for (segment, size) in given_up {
            let name = file_name(segment);
            let sealed = self.view().segments.get(&segment).map(Arc::clone);
            // A reader that found the segment before goes on reading it.
            sealed.map(|sealed| sealed.pin(self.disk.as_ref())).transpose()?;
            self.view_mut().segments.remove(&segment);
            self.disk.unlink(&name).map_err(Error::io("remove", &name))?;
            swept.bytes += size;
            swept.unlinked += 1;
        }
        self.disk
            .sync_dir()
            .map_err(Error::io("sync", "the log's directory"))?;
        Ok(swept)
    }

    /// Writes segments again of which at least half was given up.
    fn rewrite_mixed(&self, swept: &mut Swept) {
        let candidates: Vec<Arc<Sealed>> = {
            let view = self.view();
            let mixed = |sealed: &&Arc<Sealed>| {
                let live = |entry: &RangeEntry| if view.is_live(entry) { entry.range.bytes } else { 0 };
                let kept: u64 = sealed.ranges.iter().map(live).sum();
                let all: u64 = sealed.ranges.iter().map(|entry| entry.range.bytes).sum();
                kept <= all / 2 && kept < all
            };
            view.segments.values().filter(mixed).map(Arc::clone).collect()
        };
        for sealed in candidates {
            let segment = sealed.identity.segment;
            match self.rewrite(&sealed) {
                Ok(smaller) => {
                    swept.bytes += sealed.size.saturating_sub(smaller.size);
                    swept.rewritten += 1;
                    self.view_mut().segments.insert(segment, Arc::new(smaller));
                }
                // The old segment stays whole and in its place; its space comes back with a later sweep.
                Err(error) => {
                    tracing::warn!(segment, error = %Chain(&error), "a log segment could not be written again");
                }
            }
        }
    }

    fn rewrite(&self, sealed: &Sealed) -> Result<Sealed, Error> {
        let live: BTreeSet<PartitionKey> = {
            let view = self.view();
            sealed
                .ranges
                .iter()
                .filter(|entry| view.is_live(entry))
                .map(|entry| entry.key)
                .collect()
        };
        let keep = |record: &RawRecord<'_>| match record.kind {
            RecordKind::Event => live.contains(&record.key),
            // They are in the snapshot of every later segment; kept for `repair`, which may have lost those.
            RecordKind::Floor | RecordKind::HubDeleted | RecordKind::Trimmed => true,
        };
        let latest = self.view().state.latest;
        let disk = self.disk.as_ref();
        // A reader that found the segment before goes on reading the old file.
        sealed.pin(disk)?;
        let mut draft = Draft::create(disk, sealed.identity, SEGMENT_HEADER as u64, latest)?;
        let copied = copy_records(
            sealed.file(disk)?.as_ref(),
            sealed.identity,
            &mut draft,
            self.options.batch_bytes,
            keep,
        );
        if let Err(error) = copied {
            draft.discard(disk);
            return Err(error);
        }
        draft.publish_sealed(disk)
    }
}

impl super::View {
    /// Tells whether readers may still see something of a segment's share.
    pub(super) fn is_live(&self, entry: &RangeEntry) -> bool {
        !self.state.deleted.contains(&entry.key.hub)
            && entry.range.last_position >= self.state.partition(entry.key).floor
    }
}

/// Copies the records of a sealed segment that `keep` wants, all of whose batches must be whole.
pub(super) fn copy_records(
    file: &dyn super::DiskFile,
    identity: Identity,
    draft: &mut Draft,
    batch_bytes: usize,
    keep: impl Fn(&RawRecord<'_>) -> bool,
) -> Result<u64, Error> {
    let segment = identity.segment;
    let mut gathered = Gather::new(batch_bytes);
    let end = walk(file, &identity, SEGMENT_HEADER as u64, |offset, header, body| {
        if header.kind == BatchKind::Records {
            for record in Records::new(body) {
                let record = record.map_err(|damage| Error::Corrupt {
                    segment,
                    offset,
                    damage,
                })?;
                if keep(&record) {
                    gathered.push(&record, draft)?;
                }
            }
        }
        Ok(())
    })?;
    gathered.flush(draft)?;
    match end {
        WalkEnd::Sealed { end, .. } => Ok(end),
        WalkEnd::Bad { offset, damage } => Err(Error::Corrupt {
            segment,
            offset,
            damage,
        }),
    }
}

/// Gathers records into batches for a draft.
pub(super) struct Gather {
    batch: Vec<u8>,
    count: u32,
    batch_bytes: usize,
}

impl Gather {
    pub(super) fn new(batch_bytes: usize) -> Self {
        Self {
            batch: vec![0; BATCH_HEADER],
            count: 0,
            batch_bytes,
        }
    }

    pub(super) fn push(&mut self, record: &RawRecord<'_>, draft: &mut Draft) -> Result<(), Error> {
        if self.batch.len() + record.length() > self.batch_bytes {
            self.flush(draft)?;
        }
        record.encode(&mut self.batch);
        self.count += 1;
        Ok(())
    }

    pub(super) fn flush(&mut self, draft: &mut Draft) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, vec![0; BATCH_HEADER]);
        draft.write_records(batch, std::mem::take(&mut self.count))
    }
}
