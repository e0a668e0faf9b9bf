//! Opening a log: what an interrupted write left is cut and reported, anything else is refused untouched.
//!
//! Only the newest segment is read whole; the others answer by header and footer. A segment file gets its name
//! after its header and snapshot were synced, and the one before it was sealed and synced before that, so a
//! torn write can stand only behind the last whole batch of the newest segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::error::{Damage, Error};
use super::format::{BatchKind, Identity, Records, SEGMENT_HEADER};
use super::index::{Gathered, State, Summary};
use super::segment::{
    Draft, Sealed, UNFINISHED, WalkEnd, check_header, file_name, parse_name, remainder, seal, walk,
};
use super::{Current, Options, View, commit};
use crate::metrics;

/// How far next positions move after a torn tail, so that none that stood in it is given out again. A batch
/// holds fewer records than this.
pub(super) const TORN_JUMP: u64 = 1 << 20;

/// What opening a log found and did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// The interrupted write that was cut off, if there was one.
    pub torn: Option<TornTail>,
    /// Segments in the log.
    pub segments: u64,
    /// Events in the newest segment, which was read.
    pub events_read: u64,
}

/// An interrupted write that was cut off. Nothing of it had been acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TornTail {
    /// Number of the segment.
    pub segment: u64,
    /// Where its last whole batch ends.
    pub offset: u64,
    /// Bytes from there to the last one that was not zero.
    pub bytes: u64,
}

/// Starts a new log.
pub(super) fn create(disk: &dyn Disk, options: &Options, now: i64) -> Result<View, Error> {
    if let Some(segment) = numbers(disk)?.first() {
        return Err(Error::Exists { segment: *segment });
    }
    let state = State {
        latest: now,
        first_segment: 1,
        ..State::default()
    };
    let current = start_segment(disk, options, 1, &state)?;
    Ok(View {
        segments: BTreeMap::new(),
        current,
        state,
    })
}

/// Opens an existing log.
pub(super) fn open(disk: &dyn Disk, options: &Options) -> Result<(View, Recovery), Error> {
    let numbers = numbers(disk)?;
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return Err(Error::Missing);
    };
    for (expected, found) in (first..).zip(&numbers) {
        if expected != *found {
            return Err(Error::MissingSegment { segment: expected });
        }
    }
    let mut segments = BTreeMap::new();
    for &segment in numbers.iter().filter(|segment| **segment != last) {
        segments.insert(segment, Arc::new(open_sealed(disk, options, segment)?));
    }
    let newest = read_newest(disk, options, last)?;
    if first > newest.state.first_segment {
        return Err(Error::MissingSegment {
            segment: newest.state.first_segment,
        });
    }
    let mut recovery = Recovery {
        torn: newest.torn,
        segments: numbers.len() as u64,
        events_read: newest
            .table
            .partitions
            .values()
            .map(|(range, _)| range.count)
            .sum(),
    };

    // From here on nothing can be refused for damage, and the disk may be changed.
    remove_leftovers(disk, newest.state.first_segment)?;
    segments.retain(|segment, _| *segment >= newest.state.first_segment);
    if let Some(sealed) = &newest.sealed {
        newest
            .file
            .truncate(sealed.size)
            .map_err(Error::io("cut", file_name(last)))?;
    }
    rewrite_tail(newest.file.as_ref(), last, newest.rewrite)?;
    let mut state = newest.state;
    let current = if newest.sealed.is_some() || newest.torn.is_some() {
        if let Some(torn) = newest.torn {
            tracing::warn!(
                segment = torn.segment,
                offset = torn.offset,
                size_bytes = torn.bytes,
                "an interrupted write was cut off the event log; nothing of it had been acknowledged"
            );
            metrics::torn_tail();
            newest
                .file
                .truncate(torn.offset)
                .map_err(Error::io("cut", file_name(torn.segment)))?;
            state.jump(0, TORN_JUMP);
        }
        let sealed = match newest.sealed {
            Some(sealed) => sealed,
            None => seal(newest.identity, newest.file.as_ref(), newest.end, newest.table)?,
        };
        segments.insert(last, Arc::new(sealed));
        recovery.segments += 1;
        start_segment(disk, options, last + 1, &state)?
    } else {
        let name = file_name(last);
        let wanted = commit::segment_length(options, &state, 0).max(newest.end);
        let size = match newest.file.preallocate(wanted) {
            Ok(()) => wanted,
            // A full disk stops no start: readers are served, and events are refused when the room there is ends.
            Err(error) if commit::is_full(&error) => {
                newest.file.size().map_err(Error::io("measure", &name))?
            }
            Err(error) => return Err(Error::io("allocate", &name)(error)),
        };
        newest.file.sync_data().map_err(Error::io("sync", &name))?;
        let first_enqueued = newest
            .table
            .partitions
            .values()
            .map(|(range, _)| range.first_enqueued)
            .min();
        Current {
            identity: newest.identity,
            file: newest.file,
            end: newest.end,
            size,
            table: newest.table,
            first_enqueued,
        }
    };
    disk.sync_dir()
        .map_err(Error::io("sync", "the log's directory"))?;
    Ok((
        View {
            segments,
            current,
            state,
        },
        recovery,
    ))
}

