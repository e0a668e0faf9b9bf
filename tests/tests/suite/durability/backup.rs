//! Backups, restores, and names that are used again: nothing that was given out before is given out a second time.

use std::collections::BTreeMap;
use std::fs;

use muster_tests::derived_key;
use serde_json::Value;

use super::load::Fleet;
use crate::ground::{Ground, HUB, text};

/// What the version tag of an identity holds, a number that rises.
fn etag(identity: &Value) -> u64 {
    let decoded = data_encoding::BASE64
        .decode(text(&identity["etag"]).as_bytes())
        .expect("an etag in base64");
    String::from_utf8(decoded)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .expect("an etag of digits")
}

/// The highest position of each partition.
fn heights(ground: &Ground) -> BTreeMap<u64, u64> {
    ground
        .events()
        .iter()
        .map(|event| (event.partition, event.position))
        .collect()
}

fn ids(ground: &Ground) -> Vec<String> {
    ground
        .events()
        .iter()
        .map(|event| event.id().to_owned())
        .collect()
}

fn describe(ground: &Ground, status: &str) -> Value {
    let update = [
        "iot",
        "hub",
        "device-identity",
        "update",
        "--device-id",
        "device-1",
    ];
    ground.json(&[&update[..], &["--status-reason", status]].concat())
}

fn show(ground: &Ground) -> Value {
    ground.json(&["iot", "hub", "device-identity", "show", "--device-id", "device-1"])
}

#[test]
fn a_restore_brings_back_the_backup_and_gives_out_nothing_twice() {
    let mut ground = Ground::new();
    let fleet = Fleet::new(&ground, &["device-1"]);
    assert_eq!(Fleet::send(&ground, "device-1", "in the backup"), 204);
    let kept = describe(&ground, "in the backup");
    // Taken while the server runs, and once more at rest.
    ground.ok(&["backup", "while-it-runs"]);
    ground.stop();
    ground.ok(&["backup", "at-rest"]);
    let again = ground.muster(&["backup", "at-rest"]);
    assert_eq!(again.code, Some(1), "a backup goes into a new folder: {again:?}");
    for folder in ["while-it-runs", "at-rest"] {
        let root = ground.folder().join(folder);
        for entry in fs::read_dir(&root).expect("the backup") {
            let path = entry.expect("an entry").path();
            let secret = path
                .extension()
                .is_some_and(|kind| kind == "key" || kind == "token");
            assert!(!secret, "{} is in the backup", path.display());
        }
    }

    // Life goes on and is lost by the restore, but for the numbers that it gave out.
    let mut latest = etag(&kept);
    for folder in ["while-it-runs", "at-rest"] {
        ground.start();
        assert_eq!(
            Fleet::send(&ground, "device-1", &format!("lost before {folder}")),
            204
        );
        let lost = etag(&describe(&ground, "lost"));
        assert!(lost > latest);
        latest = lost;
        let before = heights(&ground);
        let running = ground.muster(&["restore", folder]);
        assert_eq!(running.code, Some(1), "a server runs: {running:?}");
        ground.stop();
        ground.ok(&["restore", folder]);
        ground.start();
        assert_eq!(ids(&ground), ["in the backup"]);
        let restored = show(&ground);
        assert_eq!(restored["statusReason"], "in the backup");
        assert_eq!(restored["generationId"], kept["generationId"]);
        assert_eq!(Fleet::send(&ground, "device-1", "after"), 204);
        let after = heights(&ground);
        for (partition, position) in &before {
            assert!(
                after.get(partition).is_some_and(|now| now > position),
                "{before:?}, then {after:?}"
            );
        }
        let changed = etag(&describe(&ground, "after"));
        assert!(changed > latest, "{changed} after {latest}");
        latest = changed;
        // The chain that was enrolled before is still admitted.
        fleet.register(&ground, "device-1");
        ground.stop();
    }
}

#[test]
fn a_backup_is_restored_on_another_machine_with_its_keys() {
    let mut ground = Ground::new();
    let fleet = Fleet::new(&ground, &["device-1"]);
    assert_eq!(Fleet::send(&ground, "device-1", "in the backup"), 204);
    ground.ok(&["backup", "moved"]);
    assert_eq!(Fleet::send(&ground, "device-1", "lost"), 204);
    let before = heights(&ground);
    ground.stop();
    // The other machine: an empty data directory, the backup, and what was kept apart from it.
    let old = ground.folder().join("old");
    fs::rename(ground.data(), &old).expect("to move the data away");
    let without_key = ground.muster(&["restore", "moved"]);
    assert_eq!(without_key.code, Some(1), "{without_key:?}");
    assert!(without_key.stderr.contains("master key"), "{without_key:?}");
    for name in ["master.key", "operator.token"] {
        fs::copy(old.join(name), ground.data().join(name)).expect("to bring a key");
    }
    ground.ok(&["restore", "moved"]);
    ground.start();
    assert_eq!(ids(&ground), ["in the backup"]);
    // Positions may not meet those that only the lost data knew.
    assert_eq!(Fleet::send(&ground, "device-1", "after"), 204);
    let after = heights(&ground);
    for (partition, position) in &before {
        assert!(
            after.get(partition).is_some_and(|now| now > position),
            "{before:?}, then {after:?}"
        );
    }
    fleet.register(&ground, "device-1");
}

