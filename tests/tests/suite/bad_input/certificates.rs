//! Chains that devices should not present.

use super::{stored, unharmed};
use crate::explain::Caller;
use crate::odd::{Odd, chain};
use crate::stage::Stage;

fn verified_root_with_group(stage: &Stage) {
    Odd::ca("root").make(stage.folder());
    Odd::ca("middle").by("root").make(stage.folder());
    stage.json("muster iot dps certificate create --dps-name muster-dps --certificate-name root --path root.pem --verified true");
    stage.json(
        "muster iot hub certificate create --hub-name muster-hub --name root --path root.pem --verified true",
    );
    stage.json(
        "muster iot dps enrollment-group create --dps-name muster-dps --enrollment-id group --ca-name root",
    );
    for id in ["device-01", "device-02", "victim"] {
        stage.json(&format!("muster iot hub device-identity create --hub-name muster-hub --device-id {id} --auth-method x509_ca"));
    }
}

fn credential(file: &str, key: &str) -> String {
    format!("--cert {file} --key {key}.key")
}

#[test]
fn a_chain_out_of_order_with_strangers_in_it_is_admitted_where_a_path_exists() {
    let stage = Stage::new();
    verified_root_with_group(&stage);
    let folder = stage.folder();
    Odd::ca("low").by("middle").make(folder);
    Odd::new("device-01").by("low").make(folder);
    // Strangers: another of the same name, one that is nobody's, a leaf, and one that comes twice.
    Odd::ca("middle").file("double").make(folder);
    Odd::ca("nobody").make(folder);
    Odd::new("another").by("nobody").make(folder);
    Odd::new("device-02").by("low").make(folder);
    for id in ["device-01", "device-02"] {
        let file = format!("chain-{id}.pem");
        chain(
            folder,
            &file,
            &[
                id, "another", "root", "double", "middle", "nobody", "double", "low", "low",
            ],
        );
        // The same without the one that matters.
        chain(
            folder,
            &format!("gap-{id}.pem"),
            &[id, "another", "root", "double", "nobody", "low"],
        );
    }
    let registers = |file: &str| Caller::registers(&stage, "device-01", &credential(file, "device-01"));
    let sends = |file: &str| Caller::sends("device-02", &credential(file, "device-02"));
    for caller in [registers("gap-device-01.pem"), sends("gap-device-02.pem")] {
        let _ = caller.ask(&stage).expect("an answer").expect(401);
    }
    registers("chain-device-01.pem").succeeds(&stage).expect("a hub");
    sends("chain-device-02.pem")
        .succeeds(&stage)
        .expect("its message taken");
    assert!(!stage.server.log().contains("panicked"));
}

#[test]
fn ten_certificates_in_a_loop_are_refused() {
    let stage = Stage::new();
    verified_root_with_group(&stage);
    let folder = stage.folder();
    let names: Vec<String> = (0..9).map(|number| format!("loop-{number}")).collect();
    for name in &names {
        Odd::ca(name).make(folder);
    }
    // Each is issued by the next, the last by the first; keys stay.
    for (at, name) in names.iter().enumerate() {
        let issuer = names.get((at + 1) % names.len()).expect("a name");
        Odd::ca(name).by(issuer).make(folder);
    }
    Odd::new("device-01").by("loop-0").make(folder);
    let parts: Vec<&str> = std::iter::once("device-01")
        .chain(names.iter().map(String::as_str))
        .collect();
    chain(folder, "loop.pem", &parts);
    let before = stored(&stage);
    let credential = credential("loop.pem", "device-01");
    for caller in [
        Caller::registers(&stage, "device-01", &credential),
        Caller::sends("device-01", &credential),
    ] {
        let _ = caller.ask(&stage).expect("an answer").expect(401);
    }
    unharmed(&stage, &before);
}

/// A leaf that Azure's rules tolerate without extensions, or with CA:FALSE, signs the name of another device.
#[test]
fn a_device_cannot_issue_another_devices_name() {
    let stage = Stage::new();
    verified_root_with_group(&stage);
    let folder = stage.folder();
    for (file, extensions) in [
        ("plain", ""),
        ("denies", "basicConstraints=critical,CA:FALSE\n"),
        ("usage", "keyUsage=critical,digitalSignature\n"),
    ] {
        Odd::new("device-01")
            .file(file)
            .extensions(extensions)
            .by("root")
            .make(folder);
        let honest = credential(&format!("{file}.pem"), file);
        Caller::registers(&stage, "device-01", &honest)
            .succeeds(&stage)
            .expect("the device itself is admitted");
        let forged = format!("forged-{file}");
        Odd::new("victim").file(&forged).by(file).make(folder);
        let presented = format!("{forged}-chain.pem");
        chain(folder, &presented, &[&forged, file]);
        let before = stored(&stage);
        let credential = credential(&presented, &forged);
        for caller in [
            Caller::registers(&stage, "victim", &credential),
            Caller::sends("victim", &credential),
        ] {
            let _ = caller.ask(&stage).expect("an answer").expect(401);
        }
        unharmed(&stage, &before);
    }
}
