//! What is known of a segment without reading its records, and of the log without reading its segments.
//!
//! A [`Ranges`] table says for each partition with events in a segment which positions and times it covers
//! and, by sparse points, in which batches. It is gathered while a segment is written, stored as the
//! segment's footer when it is sealed, and can always be gathered again from the records. [`State`] is what
//! must outlive every record: next positions, floors, deleted hubs; each segment starts with a snapshot.
//!
//! Cost: 64 bytes of memory for each pair of segment and partition with events in it, and one point of
//! 24 bytes for each 256 KiB in which a partition has events, read from the footer when asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::PartitionKey;
use super::format::{BATCH_HEADER, Fields, RawRecord, RecordKind};

/// A partition has at most one point for each stretch of this many bytes.
pub(crate) const STRIDE: u64 = 256 * 1024;
const RANGE_BYTES: usize = 64;
const POINT_BYTES: usize = 24;

/// A batch in which a partition has events: the first event's position and time, and the batch's offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Point {
    pub(crate) position: u64,
    pub(crate) enqueued: i64,
    pub(crate) offset: u64,
}

/// What one segment holds of one partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    pub(crate) first_position: u64,
    pub(crate) last_position: u64,
    pub(crate) first_enqueued: i64,
    pub(crate) last_enqueued: i64,
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

/// What one batch holds: a range for each partition with events in it, and the log's own records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) shares: Vec<(PartitionKey, Range)>,
    pub(crate) controls: Vec<(RecordKind, PartitionKey, u64)>,
    places: KeyMap<usize>,
}

impl Summary {
    /// Adds a record. Records come in order.
    pub(crate) fn add(&mut self, record: &RawRecord<'_>) {
        if record.kind != RecordKind::Event {
            self.controls.push((record.kind, record.key, record.position));
            return;
        }
        let place = self.place(record.key).unwrap_or(self.shares.len());
        self.add_at(place, record);
    }

    /// Adds an event of the partition whose share has, or gets, this place.
    pub(crate) fn add_at(&mut self, place: usize, record: &RawRecord<'_>) {
        if let Some((_, range)) = self.shares.get_mut(place) {
            range.last_position = record.position;
            range.last_enqueued = record.enqueued;
            range.bytes += record.length() as u64;
            range.count += 1;
        } else {
            self.shares.push((record.key, Range::of(record)));
        }
    }

    /// Finds a partition's share. Most batches hold few partitions and need no map.
    fn place(&mut self, key: PartitionKey) -> Option<usize> {
        const FEW: usize = 16;
        if self.shares.len() <= FEW {
            return self.shares.iter().rposition(|(other, _)| *other == key);
        }
        for (place, (known, _)) in self.shares.iter().enumerate().skip(self.places.len()) {
            self.places.insert(*known, place);
        }
        self.places.get(&key).copied()
    }
}

impl Range {
    pub(crate) fn of(record: &RawRecord<'_>) -> Self {
        Self {
            first_position: record.position,
            last_position: record.position,
            first_enqueued: record.enqueued,
            last_enqueued: record.enqueued,
            bytes: record.length() as u64,
            count: 1,
        }
    }
}

/// A map by partition. Its keys are numbers that the server itself hands out, one after the other, so a hash
/// that mixes well and is not keyed is enough.
pub(crate) type KeyMap<T> = HashMap<PartitionKey, T, BuildHasherDefault<KeyHasher>>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        // The map takes its bucket from the low bits and its tag from the high ones.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Multiplication by the golden ratio in 64 bits (Knuth, The Art of Computer Programming, 6.4).
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// The partitions of one segment, while it is gathered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) partitions: BTreeMap<PartitionKey, (Range, Vec<Point>)>,
    points: usize,
}

impl Gathered {
    /// Notes what a batch at `offset` holds of a partition. Batches come in order.
    pub(crate) fn note(&mut self, key: PartitionKey, share: &Range, offset: u64) {
        let (range, points) = self.partitions.entry(key).or_insert_with(|| {
            (
                Range {
                    bytes: 0,
                    count: 0,
                    ..*share
                },
                Vec::new(),
            )
        });
        range.last_position = share.last_position;
        range.last_enqueued = share.last_enqueued;
        range.bytes += share.bytes;
        range.count += share.count;
        if points.last().is_none_or(|last| offset >= last.offset + STRIDE) {
            points.push(Point {
                position: share.first_position,
                enqueued: share.first_enqueued,
                offset,
            });
            self.points += 1;
        }
    }

    /// Bytes that the footer of this table takes at most, with the next batch's points in it.
    pub(crate) fn footer_bytes(&self) -> u64 {
        let partitions = self.partitions.len() as u64;
        let points = self.points as u64 + partitions;
        partitions * RANGE_BYTES as u64 + points * POINT_BYTES as u64 + 4 * BATCH_HEADER as u64
    }

