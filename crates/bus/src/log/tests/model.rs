//! Random runs against a model that is a list for each partition.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

type Model = BTreeMap<PartitionKey, Vec<Stored>>;

/// What the model would answer.
fn expected(model: &Model, key: PartitionKey, from: From, limit: usize) -> Vec<Stored> {
    let wanted = |stored: &&Stored| match from {
        From::At(position) => stored.position >= position,
        From::Earliest => true,
        From::EnqueuedAfter(time) => stored.enqueued > time,
        From::Latest => false,
    };
    model
        .get(&key)
        .into_iter()
        .flatten()
        .filter(wanted)
        .take(limit)
        .cloned()
        .collect()
}

fn any_key(rng: &mut StdRng) -> PartitionKey {
    key(rng.random_range(0..4), rng.random_range(0..3))
}

fn append(log: &Log, model: &mut Model, now: i64, rng: &mut StdRng) {
    let watermark = Watermark::new();
    let mut last = 0;
    for ticket in 1..=rng.random_range(1..20) {
        let key = any_key(rng);
        // The clock of a caller may be a little behind another one's.
        let received = now - rng.random_range(0..5_000);
        let payload = vec![rng.random::<u8>(); rng.random_range(0..300)];
        let targets = vec![1; rng.random_range(0..4)];
        let record = Record {
            received,
            targets: &targets,
            payload: &payload,
        };
        let Ok(appended) = log.append(key, &record, &watermark, ticket) else {
            break;
        };
        let Appended { position, enqueued } = appended;
        model.entry(key).or_default().push(Stored {
            position,
            enqueued,
            received,
            targets,
            payload,
        });
        last = ticket;
    }
    watermark.wait(last).unwrap();
}

fn compare(log: &Log, model: &Model, now: i64, rng: &mut StdRng) {
    let key = any_key(rng);
    let next = log.bounds(key).unwrap().next;
    let from = match rng.random_range(0..4) {
        0 => From::Earliest,
        1 => From::At(rng.random_range(0..=next + 1)),
        2 => From::Latest,
        _ => From::EnqueuedAfter(now - rng.random_range(0..20 * HOUR)),
    };
    let limit = rng.random_range(0..50);
    let stored = log.read(key, from, limit, usize::MAX).unwrap();
    assert_eq!(
        stored,
        expected(model, key, from, limit),
        "{key:?} from {from:?}, {limit} at most"
    );
}

/// Sweeps, and forgets in the model what the log gave up, which must be a prefix and old enough.
fn sweep(log: &Log, model: &mut Model, now: i64) {
    let age = |hub: u64| i64::try_from(hub + 1).unwrap() * 2 * HOUR;
    log.sweep(
        &|hub| {
            (hub != 3).then(|| Retention {
                age: age(hub),
                bytes: None,
            })
        },
        now,
    )
    .unwrap();
    for (key, records) in model {
        let first = log.bounds(*key).unwrap().first;
        let gone = records.partition_point(|stored| stored.position < first);
        for stored in records.drain(..gone) {
            assert!(
                key.hub != 3 && stored.enqueued < now - age(key.hub),
                "{key:?} gave up what is young"
            );
        }
    }
}

#[test]
fn random_runs_agree_with_the_model() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = SimDisk::new(seed);
        let mut log = create(&disk);
        let mut model = Model::new();
        let mut now = NOW;
        for _ in 0..60 {
            now += rng.random_range(0..HOUR);
            match rng.random_range(0..20) {
                0 => sweep(&log, &mut model, now),
                1 => {
                    drop(log);
                    log = open(&disk).0;
                }
                2 => {
                    drop(log);
                    disk.power_cut();
                    disk.restart();
                    log = open(&disk).0;
                }
                3..12 => append(&log, &mut model, now, &mut rng),
                _ => compare(&log, &model, now, &mut rng),
            }
        }
        for key in model.keys() {
            assert_eq!(
                all(&log, *key),
                expected(&model, *key, From::Earliest, usize::MAX),
                "seed {seed}"
            );
        }
        drop(log);
        let inspection = inspect(&disk, LOG).unwrap();
        assert!(!inspection.is_damaged(), "seed {seed}: {inspection}");
    }
}
