//! Bytes that are not what was written: at the end they are cut and reported, anywhere else refused untouched.

use super::*;
use crate::log::format::{BATCH_HEADER, BatchHeader, Identity, SEGMENT_HEADER};
use crate::log::segment::file_name;

const NEWEST: Identity = Identity {
    incarnation: LOG,
    segment: 1,
};

/// A log of one segment with three batches of one record each, and the places of those batches.
fn three_batches() -> (SimDisk, Vec<(usize, usize)>) {
    let disk = SimDisk::new(20);
    let log = create(&disk);
    for payload in [b"first.", b"second", b"third."] {
        put(&log, key(1, 0), payload);
    }
    drop(log);
    let bytes = disk.contents(&file_name(1)).unwrap();
    let mut places = Vec::new();
    let mut offset = SEGMENT_HEADER;
    while let Ok(header) = BatchHeader::parse(&bytes[offset..], offset as u64, &NEWEST) {
        places.push((offset, header.span()));
        offset += header.span();
    }
    assert_eq!(places.len(), 4, "the snapshot and three batches");
    (disk, places)
}

/// A log of several segments.
fn many_segments() -> SimDisk {
    let disk = SimDisk::new(21);
    let log = create(&disk);
    for number in 0..80_u64 {
        put(&log, key(number % 2, 0), &[b'x'; 200]);
    }
    drop(log);
    assert!(disk.list().unwrap().len() > 3);
    disk
}

#[test]
fn damage_at_any_byte_of_the_last_batch_is_cut_and_reported() {
    let (disk, places) = three_batches();
    let whole = disk.contents(&file_name(1)).unwrap();
    let (offset, span) = places[3];
    for index in offset..offset + span {
        let mut flipped = whole.clone();
        flipped[index] ^= 0x40;
        let mut torn = whole.clone();
        torn[index..].fill(0);
        for damaged in [flipped, torn] {
            if damaged == whole {
                continue;
            }
            let copy = disk.fork(index as u64);
            copy.set_contents(&file_name(1), &damaged);
            let (log, recovery) = open(&copy);
            let left = damaged[offset..].iter().rposition(|byte| *byte != 0);
            match recovery.torn {
                Some(tail) => {
                    assert_eq!((tail.segment, tail.offset), (1, offset as u64), "byte {index}");
                    assert_eq!(Some(tail.bytes), left.map(|last| last as u64 + 1), "byte {index}");
                }
                None => assert_eq!(
                    left, None,
                    "byte {index}: a tear that left nothing leaves no trace"
                ),
            }
            assert_eq!(payloads(&log, key(1, 0)), [b"first.", b"second"]);
            let next = put(&log, key(1, 0), b"fourth");
            if recovery.torn.is_some() {
                assert!(next > 2, "position {next} may have stood in the torn batch");
            }
            drop(log);
            let (log, recovery) = open(&copy);
            assert_eq!(recovery.torn, None);
            assert_eq!(payloads(&log, key(1, 0)), [b"first.", b"second", b"fourth"]);
        }
    }
}

#[test]
fn positions_of_a_torn_tail_stay_unused_over_another_restart() {
    let (disk, places) = three_batches();
    let mut bytes = disk.contents(&file_name(1)).unwrap();
    bytes[places[3].0 + BATCH_HEADER] ^= 1;
    disk.set_contents(&file_name(1), &bytes);
    drop(open(&disk));
    let (log, recovery) = open(&disk);
    assert_eq!(recovery.torn, None);
    assert!(put(&log, key(1, 0), b"x") >= 1 << 20);
    assert!(put(&log, key(3, 0), b"a partition whose first record was torn") >= 1 << 20);
}