    /// Writes both parts of the footer behind room for a batch header each.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut ranges = vec![0; BATCH_HEADER];
        let mut places = vec![0; BATCH_HEADER];
        for (key, (range, points)) in &self.partitions {
            ranges.extend_from_slice(&key.hub.to_le_bytes());
            ranges.extend_from_slice(&u32::from(key.partition).to_le_bytes());
            ranges.extend_from_slice(&u32::try_from(points.len()).unwrap_or(u32::MAX).to_le_bytes());
            ranges.extend_from_slice(&range.first_position.to_le_bytes());
            ranges.extend_from_slice(&range.last_position.to_le_bytes());
            ranges.extend_from_slice(&range.first_enqueued.to_le_bytes());
            ranges.extend_from_slice(&range.last_enqueued.to_le_bytes());
            ranges.extend_from_slice(&range.bytes.to_le_bytes());
            ranges.extend_from_slice(&range.count.to_le_bytes());
            for point in points {
                places.extend_from_slice(&point.position.to_le_bytes());
                places.extend_from_slice(&point.enqueued.to_le_bytes());
                places.extend_from_slice(&point.offset.to_le_bytes());
            }
        }
        (ranges, places)
    }

    /// Turns the table into the form that a sealed segment keeps.
    pub(crate) fn into_ranges(self) -> (Ranges, Points) {
        let mut ranges = Ranges::default();
        let mut points = Vec::new();
        for (key, (range, places)) in self.partitions {
            ranges.entries.push(RangeEntry {
                key,
                range,
                first_point: points.len(),
                points: places.len(),
            });
            points.extend(places);
        }
        (ranges, points)
    }
}

/// Index points of all partitions of a segment, in the order of its ranges.
pub(crate) type Points = Vec<Point>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeEntry {
    pub(crate) key: PartitionKey,
    pub(crate) range: Range,
    pub(crate) first_point: usize,
    pub(crate) points: usize,
}

/// The partitions of a sealed segment, in order of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    entries: Vec<RangeEntry>,
}

impl Ranges {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RangeEntry> {
        self.entries.iter()
    }

    pub(crate) fn find(&self, key: PartitionKey) -> Option<&RangeEntry> {
        let index = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(index)
    }

    /// Reads the first part of a footer; `None` when it makes no sense.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut entries: Vec<RangeEntry> = Vec::with_capacity(body.len() / RANGE_BYTES);
        let mut fields = Fields(body);
        let mut first_point = 0;
        while !fields.0.is_empty() {
            let hub = fields.u64()?;
            let partition = u16::try_from(fields.u32()?).ok()?;
            let points = usize::try_from(fields.u32()?).ok()?;
            let range = Range {
                first_position: fields.u64()?,
                last_position: fields.u64()?,
                first_enqueued: fields.i64()?,
                last_enqueued: fields.i64()?,
                bytes: fields.u64()?,
                count: fields.u64()?,
            };
            let key = PartitionKey { hub, partition };
            if points == 0 || entries.last().is_some_and(|last| last.key >= key) {
                return None;
            }
            entries.push(RangeEntry {
                key,
                range,
                first_point,
                points,
            });
            first_point = first_point.checked_add(points)?;
        }
        Some(Self { entries })
    }

    /// Reads the second part of a footer; `None` when it does not fit the first.
    pub(crate) fn parse_points(&self, body: &[u8]) -> Option<Points> {
        let expected = self
            .entries
            .last()
            .map_or(0, |last| last.first_point + last.points);
        if body.len() != expected.checked_mul(POINT_BYTES)? {
            return None;
        }
        let mut points = Vec::with_capacity(expected);
        let mut fields = Fields(body);
        while !fields.0.is_empty() {
            points.push(Point {
                position: fields.u64()?,
                enqueued: fields.i64()?,
                offset: fields.u64()?,
            });
        }
        Some(points)
    }
}

/// What the log knows of one partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PartitionState {
    /// Position of the next event.
    pub(crate) next: u64,
    /// First position that readers may see.
    pub(crate) floor: u64,
    /// Position of the newest event there ever was.
    pub(crate) last: Option<u64>,
    /// Enqueued time of the newest event, Unix microseconds.
    pub(crate) last_enqueued: i64,
}

/// What outlives the records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    /// First position of a partition that has had no event yet.
    pub(crate) base: u64,
    /// Segments below this one were given up by retention.
    pub(crate) first_segment: u64,
    /// Latest wall time that came with a record, Unix microseconds.
    pub(crate) latest: i64,
    pub(crate) partitions: KeyMap<PartitionState>,
    pub(crate) deleted: BTreeSet<u64>,
}

impl State {
    pub(crate) fn partition(&self, key: PartitionKey) -> PartitionState {
        let fresh = PartitionState {
            next: self.base,
            floor: self.base,
            last: None,
            last_enqueued: i64::MIN,
        };
        self.partitions.get(&key).copied().unwrap_or(fresh)
    }

