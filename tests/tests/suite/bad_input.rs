//! What nobody should send: a clear error in the form of the surface, nothing stored, nothing leaked, the server up.

mod bodies;
mod certificates;
mod requests;

use serde_json::{Value, json};

use crate::stage::Stage;

const HUB: &str = "muster-hub.azure-devices.muster.localhost";
const DPS: &str = "muster-dps.azure-devices-provisioning.muster.localhost";
const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
const HOUR: i64 = 3_600;

/// Everything that callers can have stored.
fn stored(stage: &Stage) -> Value {
    let lists: Value = [
        "muster iot hub list",
        "muster iot dps list",
        "muster iot hub device-identity list --hub-name muster-hub",
        "muster iot hub certificate list --hub-name muster-hub",
        "muster iot hub consumer-group list --hub-name muster-hub",
        "muster iot dps certificate list --dps-name muster-dps",
        "muster iot dps enrollment list --dps-name muster-dps",
        "muster iot dps enrollment-group list --dps-name muster-dps",
    ]
    .into_iter()
    .map(|line| stage.json(line))
    .collect();
    let events = stage.ok(
        "curl --fail -H \"Authorization: Bearer $(cat \"$MUSTER_DATA/operator.token\")\" \
         'https://localhost/muster/hubs/muster-hub/events?from=earliest'",
    );
    json!({"lists": lists, "events": events})
}

/// Asserts that an answer tells nothing of the inside.
fn tells_nothing(stage: &Stage, text: &str) {
    let data = stage.server.data().display().to_string();
    for inside in [
        "panicked",
        ".rs:",
        "/crates/",
        "sqlite",
        "SELECT ",
        "RUST_BACKTRACE",
        "registry.db",
        data.as_str(),
    ] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}

/// Asserts that the server is up, that nothing was stored since, and that nothing panicked.
fn unharmed(stage: &Stage, before: &Value) {
    assert_eq!(stage.ok("curl --fail https://localhost/readyz").trim(), "ready");
    assert_eq!(&stored(stage), before);
    let log = stage.server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Asserts the form of an error of each surface.
fn has_form(surface: &str, status: u16, body: &str) {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let good = match surface {
        "dps" => {
            value["errorCode"].as_u64().map(|code| code / 1_000) == Some(u64::from(status))
                && value["message"].is_string()
        }
        "hub" => value["Message"]
            .as_str()
            .is_some_and(|text| text.starts_with("ErrorCode:") && text.contains(';')),
        _ => value["error"]["code"].is_string() && value["error"]["message"].is_string(),
    };
    assert!(good, "{surface} {status}: {body}");
}
