//! The log on a disk that misbehaves, and on a real one.

mod damage;
mod model;
mod power;
mod retention;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::sim::{Faults, SimDisk};

const LOG: Incarnation = Incarnation([0xa5; 16]);
/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600_000_000;
const HOUR: i64 = 3_600_000_000;

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        batch_bytes: 4096,
        slice: HOUR,
        reserve_bytes: 0,
        ..Options::new(LOG)
    }
}

fn key(hub: u64, partition: u16) -> PartitionKey {
    PartitionKey { hub, partition }
}

fn arc(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn create(disk: &SimDisk) -> Log {
    Log::create(arc(disk), options(), NOW).unwrap()
}

fn open(disk: &SimDisk) -> (Log, Recovery) {
    Log::open(arc(disk), options()).unwrap()
}

/// Appends one record and waits until it is durable.
fn put_at(log: &Log, key: PartitionKey, payload: &[u8], received: i64) -> Result<Appended, Refused> {
    let watermark = Watermark::new();
    let record = Record {
        received,
        targets: b"t",
        payload,
    };
    let appended = log.append(key, &record, &watermark, 1)?;
    watermark.wait(1)?;
    Ok(appended)
}

fn put(log: &Log, key: PartitionKey, payload: &[u8]) -> u64 {
    put_at(log, key, payload, NOW).unwrap().position
}

fn all(log: &Log, key: PartitionKey) -> Vec<Stored> {
    log.read(key, From::Earliest, usize::MAX, usize::MAX).unwrap()
}

fn payloads(log: &Log, key: PartitionKey) -> Vec<Vec<u8>> {
    all(log, key).into_iter().map(|stored| stored.payload).collect()
}

/// Every file of the disk's log, to see whether something changed.
fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list().unwrap();
    names
        .into_iter()
        .map(|name| (name.clone(), disk.contents(&name).unwrap()))
        .collect()
}

#[test]
fn reads_back_in_order_and_alone() {
    let disk = SimDisk::new(1);
    let log = create(&disk);
    for number in 0..200_u64 {
        let position = put(&log, key(number % 3, 0), format!("{number}").as_bytes());
        assert_eq!(position, number / 3);
    }
    for hub in 0..3 {
        let expected: Vec<_> = (0..200_u64)
            .filter(|n| n % 3 == hub)
            .map(|n| n.to_string().into_bytes())
            .collect();
        assert_eq!(payloads(&log, key(hub, 0)), expected);
    }
    assert_eq!(payloads(&log, key(1, 1)), Vec::<Vec<u8>>::new());
    drop(log);
    let (log, recovery) = open(&disk);
    assert_eq!(recovery.torn, None);
    assert!(recovery.segments > 2, "{recovery:?}");
    assert_eq!(all(&log, key(2, 0)).len(), 66);
    assert_eq!(put(&log, key(2, 0), b"next"), 66);
}

#[test]
fn reads_are_bounded_and_start_where_asked() {
    let disk = SimDisk::new(2);
    let log = create(&disk);
    for number in 0..100_i64 {
        put_at(&log, key(1, 4), &[7; 100], NOW + number * 10).unwrap();
    }
    let read = |from, limit, bytes| {
        let stored = log.read(key(1, 4), from, limit, bytes).unwrap();
        stored.iter().map(|stored| stored.position).collect::<Vec<_>>()
    };
    assert_eq!(read(From::At(0), 3, usize::MAX), [0, 1, 2]);
    assert_eq!(read(From::At(97), 10, usize::MAX), [97, 98, 99]);
    assert_eq!(read(From::At(100), 10, usize::MAX), [0_u64; 0]);
    assert_eq!(read(From::At(u64::MAX), 10, usize::MAX), [0_u64; 0]);
    assert_eq!(read(From::Latest, 10, usize::MAX), [0_u64; 0]);
    assert_eq!(read(From::Earliest, 1, usize::MAX), [0]);
    assert_eq!(read(From::Earliest, 0, usize::MAX), [0_u64; 0]);
    // The record that crosses the bound is the last one.
    assert_eq!(read(From::At(50), 100, 200).len(), 2);
    assert_eq!(read(From::EnqueuedAfter(NOW + 500), 2, usize::MAX), [51, 52]);
    assert_eq!(read(From::EnqueuedAfter(NOW + 499), 1, usize::MAX), [50]);
    assert_eq!(read(From::EnqueuedAfter(NOW - 1), 1, usize::MAX), [0]);
    assert_eq!(read(From::EnqueuedAfter(NOW + 990), 1, usize::MAX), [0_u64; 0]);
}

