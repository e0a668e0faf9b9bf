//! Segment files: making one, sealing one, opening a sealed one, and walking the batches of any.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};
use super::error::{Damage, Error};
use super::format::{
    ALIGN, BATCH_HEADER, BATCH_MAGIC, BatchHeader, BatchKind, FORMAT, Fields, Identity, Records,
    SEGMENT_HEADER, SegmentHeader, seal_batch,
};
use super::index::{Gathered, Points, Ranges, State, Summary};

const TRAILER: usize = 32;
const TRAILER_MAGIC: [u8; 4] = *b"MEND";
/// Bytes read ahead while walking a segment.
const WINDOW: usize = 1 << 20;
const SUFFIX: &str = ".seg";
/// Suffix of a file that is not a segment yet; it holds nothing that was acknowledged.
pub(crate) const UNFINISHED: &str = ".new";

/// Returns the file name of a segment.
pub(crate) fn file_name(segment: u64) -> String {
    format!("{segment:016}{SUFFIX}")
}

/// Reads a segment's number from its file name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 16).then(|| digits.parse().ok())?
}

/// A segment that takes no more batches. Its file is opened when it is read and may be closed at any time, for
/// a log has more segments than a process may have files.
pub(crate) struct Sealed {
    pub(crate) identity: Identity,
    /// Where the batches of records end and the footer starts.
    pub(crate) end: u64,
    /// Length of the file.
    pub(crate) size: u64,
    pub(crate) ranges: Ranges,
    /// Where the index points stand in the file; `None` when they are in memory alone.
    points_at: Option<u64>,
    kept: Mutex<Kept>,
}

/// What of a sealed segment is in memory for the moment.
#[derive(Default)]
struct Kept {
    file: Option<Arc<dyn DiskFile>>,
    points: Option<Arc<Points>>,
    pinned: bool,
}

impl Sealed {
    /// Keeps a table in memory, for a segment whose footer is not readable.
    pub(crate) fn gathered(identity: Identity, end: u64, size: u64, table: Gathered) -> Self {
        let (ranges, points) = table.into_ranges();
        let kept = Mutex::new(Kept {
            points: Some(Arc::new(points)),
            ..Kept::default()
        });
        Self {
            identity,
            end,
            size,
            ranges,
            points_at: None,
            kept,
        }
    }

    /// Reads the footer of a sealed segment of a given length. `Ok(None)` means that it is not whole.
    pub(crate) fn open(identity: Identity, file: &dyn DiskFile, size: u64) -> io::Result<Option<Self>> {
        let Some(trailer_at) = size.checked_sub(TRAILER as u64) else {
            return Ok(None);
        };
        let mut trailer = [0; TRAILER];
        if file.read_at(&mut trailer, trailer_at)? != TRAILER {
            return Ok(None);
        }
        let Some((end, points_at)) = parse_trailer(&trailer, &identity) else {
            return Ok(None);
        };
        let Some(body) = read_batch(file, end, BatchKind::Ranges, &identity)? else {
            return Ok(None);
        };
        let Some(ranges) = Ranges::parse(&body) else {
            return Ok(None);
        };
        let kept = Mutex::default();
        Ok(Some(Self {
            identity,
            end,
            size,
            ranges,
            points_at: Some(points_at),
            kept,
        }))
    }

    /// Returns the file, opened if it is not open.
    pub(crate) fn file(&self, disk: &dyn Disk) -> Result<Arc<dyn DiskFile>, Error> {
        self.kept().file(self.identity.segment, disk)
    }

    /// Returns the index points, from memory or from the footer.
    pub(crate) fn points(&self, disk: &dyn Disk) -> Result<Arc<Points>, Error> {
        let segment = self.identity.segment;
        let mut kept = self.kept();
        if let Some(points) = &kept.points {
            return Ok(Arc::clone(points));
        }
        let file = kept.file(segment, disk)?;
        let offset = self.points_at.unwrap_or_default();
        let body = read_batch(file.as_ref(), offset, BatchKind::Points, &self.identity)
            .map_err(Error::io("read", file_name(segment)))?;
        let points = body
            .and_then(|body| self.ranges.parse_points(&body))
            .map(Arc::new)
            .ok_or(Error::Corrupt {
                segment,
                offset,
                damage: Damage::BatchChecksum,
            })?;
        kept.points = Some(Arc::clone(&points));
        Ok(points)
    }

