//! Reading: durable records of one partition in order, from a position or a time, a bounded number at a time.
//!
//! A read walks the segments that hold the partition, enters each by its sparse index and leaves it again for
//! the next point when a stretch without the partition may begin. Batches that many readers want, because
//! their partitions share a commit, are checked once and kept for a moment.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use super::disk::DiskFile;
use super::error::Error;
use super::format::{BatchKind, Identity, RecordKind, Records};
use super::index::{Point, STRIDE};
use super::segment::{Window, file_name};
use super::{Log, PartitionKey, Shared};

/// Most batches, and most bytes of them, that are kept for other readers.
const CACHED_BATCHES: usize = 8;
const CACHED_BYTES: usize = 4 << 20;
/// Most sealed segments that are open, with their index points in memory.
const OPEN_SEGMENTS: usize = 64;
/// A batch smaller than this is checked faster than it is kept.
const CACHED_LEAST: usize = 16 << 10;

/// Where a read begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum From {
    /// At this position, or at the first one behind it that there is.
    At(u64),
    /// At the oldest record there is.
    Earliest,
    /// At the first record that was enqueued later than this, Unix microseconds.
    EnqueuedAfter(i64),
    /// Behind the newest record there is.
    Latest,
}

/// A record as it is read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its place in its partition.
    pub position: u64,
    /// When it was enqueued, Unix microseconds.
    pub enqueued: i64,
    /// When it was received, Unix microseconds.
    pub received: i64,
    /// Where it goes.
    pub targets: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// First position that is retained; equals `next` when nothing is.
    pub first: u64,
    /// Position that follows the newest durable record.
    pub next: u64,
    /// Newest durable position, also when it is not retained any more; `None` before the first record.
    pub last: Option<u64>,
    /// When that record was enqueued, Unix microseconds.
    pub last_enqueued: Option<i64>,
}

impl Log {
    /// Reads durable records of a partition: at most `limit`, and no more once they hold `bytes` bytes. A
    /// start before the first retained record begins there. Empty when nothing is there yet. Blocks on the
    /// disk.
    ///
    /// # Errors
    ///
    /// Returns [`Error::HubDeleted`], [`Error::Corrupt`], or what the disk answered.
    pub fn read(
        &self,
        key: PartitionKey,
        from: From,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, Error> {
        let state = {
            let view = self.shared.view();
            if view.state.deleted.contains(&key.hub) {
                return Err(Error::HubDeleted { hub: key.hub });
            }
            view.state.partition(key)
        };
        let (position, after) = match from {
            From::At(position) => (position, None),
            From::Earliest => (0, None),
            From::EnqueuedAfter(time) => (0, Some(time)),
            From::Latest => return Ok(Vec::new()),
        };
        let nothing_later = after.is_some_and(|after| state.last_enqueued <= after);
        // Commits go on meanwhile. Without the bound a record that is committed to a segment after it was read,
        // and before the next one is, would be skipped.
        let (position, until) = (position.max(state.floor), state.next);
        let mut read = Read {
            key,
            position,
            until,
            after,
            limit,
            bytes,
            out: Vec::new(),
        };
        if nothing_later {
            return Ok(read.out);
        }
        let mut segment = 0;
        while !read.is_full() {
            let Some(source) = self.shared.source(&read, segment)? else {
                break;
            };
            read.segment(&self.shared, &source)?;
            segment = source.identity.segment + 1;
        }
        Ok(read.out)
    }

    /// Tells what a partition holds.
    ///
    /// # Errors
    ///
    /// Returns [`Error::HubDeleted`].
    pub fn bounds(&self, key: PartitionKey) -> Result<Bounds, Error> {
        let view = self.shared.view();
        if view.state.deleted.contains(&key.hub) {
            return Err(Error::HubDeleted { hub: key.hub });
        }
        let state = view.state.partition(key);
        let entry = view
            .segments
            .values()
            .filter_map(|sealed| sealed.ranges.find(key).map(|entry| entry.range))
            .chain(view.current.table.partitions.get(&key).map(|(range, _)| *range))
            .find(|range| range.last_position >= state.floor);
        let first = entry.map_or(state.next, |range| range.first_position.max(state.floor));
        let last_enqueued = (state.last_enqueued != i64::MIN).then_some(state.last_enqueued);
        Ok(Bounds {
            first,
            next: state.next,
            last: state.last,
            last_enqueued,
        })
    }
}

/// One segment's share of a read.
struct Source {
    identity: Identity,
    file: Arc<dyn DiskFile>,
    end: u64,
    points: Vec<Point>,
}

impl Shared {
    /// Finds the first segment from `segment` on that holds something of the read.
    fn source(&self, read: &Read, segment: u64) -> Result<Option<Source>, Error> {
        let wanted = |last_position: u64, last_enqueued: i64| {
            last_position >= read.position && read.after.is_none_or(|after| last_enqueued > after)
        };
        let sealed = {
            let view = self.view();
            // Who follows live reads the newest segment only; the others need not be asked.
            let live = view
                .current
                .table
                .partitions
                .get(&read.key)
                .is_some_and(|(range, _)| range.first_position <= read.position);
            let found = if live {
                None
            } else {
                view.segments.range(segment..).find_map(|(_, sealed)| {
                    let entry = sealed.ranges.find(read.key)?;
                    wanted(entry.range.last_position, entry.range.last_enqueued)
                        .then(|| (Arc::clone(sealed), *entry))
                })
            };
            let Some(found) = found else {
                let current = &view.current;
                let entry = current.table.partitions.get(&read.key).filter(|(range, _)| {
                    segment <= current.identity.segment && wanted(range.last_position, range.last_enqueued)
                });
                return Ok(entry.map(|(_, points)| Source {
                    identity: current.identity,
                    file: Arc::clone(&current.file),
                    end: current.end,
                    points: read.points(points),
                }));
            };
            found
        };
        let (sealed, entry) = sealed;
        let disk = self.disk.as_ref();
        let points = sealed.points(disk)?;
        let own = points
            .get(entry.first_point..entry.first_point + entry.points)
            .unwrap_or_default();
        let points = read.points(own);
        let file = sealed.file(disk)?;
        self.used(sealed.identity.segment);
        Ok(Some(Source {
            identity: sealed.identity,
            file,
            end: sealed.end,
            points,
        }))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, BatchCache> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a segment was read, and drops what is in memory of the one that was read longest ago.
    fn used(&self, segment: u64) {
        let Some(forgotten) = self.cache().used(segment) else {
            return;
        };
        if let Some(sealed) = self.view().segments.get(&forgotten) {
            sealed.forget();
        }
    }
}

/// A read under way.
struct Read {
    key: PartitionKey,
    position: u64,
    until: u64,
    after: Option<i64>,
    limit: usize,
    bytes: usize,
    out: Vec<Stored>,
}

impl Read {
    fn is_full(&self) -> bool {
        self.limit <= self.out.len() || self.bytes == 0 || self.position >= self.until
    }