#[test]
fn nothing_of_a_deleted_hub_shows_under_its_name() {
    let mut ground = Ground::new();
    Fleet::new(&ground, &["device-1"]);
    assert_eq!(Fleet::send(&ground, "device-1", "of the old hub"), 204);
    let root = "certs/azure-iot-test-only.root.ca.cert.pem";
    let hub_certificate = [
        "iot",
        "hub",
        "certificate",
        "create",
        "--name",
        "root",
        "--path",
        root,
    ];
    ground.json(&[&hub_certificate[..], &["--verified", "true"]].concat());
    ground.json(&["iot", "hub", "consumer-group", "create", "--name", "readers"]);
    let device = |what: &str| ground.json(&["iot", "hub", "device-identity", what, "--device-id", "by-key"]);
    let old_device = device("create");
    let old_key = ground.json(&["iot", "hub", "connection-string", "show"]);

    ground.ok(&["iot", "hub", "delete", "--name", "muster-hub"]);
    ground.json(&["iot", "hub", "create", "--name", "muster-hub"]);
    let lists: [&[&str]; 2] = [
        &["iot", "hub", "device-identity", "list"],
        &["iot", "hub", "certificate", "list"],
    ];
    for list in lists {
        let shown = ground.json(list);
        let entries = shown.get("value").unwrap_or(&shown);
        assert_eq!(entries.as_array().map(Vec::len), Some(0), "{list:?}: {shown}");
    }
    let groups = ground.json(&["iot", "hub", "consumer-group", "list"]).to_string();
    assert!(!groups.contains("readers"), "{groups}");
    assert_eq!(ground.events(), []);
    // Neither the old device nor a new one of the same name is let in by what the old hub knew.
    assert!(matches!(Fleet::send(&ground, "device-1", "again"), 401 | 404));
    ground.json(&[
        "iot",
        "hub",
        "device-identity",
        "create",
        "--device-id",
        "device-1",
        "--auth-method",
        "x509_ca",
    ]);
    assert_eq!(Fleet::send(&ground, "device-1", "again"), 401);
    let new_device = ground.json(&["iot", "hub", "device-identity", "create", "--device-id", "by-key"]);
    let key_of = |device: &Value| text(&device["authentication"]["symmetricKey"]["primaryKey"]);
    assert_ne!(key_of(&old_device), key_of(&new_device));
    assert_ne!(old_device["generationId"], new_device["generationId"]);
    let token = muster_tests::sas_token(&format!("{HUB}/devices/by-key"), &key_of(&old_device), None, 600);
    let path = "/devices/by-key/messages/events?api-version=2021-04-12";
    let answer = ground
        .server()
        .curl_as(HUB, path)
        .authorization(&token)
        .body(b"{}")
        .send();
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_ne!(ground.json(&["iot", "hub", "connection-string", "show"]), old_key);
    // The same holds after a start, and once the old hub's leftovers are swept.
    ground.stop();
    ground.start();
    assert_eq!(ground.events(), []);
}

#[test]
fn nothing_of_a_deleted_provisioning_service_shows_under_its_name() {
    let ground = Ground::new();
    let fleet = Fleet::new(&ground, &["device-1"]);
    let group = ground.json(&[
        "iot",
        "dps",
        "enrollment-group",
        "show",
        "--enrollment-id",
        "by-key",
        "--show-keys",
    ]);
    let key = derived_key(
        &text(&group["attestation"]["symmetricKey"]["primaryKey"]),
        "device-2",
    );
    ground.ok(&["iot", "dps", "delete", "--name", "muster-dps"]);
    ground.json(&["iot", "dps", "create", "--name", "muster-dps"]);
    let scope = ground.id_scope();
    assert_ne!(scope, fleet.scope, "an id scope is never used again");
    for list in [
        ["iot", "dps", "enrollment", "list"],
        ["iot", "dps", "enrollment-group", "list"],
        ["iot", "dps", "certificate", "list"],
        ["iot", "dps", "linked-hub", "list"],
    ] {
        let shown = ground.json(&list);
        let entries = shown.get("value").unwrap_or(&shown);
        assert_eq!(entries.as_array().map(Vec::len), Some(0), "{list:?}: {shown}");
    }
    for (scope, status) in [(&fleet.scope, 404), (&scope, 401)] {
        let audience = format!("{scope}/registrations/device-2");
        let token = muster_tests::sas_token(&audience, &key, Some("registration"), 600);
        let path = format!("/{audience}/register?api-version=2021-06-01");
        let answer = ground
            .server()
            .curl_as(crate::ground::GLOBAL, &path)
            .authorization(&token)
            .method("PUT")
            .json(&serde_json::json!({"registrationId": "device-2"}))
            .send();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}