    /// Keeps the file open for good: its name is about to go, or to another file, and readers may still come
    /// through this value.
    pub(crate) fn pin(&self, disk: &dyn Disk) -> Result<(), Error> {
        let mut kept = self.kept();
        kept.file(self.identity.segment, disk)?;
        kept.pinned = true;
        Ok(())
    }

    /// Drops what can be had again.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept();
        if kept.pinned {
            return;
        }
        kept.file = None;
        if self.points_at.is_some() {
            kept.points = None;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn file(&mut self, segment: u64, disk: &dyn Disk) -> Result<Arc<dyn DiskFile>, Error> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let name = file_name(segment);
        let file = disk.open(&name).map_err(Error::io("open", &name))?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

/// A segment file under construction: batches are appended in memory order, then synced as one.
pub(crate) struct Draft {
    pub(crate) identity: Identity,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) end: u64,
    pub(crate) table: Gathered,
    name: String,
}

impl Draft {
    /// Creates the file of a new segment under a name that recovery ignores, with its header in it.
    pub(crate) fn create(
        disk: &dyn Disk,
        identity: Identity,
        length: u64,
        created: i64,
    ) -> Result<Self, Error> {
        let name = format!("{}{UNFINISHED}", file_name(identity.segment));
        if disk
            .list()
            .map_err(Error::io("list", "the log's directory"))?
            .contains(&name)
        {
            disk.unlink(&name).map_err(Error::io("remove", &name))?;
        }
        let file = disk.create(&name).map_err(Error::io("create", &name))?;
        let draft = Self {
            identity,
            file,
            end: SEGMENT_HEADER as u64,
            table: Gathered::default(),
            name,
        };
        let written = (|| {
            draft
                .file
                .preallocate(length)
                .map_err(Error::io("allocate", &draft.name))?;
            let header = SegmentHeader {
                version: FORMAT,
                identity,
                created,
            }
            .encode();
            draft
                .file
                .write_at(&header, 0)
                .map_err(Error::io("write", &draft.name))
        })();
        match written {
            Ok(()) => Ok(draft),
            Err(error) => {
                draft.discard(disk);
                Err(error)
            }
        }
    }

    /// Writes the snapshot that a segment starts with.
    pub(crate) fn write_state(&mut self, state: &State) -> Result<(), Error> {
        self.write(state.encode(), BatchKind::State, 0, (0, 0))
    }

    /// Writes a batch of records and notes them in the table. `batch` has room for the header in front.
    pub(crate) fn write_records(&mut self, batch: Vec<u8>, count: u32) -> Result<(), Error> {
        let mut summary = Summary::default();
        for record in Records::new(batch.get(BATCH_HEADER..).unwrap_or_default()).flatten() {
            summary.add(&record);
        }
        for (key, range) in &summary.shares {
            self.table.note(*key, range, self.end);
        }
        let first = summary
            .shares
            .first()
            .map(|(_, range)| (range.first_position, range.first_enqueued));
        self.write(batch, BatchKind::Records, count, first.unwrap_or_default())
    }

    fn write(
        &mut self,
        mut batch: Vec<u8>,
        kind: BatchKind,
        count: u32,
        first: (u64, i64),
    ) -> Result<(), Error> {
        seal_batch(&mut batch, kind, count, first, self.end, &self.identity);
        self.file
            .write_at(&batch, self.end)
            .map_err(Error::io("write", &self.name))?;
        self.end += batch.len() as u64;
        Ok(())
    }

    /// Syncs the file and gives it its name, durably. It takes batches from now on.
    pub(crate) fn publish(&self, disk: &dyn Disk) -> Result<(), Error> {
        self.sync()?;
        let name = file_name(self.identity.segment);
        disk.rename(&self.name, &name)
            .map_err(Error::io("rename", &self.name))?;
        disk.sync_dir().map_err(Error::io("sync", "the log's directory"))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.name))
    }

    /// Seals the draft and gives it its name, in place of the segment that had it.
    pub(crate) fn publish_sealed(self, disk: &dyn Disk) -> Result<Sealed, Error> {
        let sealed = seal(self.identity, self.file.as_ref(), self.end, self.table.clone())?;
        self.publish(disk)?;
        Ok(sealed)
    }

    /// Removes the file; what cannot be removed now goes at the next start.
    pub(crate) fn discard(&self, disk: &dyn Disk) {
        if let Err(error) = disk.unlink(&self.name) {
            tracing::warn!(file = %self.name, %error, "an unfinished segment stays until the next start");
        }
    }
}

