//! A device that may not connect any more loses the connection that it has, whatever took the right from it.

use super::bytes::{ACCEPTED, Hello, refused};
use super::{Device, HOUR, Hall};
use crate::ground::{HUB, text};
use muster_tests::sas_token;

const NOT_AUTHORIZED: u8 = 5;

fn update(hall: &Hall, device: &Device, arguments: &[&str]) {
    let update = [
        "iot",
        "hub",
        "device-identity",
        "update",
        "--device-id",
        &device.id,
    ];
    hall.ground.json(&[&update[..], arguments].concat());
}

#[test]
fn a_device_that_is_disabled_loses_its_connection_and_gets_no_other() {
    let hall = Hall::new();
    let (device, other) = (hall.device("d1"), hall.device("d2"));
    let mut wire = hall.connected(&device);
    let mut bystander = hall.connected(&other);
    // A change that takes no right leaves the connection alone.
    update(&hall, &device, &["--status-reason", "being watched"]);
    wire.is_quiet();
    update(&hall, &device, &["--status", "disabled"]);
    wire.ends();
    assert_eq!(hall.answer(Hello::of(&device).bytes()), refused(NOT_AUTHORIZED));
    bystander.is_quiet();
    update(&hall, &device, &["--status", "enabled"]);
    hall.connected(&device).is_quiet();
}

#[test]
fn a_device_that_is_deleted_loses_its_connection_and_its_successor_inherits_nothing() {
    let hall = Hall::new();
    let device = hall.device("d1");
    let (mut wire, _) = hall.resumed(&device);
    hall.ground
        .ok(&["iot", "hub", "device-identity", "delete", "--device-id", "d1"]);
    wire.ends();
    assert_eq!(hall.answer(Hello::of(&device).bytes()), refused(NOT_AUTHORIZED));
    let successor = hall.device("d1");
    let (mut wire, present) = hall.resumed(&successor);
    assert!(!present, "the session of a device that is gone");
    wire.is_quiet();
}

#[test]
fn a_device_whose_keys_change_loses_its_connection() {
    let hall = Hall::new();
    let device = hall.device("d1");
    let mut wire = hall.connected(&device);
    let keys = [
        "--primary-key",
        "bmV3IGtleSBvbmUgb2YgdHdv",
        "--secondary-key",
        "bmV3IGtleSB0d28gb2YgdHdv",
    ];
    update(&hall, &device, &keys);
    wire.ends();
    assert_eq!(hall.answer(Hello::of(&device).bytes()), refused(NOT_AUTHORIZED));
}

#[test]
fn devices_of_a_hub_that_is_deleted_lose_their_connections() {
    let hall = Hall::new();
    hall.ground.json(&["iot", "hub", "create", "--name", "hub-2"]);
    let made = hall.ground.json(&[
        "iot",
        "hub",
        "device-identity",
        "create",
        "--hub-name",
        "hub-2",
        "--device-id",
        "d1",
    ]);
    let key = text(&made["authentication"]["symmetricKey"]["primaryKey"]);
    let host = HUB.replace("muster-hub", "hub-2");
    let device = Device {
        id: "d1".to_owned(),
        token: sas_token(&format!("{host}/devices/d1"), &key, None, HOUR),
    };
    let mut wire = hall.wire();
    let user = format!("{host}/d1/?api-version=2021-04-12");
    wire.send(Hello::new("d1", &user, Some(&device.token)).bytes());
    wire.expect(ACCEPTED);
    let mut bystander = hall.connected(&hall.device("d1"));
    hall.ground.ok(&["iot", "hub", "delete", "--name", "hub-2"]);
    wire.ends();
    bystander.is_quiet();
}

#[test]
fn a_token_that_ends_ends_its_connection() {
    let hall = Hall::configured("[tokens]\nclock_skew = \"0s\"\n");
    let lasting = hall.device("d1");
    let made = hall
        .ground
        .json(&["iot", "hub", "device-identity", "create", "--device-id", "d2"]);
    let key = text(&made["authentication"]["symmetricKey"]["primaryKey"]);
    let brief = Device {
        id: "d2".to_owned(),
        token: sas_token(&format!("{HUB}/devices/d2"), &key, None, 5),
    };
    let mut stays = hall.connected(&lasting);
    let mut wire = hall.connected(&brief);
    wire.ends();
    stays.is_quiet();
    assert_eq!(hall.answer(Hello::of(&brief).bytes()), refused(NOT_AUTHORIZED));
}

#[test]
fn the_registry_shows_who_is_connected() {
    let hall = Hall::new();
    let device = hall.device("d1");
    let state = || {
        let shown = hall
            .ground
            .json(&["iot", "hub", "device-identity", "show", "--device-id", "d1"]);
        text(&shown["connectionState"])
    };
    assert_eq!(state(), "Disconnected");
    let mut wire = hall.connected(&device);
    assert_eq!(state(), "Connected");
    wire.ended_by(super::bytes::DISCONNECT);
    let gone = (0..super::LOOKS).any(|_| {
        std::thread::sleep(super::GLANCE);
        state() == "Disconnected"
    });
    assert!(gone, "still connected");
}
