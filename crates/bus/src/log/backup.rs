//! Backup by hard links, and restore as another life of the log.
//!
//! A backup is a directory that opens as a log of the same incarnation. A restore checks every record, writes
//! it under the new incarnation, and lets positions continue from the moment of the restore: seconds since
//! 2025 times 2^20. The old log, which went on after the backup, and any other restore of the same backup stay
//! below that as long as a partition takes fewer than a million records a second. (2^53 lasts 272 years.)

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::disk::{Disk, DiskFile};
use super::error::Error;
use super::format::{Identity, SEGMENT_HEADER};
use super::recover::{self, Newest};
use super::retain::{Gather, copy_records};
use super::segment::{Draft, check_header, file_name, walk};
use super::{Log, Options};

/// 2025-01-01T00:00:00Z in Unix microseconds.
const POSITION_EPOCH: i64 = 1_735_689_600_000_000;
/// How far positions move where the clock tells nothing: it was set before [`POSITION_EPOCH`], or a partition
/// was filled faster than a million records a second.
pub(super) const BLIND_JUMP: u64 = 1 << 40;
const COPY_CHUNK: usize = 1 << 20;

impl Log {
    /// Backs up everything durable into a directory that holds no log yet: sealed segments by hard link (by
    /// copy where the directory is on another file system), the current one by copy. Blocks on the disk.
    /// Appending and reading go on; a sweep waits.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Exists`], or what the disk answered.
    pub fn backup(&self, directory: &Path) -> Result<(), Error> {
        let shared = &*self.shared;
        let _no_sweep = shared.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let place = directory.display().to_string();
        let target = shared
            .disk
            .directory(directory)
            .map_err(Error::io("open", &place))?;
        if let Some(segment) = recover::numbers(target.as_ref())?.first() {
            return Err(Error::Exists { segment: *segment });
        }
        let (sealed, segment, file, end) = {
            let view = shared.view();
            let sealed: Vec<_> = view.segments.values().map(Arc::clone).collect();
            (
                sealed,
                view.current.identity.segment,
                Arc::clone(&view.current.file),
                view.current.end,
            )
        };
        for sealed in sealed {
            let name = file_name(sealed.identity.segment);
            match shared.disk.hard_link(&name, directory) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    let file = sealed.file(shared.disk.as_ref())?;
                    copy(file.as_ref(), target.as_ref(), &name, sealed.size)?;
                    sealed.forget();
                }
                Err(error) => return Err(Error::io("link", &name)(error)),
            }
        }
        copy(file.as_ref(), target.as_ref(), &file_name(segment), end)?;
        target.sync_dir().map_err(Error::io("sync", &place))
    }
}

/// Copies the first bytes of a file into another directory and syncs them.
pub(super) fn copy(from: &dyn DiskFile, to: &dyn Disk, name: &str, length: u64) -> Result<(), Error> {
    let target = to.create(name).map_err(Error::io("create", name))?;
    let mut chunk = vec![0; COPY_CHUNK];
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset)
            .unwrap_or(COPY_CHUNK)
            .min(COPY_CHUNK);
        let buffer = chunk.get_mut(..wanted).unwrap_or_default();
        let count = from.read_at(buffer, offset).map_err(Error::io("read", name))?;
        if count == 0 {
            return Err(Error::io("read", name)(io::ErrorKind::UnexpectedEof.into()));
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        target.write_at(bytes, offset).map_err(Error::io("write", name))?;
        offset += count as u64;
    }
    target.sync_data().map_err(Error::io("sync", name))
}

/// Restores a backup of `incarnation` into a directory that holds no log, as the incarnation of `options`.
/// Every record is checked. The directory is complete only when this returned; it is opened with [`Log::open`]
/// then. Times are Unix microseconds.
///
/// # Errors
///
/// Returns what is wrong with the backup, [`Error::Exists`], or what the disk answered.
pub fn restore(
    backup: &dyn Disk,
    incarnation: super::Incarnation,
    disk: &dyn Disk,
    options: &Options,
    now: i64,
) -> Result<(), Error> {
    if let Some(segment) = recover::numbers(disk)?.first() {
        return Err(Error::Exists { segment: *segment });
    }
    let numbers = recover::numbers(backup)?;
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return Err(Error::Missing);
    };
    for (expected, found) in (first..).zip(&numbers) {
        if expected != *found {
            return Err(Error::MissingSegment { segment: expected });
        }
    }
    let old = Options {
        incarnation,
        ..options.clone()
    };
    let Newest { state, .. } = recover::read_newest(backup, &old, last)?;
    if first > state.first_segment {
        return Err(Error::MissingSegment {
            segment: state.first_segment,
        });
    }
    for segment in numbers
        .into_iter()
        .filter(|segment| *segment >= state.first_segment)
    {
        let name = file_name(segment);
        let from = Identity { incarnation, segment };
        let to = Identity {
            incarnation: options.incarnation,
            segment,
        };
        let file = backup.open(&name).map_err(Error::io("open", &name))?;
        check_header(file.as_ref(), from)?;
        let mut draft = Draft::create(disk, to, SEGMENT_HEADER as u64, now)?;
        if segment == last {
            copy_newest(file.as_ref(), from, &mut draft, options.batch_bytes)?;
        } else {
            copy_records(file.as_ref(), from, &mut draft, options.batch_bytes, |_| true)?;
        }
        draft.publish_sealed(disk)?;
    }
    let mut state = state;
    let seconds = u64::try_from(now.saturating_sub(POSITION_EPOCH) / 1_000_000).unwrap_or_default();
    state.jump(seconds << 20, BLIND_JUMP);
    state.latest = state.latest.max(now);
    recover::start_segment(disk, options, last + 1, &state)?;
    Ok(())
}

/// Copies the records of a newest segment, which has no footer and may have a torn tail; whether that is all
/// that is wrong with it was judged before.
fn copy_newest(
    file: &dyn DiskFile,
    identity: Identity,
    draft: &mut Draft,
    batch_bytes: usize,
) -> Result<(), Error> {
    let mut gathered = Gather::new(batch_bytes);
    walk(file, &identity, SEGMENT_HEADER as u64, |offset, header, body| {
        if header.kind == super::format::BatchKind::Records {
            for record in super::format::Records::new(body) {
                let corrupt = |damage| Error::Corrupt {
                    segment: identity.segment,
                    offset,
                    damage,
                };
                gathered.push(&record.map_err(corrupt)?, draft)?;
            }
        }
        Ok(())
    })?;
    gathered.flush(draft)
}
