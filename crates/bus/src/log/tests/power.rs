//! The power fails at every changing call of a scripted run, and what was promised holds.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// What the run was told and what it may find again.
#[derive(Default)]
struct Promises {
    submitted: BTreeMap<(PartitionKey, u64), Vec<u8>>,
    acknowledged: BTreeSet<(PartitionKey, u64)>,
    deleted: BTreeSet<u64>,
    may_be_deleted: BTreeSet<u64>,
    /// Records that retention may have given up.
    may_be_swept: BTreeSet<(PartitionKey, u64)>,
    rewritten: u64,
    unlinked: u64,
}

/// Runs until the power fails or the script ends; tells whether it ended.
fn run(disk: &SimDisk, seed: u64, promises: &mut Promises) -> bool {
    let mut rng = StdRng::seed_from_u64(seed);
    let Ok(log) = Log::create(arc(disk), options(), NOW) else {
        return false;
    };
    let mut now = NOW;
    for step in 0..14 {
        let watermark = Watermark::new();
        let mut group = Vec::new();
        for ticket in 1..=rng.random_range(1..8) {
            // Most go to hub 0, whose retention is short: segments are then written again without it.
            let key = key(
                rng.random_range(0..5_u64).saturating_sub(2),
                rng.random_range(0..2),
            );
            now += rng.random_range(0..HOUR / 4);
            let payload = vec![rng.random::<u8>(); rng.random_range(0..400)];
            let record = Record {
                received: now,
                targets: b"t",
                payload: &payload,
            };
            match log.append(key, &record, &watermark, ticket) {
                Ok(appended) => {
                    let old = promises.submitted.insert((key, appended.position), payload);
                    assert_eq!(
                        old, None,
                        "position {} of {key:?} was given out twice",
                        appended.position
                    );
                    group.push((key, appended.position, ticket));
                }
                Err(Refused::HubDeleted) if promises.may_be_deleted.contains(&key.hub) => {}
                Err(_) => return false,
            }
        }
        for (key, position, ticket) in group {
            if watermark.wait(ticket).is_err() {
                return false;
            }
            promises.acknowledged.insert((key, position));
        }
        if step == 9 {
            promises.may_be_deleted.insert(2);
            if log.delete_hub(2).is_err() {
                return false;
            }
            promises.deleted.insert(2);
        }
        if step % 4 == 3 {
            let hub_0: Vec<_> = promises
                .submitted
                .keys()
                .filter(|(key, _)| key.hub == 0)
                .copied()
                .collect();
            promises.may_be_swept.extend(hub_0);
            let retention = |hub| {
                (hub == 0).then_some(Retention {
                    age: HOUR / 2,
                    bytes: None,
                })
            };
            let Ok(swept) = log.sweep(&retention, now + 2 * HOUR) else {
                return false;
            };
            promises.rewritten += swept.rewritten;
            promises.unlinked += swept.unlinked;
        }
    }
    true
}

/// Opens what is left and holds it against the promises; returns the first that is broken.
fn broken_promise(disk: &SimDisk, promises: &Promises) -> Option<String> {
    let open = || Log::open(arc(disk), options());
    let log = match open() {
        Ok((log, _)) => log,
        Err(Error::Missing) if promises.acknowledged.is_empty() && promises.deleted.is_empty() => {
            return None;
        }
        Err(error) => return Some(format!("does not open: {error}")),
    };
    let mut shown = BTreeMap::new();
    for (hub, partition) in (0..3).flat_map(|hub| [(hub, 0), (hub, 1)]) {
        let key = key(hub, partition);
        let records = match log.read(key, From::Earliest, usize::MAX, usize::MAX) {
            Ok(records) => records,
            Err(Error::HubDeleted { .. }) if promises.may_be_deleted.contains(&hub) => continue,
            Err(error) => return Some(format!("{key:?} cannot be read: {error}")),
        };
        if promises.deleted.contains(&hub) {
            return Some(format!("deleted hub {hub} shows {} records", records.len()));
        }
        if !records.is_sorted_by(|a, b| a.position < b.position && a.enqueued <= b.enqueued) {
            return Some(format!("{key:?} is out of order"));
        }
        let positions: BTreeSet<_> = records.iter().map(|stored| stored.position).collect();
        for stored in &records {
            if promises.submitted.get(&(key, stored.position)) != Some(&stored.payload) {
                return Some(format!("{key:?} invents position {}", stored.position));
            }
        }
        for (_, position) in promises
            .acknowledged
            .iter()
            .filter(|(acknowledged, _)| *acknowledged == key)
        {
            let swept = promises.may_be_swept.contains(&(key, *position));
            if !swept && !positions.contains(position) {
                return Some(format!("{key:?} lost acknowledged position {position}"));
            }
        }
        shown.insert(key, records);
    }
    drop(log);
    // What was shown once is durable, however soon the power fails again.
    disk.power_cut();
    disk.restart();
    let log = match open() {
        Ok((log, _)) => log,
        Err(error) => return Some(format!("does not open again: {error}")),
    };
    for (key, records) in shown {
        if all(&log, key) != records {
            return Some(format!("{key:?} showed what was not durable"));
        }
        let newest = promises
            .acknowledged
            .iter()
            .filter(|(acknowledged, _)| *acknowledged == key)
            .map(|(_, position)| *position)
            .chain(records.iter().map(|stored| stored.position))
            .max();
        let next = put(&log, key, b"next");
        if newest.is_some_and(|newest| next <= newest) {
            return Some(format!("{key:?} gives out position {next} again"));
        }
    }
    None
}

