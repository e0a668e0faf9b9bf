//! What must hold when something breaks: a killed process, a full disk, damaged rows, a wrong key, a race.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use muster_dps::ports::{Store as _, WriteMode};
use muster_hub::ports::{DeviceSelector, Store as _};
use muster_model::{DeviceId, IfMatch, Random, RequestId, Subscriptions, TrustVersion, Wall};
use muster_resources::{Refusals as _, Store as _, StoreError, WriteError};
use muster_store::{
    MasterKeys, OpenError, RefusalBounds, RefusalFile, Registry, begin_new_incarnation, check,
};

use crate::refusals::refusal;
use crate::sample::{
    device_draft, device_id, group, group_draft, group_id, hub_draft, individual_draft, keys, operation,
    registration_id, service_draft, symmetric,
};
use crate::subject::{key, open, open_with};

fn request(random: &Random) -> RequestId {
    random.draw(RequestId::random)
}

/// Two of the ports have a method of this name.
async fn make_group(registry: &Registry, random: &Random) -> Result<bool, StoreError> {
    muster_resources::Store::put_group(registry, request(random), group("plant")).await
}

fn database(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("registry.db")).unwrap()
}

/// A registry with one of everything that has a secret.
async fn furnish(registry: &Registry) -> muster_model::HubKey {
    let (random, now) = (Random::from_number(11), Wall::from_seconds(1));
    make_group(registry, &random).await.unwrap();
    let hub = registry
        .create_hub(request(&random), hub_draft("hub-a"), now)
        .await
        .unwrap();
    let service = registry
        .create_service(
            request(&random),
            service_draft("dps-a", "0ne0000000A", &[hub.key]),
            now,
        )
        .await
        .unwrap();
    registry
        .create_device(request(&random), hub.key, device_draft("Dev"), now)
        .await
        .unwrap();
    let individual = individual_draft("Dev-1", keys());
    registry
        .put_individual(request(&random), service.key, individual, WriteMode::Create, now)
        .await
        .unwrap();
    let draft = group_draft("Group-1", keys());
    muster_dps::ports::Store::put_group(
        registry,
        request(&random),
        service.key,
        draft,
        WriteMode::Create,
        now,
    )
    .await
    .unwrap();
    registry
        .begin_operation(service.key, operation(1, "Dev-1"), None, now)
        .await
        .unwrap();
    hub.key
}