#[test]
fn enqueued_time_never_steps_back() {
    let disk = SimDisk::new(3);
    let log = create(&disk);
    assert_eq!(
        put_at(&log, key(1, 0), b"a", NOW + 100).unwrap().enqueued,
        NOW + 100
    );
    assert_eq!(put_at(&log, key(1, 0), b"b", NOW).unwrap().enqueued, NOW + 100);
    assert_eq!(put_at(&log, key(1, 1), b"c", NOW).unwrap().enqueued, NOW);
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(log.latest(), NOW + 100);
    assert_eq!(
        put_at(&log, key(1, 0), b"d", NOW + 50).unwrap().enqueued,
        NOW + 100
    );
    assert_eq!(all(&log, key(1, 0))[1].received, NOW);
}

#[test]
fn a_reader_follows_live_and_sees_only_what_is_durable() {
    let disk = SimDisk::new(4);
    let log = Arc::new(create(&disk));
    let commits = log.watch();
    let writer = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || {
            for number in 0..300_u64 {
                put(&log, key(5, 0), &number.to_le_bytes());
            }
        })
    };
    let mut next = 0;
    while next < 300 {
        let seen = *commits.borrow();
        let stored = log.read(key(5, 0), From::At(next), 16, usize::MAX).unwrap();
        if stored.is_empty() {
            // Nothing new since: wait for the next commit, as a task would.
            while *commits.borrow() == seen {
                std::thread::yield_now();
            }
            continue;
        }
        for stored in stored {
            assert_eq!(stored.position, next);
            assert_eq!(stored.payload, next.to_le_bytes());
            next += 1;
        }
    }
    writer.join().unwrap();
    drop(commits);
}

#[test]
fn waiters_learn_of_their_own_tickets_in_order() {
    let disk = SimDisk::new(5);
    let log = create(&disk);
    let watermark = Watermark::new();
    let mut seen = 0;
    for ticket in 1..=500 {
        let record = Record {
            received: NOW,
            targets: &[],
            payload: b"x",
        };
        while log.append(key(1, 0), &record, &watermark, ticket) == Err(Refused::Full) {
            watermark.wait(ticket - 1).unwrap();
        }
        let waker = std::task::Waker::noop();
        if let std::task::Poll::Ready(durable) =
            watermark.poll(&mut std::task::Context::from_waker(waker), seen)
        {
            let durable = durable.unwrap();
            assert!(durable > seen && durable <= ticket);
            seen = durable;
        }
    }
    watermark.wait(500).unwrap();
}

#[test]
fn a_full_batch_refuses_and_a_record_too_large_says_so() {
    let disk = SimDisk::new(6);
    let log = create(&disk);
    let watermark = Watermark::new();
    let large = vec![1; 4096];
    let record = Record {
        received: NOW,
        targets: &[],
        payload: &large,
    };
    assert_eq!(
        log.append(key(1, 0), &record, &watermark, 1),
        Err(Refused::TooLarge)
    );
    let record = Record {
        received: NOW,
        targets: &large,
        payload: &[],
    };
    assert_eq!(
        log.append(key(1, 0), &record, &watermark, 1),
        Err(Refused::TooLarge)
    );
    // Whether a commit comes between is the writer's business; without one the third does not fit.
    let mut open = OpenBatch::new(&State::default());
    let half = vec![1; 1500];
    let record = Record {
        received: NOW,
        targets: &[],
        payload: &half,
    };
    open.append(&options(), key(1, 0), &record, &watermark, 1)
        .unwrap();
    open.append(&options(), key(1, 0), &record, &watermark, 2)
        .unwrap();
    assert_eq!(
        open.append(&options(), key(1, 0), &record, &watermark, 3),
        Err(Refused::Full)
    );
}