#[test]
fn a_power_cut_at_any_call_breaks_no_promise() {
    let (mut cuts, mut rewritten, mut unlinked) = (0, 0, 0);
    for seed in 0..12 {
        for cut_at in 1.. {
            let disk = SimDisk::new(seed * 10_007 + cut_at);
            disk.set_faults(Faults {
                cut_at: Some(cut_at),
                ..Faults::default()
            });
            let mut promises = Promises::default();
            let ended = run(&disk, seed, &mut promises);
            disk.power_cut();
            disk.restart();
            if let Some(broken) = broken_promise(&disk, &promises) {
                panic!("seed {seed}, cut at call {cut_at}: {broken}");
            }
            cuts += 1;
            rewritten += promises.rewritten;
            unlinked += promises.unlinked;
            if ended && disk.calls() < cut_at {
                break;
            }
        }
    }
    assert!(cuts > 800, "only {cuts} cuts were tried");
    assert!(
        rewritten > 100 && unlinked > 100,
        "{rewritten} segments written again, {unlinked} unlinked"
    );
}

#[test]
fn a_power_cut_while_a_log_is_opened_breaks_no_promise() {
    for seed in 0..6 {
        for cut_at in 1..40 {
            let disk = SimDisk::new(seed * 7_919 + cut_at);
            disk.set_faults(Faults {
                cut_at: Some(60 + seed * 13),
                ..Faults::default()
            });
            let mut promises = Promises::default();
            run(&disk, seed, &mut promises);
            disk.power_cut();
            disk.restart();
            disk.set_faults(Faults {
                cut_at: Some(disk.calls() + cut_at),
                ..Faults::default()
            });
            drop(Log::open(arc(&disk), options()));
            disk.power_cut();
            disk.restart();
            if let Some(broken) = broken_promise(&disk, &promises) {
                panic!("seed {seed}, cut at call {cut_at} of opening: {broken}");
            }
        }
    }
}

#[test]
fn without_its_syncs_the_log_loses_what_it_acknowledged() {
    let broken = (0..8).find_map(|seed| {
        let disk = SimDisk::new(seed);
        disk.set_faults(Faults {
            sync_lies: true,
            ..Faults::default()
        });
        let mut promises = Promises::default();
        assert!(run(&disk, seed, &mut promises), "nothing fails in the run itself");
        disk.power_cut();
        disk.restart();
        broken_promise(&disk, &promises)
    });
    assert!(
        broken.is_some(),
        "the tests above would not notice a sync that is missing"
    );
}

#[test]
fn a_kill_of_the_process_alone_loses_nothing() {
    let disk = SimDisk::new(77);
    let mut promises = Promises::default();
    assert!(run(&disk, 77, &mut promises));
    disk.restart();
    assert_eq!(broken_promise(&disk, &promises), None);
}

#[test]
fn a_failing_sync_anywhere_breaks_no_promise() {
    for seed in 0..2 {
        for fail_sync_at in 1.. {
            let disk = SimDisk::new(seed * 104_729 + fail_sync_at);
            disk.set_faults(Faults {
                fail_sync_at: Some(fail_sync_at),
                ..Faults::default()
            });
            let mut promises = Promises::default();
            let ended = run(&disk, seed, &mut promises);
            let syncs = disk.syncs();
            disk.restart();
            if let Some(broken) = broken_promise(&disk, &promises) {
                panic!("seed {seed}, sync {fail_sync_at} failed: {broken}");
            }
            if ended && syncs < fail_sync_at {
                break;
            }
        }
    }
}
