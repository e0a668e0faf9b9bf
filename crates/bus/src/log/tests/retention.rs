//! What retention gives up, what it keeps, and that positions outlive both.

use super::*;

fn by_age(hubs: &'static [(u64, i64)]) -> impl Fn(u64) -> Option<Retention> {
    move |hub| {
        let (_, age) = hubs.iter().find(|(known, _)| *known == hub)?;
        Some(Retention {
            age: *age,
            bytes: None,
        })
    }
}

#[test]
fn segments_that_every_hub_gave_up_are_unlinked() {
    let disk = SimDisk::new(30);
    let log = create(&disk);
    for number in 0..100_i64 {
        put_at(&log, key(1, 0), &[1; 300], NOW + number * HOUR / 10).unwrap();
    }
    let before = disk.list().unwrap().len();
    let now = NOW + 10 * HOUR;
    let swept = log.sweep(&by_age(&[(1, 5 * HOUR)]), now).unwrap();
    assert!(swept.unlinked > 2 && swept.bytes > 8192, "{swept:?}");
    assert!(disk.list().unwrap().len() < before);
    let left = all(&log, key(1, 0));
    let first = left[0].position;
    assert!(
        first > 20 && first <= 50,
        "{first}: nothing younger than five hours goes"
    );
    assert_eq!(left.last().unwrap().position, 99);
    assert_eq!(log.bounds(key(1, 0)).unwrap().first, first);
    // A reader that lags gets the first record that is retained.
    assert_eq!(
        log.read(key(1, 0), From::At(3), 1, usize::MAX).unwrap()[0].position,
        first
    );
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(all(&log, key(1, 0)), left);
}

#[test]
fn positions_go_on_after_everything_was_given_up() {
    let disk = SimDisk::new(31);
    let log = create(&disk);
    for _ in 0..10 {
        put(&log, key(1, 0), b"gone");
    }
    let swept = log.sweep(&by_age(&[(1, HOUR)]), NOW + 3 * HOUR).unwrap();
    assert_eq!(swept.unlinked, 1);
    assert_eq!(all(&log, key(1, 0)), []);
    let bounds = log.bounds(key(1, 0)).unwrap();
    assert_eq!((bounds.first, bounds.next, bounds.last), (10, 10, Some(9)));
    assert_eq!(bounds.last_enqueued, Some(NOW));
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(log.bounds(key(1, 0)).unwrap(), bounds);
    assert_eq!(
        put_at(&log, key(1, 0), b"next", NOW - HOUR).unwrap(),
        Appended {
            position: 10,
            enqueued: NOW
        }
    );
}

#[test]
fn what_must_live_longer_is_written_again_in_its_own_place() {
    let disk = SimDisk::new(32);
    let log = create(&disk);
    for number in 0..200_i64 {
        let hub = u64::from(number % 10 != 0);
        put_at(&log, key(hub, 0), &[1; 300], NOW + number * HOUR / 20).unwrap();
    }
    let long_lived = all(&log, key(0, 0));
    let swept = log
        .sweep(&by_age(&[(0, 1_000 * HOUR), (1, HOUR)]), NOW + 20 * HOUR)
        .unwrap();
    assert!(swept.rewritten > 2 && swept.bytes > 8192, "{swept:?}");
    assert_eq!(all(&log, key(0, 0)), long_lived);
    assert!(all(&log, key(1, 0)).is_empty());
    // The next sweep finds nothing to do.
    let again = log
        .sweep(&by_age(&[(0, 1_000 * HOUR), (1, HOUR)]), NOW + 20 * HOUR)
        .unwrap();
    assert_eq!(again, Swept::default());
    drop(log);
    let (log, recovery) = open(&disk);
    assert_eq!(recovery.torn, None);
    assert_eq!(all(&log, key(0, 0)), long_lived);
    assert_eq!(
        inspect(&disk, LOG)
            .unwrap()
            .segments
            .iter()
            .map(|report| report.events)
            .sum::<u64>(),
        20
    );
}

#[test]
fn size_gives_up_the_oldest_of_that_hub_alone() {
    let disk = SimDisk::new(33);
    let log = create(&disk);
    for number in 0..200_u64 {
        put(
            &log,
            key(number % 2, u16::try_from(number % 3).unwrap()),
            &[1; 300],
        );
    }
    let other: Vec<_> = (0..3).map(|partition| all(&log, key(1, partition))).collect();
    let limit = 15_000;
    log.sweep(
        &|hub| {
            Some(Retention {
                age: i64::MAX,
                bytes: (hub == 0).then_some(limit),
            })
        },
        NOW,
    )
    .unwrap();
    let held: usize = (0..3)
        .flat_map(|partition| all(&log, key(0, partition)))
        .map(|s| s.payload.len() + 49)
        .sum();
    assert!(held as u64 <= limit && held > 5_000, "{held}");
    let after: Vec<_> = (0..3).map(|partition| all(&log, key(1, partition))).collect();
    assert_eq!(after, other);
}

#[test]
fn a_hub_without_retention_keeps_everything() {
    let disk = SimDisk::new(34);
    let log = create(&disk);
    for _ in 0..50 {
        put(&log, key(1, 0), &[1; 300]);
    }
    assert_eq!(
        log.sweep(&|_| None, NOW + 1_000 * HOUR).unwrap(),
        Swept::default()
    );
    assert_eq!(all(&log, key(1, 0)).len(), 50);
}

#[test]
fn a_deleted_hub_is_unreadable_at_once_and_its_space_comes_back() {
    let disk = SimDisk::new(35);
    let log = create(&disk);
    for number in 0..100_u64 {
        put(&log, key(u64::from(number < 90), 0), &[1; 300]);
    }
    log.delete_hub(1).unwrap();
    log.delete_hub(1).unwrap();
    let read = log.read(key(1, 0), From::Earliest, 10, usize::MAX);
    assert!(matches!(read, Err(Error::HubDeleted { hub: 1 })));
    assert_eq!(
        put_at(&log, key(1, 0), b"x", NOW).unwrap_err(),
        Refused::HubDeleted
    );
    let swept = log.sweep(&|_| None, NOW).unwrap();
    assert!(swept.unlinked > 1, "{swept:?}");
    assert_eq!(all(&log, key(0, 0)).len(), 10);
    drop(log);
    let (log, _) = open(&disk);
    assert!(matches!(log.bounds(key(1, 0)), Err(Error::HubDeleted { hub: 1 })));
    assert_eq!(
        put_at(&log, key(1, 0), b"x", NOW).unwrap_err(),
        Refused::HubDeleted
    );
    assert_eq!(all(&log, key(0, 0)).len(), 10);
}

#[test]
fn a_sweep_and_writers_and_readers_do_not_disturb_each_other() {
    let disk = SimDisk::new(36);
    let log = Arc::new(create(&disk));
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (log, done) = (Arc::clone(&log), Arc::clone(&done));
        std::thread::spawn(move || {
            for number in 0..400_i64 {
                put_at(
                    &log,
                    key(u64::try_from(number % 2).unwrap(), 0),
                    &[1; 300],
                    NOW + number * HOUR / 20,
                )
                .unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        })
    };
    while !done.load(std::sync::atomic::Ordering::SeqCst) {
        let latest = log.latest();
        log.sweep(&by_age(&[(0, HOUR)]), latest).unwrap();
        let read = all(&log, key(1, 0));
        assert!(
            read.iter()
                .enumerate()
                .all(|(index, stored)| stored.position == index as u64)
        );
    }
    writer.join().unwrap();
    assert_eq!(all(&log, key(1, 0)).len(), 200);
}
