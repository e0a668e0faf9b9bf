//! The bytes of a segment file: headers, batches, records, and the checks they must pass.
//!
//! All integers are little-endian. A segment is a 64-byte header and then batches, each starting at a
//! multiple of 16 bytes. A batch is a 48-byte header and a body padded with zeros to 16 bytes. Both checksums
//! of a batch are CRC32C seeded with the log's incarnation and the segment's number and cover the batch's
//! own offset, so that a batch copied from elsewhere, or left over from an earlier life of the disk block,
//! is not taken for one that was written here.
//!
//! | Segment header | | Batch header | | Record header | |
//! |---|---|---|---|---|---|
//! | 0 | magic `MUSTRLOG` | 0 | magic `MBAT` | 0 | length, header included, u32 |
//! | 8 | format version u16 | 4 | kind u8, three zeros | 4 | version u8 |
//! | 10 | zeros | 8 | body length u32 | 5 | type u8 |
//! | 16 | incarnation, 16 bytes | 12 | record count u32 | 6 | partition u16 |
//! | 32 | segment number u64 | 16 | offset in the file u64 | 8 | hub key u64 |
//! | 40 | created, Unix µs i64 | 24 | first position u64 | 16 | position u64 |
//! | 48 | zeros | 32 | first enqueued time, Unix µs i64 | 24 | enqueued, Unix ms i64 |
//! | 60 | CRC32C of 0..60 | 40 | CRC32C of 0..40 | 32 | received, Unix µs i64 |
//! | | | 44 | CRC32C of 0..44 and the padded body | 40 | targets length u16, two zeros |
//! | | | | | 44 | payload length u32 |
//!
//! Invariant: zeros never parse. A magic, a version and a type are never zero, and neither checksum of
//! nothing is, for the seed is not empty.

use super::error::Damage;
use super::{Incarnation, PartitionKey};

pub(crate) const FORMAT: u16 = 1;
pub(crate) const SEGMENT_HEADER: usize = 64;
pub(crate) const BATCH_HEADER: usize = 48;
pub(crate) const RECORD_HEADER: usize = 48;
pub(crate) const ALIGN: usize = 16;
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"MBAT";
/// Largest body that a batch header may name: far above any configuration, it only bounds allocation.
pub(crate) const MAX_BODY: usize = 1 << 28;
/// Positions stay below this, so that every JSON reader keeps them exact.
pub(crate) const POSITION_LIMIT: u64 = 1 << 53;

const SEGMENT_MAGIC: [u8; 8] = *b"MUSTRLOG";
const RECORD_VERSION: u8 = 1;

/// What every checksum of a segment is seeded with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) incarnation: Incarnation,
    pub(crate) segment: u64,
}

impl Identity {
    fn seed(&self) -> u32 {
        let seed = crc32c::crc32c(&self.incarnation.0);
        crc32c::crc32c_append(seed, &self.segment.to_le_bytes())
    }
}

/// A segment header that passed its checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u16,
    pub(crate) identity: Identity,
    pub(crate) created: i64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.resize(16, 0);
        bytes.extend_from_slice(&self.identity.incarnation.0);
        bytes.extend_from_slice(&self.identity.segment.to_le_bytes());
        bytes.extend_from_slice(&self.created.to_le_bytes());
        bytes.resize(60, 0);
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let mut header = [0; SEGMENT_HEADER];
        header.copy_from_slice(&bytes);
        header
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let Some((head, sum)) = bytes
            .get(..SEGMENT_HEADER)
            .and_then(|header| header.split_at_checked(60))
        else {
            return Err(Damage::Truncated);
        };
        let mut fields = Fields(head);
        let magic: [u8; 8] = fields.array().ok_or(Damage::SegmentHeader)?;
        let found = Fields(sum).u32().ok_or(Damage::SegmentHeader)?;
        if magic != SEGMENT_MAGIC || found != crc32c::crc32c(head) {
            return Err(Damage::SegmentHeader);
        }
        let parsed = (|| {
            let version = fields.u16()?;
            let _: [u8; 6] = fields.array()?;
            let incarnation = Incarnation(fields.array()?);
            let segment = fields.u64()?;
            let created = fields.i64()?;
            Some(Self {
                version,
                identity: Identity { incarnation, segment },
                created,
            })
        })();
        parsed.ok_or(Damage::SegmentHeader)
    }
}