#[test]
fn positions_end_below_two_to_the_53rd() {
    let mut state = State {
        base: (1 << 53) - 1,
        ..State::default()
    };
    state.latest = NOW;
    let mut open = OpenBatch::new(&state);
    let watermark = Watermark::new();
    let record = Record {
        received: NOW,
        targets: &[],
        payload: b"last",
    };
    let (appended, _) = open
        .append(&options(), key(1, 0), &record, &watermark, 1)
        .unwrap();
    assert_eq!(appended.position, (1 << 53) - 1);
    let refused = open.append(&options(), key(1, 0), &record, &watermark, 2);
    assert_eq!(refused.unwrap_err(), Refused::PositionsExhausted);
}

#[test]
fn ten_thousand_hubs_share_the_file_and_keep_apart() {
    let disk = SimDisk::new(7);
    let roomy = Options {
        segment_bytes: 1 << 20,
        batch_bytes: 1 << 18,
        ..options()
    };
    let log = Log::create(arc(&disk), roomy.clone(), NOW).unwrap();
    let watermark = Watermark::new();
    let mut ticket = 0;
    for round in 0..3_u64 {
        for hub in 0..10_000_u64 {
            let payload = [hub.to_le_bytes(), round.to_le_bytes()].concat();
            let record = Record {
                received: NOW,
                targets: &[],
                payload: &payload,
            };
            while log.append(key(hub, 0), &record, &watermark, ticket + 1) == Err(Refused::Full) {
                watermark.wait(ticket).unwrap();
            }
            ticket += 1;
        }
    }
    watermark.wait(ticket).unwrap();
    drop(log);
    let (log, _) = Log::open(arc(&disk), roomy).unwrap();
    for hub in (0..10_000_u64).step_by(371).chain([0, 9_999]) {
        let expected: Vec<_> = (0..3_u64)
            .map(|round| [hub.to_le_bytes(), round.to_le_bytes()].concat())
            .collect();
        assert_eq!(payloads(&log, key(hub, 0)), expected);
        assert_eq!(log.bounds(key(hub, 0)).unwrap().next, 3);
    }
}

#[test]
fn a_real_directory_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("log");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&root).unwrap());
    let busy = RealDisk::open(&root).unwrap_err();
    assert_eq!(busy.kind(), std::io::ErrorKind::ResourceBusy);
    let log = Log::create(Arc::clone(&disk), options(), NOW).unwrap();
    for number in 0..100_u64 {
        put(&log, key(1, 0), &number.to_le_bytes());
    }
    log.backup(&directory.path().join("backup")).unwrap();
    drop(log);
    assert!(matches!(
        Log::create(Arc::clone(&disk), options(), NOW),
        Err(Error::Exists { segment: 1 })
    ));
    let (log, _) = Log::open(disk, options()).unwrap();
    assert_eq!(all(&log, key(1, 0)).len(), 100);
    drop(log);
    let backup: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path().join("backup")).unwrap());
    let (log, _) = Log::open(backup, options()).unwrap();
    assert_eq!(all(&log, key(1, 0)).len(), 100);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&root).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn an_empty_directory_is_not_taken_for_a_log() {
    let disk = SimDisk::new(8);
    assert!(matches!(Log::open(arc(&disk), options()), Err(Error::Missing)));
}