    /// Keeps the points from the one on in whose stretch the read may begin.
    fn points(&self, points: &[Point]) -> Vec<Point> {
        let begin = points.partition_point(|point| {
            point.position <= self.position || self.after.is_some_and(|after| point.enqueued <= after)
        });
        points.get(begin.saturating_sub(1)..).unwrap_or_default().to_vec()
    }

    fn segment(&mut self, shared: &Shared, source: &Source) -> Result<(), Error> {
        let segment = source.identity.segment;
        let mut window = Window::new(source.file.as_ref(), source.end);
        let mut points = source.points.iter().peekable();
        while let Some(point) = points.next() {
            let mut offset = point.offset;
            // Beyond the stride, and beyond the next point, the partition has no batch of this point.
            let until = points
                .peek()
                .map_or(source.end, |next| next.offset)
                .min(point.offset + STRIDE);
            while offset < until {
                if self.is_full() {
                    return Ok(());
                }
                if let Some((body, span)) = shared.cache().find(&source.file, offset) {
                    self.batch(&body, segment, offset)?;
                    offset += span;
                    continue;
                }
                let batch = window
                    .batch(offset, &source.identity)
                    .map_err(Error::io("read", file_name(segment)))?;
                let (header, body) = batch.map_err(|damage| Error::Corrupt {
                    segment,
                    offset,
                    damage,
                })?;
                let span = header.span() as u64;
                if header.kind == BatchKind::Records {
                    self.batch(body, segment, offset)?;
                    shared.cache().keep(&source.file, offset, span, body);
                }
                offset += span;
            }
        }
        Ok(())
    }

    fn batch(&mut self, body: &[u8], segment: u64, offset: u64) -> Result<(), Error> {
        for record in Records::new(body) {
            let record = record.map_err(|damage| Error::Corrupt {
                segment,
                offset,
                damage,
            })?;
            if record.kind != RecordKind::Event || record.key != self.key || record.position < self.position {
                continue;
            }
            if self.after.is_some_and(|after| record.enqueued <= after) {
                continue;
            }
            if self.is_full() {
                return Ok(());
            }
            self.position = record.position + 1;
            self.bytes = self.bytes.saturating_sub(record.length());
            self.out.push(Stored {
                position: record.position,
                enqueued: record.enqueued,
                received: record.received,
                targets: record.targets.to_vec(),
                payload: record.payload.to_vec(),
            });
        }
        Ok(())
    }
}

/// Checked batches that other readers are likely to want, and the sealed segments that are open.
#[derive(Default)]
pub(super) struct BatchCache {
    batches: VecDeque<Cached>,
    bytes: usize,
    segments: VecDeque<u64>,
}

struct Cached {
    // The file itself, not its number: a sweep may put another file in the segment's place.
    file: Arc<dyn DiskFile>,
    offset: u64,
    span: u64,
    body: Arc<[u8]>,
}

impl BatchCache {
    fn find(&self, file: &Arc<dyn DiskFile>, offset: u64) -> Option<(Arc<[u8]>, u64)> {
        let cached = self
            .batches
            .iter()
            .find(|cached| cached.offset == offset && Arc::ptr_eq(&cached.file, file))?;
        Some((Arc::clone(&cached.body), cached.span))
    }

    fn keep(&mut self, file: &Arc<dyn DiskFile>, offset: u64, span: u64, body: &[u8]) {
        if body.len() > CACHED_BYTES / 2 || body.len() < CACHED_LEAST {
            return;
        }
        self.bytes += body.len();
        self.batches.push_back(Cached {
            file: Arc::clone(file),
            offset,
            span,
            body: body.into(),
        });
        while self.batches.len() > CACHED_BATCHES || self.bytes > CACHED_BYTES {
            let Some(dropped) = self.batches.pop_front() else {
                break;
            };
            self.bytes -= dropped.body.len();
        }
    }

    /// Notes that a segment was read; returns the one to forget for it.
    fn used(&mut self, segment: u64) -> Option<u64> {
        self.segments.retain(|used| *used != segment);
        self.segments.push_back(segment);
        (self.segments.len() > OPEN_SEGMENTS).then(|| self.segments.pop_front())?
    }
}