#[test]
fn damage_before_a_whole_batch_is_refused_and_nothing_is_changed() {
    let (disk, places) = three_batches();
    let whole = disk.contents(&file_name(1)).unwrap();
    for (offset, span) in &places[..3] {
        for index in *offset..offset + span {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            let copy = disk.fork(index as u64);
            copy.set_contents(&file_name(1), &damaged);
            let before = files(&copy);
            match Log::open(arc(&copy), options()) {
                Err(
                    error @ Error::Corrupt {
                        segment: 1,
                        offset: found,
                        ..
                    },
                ) => {
                    assert_eq!(found, *offset as u64, "byte {index}");
                    let text = error.to_string();
                    assert!(
                        text.contains(INSPECT_COMMAND) && text.contains(REPAIR_COMMAND),
                        "{text}"
                    );
                }
                other => panic!("byte {index}: {other:?}"),
            }
            assert_eq!(files(&copy), before, "byte {index}");
        }
    }
}

#[test]
fn repair_keeps_every_whole_batch_and_the_damaged_file() {
    let (disk, places) = three_batches();
    let mut damaged = disk.contents(&file_name(1)).unwrap();
    damaged[places[2].0 + BATCH_HEADER + 3] ^= 1;
    disk.set_contents(&file_name(1), &damaged);
    let inspection = inspect(&disk, LOG).unwrap();
    assert!(inspection.is_damaged());
    let (offset, length, _) = inspection.segments[0].damaged[0];
    assert_eq!((offset, length), (places[2].0 as u64, places[2].1 as u64));
    assert!(inspection.to_string().contains("damaged at offset"));
    let repair = repair(&disk, &options(), NOW).unwrap();
    assert_eq!(repair.found, inspection);
    assert_eq!(repair.events, 2);
    assert_eq!(disk.contents(&repair.kept_aside[0]).unwrap(), damaged);
    let (log, recovery) = open(&disk);
    assert_eq!(recovery.torn, None);
    assert_eq!(payloads(&log, key(1, 0)), [b"first.", b"third."]);
    assert!(put(&log, key(1, 0), b"x") >= 1 << 40);
    drop(log);
    assert!(!inspect(&disk, LOG).unwrap().is_damaged());
}

#[test]
fn a_sound_log_is_left_alone_by_repair() {
    let disk = many_segments();
    let before = files(&disk);
    let repair = repair(&disk, &options(), NOW).unwrap();
    assert_eq!((repair.events, repair.kept_aside.len()), (80, 0));
    assert_eq!(files(&disk), before);
}

#[test]
fn a_file_named_far_behind_the_others_is_refused_by_all() {
    let disk = many_segments();
    let stray = disk.contents(&file_name(1)).unwrap();
    disk.set_contents(&file_name(9_999_999_999_999_999), &stray);
    let before = files(&disk);
    let refused = Log::open(arc(&disk), options()).unwrap_err();
    assert!(matches!(refused, Error::MissingSegment { .. }), "{refused}");
    let far = |error| matches!(error, Error::FarSegment { segment } if segment == 9_999_999_999_999_999);
    assert!(far(inspect(&disk, LOG).unwrap_err()));
    assert!(far(repair(&disk, &options(), NOW).unwrap_err()));
    assert_eq!(files(&disk), before);
}

#[test]
fn a_snapshot_that_gives_up_its_own_segment_is_refused_and_repaired() {
    let disk = SimDisk::new(22);
    let state = State {
        first_segment: 9,
        ..State::default()
    };
    recover::start_segment(&disk, &options(), 1, &state).unwrap();
    let before = files(&disk);
    let refused = Log::open(arc(&disk), options()).unwrap_err();
    let damage = Damage::Contents;
    assert!(
        matches!(refused, Error::Corrupt { segment: 1, damage: found, .. } if found == damage),
        "{refused}"
    );
    assert_eq!(files(&disk), before);
    assert!(inspect(&disk, LOG).unwrap().is_damaged());
    repair(&disk, &options(), NOW).unwrap();
    open(&disk);
}

