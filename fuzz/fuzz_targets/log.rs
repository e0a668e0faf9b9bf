//! The event log's files, damaged and made up.
//!
//! Damage is done to a log that was written here: bytes change, files are cut, emptied, or lose their name. Held is that
//! looking changes nothing, that opening and looking agree, that nothing is read that was not written, and that repair
//! makes it open again. What is made up are batches whose checksums are right and whose contents are anything; there
//! only the absence of crashes is held, and that reading, writing and a second start go on.

#![no_main]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use muster_bus::log::{
    Disk, Error, From, Incarnation, Log, Options, PartitionKey, Record, Stored, Watermark, inspect, repair,
};
use muster_bus::sim::SimDisk;

/// A moment, Unix microseconds.
const NOW: i64 = 1_767_225_600_000_000;
/// The life of the data that the log belongs to.
const INCARNATION: Incarnation = Incarnation([7; 16]);
/// Length of the header of a segment, and of a batch. Source: `crates/bus/src/log/format.rs`.
const HEADER: (usize, usize) = (64, 48);
/// The partitions that are written to.
const KEYS: [PartitionKey; 3] = [key(1, 0), key(1, 1), key(2, 0)];

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 3) {
        Some((0, steps)) => damaged(steps),
        Some((1, batches)) => made_up(batches, true),
        Some((_, batches)) => made_up(batches, false),
        None => {}
    }
});

const fn key(hub: u64, partition: u16) -> PartitionKey {
    PartitionKey { hub, partition }
}

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        batch_bytes: 4096,
        reserve_bytes: 0,
        ..Options::new(INCARNATION)
    }
}

/// A log of several segments, and what was acknowledged in it.
struct Written {
    disk: SimDisk,
    names: Vec<String>,
    records: BTreeMap<PartitionKey, Vec<Stored>>,
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let disk = SimDisk::new(1);
        let log = Log::create(Arc::new(disk.clone()), options(), NOW).expect("a log can be made");
        let watermark = Watermark::new();
        for ticket in 1..=40_u8 {
            let payload = vec![ticket; usize::from(ticket) * 16];
            let record = Record {
                received: NOW + i64::from(ticket) * 1000,
                targets: b"t",
                payload: &payload,
            };
            let key = KEYS[usize::from(ticket) % KEYS.len()];
            log.append(key, &record, &watermark, ticket.into())
                .expect("there is room");
            watermark.wait(ticket.into()).expect("it is written");
        }
        let records = KEYS
            .iter()
            .map(|key| (*key, all(&log, *key).expect("it is read")))
            .collect();
        log.close();
        let mut names = disk.list().expect("it lists");
        names.sort();
        assert!(names.len() > 2, "several segments");
        Written { disk, names, records }
    })
}

fn all(log: &Log, key: PartitionKey) -> Result<Vec<Stored>, Error> {
    log.read(key, From::Earliest, 1000, 1 << 20)
}

fn files(disk: &SimDisk) -> BTreeMap<String, Option<Vec<u8>>> {
    let names = disk.list().expect("it lists");
    names
        .into_iter()
        .map(|name| (name.clone(), disk.contents(&name)))
        .collect()
}

fn damaged(steps: &[u8]) {
    let written = written();
    let disk = written.disk.fork(2);
    for step in steps.chunks_exact(6).take(16) {
        let [what, which, high, low, length, value] = *step else {
            continue;
        };
        let name = &written.names[usize::from(which) % written.names.len()];
        let Some(mut bytes) = disk.contents(name) else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high, low])).min(bytes.len());
        let end = (at + usize::from(length)).min(bytes.len());
        match what % 8 {
            0 => bytes[at..end].fill(value),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= value),
            2 => bytes.truncate(at),
            3 => bytes[at..].fill(0),
            4 => {
                // A batch from elsewhere in the same file: whole, and in the wrong place.
                let copied = bytes[at & !15..end].to_vec();
                let to = usize::from(value) * 16;
                if let Some(place) = bytes.get_mut(to..to + copied.len()) {
                    place.copy_from_slice(&copied);
                }
            }
            5 => {
                disk.remove(name);
                continue;
            }
            6 => {
                let other = &written.names[usize::from(value) % written.names.len()];
                disk.set_contents(other, &bytes);
                continue;
            }
            _ => {
                disk.set_contents(&format!("{:016}.seg", u64::from(value) << (high % 40)), &bytes);
                continue;
            }
        }
        disk.set_contents(name, &bytes);
    }

    let before = files(&disk);
    let inspection = inspect(&disk, INCARNATION);
    assert_eq!(files(&disk), before, "looking changed something");
    let opened = Log::open(Arc::new(disk.clone()), options());
    match (&inspection, &opened) {
        // What starts was not called damaged, but for batches in the middle that a start does not read.
        (Ok(_), Ok(_)) => {}
        (Ok(found), Err(Error::Corrupt { .. } | Error::MissingSegment { .. })) => {
            // Without its beginning it is found out only by what the newest segment says.
            let front = found.segments.first().is_some_and(|first| first.segment > 1);
            assert!(
                found.is_damaged() || front,
                "refused, and called sound: {:?}",
                opened.err()
            );
        }
        (Ok(_), Err(error)) => panic!("looked at, and not opened: {error}"),
        (Err(_), Ok(_)) => panic!("opened, and not looked at"),
        (Err(_), Err(_)) => {}
    }
    if let Err(Error::Corrupt { .. } | Error::MissingSegment { .. }) = opened {
        assert_eq!(files(&disk), before, "a start that refused changed something");
    }
    if let Ok((log, _)) = opened {
        known(&log);
        go_on(&log);
        return;
    }
    // Each missing segment costs a file; a long row of them is mended as a short one is.
    if inspection.map_or(true, |found| found.missing.len() > 64) {
        return;
    }
    if let Err(error) = repair(&disk, &options(), NOW) {
        panic!("looked at, and not mended: {error}");
    }
    let (log, _) = Log::open(Arc::new(disk.clone()), options()).expect("a mended log opens");
    known(&log);
    go_on(&log);
}