/// Returns the numbers of the segments in a directory, in order.
pub(super) fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, Error> {
    let names = disk.list().map_err(Error::io("list", "the log's directory"))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a segment that has successors: by its footer, else by its records.
fn open_sealed(disk: &dyn Disk, options: &Options, segment: u64) -> Result<Sealed, Error> {
    let name = file_name(segment);
    let identity = Identity {
        incarnation: options.incarnation,
        segment,
    };
    let file = disk.open(&name).map_err(Error::io("open", &name))?;
    check_header(file.as_ref(), identity)?;
    let size = file.size().map_err(Error::io("measure", &name))?;
    let by_footer = Sealed::open(identity, file.as_ref(), size).map_err(Error::io("read", &name))?;
    if let Some(sealed) = by_footer {
        return Ok(sealed);
    }
    let mut table = Gathered::default();
    let end = walk(
        file.as_ref(),
        &identity,
        SEGMENT_HEADER as u64,
        |offset, header, body| {
            if header.kind == BatchKind::Records {
                let summary = summary(body).map_err(|damage| Error::Corrupt {
                    segment,
                    offset,
                    damage,
                })?;
                for (key, range) in &summary.shares {
                    table.note(*key, range, offset);
                }
            }
            Ok(())
        },
    )?;
    match end {
        WalkEnd::Sealed { end, size } => {
            tracing::warn!(
                segment,
                "the index of a log segment was not readable and was made again"
            );
            Ok(Sealed::gathered(identity, end, size, table))
        }
        // Its successor exists, so everything in it was synced once: nothing here is an interrupted write.
        WalkEnd::Bad { offset, damage } => Err(Error::Corrupt {
            segment,
            offset,
            damage,
        }),
    }
}

/// Sums up the records of a batch.
pub(super) fn summary(body: &[u8]) -> Result<Summary, Damage> {
    let mut summary = Summary::default();
    for record in Records::new(body) {
        summary.add(&record?);
    }
    Ok(summary)
}

/// What the newest segment holds; nothing is changed by reading it.
pub(super) struct Newest {
    pub(super) identity: Identity,
    file: Arc<dyn DiskFile>,
    pub(super) state: State,
    table: Gathered,
    end: u64,
    sealed: Option<Sealed>,
    torn: Option<TornTail>,
    /// The stretch that may have been written and never synced.
    rewrite: (u64, u64),
}

pub(super) fn read_newest(disk: &dyn Disk, options: &Options, segment: u64) -> Result<Newest, Error> {
    let name = file_name(segment);
    let identity = Identity {
        incarnation: options.incarnation,
        segment,
    };
    let file = disk.open(&name).map_err(Error::io("open", &name))?;
    check_header(file.as_ref(), identity)?;
    let mut state = None;
    let mut table = Gathered::default();
    let mut rewrite = (SEGMENT_HEADER as u64, 0);
    let walked = walk(
        file.as_ref(),
        &identity,
        SEGMENT_HEADER as u64,
        |offset, header, body| {
            let corrupt = |damage| Error::Corrupt {
                segment,
                offset,
                damage,
            };
            if header.kind == BatchKind::State {
                state = Some(State::parse(body).ok_or_else(|| corrupt(Damage::Contents))?);
                return Ok(());
            }
            rewrite = (offset, header.span() as u64);
            // A newest segment starts with its snapshot, which was synced before the file got its name.
            let state = state.as_mut().ok_or_else(|| corrupt(Damage::Contents))?;
            let summary = summary(body).map_err(corrupt)?;
            state.apply(&summary);
            for (key, range) in &summary.shares {
                table.note(*key, range, offset);
            }
            Ok(())
        },
    )?;
    let Some(state) = state else {
        let (offset, damage) = match walked {
            WalkEnd::Bad { offset, damage } => (offset, damage),
            WalkEnd::Sealed { end, .. } => (end, Damage::Contents),
        };
        return Err(Error::Corrupt {
            segment,
            offset,
            damage,
        });
    };
    // Retention gives up segments before the one it writes this to; a start would remove the whole log otherwise.
    if state.first_segment > segment {
        return Err(Error::Corrupt {
            segment,
            offset: SEGMENT_HEADER as u64,
            damage: Damage::Contents,
        });
    }
    let (end, sealed, torn) = match walked {
        WalkEnd::Sealed { end, size } => {
            rewrite = (end, size - end);
            let sealed = Sealed::open(identity, file.as_ref(), size).map_err(Error::io("read", &name))?;
            let damage = Damage::Contents;
            (
                end,
                Some(sealed.ok_or(Error::Corrupt {
                    segment,
                    offset: end,
                    damage,
                })?),
                None,
            )
        }
        WalkEnd::Bad { offset, damage } => {
            let rest = remainder(file.as_ref(), &identity, offset).map_err(Error::io("read", &name))?;
            if rest.whole_batch.is_some() {
                return Err(Error::Corrupt {
                    segment,
                    offset,
                    damage,
                });
            }
            let torn = (rest.bytes > 0).then_some(TornTail {
                segment,
                offset,
                bytes: rest.bytes,
            });
            (offset, None, torn)
        }
    };
    Ok(Newest {
        identity,
        file,
        state,
        table,
        end,
        sealed,
        torn,
        rewrite,
    })
}

/// Writes the last batch once more and syncs. After a failed sync the system may hold its pages for clean
/// although they never reached the disk, and a sync alone would then prove nothing.
fn rewrite_tail(file: &dyn DiskFile, segment: u64, (offset, length): (u64, u64)) -> Result<(), Error> {
    let name = file_name(segment);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let count = file
        .read_at(&mut bytes, offset)
        .map_err(Error::io("read", &name))?;
    bytes.truncate(count);
    file.write_at(&bytes, offset).map_err(Error::io("write", &name))?;
    file.sync_data().map_err(Error::io("sync", &name))
}

/// Removes what an interrupted rotation or sweep left: files that never got a segment's name, and segments
/// that were durably given up.
fn remove_leftovers(disk: &dyn Disk, first_segment: u64) -> Result<(), Error> {
    for name in disk.list().map_err(Error::io("list", "the log's directory"))? {
        let given_up = parse_name(&name).is_some_and(|segment| segment < first_segment);
        let unfinished = name
            .strip_suffix(UNFINISHED)
            .is_some_and(|stem| parse_name(stem).is_some());
        if given_up || unfinished {
            disk.unlink(&name).map_err(Error::io("remove", &name))?;
        }
    }
    Ok(())
}

/// Makes and publishes an empty segment.
pub(super) fn start_segment(
    disk: &dyn Disk,
    options: &Options,
    segment: u64,
    state: &State,
) -> Result<Current, Error> {
    let identity = Identity {
        incarnation: options.incarnation,
        segment,
    };
    let size = commit::segment_length(options, state, 0);
    let mut draft = Draft::create(disk, identity, size, state.latest)?;
    draft.write_state(state)?;
    draft.publish(disk)?;
    let Draft { file, end, .. } = draft;
    Ok(Current {
        identity,
        file,
        end,
        size,
        table: Gathered::default(),
        first_enqueued: None,
    })
}
