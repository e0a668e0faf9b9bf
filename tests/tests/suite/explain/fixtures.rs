//! The broken ones: one for each reason.

mod handshake;
mod hub;
mod mqtt;
mod operator;
mod provisioning;
mod token;
mod variants;

pub(super) use handshake::*;
pub(super) use hub::*;
pub(super) use mqtt::*;
pub(super) use operator::*;
pub(super) use provisioning::*;
pub(super) use token::*;
pub(super) use variants::*;

use super::{Caller, Fixture, GLOBAL, HUB, Mend, explained, tracking};
use crate::odd::{Odd, chain};
use crate::stage::Stage;

/// The device that is broken in the fixture's way.
const ID: &str = "device-01";
/// Its certificate with the one that issued it.
const CHAIN: &str = "--cert device-01-chain.pem --key device-01.key";
/// Its certificate alone.
const ALONE: &str = "--cert device-01.pem --key device-01.key";

/// Makes a root, an intermediate below it, a device below that, and what the device presents.
fn hierarchy(stage: &Stage) {
    let folder = stage.folder();
    Odd::ca("root").make(folder);
    Odd::ca("middle").by("root").make(folder);
    Odd::new(ID).by("middle").make(folder);
    chain(folder, "device-01-chain.pem", &[ID, "middle"]);
}

/// Uploads a certificate to the provisioning service as verified, and enrolls a group on it.
fn group_on(stage: &Stage, name: &str) {
    upload(stage, name);
    stage.json(&format!(
        "muster iot dps enrollment-group create --dps-name muster-dps --enrollment-id group --ca-name {name}"
    ));
}

fn upload(stage: &Stage, name: &str) {
    stage.json(&format!(
        "muster iot dps certificate create --dps-name muster-dps --certificate-name {name} --path {name}.pem --verified true"
    ));
}

/// Uploads a certificate to the hub as verified.
fn upload_to_hub(stage: &Stage, name: &str) {
    stage.json(&format!(
        "muster iot hub certificate create --hub-name muster-hub --name {name} --path {name}.pem --verified true"
    ));
}

/// Enrolls the device by a certificate, or by a key where none is named; returns its key.
fn enroll(stage: &Stage, certificate: Option<&str>) -> String {
    let how = match certificate {
        Some(file) => format!("--attestation-type x509 --certificate-path {file}"),
        None => "--attestation-type symmetrickey".to_owned(),
    };
    stage.json(&format!(
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id {ID} {how}"
    ));
    if certificate.is_some() {
        return String::new();
    }
    let shown = stage.json(&format!(
        "muster iot dps enrollment show --dps-name muster-dps --enrollment-id {ID} --show-keys"
    ));
    shown["attestation"]["symmetricKey"]["primaryKey"]
        .as_str()
        .expect("a key")
        .to_owned()
}

/// A second device below a root of the same name and another key: it registers, and is to be refused whatever is done.
fn forged(stage: &Stage) -> Caller {
    Caller::registers(stage, "device-02", &forged_credential(stage))
}

/// The same, at the hub.
fn forged_at_hub(stage: &Stage) -> Caller {
    let credential = forged_credential(stage);
    stage.json("muster iot hub device-identity create --hub-name muster-hub --device-id device-02 --auth-method x509_ca");
    Caller::sends("device-02", &credential)
}

fn forged_credential(stage: &Stage) -> String {
    let folder = stage.folder();
    Odd::ca("root").file("forged").make(folder);
    Odd::new("device-02").by("forged").make(folder);
    chain(folder, "device-02-chain.pem", &["device-02", "forged"]);
    "--cert device-02-chain.pem --key device-02.key".to_owned()
}

/// A device that registers with its chain and is refused as a bearer of a bad certificate.
fn registers(
    stage: &Stage,
    credential: &str,
    part: &'static str,
    mends: Vec<Mend>,
    words: &'static str,
) -> Fixture {
    Fixture {
        caller: Caller::registers(stage, ID, credential),
        answer: Some((401, part)),
        stranger: forged(stage),
        mends,
        words,
    }
}

/// The device after `muster cert self-signed` made it a certificate of its own.
fn with_new_certificate(stage: &Stage, _: &str, _: &Caller) -> Caller {
    Caller::registers(stage, ID, "--cert device-01.pem:1234 --key device-01.key.pem")
}