#[test]
fn a_missing_segment_is_refused_and_repaired() {
    for missing in [1, 2] {
        let disk = many_segments();
        disk.remove(&file_name(missing));
        let before = files(&disk);
        let refused = Log::open(arc(&disk), options()).unwrap_err();
        assert!(
            matches!(refused, Error::MissingSegment { segment } if segment == missing),
            "{refused}"
        );
        assert_eq!(files(&disk), before);
        repair(&disk, &options(), NOW).unwrap();
        let (log, _) = open(&disk);
        let left = all(&log, key(0, 0)).len() + all(&log, key(1, 0)).len();
        assert!(left > 20 && left < 80, "{left}");
    }
}

#[test]
fn a_damaged_segment_header_is_refused_and_repaired() {
    for index in 0..SEGMENT_HEADER {
        for segment in [2, u64::try_from(many_segments().list().unwrap().len()).unwrap()] {
            let disk = many_segments();
            let mut bytes = disk.contents(&file_name(segment)).unwrap();
            bytes[index] ^= 1;
            disk.set_contents(&file_name(segment), &bytes);
            let refused = Log::open(arc(&disk), options()).unwrap_err();
            assert!(matches!(refused, Error::Corrupt { segment: found, offset: 0, .. } if found == segment));
            if index % 16 == 0 {
                repair(&disk, &options(), NOW).unwrap();
                let (log, _) = open(&disk);
                assert_eq!(all(&log, key(0, 0)).len() + all(&log, key(1, 0)).len(), 80);
            }
        }
    }
}

#[test]
fn a_log_of_another_life_is_refused() {
    let disk = many_segments();
    let other = Options {
        incarnation: Incarnation([1; 16]),
        ..options()
    };
    let refused = Log::open(arc(&disk), other).unwrap_err();
    assert!(
        matches!(refused, Error::WrongIncarnation { segment: 1, .. }),
        "{refused}"
    );
    assert!(matches!(
        inspect(&disk, Incarnation([1; 16])),
        Err(Error::WrongIncarnation { .. })
    ));
}

#[test]
fn a_damaged_sealed_segment_is_noticed_by_start_or_reader_never_shown() {
    let disk = many_segments();
    let whole = disk.contents(&file_name(2)).unwrap();
    let expected = {
        let (log, _) = open(&disk.fork(0));
        [all(&log, key(0, 0)), all(&log, key(1, 0))]
    };
    for index in (SEGMENT_HEADER..whole.len()).step_by(5) {
        let copy = disk.fork(index as u64);
        let mut damaged = whole.clone();
        damaged[index] ^= 8;
        copy.set_contents(&file_name(2), &damaged);
        let Ok((log, _)) = Log::open(arc(&copy), options()) else {
            continue;
        };
        for (hub, expected) in [0, 1].into_iter().zip(&expected) {
            match log.read(key(hub, 0), From::Earliest, usize::MAX, usize::MAX) {
                Ok(records) => assert_eq!(&records, expected, "byte {index}"),
                Err(Error::Corrupt { segment: 2, .. }) => {}
                Err(other) => panic!("byte {index}: {other}"),
            }
        }
        drop(log);
        let found = inspect(&copy, LOG).unwrap();
        // The snapshot at the start of an older segment is not used any more, its damage is found all the same.
        assert!(found.is_damaged(), "byte {index}");
    }
}

#[test]
fn random_bytes_open_as_nothing_and_never_panic() {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand::rngs::StdRng::seed_from_u64(5);
    let (disk, _) = three_batches();
    let whole = disk.contents(&file_name(1)).unwrap();
    for round in 0..300 {
        let copy = disk.fork(round);
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..40) {
            let index = rng.random_range(0..bytes.len());
            bytes[index] = rng.random();
        }
        bytes.truncate(rng.random_range(0..=bytes.len()));
        copy.set_contents(&file_name(1), &bytes);
        drop(Log::open(arc(&copy), options()));
        drop(inspect(&copy, LOG));
        drop(repair(&copy, &options(), NOW));
    }
}