/// What a batch carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BatchKind {
    /// Footer of a sealed segment: one range per partition.
    Ranges,
    /// Footer of a sealed segment: sparse index points of the ranges.
    Points,
    /// Records.
    Records,
    /// Snapshot at the start of a segment: positions, floors, deleted hubs.
    State,
}

impl BatchKind {
    /// Tells whether a batch carries more than can be made again from others.
    pub(crate) const fn is_content(self) -> bool {
        matches!(self, Self::Records | Self::State)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::State => 2,
            Self::Ranges => 3,
            Self::Points => 4,
        }
    }

    const fn parse(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Records),
            2 => Some(Self::State),
            3 => Some(Self::Ranges),
            4 => Some(Self::Points),
            _ => None,
        }
    }
}

/// A batch header that passed its checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BatchHeader {
    pub(crate) kind: BatchKind,
    pub(crate) length: usize,
    pub(crate) count: u32,
    pub(crate) first_position: u64,
    pub(crate) first_enqueued: i64,
}

impl BatchHeader {
    /// Bytes from the start of this batch to the start of the next.
    pub(crate) const fn span(&self) -> usize {
        BATCH_HEADER + padded(self.length)
    }

    /// Reads and checks a header that stands at `offset`; the body is not looked at.
    pub(crate) fn parse(bytes: &[u8], offset: u64, identity: &Identity) -> Result<Self, Damage> {
        let header = bytes.get(..BATCH_HEADER).ok_or(Damage::BatchHeader)?;
        let (head, sums) = header.split_at_checked(40).ok_or(Damage::BatchHeader)?;
        if !head.starts_with(&BATCH_MAGIC) {
            return Err(Damage::BatchHeader);
        }
        if Fields(sums).u32() != Some(crc32c::crc32c_append(identity.seed(), head)) {
            return Err(Damage::BatchHeader);
        }
        let mut fields = Fields(head);
        let parsed = (|| {
            let _: [u8; 4] = fields.array()?;
            let kind = BatchKind::parse(fields.u8()?)?;
            let _: [u8; 3] = fields.array()?;
            let length = usize::try_from(fields.u32()?).ok()?;
            let count = fields.u32()?;
            let place = fields.u64()?;
            let first_position = fields.u64()?;
            let first_enqueued = fields.i64()?;
            Some((
                place,
                Self {
                    kind,
                    length,
                    count,
                    first_position,
                    first_enqueued,
                },
            ))
        })();
        let (place, header) = parsed.ok_or(Damage::BatchHeader)?;
        if header.length > MAX_BODY {
            return Err(Damage::BatchHeader);
        }
        if place != offset {
            return Err(Damage::BatchPlace);
        }
        Ok(header)
    }

    /// Checks the whole batch, which `bytes` must hold from its first byte, and returns its body.
    pub(crate) fn body<'a>(&self, bytes: &'a [u8], identity: &Identity) -> Result<&'a [u8], Damage> {
        let whole = bytes.get(..self.span()).ok_or(Damage::BatchChecksum)?;
        let (header, padded_body) = whole
            .split_at_checked(BATCH_HEADER)
            .ok_or(Damage::BatchChecksum)?;
        let (head, sum) = header.split_at_checked(44).ok_or(Damage::BatchChecksum)?;
        let expected = crc32c::crc32c_append(crc32c::crc32c_append(identity.seed(), head), padded_body);
        if Fields(sum).u32() != Some(expected) {
            return Err(Damage::BatchChecksum);
        }
        padded_body.get(..self.length).ok_or(Damage::BatchChecksum)
    }
}

