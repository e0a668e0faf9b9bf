//! What can go wrong with the log, as facts: which segment, which offset, which command looks into it.

use std::fmt;
use std::io;

use super::Incarnation;

/// The command that an operator runs to see what is wrong, named in every refusal to open.
pub const INSPECT_COMMAND: &str = "muster log inspect";
/// The command that mends a damaged log and keeps the damaged part aside.
pub const REPAIR_COMMAND: &str = "muster log repair";

/// A failure of the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log was closed by its owner.
    #[error("the log is closed")]
    Closed,
    /// A segment holds bytes that cannot have come from an interrupted write. Nothing was changed.
    #[error(
        "segment {segment} is damaged at offset {offset}: {damage}; look with `{INSPECT_COMMAND}`, mend with \
         `{REPAIR_COMMAND}`"
    )]
    Corrupt {
        /// Number of the damaged segment.
        segment: u64,
        /// First damaged byte, from the start of the segment file.
        offset: u64,
        /// The check that failed.
        damage: Damage,
    },
    /// The directory to create a log in already holds one.
    #[error("the directory already holds segment {segment}")]
    Exists {
        /// Number of the first segment found.
        segment: u64,
    },
    /// A file carries the name of a segment that is further from its neighbour than any that was lost. Nothing was
    /// changed.
    #[error(
        "segment {segment} is named, and none of the many before it is there; a log does not grow like that: move the \
         file that does not belong to it elsewhere"
    )]
    FarSegment {
        /// Number of the segment behind the gap.
        segment: u64,
    },
    /// The hub was deleted; its key is never used again.
    #[error("hub {hub} was deleted from the log")]
    HubDeleted {
        /// The hub's key.
        hub: u64,
    },
    /// The disk refused.
    #[error("cannot {action} {name}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file, or the directory itself.
        name: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The directory holds no log although one is expected.
    #[error("no log segment was found; restore a backup, or look with `{INSPECT_COMMAND}`")]
    Missing,
    /// A segment between two others, or before the first, is not there. Nothing was changed.
    #[error("segment {segment} is missing; look with `{INSPECT_COMMAND}`, mend with `{REPAIR_COMMAND}`")]
    MissingSegment {
        /// Number of the first segment that is missing.
        segment: u64,
    },
    /// A write or a sync failed, and whether the batch is on disk cannot be known: readers go on, writers
    /// are refused until a restart has read the disk again.
    #[error("an earlier write or sync failed; the log takes no more records until the server is restarted")]
    Poisoned,
    /// A record or batch was written by a newer version of this program.
    #[error("segment {segment} is of format {found}, this program reads up to {known}")]
    UnsupportedVersion {
        /// Number of the segment.
        segment: u64,
        /// Version found.
        found: u16,
        /// Newest version known.
        known: u16,
    },
    /// The segment belongs to another log.
    #[error("segment {segment} belongs to log {found}, not to {expected}; look with `{INSPECT_COMMAND}`")]
    WrongIncarnation {
        /// Number of the segment.
        segment: u64,
        /// Incarnation that the registry names.
        expected: Incarnation,
        /// Incarnation in the segment's header.
        found: Incarnation,
    },
}

impl Error {
    /// Wraps a failure of the disk.
    pub(crate) fn io(action: &'static str, name: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let name = name.into();
        move |source| Self::Io { action, name, source }
    }
}

/// Why a record was not taken. Nothing of it was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The log was closed by its owner.
    #[error("the log is closed")]
    Closed,
    /// The disk has no room for another segment.
    #[error("the disk has no room for another segment")]
    DiskFull,
    /// The batch that gathers has no room; the sender comes back after the next commit.
    #[error("the open batch is full")]
    Full,
    /// The hub was deleted; its key is never used again.
    #[error("the hub was deleted")]
    HubDeleted,
    /// Every position below 2^53 of this partition is used.
    #[error("the partition has no positions left")]
    PositionsExhausted,
    /// An earlier write or sync failed.
    #[error("an earlier write or sync failed")]
    Poisoned,
    /// The record alone is larger than a batch may be.
    #[error("the record is too large")]
    TooLarge,
}

/// The check that bytes of a segment did not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// Body of a batch: its checksum differs.
    BatchChecksum,
    /// Header of a batch: magic, length or checksum is wrong.
    BatchHeader,
    /// A batch names another place than where it stands.
    BatchPlace,
    /// Contents of a batch whose checksum is right make no sense.
    Contents,
    /// Header of a segment: magic or checksum is wrong.
    SegmentHeader,
    /// The segment ends before it should.
    Truncated,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BatchChecksum => "a batch's checksum differs, and whole batches follow",
            Self::BatchHeader => "no batch header where one must stand, and whole batches follow",
            Self::BatchPlace => "a batch was written for another place",
            Self::Contents => "a batch's contents make no sense",
            Self::SegmentHeader => "the segment's header is not readable",
            Self::Truncated => "the segment ends too early",
        })
    }
}