#[test]
fn a_closed_log_commits_what_it_took() {
    let disk = SimDisk::new(9);
    let log = create(&disk);
    let watermark = Watermark::new();
    for ticket in 1..=20 {
        let record = Record {
            received: NOW,
            targets: &[],
            payload: b"x",
        };
        log.append(key(1, 0), &record, &watermark, ticket).unwrap();
    }
    log.close();
    watermark.wait(20).unwrap();
    let record = Record {
        received: NOW,
        targets: &[],
        payload: b"x",
    };
    assert_eq!(
        log.append(key(1, 0), &record, &watermark, 21),
        Err(Refused::Closed)
    );
    assert!(matches!(log.delete_hub(1), Err(Error::Closed)));
    assert_eq!(all(&log, key(1, 0)).len(), 20);
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(all(&log, key(1, 0)).len(), 20);
}

#[test]
fn a_backup_restores_as_another_life_with_positions_of_its_own() {
    let disk = SimDisk::new(10);
    let log = create(&disk);
    for number in 0..60_u64 {
        put(&log, key(number % 2, 0), &[b'p'; 200]);
    }
    log.delete_hub(7).unwrap();
    log.backup(Path::new("backup")).unwrap();
    assert!(matches!(
        log.backup(Path::new("backup")),
        Err(Error::Exists { .. })
    ));
    let newest_of_old = put(&log, key(0, 0), b"after the backup");
    let backup = disk.directory(Path::new("backup")).unwrap();
    let other = Options {
        incarnation: Incarnation([0x5a; 16]),
        ..options()
    };
    let mut first_positions = Vec::new();
    for (place, now) in [("one", NOW), ("two", NOW + 1_000_000)] {
        let target = disk.directory(Path::new(place)).unwrap();
        restore(backup.as_ref(), LOG, target.as_ref(), &other, now).unwrap();
        assert!(matches!(
            Log::open(Arc::clone(&target), options()),
            Err(Error::WrongIncarnation { .. })
        ));
        let (restored, recovery) = Log::open(target, other.clone()).unwrap();
        assert_eq!(recovery.torn, None);
        assert_eq!(all(&restored, key(0, 0)), all(&log, key(0, 0))[..30]);
        assert_eq!(all(&restored, key(1, 0)), all(&log, key(1, 0)));
        assert!(matches!(
            restored.bounds(key(7, 0)),
            Err(Error::HubDeleted { hub: 7 })
        ));
        assert_eq!(restored.bounds(key(0, 0)).unwrap().last, Some(29));
        let position = put(&restored, key(0, 0), b"new life");
        assert!(position > newest_of_old + (1 << 30) && position < 1 << 53);
        assert!(put(&restored, key(99, 0), b"a partition that was never seen") >= 1 << 30);
        first_positions.push(position);
    }
    assert!(first_positions[1] - first_positions[0] >= 1 << 20);
    let refused = restore(
        backup.as_ref(),
        Incarnation([1; 16]),
        &SimDisk::new(0),
        &other,
        NOW,
    );
    assert!(matches!(refused, Err(Error::WrongIncarnation { .. })));
}