/// Everything that is read was written, in its order.
fn known(log: &Log) {
    for (key, written) in &written().records {
        let Ok(found) = all(log, *key) else { continue };
        let mut rest = written.iter();
        for record in &found {
            assert!(rest.any(|one| one == record), "invented: {record:?}");
        }
    }
}

/// The log takes a record and shows it, behind all others.
fn go_on(log: &Log) {
    let watermark = Watermark::new();
    let record = Record {
        received: NOW + 1_000_000,
        targets: b"",
        payload: b"new",
    };
    for key in KEYS {
        let Ok(before) = log.bounds(key) else { continue };
        let Ok(appended) = log.append(key, &record, &watermark, key.hub * 10 + u64::from(key.partition))
        else {
            continue;
        };
        assert!(appended.position >= before.next);
        if watermark.wait(key.hub * 10 + u64::from(key.partition)).is_err() {
            return;
        }
        let read = log.read(key, From::At(appended.position), 1, 1000);
        assert!(read.is_ok_and(|read| read.first().is_some_and(|one| one.payload == b"new")));
    }
}

/// Batches of any content, as the newest segment of a log of one.
fn made_up(mut input: &[u8], with_snapshot: bool) {
    let written = written();
    let name = &written.names[0];
    let whole = written.disk.contents(name).expect("it is there");
    let snapshot = u32::from_le_bytes([whole[72], whole[73], whole[74], whole[75]]) as usize;
    let start = if with_snapshot {
        HEADER.0 + HEADER.1 + snapshot.next_multiple_of(16)
    } else {
        HEADER.0
    };
    let mut segment = whole[..start].to_vec();
    while let Some(([kind, count, length], rest)) = input.split_first_chunk() {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        batch(&mut segment, kind % 5, u32::from(*count), body);
    }
    let disk = SimDisk::new(3);
    disk.set_contents(name, &segment);
    let before = files(&disk);
    let inspection = inspect(&disk, INCARNATION);
    assert_eq!(files(&disk), before, "looking changed something");
    if let Ok((log, _)) = Log::open(Arc::new(disk.clone()), options()) {
        go_on(&log);
        for key in KEYS {
            let _ = all(&log, key);
        }
        log.close();
        Log::open(Arc::new(disk.clone()), options()).expect("what took records opens again");
    } else if inspection.is_ok() && repair(&disk, &options(), NOW).is_ok() {
        let _ = Log::open(Arc::new(disk), options());
    }
}

/// Appends a batch whose checksums are right.
fn batch(segment: &mut Vec<u8>, kind: u8, count: u32, body: &[u8]) {
    let seed = crc32c::crc32c_append(crc32c::crc32c(&INCARNATION.0), &1_u64.to_le_bytes());
    let mut head = b"MBAT".to_vec();
    head.extend_from_slice(&[kind, 0, 0, 0]);
    head.extend_from_slice(&u32::try_from(body.len()).expect("a short body").to_le_bytes());
    head.extend_from_slice(&count.to_le_bytes());
    head.extend_from_slice(&(segment.len() as u64).to_le_bytes());
    head.extend_from_slice(&[0; 16]);
    head.extend_from_slice(&crc32c::crc32c_append(seed, &head).to_le_bytes());
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(16), 0);
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &head), &padded);
    head.extend_from_slice(&sum.to_le_bytes());
    segment.extend_from_slice(&head);
    segment.extend_from_slice(&padded);
}