/// Writes a segment's footer behind its last batch, cuts what was preallocated beyond, and syncs.
pub(crate) fn seal(
    identity: Identity,
    file: &dyn DiskFile,
    end: u64,
    table: Gathered,
) -> Result<Sealed, Error> {
    let (mut ranges, mut points) = table.encode();
    seal_batch(&mut ranges, BatchKind::Ranges, 0, (0, 0), end, &identity);
    let points_at = end + ranges.len() as u64;
    seal_batch(&mut points, BatchKind::Points, 0, (0, 0), points_at, &identity);
    let mut footer = ranges;
    footer.extend_from_slice(&points);
    footer.extend_from_slice(&trailer(end, points_at, &identity));
    let size = end + footer.len() as u64;
    let name = file_name(identity.segment);
    file.write_at(&footer, end).map_err(Error::io("write", &name))?;
    file.truncate(size).map_err(Error::io("cut", &name))?;
    file.sync_data().map_err(Error::io("sync", &name))?;
    let (ranges, _) = table.into_ranges();
    let kept = Mutex::default();
    Ok(Sealed {
        identity,
        end,
        size,
        ranges,
        points_at: Some(points_at),
        kept,
    })
}

fn trailer(end: u64, points_at: u64, identity: &Identity) -> [u8; TRAILER] {
    let mut bytes = [0; TRAILER];
    let mut out = Vec::with_capacity(TRAILER);
    out.extend_from_slice(&TRAILER_MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&end.to_le_bytes());
    out.extend_from_slice(&points_at.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let sum = trailer_sum(&out, identity);
    out.extend_from_slice(&sum.to_le_bytes());
    bytes.copy_from_slice(&out);
    bytes
}

fn trailer_sum(head: &[u8], identity: &Identity) -> u32 {
    let seed = crc32c::crc32c(&identity.incarnation.0);
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &identity.segment.to_le_bytes()), head)
}

fn parse_trailer(bytes: &[u8], identity: &Identity) -> Option<(u64, u64)> {
    let (head, sum) = bytes.get(..TRAILER)?.split_at_checked(28)?;
    let mut fields = Fields(head);
    let magic: [u8; 4] = fields.array()?;
    if magic != TRAILER_MAGIC || Fields(sum).u32()? != trailer_sum(head, identity) {
        return None;
    }
    let _: [u8; 4] = fields.array()?;
    Some((fields.u64()?, fields.u64()?))
}

/// Reads and checks one batch of the expected kind; `None` when it is not whole.
fn read_batch(
    file: &dyn DiskFile,
    offset: u64,
    kind: BatchKind,
    identity: &Identity,
) -> io::Result<Option<Vec<u8>>> {
    let mut window = Window::new(file, file.size()?);
    Ok(match window.batch(offset, identity)? {
        Ok((header, body)) if header.kind == kind => Some(body.to_vec()),
        _ => None,
    })
}

/// Reads a segment header and checks that it is the one expected there.
pub(crate) fn check_header(file: &dyn DiskFile, expected: Identity) -> Result<SegmentHeader, Error> {
    let segment = expected.segment;
    let mut bytes = [0; SEGMENT_HEADER];
    let count = file
        .read_at(&mut bytes, 0)
        .map_err(Error::io("read", file_name(segment)))?;
    let corrupt = |damage| Error::Corrupt {
        segment,
        offset: 0,
        damage,
    };
    let header = SegmentHeader::parse(bytes.get(..count).unwrap_or_default()).map_err(corrupt)?;
    if header.version != FORMAT {
        return Err(Error::UnsupportedVersion {
            segment,
            found: header.version,
            known: FORMAT,
        });
    }
    if header.identity.incarnation != expected.incarnation {
        let found = header.identity.incarnation;
        return Err(Error::WrongIncarnation {
            segment,
            expected: expected.incarnation,
            found,
        });
    }
    if header.identity.segment != segment {
        return Err(corrupt(Damage::SegmentHeader));
    }
    Ok(header)
}