/// Completes a batch in place: `batch` is room for the header followed by the body.
pub(crate) fn seal_batch(
    batch: &mut Vec<u8>,
    kind: BatchKind,
    count: u32,
    first: (u64, i64),
    offset: u64,
    identity: &Identity,
) {
    let length = batch.len().saturating_sub(BATCH_HEADER);
    batch.resize(BATCH_HEADER + padded(length), 0);
    let mut head = Vec::with_capacity(BATCH_HEADER);
    head.extend_from_slice(&BATCH_MAGIC);
    head.extend_from_slice(&[kind.code(), 0, 0, 0]);
    // The configuration bounds a batch far below 4 GiB; a longer one would fail its own check when read.
    head.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&count.to_le_bytes());
    head.extend_from_slice(&offset.to_le_bytes());
    head.extend_from_slice(&first.0.to_le_bytes());
    head.extend_from_slice(&first.1.to_le_bytes());
    let sum = crc32c::crc32c_append(identity.seed(), &head);
    head.extend_from_slice(&sum.to_le_bytes());
    if let Some((header, body)) = batch.split_at_mut_checked(BATCH_HEADER) {
        let sum = crc32c::crc32c_append(crc32c::crc32c_append(identity.seed(), &head), body);
        head.extend_from_slice(&sum.to_le_bytes());
        header.copy_from_slice(&head);
    }
}

/// Length rounded up to the alignment of batches.
pub(crate) const fn padded(length: usize) -> usize {
    length.div_ceil(ALIGN) * ALIGN
}

/// What a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RecordKind {
    /// An event that a reader may get.
    Event,
    /// Retention: `position` is the first that the partition still shows.
    Floor,
    /// The hub was deleted.
    HubDeleted,
    /// Retention: `position` is the number of the first segment that is kept.
    Trimmed,
}

impl RecordKind {
    const fn code(self) -> u8 {
        match self {
            Self::Event => 1,
            Self::Floor => 2,
            Self::HubDeleted => 3,
            Self::Trimmed => 4,
        }
    }

    const fn parse(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Event),
            2 => Some(Self::Floor),
            3 => Some(Self::HubDeleted),
            4 => Some(Self::Trimmed),
            _ => None,
        }
    }
}

