//! Looking into a damaged log, and mending it while the damaged files are kept aside.
//!
//! `inspect` changes nothing. `repair` keeps a copy of every file that it replaces, keeps every whole batch,
//! stands in for missing segments with empty ones, and moves all positions on by 2^40, for what was lost may
//! have held any position.

use std::fmt;

use super::backup::{BLIND_JUMP, copy};
use super::disk::{Disk, DiskFile};
use super::error::{Damage, Error};
use super::format::{BatchKind, Identity, Records, SEGMENT_HEADER};
use super::index::State;
use super::recover;
use super::retain::Gather;
use super::segment::{Draft, WalkEnd, check_header, file_name, remainder, walk};
use super::{Incarnation, Options};

/// Most numbers that may be missing in a row: repair stands in for each with a file, and a name out of place would make
/// it fill the disk. A log of four tebibytes has as many segments.
const MAX_MISSING: u64 = 1 << 16;

/// What was found in a log's directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inspection {
    /// The segments, in order.
    pub segments: Vec<SegmentReport>,
    /// Numbers that are missing between them.
    pub missing: Vec<u64>,
}

/// What was found in one segment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SegmentReport {
    /// Number of the segment.
    pub segment: u64,
    /// Length of its file.
    pub bytes: u64,
    /// Whole batches of records.
    pub batches: u64,
    /// Events in them.
    pub events: u64,
    /// Whether it is closed by a whole footer.
    pub sealed: bool,
    /// Stretches that no check passes: offset, length, and the check that failed first.
    pub damaged: Vec<(u64, u64, Damage)>,
    /// An interrupted write at the end of the newest segment: offset and length. A start cuts it off by itself.
    pub torn: Option<(u64, u64)>,
    /// The newest segment's snapshot is not readable.
    pub snapshot_lost: bool,
}

impl SegmentReport {
    /// Tells whether a start would refuse the segment.
    pub fn is_damaged(&self) -> bool {
        !self.damaged.is_empty() || self.snapshot_lost
    }
}

impl Inspection {
    /// Tells whether a start would refuse the log.
    pub fn is_damaged(&self) -> bool {
        !self.missing.is_empty() || self.segments.iter().any(SegmentReport::is_damaged)
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.missing {
            writeln!(f, "segment {segment}: missing")?;
        }
        for report in &self.segments {
            let SegmentReport {
                segment,
                bytes,
                batches,
                events,
                ..
            } = report;
            let form = if report.sealed { "sealed" } else { "open" };
            writeln!(
                f,
                "segment {segment}: {form}, {bytes} bytes, {batches} batches, {events} events"
            )?;
            for (offset, length, damage) in &report.damaged {
                writeln!(f, "  damaged at offset {offset}, {length} bytes: {damage}")?;
            }
            if let Some((offset, length)) = report.torn {
                writeln!(
                    f,
                    "  interrupted write at offset {offset}, {length} bytes: a start cuts it off"
                )?;
            }
            if report.snapshot_lost {
                writeln!(f, "  the snapshot at its start is lost")?;
            }
        }
        Ok(())
    }
}

/// What `repair` did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Repair {
    /// What was found before.
    pub found: Inspection,
    /// Copies of the files that were replaced.
    pub kept_aside: Vec<String>,
    /// Events that are in the log now.
    pub events: u64,
}

/// Looks through every byte of a log that is not open. Changes nothing.
///
/// # Errors
///
/// Returns [`Error::Missing`], [`Error::FarSegment`], [`Error::WrongIncarnation`], [`Error::UnsupportedVersion`], or
/// what the disk answered; damage is in the answer, not an error.
pub fn inspect(disk: &dyn Disk, incarnation: Incarnation) -> Result<Inspection, Error> {
    examine(disk, incarnation, &mut State::default())
}

/// Mends a log that is not open, so that it opens again. A log that would open is left as it is.
///
/// # Errors
///
/// As [`inspect`].
pub fn repair(disk: &dyn Disk, options: &Options, now: i64) -> Result<Repair, Error> {
    let mut state = State::default();
    let mut aside = Vec::new();
    let found = examine(disk, options.incarnation, &mut state)?;
    let events = found.segments.iter().map(|report| report.events).sum();
    let (Some(first), Some(last)) = (found.segments.first(), found.segments.last()) else {
        return Err(Error::Missing);
    };
    let missing_front = first.segment > state.first_segment && state.first_segment > 0;
    if !found.is_damaged() && !missing_front {
        return Ok(Repair {
            found,
            kept_aside: aside,
            events,
        });
    }
    state.first_segment = first.segment;
    for report in &found.segments {
        if report.sealed && !report.is_damaged() {
            continue;
        }
        let identity = Identity {
            incarnation: options.incarnation,
            segment: report.segment,
        };
        let name = file_name(report.segment);
        let file = disk.open(&name).map_err(Error::io("open", &name))?;
        aside.push(keep_aside(disk, file.as_ref(), &name)?);
        let mut draft = Draft::create(disk, identity, SEGMENT_HEADER as u64, now)?;
        let mut gathered = Gather::new(options.batch_bytes);
        whole_batches(file.as_ref(), &identity, |_, kind, body| {
            if kind == BatchKind::Records {
                // A batch is checked as a whole; one that still makes no sense is kept up to there.
                for record in Records::new(body).map_while(Result::ok) {
                    gathered.push(&record, &mut draft)?;
                }
            }
            Ok(())
        })?;
        gathered.flush(&mut draft)?;
        draft.publish_sealed(disk)?;
    }
    for segment in &found.missing {
        let identity = Identity {
            incarnation: options.incarnation,
            segment: *segment,
        };
        Draft::create(disk, identity, SEGMENT_HEADER as u64, now)?.publish_sealed(disk)?;
    }
    state.jump(0, BLIND_JUMP);
    recover::start_segment(disk, options, last.segment + 1, &state)?;
    Ok(Repair {
        found,
        kept_aside: aside,
        events,
    })
}