/// A stretch of a file kept in memory, so that a walk makes few calls.
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    /// Nothing at or behind this offset is read ahead.
    limit: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) const fn new(file: &'a dyn DiskFile, limit: u64) -> Self {
        Self {
            file,
            limit,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// Returns `length` bytes at `offset`, or fewer where the file ends.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside = |start: u64, have: usize| {
            let at = usize::try_from(offset.checked_sub(start)?).ok()?;
            (at.checked_add(length)? <= have).then_some(at)
        };
        let at = if let Some(at) = inside(self.start, self.bytes.len()) {
            at
        } else {
            let available = usize::try_from(self.limit.saturating_sub(offset)).unwrap_or(usize::MAX);
            let wanted = length.max(WINDOW).min(available);
            self.bytes.resize(wanted, 0);
            let count = self.file.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(count);
            self.start = offset;
            0
        };
        let rest = self.bytes.get(at..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// Reads and checks the batch at an offset.
    pub(crate) fn batch(
        &mut self,
        offset: u64,
        identity: &Identity,
    ) -> io::Result<Result<(BatchHeader, &[u8]), Damage>> {
        let header = match BatchHeader::parse(self.get(offset, BATCH_HEADER)?, offset, identity) {
            Ok(header) => header,
            Err(damage) => return Ok(Err(damage)),
        };
        let bytes = self.get(offset, header.span())?;
        Ok(header.body(bytes, identity).map(|body| (header, body)))
    }
}

/// Where a walk over the batches of a segment ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WalkEnd {
    /// No whole batch stands here; the check that failed first.
    Bad { offset: u64, damage: Damage },
    /// The trailer of a sealed segment stands behind the footer that starts at `end`.
    Sealed { end: u64, size: u64 },
}

/// Walks the whole batches of a segment from `offset` on.
pub(crate) fn walk(
    file: &dyn DiskFile,
    identity: &Identity,
    mut offset: u64,
    mut visit: impl FnMut(u64, &BatchHeader, &[u8]) -> Result<(), Error>,
) -> Result<WalkEnd, Error> {
    let name = file_name(identity.segment);
    let mut window = Window::new(file, file.size().map_err(Error::io("measure", &name))?);
    let mut footer = None;
    loop {
        let batch = window.batch(offset, identity).map_err(Error::io("read", &name))?;
        match batch {
            Ok((header, body)) => {
                match header.kind {
                    BatchKind::Points => {}
                    BatchKind::Ranges => footer = Some(offset),
                    BatchKind::Records | BatchKind::State => visit(offset, &header, body)?,
                }
                offset += header.span() as u64;
            }
            Err(damage) => {
                let Some(end) = footer else {
                    return Ok(WalkEnd::Bad { offset, damage });
                };
                let bytes = window.get(offset, TRAILER).map_err(Error::io("read", &name))?;
                return Ok(match parse_trailer(bytes, identity) {
                    Some(_) => WalkEnd::Sealed {
                        end,
                        size: offset + TRAILER as u64,
                    },
                    // A footer without its trailer: sealing was interrupted, and the records are all there.
                    None => WalkEnd::Bad { offset: end, damage },
                });
            }
        }
    }
}

/// What stands behind the last whole batch of a segment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Remainder {
    /// Bytes up to the last one that is not zero.
    pub(crate) bytes: u64,
    /// Offset of a whole batch of records, if there is one.
    pub(crate) whole_batch: Option<u64>,
}

/// Looks through everything from `offset` to the end of the file.
pub(crate) fn remainder(file: &dyn DiskFile, identity: &Identity, offset: u64) -> io::Result<Remainder> {
    let size = file.size()?;
    let mut found = Remainder::default();
    let zeros = vec![0; WINDOW];
    let mut chunk = vec![0; WINDOW];
    let mut at = offset;
    let mut window = Window::new(file, size);
    while at < size {
        let count = file.read_at(&mut chunk, at)?;
        let bytes = chunk.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        // What was preallocated and never written is passed by at the speed of a comparison.
        let written = if zeros.get(..count) == Some(bytes) {
            &[]
        } else {
            bytes
        };
        if let Some(last) = written.iter().rposition(|byte| *byte != 0) {
            found.bytes = at + last as u64 + 1 - offset;
            for (index, place) in bytes.chunks(ALIGN).enumerate() {
                let place_at = at + (index * ALIGN) as u64;
                if place_at == offset || !place.starts_with(&BATCH_MAGIC) {
                    continue;
                }
                let batch = window.batch(place_at, identity)?;
                if batch.is_ok_and(|(header, _)| header.kind.is_content()) {
                    found.whole_batch = Some(place_at);
                    return Ok(found);
                }
            }
        }
        at += count as u64;
    }
    Ok(found)
}