/// One record inside a batch whose checksum is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) kind: RecordKind,
    pub(crate) key: PartitionKey,
    pub(crate) position: u64,
    pub(crate) enqueued: i64,
    pub(crate) received: i64,
    pub(crate) targets: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl RawRecord<'_> {
    /// Bytes that the record takes in a batch.
    pub(crate) fn length(&self) -> usize {
        RECORD_HEADER + self.targets.len() + self.payload.len()
    }

    /// Appends the record to a batch's body. The caller has bounded both lengths.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.length());
        out.extend_from_slice(&u32::try_from(self.length()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[RECORD_VERSION, self.kind.code()]);
        out.extend_from_slice(&self.key.partition.to_le_bytes());
        out.extend_from_slice(&self.key.hub.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.enqueued.to_le_bytes());
        out.extend_from_slice(&self.received.to_le_bytes());
        out.extend_from_slice(
            &u16::try_from(self.targets.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(
            &u32::try_from(self.payload.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(self.targets);
        out.extend_from_slice(self.payload);
    }
}

/// Reads the records of a batch's body one after the other; stops for good at the first that makes no sense.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn step(&mut self) -> Option<RawRecord<'a>> {
        let mut fields = Fields(self.rest);
        let length = usize::try_from(fields.u32()?).ok()?;
        let version = fields.u8()?;
        let kind = RecordKind::parse(fields.u8()?)?;
        let partition = fields.u16()?;
        let hub = fields.u64()?;
        let position = fields.u64()?;
        let enqueued = fields.i64()?;
        let received = fields.i64()?;
        let targets_length = usize::from(fields.u16()?);
        let zero = fields.u16()?;
        let payload_length = usize::try_from(fields.u32()?).ok()?;
        let (record, rest) = self.rest.split_at_checked(length)?;
        let content = record.get(RECORD_HEADER..)?;
        let (targets, payload) = content.split_at_checked(targets_length)?;
        if version != RECORD_VERSION
            || zero != 0
            || payload.len() != payload_length
            || position >= POSITION_LIMIT
        {
            return None;
        }
        self.rest = rest;
        let key = PartitionKey { hub, partition };
        Some(RawRecord {
            kind,
            key,
            position,
            enqueued,
            received,
            targets,
            payload,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some(record) = self.step() {
            return Some(Ok(record));
        }
        self.rest = &[];
        Some(Err(Damage::Contents))
    }
}

/// Reads fixed-size fields from the front of a slice.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity {
        incarnation: Incarnation([7; 16]),
        segment: 3,
    };

    fn sample() -> Vec<u8> {
        let mut batch = vec![0; BATCH_HEADER];
        for position in 0..3 {
            RawRecord {
                kind: RecordKind::Event,
                key: PartitionKey { hub: 9, partition: 2 },
                position,
                enqueued: 1_000,
                received: 999,
                targets: b"events",
                payload: b"{\"temperature\":21}",
            }
            .encode(&mut batch);
        }
        seal_batch(&mut batch, BatchKind::Records, 3, (0, 1_000), 64, &IDENTITY);
        batch
    }

    #[test]
    fn reads_back_what_was_written() {
        let batch = sample();
        let header = BatchHeader::parse(&batch, 64, &IDENTITY).unwrap();
        assert_eq!(header.span(), batch.len());
        let records: Vec<_> = Records::new(header.body(&batch, &IDENTITY).unwrap())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[2].position, 2);
        assert_eq!(records[2].targets, b"events");
        assert_eq!(records[2].payload, b"{\"temperature\":21}");
    }

    #[test]
    fn zeros_parse_as_nothing() {
        let zeros = [0; 4096];
        assert!(SegmentHeader::parse(&zeros).is_err());
        assert!(BatchHeader::parse(&zeros, 0, &IDENTITY).is_err());
        assert_eq!(Records::new(&zeros[..16]).next(), Some(Err(Damage::Contents)));
        assert_eq!(Records::new(&zeros).next(), Some(Err(Damage::Contents)));
    }

    #[test]
    fn every_flipped_bit_of_a_batch_is_noticed() {
        let batch = sample();
        for index in 0..batch.len() {
            for bit in 0..8 {
                let mut damaged = batch.clone();
                damaged[index] ^= 1 << bit;
                let seen = BatchHeader::parse(&damaged, 64, &IDENTITY)
                    .and_then(|header| header.body(&damaged, &IDENTITY).map(<[u8]>::to_vec));
                assert!(seen.is_err(), "bit {bit} of byte {index}");
            }
        }
    }

    #[test]
    fn batch_of_another_place_segment_or_log_is_refused() {
        let batch = sample();
        assert_eq!(
            BatchHeader::parse(&batch, 128, &IDENTITY),
            Err(Damage::BatchPlace)
        );
        let other_segment = Identity {
            segment: 4,
            ..IDENTITY
        };
        assert!(BatchHeader::parse(&batch, 64, &other_segment).is_err());
        let other_log = Identity {
            incarnation: Incarnation([8; 16]),
            ..IDENTITY
        };
        assert!(BatchHeader::parse(&batch, 64, &other_log).is_err());
    }

    #[test]
    fn segment_header_survives_a_round_trip_and_no_flip() {
        let header = SegmentHeader {
            version: FORMAT,
            identity: IDENTITY,
            created: 5,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header));
        for index in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[index] ^= 0x10;
            assert!(SegmentHeader::parse(&damaged).is_err(), "byte {index}");
        }
    }

    /// A change of these bytes is a new format: a log of the first release must stay readable.
    #[test]
    fn the_first_format_is_these_bytes() {
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .concat()
        };
        let header = SegmentHeader {
            version: FORMAT,
            identity: IDENTITY,
            created: 1_767_225_600_000_000,
        };
        assert_eq!(
            hex(&header.encode()),
            "4d555354524c4f4701000000000000000707070707070707070707070707070703000000000000000040204648470600000000000000000000000000692c844c"
        );
        let mut batch = vec![0; BATCH_HEADER];
        RawRecord {
            kind: RecordKind::Event,
            key: PartitionKey { hub: 9, partition: 2 },
            position: 5,
            enqueued: 1_000,
            received: 999,
            targets: &[1, 0, 0, 0, 0, 0, 0, 0],
            payload: b"{}",
        }
        .encode(&mut batch);
        seal_batch(&mut batch, BatchKind::Records, 1, (5, 1_000), 64, &IDENTITY);
        assert_eq!(
            hex(&batch),
            "4d424154010000003a0000000100000040000000000000000500000000000000e80300000000000038618975d19894f93a0000000101020009000000000000000500000000000000e803000000000000e703000000000000080000000200000001000000000000007b7d000000000000"
        );
    }
}
