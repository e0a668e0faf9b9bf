//! What the registry does in a second, beside what the disk and the processor allow, measured in the same run.
//!
//! Rows: compare-and-set by callers that wait for each commit (1, 16 and 128 of them), a point read, opening with
//! 100,000 devices. Beside them: a loop of `write` and `fdatasync`, and the same update in bare SQLite. It ends within
//! 20 seconds and judges nothing by itself.
#![expect(clippy::unwrap_used, reason = "a bench that can't go on has nothing to say")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads the clock, and sits outside the domains that must not"
)]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_hub::ports::{DeviceDraft, Store as _};
use muster_model::estate::ResourceGroup;
use muster_model::identity::{Authentication, DeviceStatus};
use muster_model::{
    DeviceId, HubKey, HubName, IfMatch, Json, Location, ManualClock, PartitionCount, Random, RequestId,
    ResourceGroupName, SymmetricKey, Wall,
};
use muster_resources::HubDraft;
use muster_store::{MasterKey, MasterKeys, Registry};

const DEVICES: usize = 100_000;
const SPAN: Duration = Duration::from_millis(1_500);

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let registry = Arc::new(open(directory.path()));
    let random = Arc::new(Random::from_number(1));
    let hub = runtime.block_on(furnish(&registry, &random));

    row("raw write + fdatasync", "per second", raw(directory.path()));
    row(
        "bare SQLite, one update and commit",
        "per second",
        bare(directory.path()),
    );
    let loaded = Instant::now();
    runtime.block_on(load(&registry, &random, hub));
    let load_rate = per_second(DEVICES, loaded.elapsed());
    row(
        "registry, devices created by 128 callers",
        "per second",
        load_rate,
    );
    for callers in [1, 16, 128] {
        let rate = runtime.block_on(compare_and_set(&registry, &random, hub, callers));
        row(
            &format!("registry, compare-and-set by {callers} callers"),
            "per second",
            rate,
        );
    }
    row(
        "registry, point read",
        "microseconds",
        runtime.block_on(point_read(&registry, hub)),
    );
    drop(registry);
    let opened = Instant::now();
    let registry = open(directory.path());
    row(
        "registry, open with 100,000 devices",
        "milliseconds",
        opened.elapsed().as_secs_f64() * 1e3,
    );
    drop(registry);
}

fn row(what: &str, unit: &str, value: f64) {
    println!("{what:<44} {value:>12.1} {unit}");
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

fn open(directory: &Path) -> Registry {
    let key = MasterKey::new(zeroize::Zeroizing::new([7; 32]));
    Registry::open(
        &directory.join("registry"),
        &MasterKeys::only(key),
        Arc::new(Random::from_number(2)),
        Arc::new(ManualClock::default()),
    )
    .unwrap()
}

async fn furnish(registry: &Registry, random: &Random) -> HubKey {
    use muster_resources::Store;

    let group = ResourceGroup {
        name: ResourceGroupName::parse("bench").unwrap(),
        location: Location::parse("here").unwrap(),
        tags: Json::empty_object(),
    };
    Store::put_group(registry, random.draw(RequestId::random), group)
        .await
        .unwrap();
    let draft = HubDraft {
        name: HubName::parse("bench-hub").unwrap(),
        group: ResourceGroupName::parse("bench").unwrap(),
        location: Location::parse("here").unwrap(),
        tags: Json::empty_object(),
        partitions: PartitionCount::DEFAULT,
        retention_days: 1,
        retention_bytes: None,
        disable_device_sas: false,
        document: Json::empty_object(),
        policies: Vec::new(),
    };
    registry
        .create_hub(random.draw(RequestId::random), draft, Wall::EPOCH)
        .await
        .unwrap()
        .key
}

fn draft(number: usize) -> DeviceDraft {
    DeviceDraft {
        id: DeviceId::parse(&format!("device-{number:06}")).unwrap(),
        status: DeviceStatus::Enabled,
        status_reason: None,
        authentication: Authentication::Sas {
            primary: SymmetricKey::new(vec![1; 32]).unwrap(),
            secondary: SymmetricKey::new(vec![2; 32]).unwrap(),
        },
        iot_edge: false,
    }
}

async fn load(registry: &Arc<Registry>, random: &Arc<Random>, hub: HubKey) {
    let local = tokio::task::LocalSet::new();
    for caller in 0..128 {
        let (registry, random) = (Arc::clone(registry), Arc::clone(random));
        local.spawn_local(async move {
            for number in (caller..DEVICES).step_by(128) {
                let request = random.draw(RequestId::random);
                registry
                    .create_device(request, hub, draft(number), Wall::EPOCH)
                    .await
                    .unwrap();
            }
        });
    }
    local.await;
}

/// Each caller changes one device over and over, always naming the version that it got last.
async fn compare_and_set(registry: &Arc<Registry>, random: &Arc<Random>, hub: HubKey, callers: usize) -> f64 {
    let started = Instant::now();
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (registry, random) = (Arc::clone(registry), Arc::clone(random));
            let number = caller * 701;
            local.spawn_local(async move {
                let mut if_match = IfMatch::Any;
                let mut done = 0;
                while started.elapsed() < SPAN {
                    let request = random.draw(RequestId::random);
                    let changed = registry
                        .update_device(request, hub, draft(number), if_match, Wall::EPOCH)
                        .await
                        .unwrap();
                    if_match = IfMatch::Version(changed.etag);
                    done += 1;
                }
                done
            })
        })
        .collect();
    local.await;
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    per_second(total, started.elapsed())
}

async fn point_read(registry: &Registry, hub: HubKey) -> f64 {
    const READS: usize = 50_000;
    let ids: Vec<_> = (0..READS)
        .map(|number| draft(number * 7_919 % DEVICES).id)
        .collect();
    let started = Instant::now();
    for id in &ids {
        assert!(registry.device(hub, id).await.unwrap().is_some());
    }
    1e6 / per_second(READS, started.elapsed())
}

/// A page of 4 KiB, written and synced in place.
fn raw(directory: &Path) -> f64 {
    let mut file = File::create(directory.join("raw")).unwrap();
    file.write_all(&vec![0; 4 << 20]).unwrap();
    file.sync_all().unwrap();
    let (started, mut done) = (Instant::now(), 0_usize);
    while started.elapsed() < SPAN {
        file.seek(SeekFrom::Start((done as u64 % 1_024) * 4_096)).unwrap();
        file.write_all(&[1; 4_096]).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    per_second(done, started.elapsed())
}

fn bare(directory: &Path) -> f64 {
    let sql = rusqlite::Connection::open(directory.join("bare.db")).unwrap();
    sql.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE t (id INTEGER PRIMARY KEY, document TEXT NOT NULL) STRICT;",
    )
    .unwrap();
    for id in 0..1_000 {
        sql.execute(
            "INSERT INTO t VALUES (?1, ?2)",
            rusqlite::params![id, "x".repeat(500)],
        )
        .unwrap();
    }
    let (started, mut done) = (Instant::now(), 0_usize);
    while started.elapsed() < SPAN {
        sql.prepare_cached("UPDATE t SET document = ?2 WHERE id = ?1")
            .unwrap()
            // The same text again would not be written at all.
            .execute(rusqlite::params![
                i64::try_from(done % 1_000).unwrap(),
                format!("{done:0500}")
            ])
            .unwrap();
        done += 1;
    }
    per_second(done, started.elapsed())
}