#[test]
fn a_full_disk_refuses_events_and_a_sweep_lets_them_in_again() {
    let disk = SimDisk::new(11);
    disk.set_capacity(5 * 8192);
    let log = create(&disk);
    let mut kept = 0;
    let refused = loop {
        match put_at(&log, key(1, 0), &[1; 300], NOW) {
            Ok(_) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::DiskFull);
    assert!(log.status().disk_full && log.status().bytes <= 5 * 8192);
    assert!(kept > 40, "{kept}");
    assert!(!log.status().poisoned);
    assert_eq!(all(&log, key(1, 0)).len(), kept);
    assert_eq!(put_at(&log, key(1, 0), b"x", NOW).unwrap_err(), Refused::DiskFull);
    let swept = log
        .sweep(&|_| Some(Retention { age: 0, bytes: None }), NOW + HOUR)
        .unwrap();
    assert!(swept.unlinked > 1, "{swept:?}");
    let position = put(&log, key(1, 0), b"again");
    assert!(position >= kept as u64);
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(payloads(&log, key(1, 0)).last().unwrap(), b"again");
}

#[test]
fn a_failing_sync_or_write_ends_writing_and_nothing_of_it_was_shown() {
    for fault in [
        |disk: &SimDisk| Faults {
            fail_sync_at: Some(disk.syncs() + 1),
            ..Faults::default()
        },
        |disk: &SimDisk| Faults {
            fail_write_at: Some(disk.writes() + 1),
            ..Faults::default()
        },
    ] {
        let disk = SimDisk::new(12);
        let log = create(&disk);
        let first = put(&log, key(1, 0), b"kept");
        disk.set_faults(fault(&disk));
        assert_eq!(
            put_at(&log, key(1, 0), b"unknown", NOW).unwrap_err(),
            Refused::Poisoned
        );
        assert!(log.status().poisoned);
        let syncs = disk.syncs();
        assert_eq!(
            put_at(&log, key(1, 0), b"refused", NOW).unwrap_err(),
            Refused::Poisoned
        );
        assert!(matches!(log.delete_hub(1), Err(Error::Poisoned)));
        assert_eq!(disk.syncs(), syncs, "a failed sync is not tried again");
        assert_eq!(payloads(&log, key(1, 0)), [b"kept"]);
        drop(log);

        // The process restarts on a system that holds the lost pages for clean.
        disk.restart();
        let (log, _) = open(&disk);
        let shown = payloads(&log, key(1, 0));
        assert_eq!(shown[0], b"kept");
        drop(log);
        disk.power_cut();
        disk.restart();
        let (log, _) = open(&disk);
        assert_eq!(payloads(&log, key(1, 0)), shown, "what a reader saw stays");
        assert!(put(&log, key(1, 0), b"next") > first);
    }
}

#[test]
fn a_full_disk_stops_no_start() {
    let disk = SimDisk::new(13);
    let log = create(&disk);
    put(&log, key(1, 0), b"kept");
    log.backup(Path::new("copy")).unwrap();
    drop(log);
    // The copy of the current segment ends where its records end, and there is no room behind it.
    let copy = disk.directory(Path::new("copy")).unwrap();
    disk.set_capacity(0);
    let (log, _) = Log::open(copy, options()).unwrap();
    assert_eq!(payloads(&log, key(1, 0)), [b"kept"]);
    assert_eq!(put_at(&log, key(1, 0), b"x", NOW).unwrap_err(), Refused::DiskFull);
    disk.set_capacity(1 << 20);
    log.sweep(&|_| None, NOW).unwrap();
    put(&log, key(1, 0), b"again");
}

#[test]
fn many_segments_need_few_open_files() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let log = Log::create(Arc::clone(&disk), options(), NOW).unwrap();
    for number in 0..200_u64 {
        put(&log, key(number % 2, 0), &number.to_le_bytes());
        log.shared.rotate().unwrap();
    }
    drop(log);
    let open_files = || {
        let links = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|path| path.starts_with(directory.path())).count()
    };
    let (log, recovery) = Log::open(disk, options()).unwrap();
    assert_eq!(recovery.segments, 201);
    assert!(open_files() <= 3, "{}", open_files());
    assert_eq!(all(&log, key(0, 0)).len(), 100);
    assert!(open_files() <= 67, "{}", open_files());
    log.sweep(
        &|hub| (hub == 0).then_some(Retention { age: 0, bytes: None }),
        NOW + HOUR,
    )
    .unwrap();
    assert!(open_files() <= 67, "{}", open_files());
    assert_eq!(all(&log, key(1, 0)).len(), 100);
    assert!(all(&log, key(0, 0)).is_empty());
}