/// Run as a process of its own by the tests below, which tell it on its standard input where to write: makes devices
/// until it is killed or the store refuses, and prints each acknowledged one.
#[tokio::test]
#[ignore = "the other half of the tests that kill it"]
async fn child_that_writes() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let directory = PathBuf::from(line.trim());
    if line.trim().is_empty() {
        return;
    }
    let registry = Arc::new(open(&directory));
    let random = Random::from_number(5);
    make_group(&registry, &random).await.unwrap();
    let hub = registry
        .create_hub(request(&random), hub_draft("hub-a"), Wall::EPOCH)
        .await
        .unwrap()
        .key;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let registry = Arc::clone(&registry);
            let random = Random::from_number(writer);
            tokio::spawn(async move {
                for number in 0..100_000 {
                    let id = format!("w{writer}-{number}");
                    let made = registry
                        .create_device(request(&random), hub, device_draft(&id), Wall::EPOCH)
                        .await;
                    match made {
                        Ok(_) => {
                            let mut out = std::io::stdout().lock();
                            writeln!(out, "\nack {id}").unwrap();
                            out.flush().unwrap();
                        }
                        Err(error) => {
                            println!("\nrefused {error:?}");
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Starts the child under a shell that runs `limits` first.
fn child(directory: &Path, limits: &str) -> std::process::Child {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("{limits} exec \"$@\""))
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "fault::child_that_writes", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", directory.display()).unwrap();
    child
}

async fn assert_all_there(directory: &Path, acknowledged: &[String]) {
    let registry = open(directory);
    assert_eq!(check(&directory.join("registry.db")).unwrap(), [""; 0]);
    let delta = registry.read_since(TrustVersion::new(0)).await.unwrap();
    let hub = delta.hubs[0].0;
    for id in acknowledged {
        let found = registry.device(hub, &device_id(id)).await.unwrap();
        assert!(found.is_some(), "{id} was acknowledged");
    }
    let counts = registry.device_counts(hub).await.unwrap();
    let all = DeviceSelector {
        after: None,
        limit: usize::MAX,
    };
    assert_eq!(
        counts.total,
        registry.devices(hub, all).await.unwrap().len() as u64
    );
    assert!(counts.total >= acknowledged.len() as u64);
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    for stop_after in [1, 40, 700, 1_500] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = child(directory.path(), "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < stop_after {
            let line = lines.next().unwrap().unwrap();
            acknowledged.extend(line.strip_prefix("ack ").map(str::to_owned));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            // The last line may be cut in the middle of an id.
            if let Some(id) = line.strip_prefix("ack ").filter(|id| id.len() > 3) {
                acknowledged.push(id.to_owned());
            }
        }
        acknowledged.pop();
        assert_all_there(directory.path(), &acknowledged).await;
    }
}

#[tokio::test]
async fn a_disk_that_takes_no_more_stops_the_writer_and_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    // Files end at 2 MiB; the signal for it is ignored, so that the write fails instead.
    let mut child = child(directory.path(), "trap '' XFSZ; ulimit -f 4096;");
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.wait().unwrap();
    let acknowledged: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("ack "))
        .map(str::to_owned)
        .collect();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(output.contains("refused"), "{output}");
    assert_all_there(directory.path(), &acknowledged).await;
}

#[tokio::test]
async fn of_many_that_race_for_one_name_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Arc::new(open(directory.path()));
    let hub = furnish(&registry).await;
    let racers: Vec<_> = (0..400_u64)
        .map(|racer| {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move {
                let random = Random::from_number(1_000 + racer);
                // Every fourth one is after a name of its own: a lost race must not pull it down.
                let id = if racer % 4 == 0 {
                    format!("own-{racer}")
                } else {
                    "shared".to_owned()
                };
                let made = registry
                    .create_device(request(&random), hub, device_draft(&id), Wall::EPOCH)
                    .await;
                (racer % 4 == 0, made)
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            (true, made) => assert!(made.is_ok(), "{made:?}"),
            (false, Ok(_)) => won += 1,
            (false, made) => assert!(matches!(made, Err(WriteError::Exists)), "{made:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(registry.device_counts(hub).await.unwrap().total, 102);
}

#[tokio::test]
async fn a_damaged_row_is_named_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let registry = open(directory.path());
    let hub = furnish(&registry).await;
    let service = registry.read_since(TrustVersion::new(0)).await.unwrap().services[0].0;
    let random = Random::from_number(12);
    registry
        .create_device(request(&random), hub, device_draft("Other"), Wall::EPOCH)
        .await
        .unwrap();
    for (query, detail) in [
        ("UPDATE device SET document = '{\"v\":2,\"d\":{}}' WHERE id = 'Dev'", "form 2"),
        ("UPDATE device SET document = '{\"v\":1,\"d\":{\"hub\":1}}' WHERE id = 'Dev'", "missing field"),
        ("UPDATE device SET document = 'x' WHERE id = 'Dev'", "expected value"),
        (
            "UPDATE device SET document = (SELECT replace(document, 'Other', 'Dev') FROM device WHERE id = 'Other')
             WHERE id = 'Dev'",
            "does not open",
        ),
    ] {
        database(directory.path()).execute(query, []).unwrap();
        let read = registry.device(hub, &device_id("Dev")).await;
        let Err(StoreError::Damaged {
            table,
            column,
            detail: found,
        }) = read
        else {
            panic!("{read:?}");
        };
        assert_eq!((table, column), ("device", "document"));
        assert!(found.contains(detail), "{found}");
        let write = registry
            .delete_device(request(&random), hub, &device_id("Dev"), IfMatch::Any)
            .await;
        assert!(
            matches!(write, Err(WriteError::Store(StoreError::Damaged { .. }))),
            "{write:?}"
        );
        assert!(
            registry
                .device(hub, &device_id("Other"))
                .await
                .unwrap()
                .is_some()
        );
    }
    for (table, column, query) in [
        (
            "individual",
            "document",
            "UPDATE individual SET document = replace(document, 'Dev-1', 'D v')",
        ),
        (
            "enrollment_group",
            "document",
            "UPDATE enrollment_group SET document = replace(document, '\"hubs\":[\"', '\"hubs\":[\"-')",
        ),
        (
            "registration",
            "pending",
            "UPDATE registration SET pending = '[]'",
        ),
    ] {
        database(directory.path()).execute(query, []).unwrap();
        let error = match table {
            "individual" => registry
                .individual(service, &registration_id("dev-1"))
                .await
                .unwrap_err(),
            "registration" => registry.unfinished(Wall::from_seconds(9), 9).await.unwrap_err(),
            _ => registry.group(service, &group_id("group-1")).await.unwrap_err(),
        };
        assert!(
            matches!(error, StoreError::Damaged { table: t, column: c, .. } if t == table && c == column),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn damaged_subscriptions_are_named_and_can_be_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let registry = open(directory.path());
    let hub = furnish(&registry).await;
    let device = registry.device(hub, &device_id("Dev")).await.unwrap().unwrap();
    for (document, detail) in [
        ("{\"v\":2,\"d\":{}}", "form 2"),
        ("{\"v\":1,\"d\":{}}", "missing field"),
        (
            "{\"v\":1,\"d\":{\"channels\":{\"carrierPigeon\":\"atMostOnce\"}}}",
            "unknown variant",
        ),
        (
            "{\"v\":1,\"d\":{\"channels\":{\"deviceBound\":\"surely\"}}}",
            "unknown variant",
        ),
        ("", "EOF"),
    ] {
        database(directory.path())
            .execute(
                "REPLACE INTO device_subscription (hub, id, document) VALUES (?1, 'Dev', ?2)",
                rusqlite::params![hub.get().cast_signed(), document],
            )
            .unwrap();
        let error = registry.subscriptions(hub, &device.id).await.unwrap_err();
        assert!(
            matches!(
                &error,
                StoreError::Damaged { table: "device_subscription", column: "document", detail: found }
                    if found.contains(detail)
            ),
            "{error:?}"
        );
    }
    let random = Random::from_number(16);
    let none = Subscriptions::default();
    registry
        .keep_subscriptions(request(&random), hub, &device.id, device.generation, none.clone())
        .await
        .unwrap();
    assert_eq!(registry.subscriptions(hub, &device.id).await.unwrap(), Some(none));
}

#[tokio::test]
async fn a_newer_form_and_a_strange_key_are_refused_without_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let hub = furnish(&open(directory.path())).await;
    let strange = open_with(directory.path(), &MasterKeys::only(key(8)));
    assert!(matches!(strange, Err(OpenError::MasterKey { .. })), "{strange:?}");
    let sql = database(directory.path());
    sql.pragma_update(None, "user_version", 99).unwrap();
    let newer = open_with(directory.path(), &MasterKeys::only(key(7)));
    assert!(
        matches!(
            newer,
            Err(OpenError::Newer {
                found: 99,
                known: 2,
                ..
            })
        ),
        "{newer:?}"
    );
    sql.pragma_update(None, "user_version", 2).unwrap();
    let found = open(directory.path())
        .device(hub, &device_id("Dev"))
        .await
        .unwrap();
    assert!(found.is_some());
    std::fs::write(
        directory.path().join("registry.db"),
        b"this is no database at all",
    )
    .unwrap();
    let none = open_with(directory.path(), &MasterKeys::only(key(7)));
    assert!(matches!(none, Err(OpenError::File { .. })), "{none:?}");
}

#[tokio::test]
async fn a_registry_of_the_first_form_is_brought_to_the_newest_and_keeps_all() {
    let directory = tempfile::tempdir().unwrap();
    let registry = open(directory.path());
    let hub = furnish(&registry).await;
    let before = registry.device(hub, &device_id("Dev")).await.unwrap().unwrap();
    drop(registry);
    // Undoes what came after the first form.
    database(directory.path())
        .execute_batch("DROP TABLE device_subscription; PRAGMA user_version = 1;")
        .unwrap();
    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(directory.path().join("registry.db"), copy.join("registry.db")).unwrap();
    begin_new_incarnation(&copy.join("registry.db"), 1).unwrap();
    for directory in [directory.path(), &copy] {
        let registry = open(directory);
        assert_eq!(
            registry.device(hub, &before.id).await.unwrap().as_ref(),
            Some(&before)
        );
        assert_eq!(registry.subscriptions(hub, &before.id).await.unwrap(), None);
        let none = Subscriptions::default();
        let random = Random::from_number(15);
        registry
            .keep_subscriptions(request(&random), hub, &before.id, before.generation, none.clone())
            .await
            .unwrap();
        drop(registry);
        let registry = open(directory);
        assert_eq!(registry.subscriptions(hub, &before.id).await.unwrap(), Some(none));
    }
}

#[tokio::test]
async fn no_secret_stands_in_the_files_and_only_their_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt;

    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data").join("registry");
    let registry = open(&directory);
    furnish(&registry).await;
    assert_eq!(
        std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let mut files = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        files += 1;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            path.display()
        );
        let bytes = std::fs::read(&path).unwrap();
        for byte in [0xA1, 0xA2, 0xB1, 0xB2, 0xC1, 0xC2, 0xD1, 0xD2, 0xE1, 0xE2] {
            let secret = symmetric(byte);
            for form in [secret.bytes(), secret.to_base64().as_bytes()] {
                assert!(
                    !bytes.windows(form.len()).any(|window| window == form),
                    "{} holds {byte:x}",
                    path.display()
                );
            }
        }
    }
    assert!(files >= 2);
}

#[tokio::test]
async fn a_master_key_is_replaced_beside_the_work() {
    let directory = tempfile::tempdir().unwrap();
    let hub = furnish(&open(directory.path())).await;
    let rotated = open_with(
        directory.path(),
        &MasterKeys {
            current: key(9),
            previous: vec![key(7)],
        },
    )
    .unwrap();
    let random = Random::from_number(13);
    for number in 0..450 {
        let id = format!("dev-{number}");
        rotated
            .create_device(request(&random), hub, device_draft(&id), Wall::EPOCH)
            .await
            .unwrap();
    }
    let before = rotated
        .device(hub, &DeviceId::parse("Dev").unwrap())
        .await
        .unwrap();
    assert_eq!(rotated.reseal().await.unwrap(), 451 + 5);
    drop(rotated);
    let old = open_with(directory.path(), &MasterKeys::only(key(7)));
    assert!(matches!(old, Err(OpenError::MasterKey { .. })), "{old:?}");
    let new = open_with(directory.path(), &MasterKeys::only(key(9))).unwrap();
    assert_eq!(new.device(hub, &device_id("Dev")).await.unwrap(), before);
    let delta = new.read_since(TrustVersion::new(0)).await.unwrap();
    assert_eq!(
        delta.hubs[0].1.as_ref().unwrap().policies,
        hub_draft("hub-a").policies
    );
    let service = delta.services[0].0;
    assert_eq!(new.symmetric_groups(service, 9).await.unwrap().len(), 1);
    assert!(
        new.individual(service, &registration_id("Dev-1"))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(new.unfinished(Wall::from_seconds(9), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restored_copy_begins_a_life_whose_versions_meet_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let registry = open(directory.path());
    let hub = furnish(&registry).await;
    let restored = directory.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    registry.backup(&restored.join("registry.db")).unwrap();
    assert!(registry.backup(&restored.join("registry.db")).is_err());
    let random = Random::from_number(14);
    let mut newest = muster_model::ETag::default();
    for number in 0..50 {
        let id = format!("later-{number}");
        newest = registry
            .create_device(request(&random), hub, device_draft(&id), Wall::EPOCH)
            .await
            .unwrap()
            .etag;
    }
    assert_eq!(
        begin_new_incarnation(&restored.join("registry.db"), 1).unwrap(),
        2
    );
    let copy = open(&restored);
    assert_eq!(copy.facts().await.unwrap().incarnation, 2);
    assert_eq!(
        copy.facts().await.unwrap().subscription,
        registry.facts().await.unwrap().subscription
    );
    assert!(copy.device(hub, &device_id("Dev")).await.unwrap().is_some());
    assert!(copy.device(hub, &device_id("later-1")).await.unwrap().is_none());
    let made = copy
        .create_device(request(&random), hub, device_draft("new"), Wall::EPOCH)
        .await
        .unwrap();
    assert!(made.etag > newest);
    drop(copy);
    assert_eq!(
        begin_new_incarnation(&restored.join("registry.db"), 7).unwrap(),
        8
    );
    assert!(begin_new_incarnation(&restored.join("nothing.db"), 0).is_err());
}

#[tokio::test]
async fn refusals_stay_within_their_bounds_and_a_damaged_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = RefusalBounds {
        records: 5,
        ..RefusalBounds::default()
    };
    let file = RefusalFile::open(directory.path(), bounds).unwrap();
    for number in 1..20 {
        file.keep(vec![refusal(number, None, None)]).await.unwrap();
    }
    let all = muster_resources::RefusalQuery {
        last: 100,
        ..muster_resources::RefusalQuery::default()
    };
    let kept = file.search(all.clone()).await.unwrap();
    let times: Vec<_> = kept.iter().map(|record| record.refusal.at.seconds()).collect();
    assert_eq!(times, [19, 18, 17, 16, 15]);
    drop(file);
    let narrow = RefusalBounds {
        records: 5,
        bytes: 3_000,
    };
    let file = RefusalFile::open(directory.path(), narrow).unwrap();
    file.keep(vec![refusal(30, None, None)]).await.unwrap();
    let kept = file.search(all.clone()).await.unwrap();
    assert!((1..4).contains(&kept.len()), "{}", kept.len());
    drop(file);
    std::fs::write(directory.path().join("refusals.db"), [7; 9_000]).unwrap();
    let file = RefusalFile::open(directory.path(), bounds).unwrap();
    assert!(file.search(all).await.unwrap().is_empty());
    file.keep(vec![refusal(31, None, None)]).await.unwrap();
    assert!(directory.path().join("refusals.db.damaged").exists());
}