fn keep_aside(disk: &dyn Disk, file: &dyn DiskFile, name: &str) -> Result<String, Error> {
    let taken = disk.list().map_err(Error::io("list", "the log's directory"))?;
    // There are fewer files than numbers, so one of these is free.
    let mut names = (0..=taken.len()).map(|number| format!("{name}.damaged-{number}"));
    let aside = names
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| format!("{name}.damaged"));
    let length = file.size().map_err(Error::io("measure", name))?;
    copy(file, disk, &aside, length)?;
    disk.sync_dir()
        .map_err(Error::io("sync", "the log's directory"))?;
    Ok(aside)
}

fn examine(disk: &dyn Disk, incarnation: Incarnation, state: &mut State) -> Result<Inspection, Error> {
    let numbers = recover::numbers(disk)?;
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return Err(Error::Missing);
    };
    let mut inspection = Inspection::default();
    let mut expected = first;
    for &segment in &numbers {
        if segment.saturating_sub(expected) > MAX_MISSING {
            return Err(Error::FarSegment { segment });
        }
        inspection.missing.extend(expected..segment);
        expected = segment + 1;
        let identity = Identity { incarnation, segment };
        inspection
            .segments
            .push(examine_segment(disk, &identity, segment == last, state)?);
    }
    Ok(inspection)
}

fn examine_segment(
    disk: &dyn Disk,
    identity: &Identity,
    is_newest: bool,
    state: &mut State,
) -> Result<SegmentReport, Error> {
    let name = file_name(identity.segment);
    let file = disk.open(&name).map_err(Error::io("open", &name))?;
    let bytes = file.size().map_err(Error::io("measure", &name))?;
    let mut report = SegmentReport {
        segment: identity.segment,
        bytes,
        ..SegmentReport::default()
    };
    match check_header(file.as_ref(), *identity) {
        Ok(_) => {}
        Err(Error::Corrupt { damage, .. }) => report.damaged.push((0, SEGMENT_HEADER as u64, damage)),
        Err(error) => return Err(error),
    }
    let mut has_snapshot = false;
    let mut contents = Vec::new();
    let tail = whole_batches(file.as_ref(), identity, |offset, kind, body| {
        if kind == BatchKind::State {
            if let Some(snapshot) = State::parse(body) {
                *state = snapshot;
                has_snapshot = true;
            }
            return Ok(());
        }
        report.batches += 1;
        let Ok(summary) = recover::summary(body) else {
            contents.push(offset);
            return Ok(());
        };
        report.events += summary.shares.iter().map(|(_, range)| range.count).sum::<u64>();
        state.apply(&summary);
        Ok(())
    })?;
    report.sealed = tail.sealed;
    report.damaged.extend(tail.gaps);
    report
        .damaged
        .extend(contents.into_iter().map(|offset| (offset, 0, Damage::Contents)));
    match tail.rest {
        Some((offset, length, damage)) if !is_newest => report.damaged.push((offset, length, damage)),
        Some((offset, length, _)) if length > 0 => report.torn = Some((offset, length)),
        _ => {}
    }
    report.snapshot_lost = is_newest && !has_snapshot;
    if is_newest && has_snapshot && state.first_segment > identity.segment {
        report.damaged.push((SEGMENT_HEADER as u64, 0, Damage::Contents));
    }
    Ok(report)
}

/// What stands between and behind the whole batches of a segment.
struct Tail {
    sealed: bool,
    gaps: Vec<(u64, u64, Damage)>,
    rest: Option<(u64, u64, Damage)>,
}

/// Visits every whole batch, also those behind damage.
fn whole_batches(
    file: &dyn DiskFile,
    identity: &Identity,
    mut visit: impl FnMut(u64, BatchKind, &[u8]) -> Result<(), Error>,
) -> Result<Tail, Error> {
    let mut tail = Tail {
        sealed: false,
        gaps: Vec::new(),
        rest: None,
    };
    let mut begin = SEGMENT_HEADER as u64;
    loop {
        match walk(file, identity, begin, |offset, header, body| {
            visit(offset, header.kind, body)
        })? {
            WalkEnd::Sealed { .. } => {
                tail.sealed = true;
                return Ok(tail);
            }
            WalkEnd::Bad { offset, damage } => {
                let rest = remainder(file, identity, offset)
                    .map_err(Error::io("read", file_name(identity.segment)))?;
                let Some(next) = rest.whole_batch else {
                    tail.rest = Some((offset, rest.bytes, damage));
                    return Ok(tail);
                };
                tail.gaps.push((offset, next - offset, damage));
                begin = next;
            }
        }
    }
}