    /// Takes in a batch, in log order.
    pub(crate) fn apply(&mut self, batch: &Summary) {
        // A hub's own events come before its deletion: nothing is taken for it afterwards.
        for (key, range) in &batch.shares {
            self.latest = self.latest.max(range.last_enqueued);
            if self.deleted.contains(&key.hub) {
                continue;
            }
            let mut partition = self.partition(*key);
            partition.next = partition.next.max(range.last_position + 1);
            partition.last = Some(range.last_position);
            partition.last_enqueued = partition.last_enqueued.max(range.last_enqueued);
            self.partitions.insert(*key, partition);
        }
        for (kind, key, position) in &batch.controls {
            match kind {
                RecordKind::Event => {}
                RecordKind::Floor => {
                    if let Some(partition) = self.partitions.get_mut(key) {
                        partition.floor = partition.floor.max(*position);
                    }
                }
                RecordKind::HubDeleted => {
                    self.partitions.retain(|other, _| other.hub != key.hub);
                    self.deleted.insert(key.hub);
                }
                RecordKind::Trimmed => self.first_segment = self.first_segment.max(*position),
            }
        }
    }

    /// Moves every next position past `to` (a partition without events included), or by `by` where that is
    /// more; used where positions of a lost tail or of another incarnation must not be met again.
    pub(crate) fn jump(&mut self, to: u64, by: u64) {
        let beyond = |next: u64| if to > next { to } else { next.saturating_add(by) };
        self.base = beyond(self.base);
        for partition in self.partitions.values_mut() {
            partition.next = beyond(partition.next);
        }
    }

    /// Writes the snapshot behind room for a batch header.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; BATCH_HEADER];
        out.extend_from_slice(&self.base.to_le_bytes());
        out.extend_from_slice(&self.first_segment.to_le_bytes());
        out.extend_from_slice(&self.latest.to_le_bytes());
        out.extend_from_slice(&(self.partitions.len() as u64).to_le_bytes());
        // In order of keys, so that the same state is the same bytes.
        let ordered: BTreeMap<_, _> = self.partitions.iter().collect();
        for (key, partition) in ordered {
            out.extend_from_slice(&key.hub.to_le_bytes());
            out.extend_from_slice(&u64::from(key.partition).to_le_bytes());
            out.extend_from_slice(&partition.next.to_le_bytes());
            out.extend_from_slice(&partition.floor.to_le_bytes());
            out.extend_from_slice(&partition.last.unwrap_or(u64::MAX).to_le_bytes());
            out.extend_from_slice(&partition.last_enqueued.to_le_bytes());
        }
        for hub in &self.deleted {
            out.extend_from_slice(&hub.to_le_bytes());
        }
        out
    }

    /// Reads a snapshot; `None` when it makes no sense.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let base = fields.u64()?;
        let first_segment = fields.u64()?;
        let latest = fields.i64()?;
        let count = fields.u64()?;
        let mut state = Self {
            base,
            first_segment,
            latest,
            ..Self::default()
        };
        for _ in 0..count {
            let hub = fields.u64()?;
            let partition = u16::try_from(fields.u64()?).ok()?;
            let value = PartitionState {
                next: fields.u64()?,
                floor: fields.u64()?,
                last: Some(fields.u64()?).filter(|last| *last != u64::MAX),
                last_enqueued: fields.i64()?,
            };
            state.partitions.insert(PartitionKey { hub, partition }, value);
        }
        while !fields.0.is_empty() {
            state.deleted.insert(fields.u64()?);
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_a_round_trip() {
        let mut state = State {
            base: 4,
            first_segment: 2,
            latest: -5,
            ..State::default()
        };
        for hub in 0..5 {
            let key = PartitionKey { hub, partition: 3 };
            let last = hub.checked_sub(1);
            let value = PartitionState {
                next: hub,
                floor: 1,
                last,
                last_enqueued: i64::MIN,
            };
            state.partitions.insert(key, value);
        }
        state.deleted.extend([7, 9]);
        let bytes = state.encode();
        assert_eq!(State::parse(&bytes[BATCH_HEADER..]), Some(state));
        assert_eq!(State::parse(&bytes[BATCH_HEADER..bytes.len() - 1]), None);
    }

    #[test]
    fn points_are_one_for_each_stretch() {
        let mut gathered = Gathered::default();
        for position in 0..100_u64 {
            let record = RawRecord {
                kind: RecordKind::Event,
                key: PartitionKey {
                    hub: position % 2,
                    partition: 0,
                },
                position,
                enqueued: 0,
                received: 0,
                targets: &[],
                payload: &[],
            };
            gathered.note(record.key, &Range::of(&record), position * STRIDE / 4);
        }
        let (encoded_ranges, encoded_points) = gathered.encode();
        let (ranges, points) = gathered.into_ranges();
        assert_eq!(points.len(), 50);
        let parsed = Ranges::parse(&encoded_ranges[BATCH_HEADER..]).unwrap();
        assert_eq!(parsed.parse_points(&encoded_points[BATCH_HEADER..]), Some(points));
        assert_eq!(parsed.iter().count(), ranges.iter().count());
    }
}
