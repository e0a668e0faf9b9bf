//! `muster iot device simulate` and the device's other commands over every protocol that they speak: what was counted is
//! what the hub has stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stage::Stage;

const KEPT: &str = "muster iot hub device-identity create";

/// Makes a self-signed certificate, in PEM and in a container with the pass phrase 1234, and a device that has it.
fn certified(stage: &Stage) {
    stage.ok("muster cert self-signed my-x509-device --key p256 --pfx device.pfx");
    stage.json(&format!(
        "{KEPT} -d my-x509-device --auth-method x509_thumbprint \
         --primary-thumbprint \"$(openssl x509 -in device-cert.pem -noout -fingerprint -sha256 | cut -d= -f2 | tr -d :)\""
    ));
}

/// Every event of the hub, in the order of reading.
fn events(stage: &Stage) -> Vec<Value> {
    stage
        .ok(
            "curl -H \"Authorization: Bearer $(cat \"$MUSTER_DATA/operator.token\")\" \
             'https://localhost/muster/hubs/muster-hub/events?from=earliest'",
        )
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn origin(event: &Value) -> &str {
    event["annotations"]["iothub-connection-device-id"]
        .as_str()
        .expect("a device id")
}

/// Runs a line that must end with a code, and returns what it printed and what it said.
fn ended(stage: &Stage, line: &str, code: i32) -> (String, String) {
    let ended = stage.run(line);
    assert_eq!(ended.code, Some(code), "{line}: {}", ended.stderr);
    (ended.stdout, ended.stderr)
}

#[test]
fn a_device_of_every_credential_sends_over_every_protocol() {
    let stage = Stage::new();
    certified(&stage);
    stage.json(&format!("{KEPT} -d keyed"));
    let key = stage.json("muster iot hub device-identity show -d keyed");
    let key = key["authentication"]["symmetricKey"]["primaryKey"]
        .as_str()
        .expect("a key")
        .to_owned();
    let pem = "-d my-x509-device --certificate-file device-cert.pem --key-file device-key.pem --pass 1234";
    let pfx = "-d my-x509-device --pfx device.pfx --pass-phrase 1234";
    let sas = format!("-d keyed --symmetric-key '{key}'");
    let credentials = [pem, pfx, sas.as_str(), "-d keyed"];
    let mut runs = 0;
    for protocol in ["mqtt", "mqtt-ws", "http"] {
        for credential in credentials {
            let told = stage.json(&format!(
                "muster iot device simulate {credential} --protocol {protocol} --msg-count 2 --msg-interval 0"
            ));
            assert_eq!(told["acknowledged"], 2, "{protocol} {credential}: {told}");
            assert_eq!(told["protocol"], protocol);
            stage.ok(&format!(
                "muster iot device send-d2c-message {credential} --protocol {protocol} --data single"
            ));
            runs += 1;
        }
    }
    let events = events(&stage);
    assert_eq!(events.len(), 3 * runs);
    assert_eq!(
        events.iter().filter(|event| event["body"] == "single").count(),
        runs
    );
    let body = &events[0]["body"];
    assert_eq!(
        (&body["deviceId"], &body["messageId"]),
        (&"my-x509-device".into(), &0.into()),
        "{body}"
    );
    assert!(
        body["temperature"].is_number() && body["humidity"].is_number(),
        "{body}"
    );
}

#[test]
fn a_wrong_pass_phrase_is_told_before_anything_is_sent() {
    let stage = Stage::new();
    certified(&stage);
    let (printed, told) = ended(
        &stage,
        "muster iot device simulate -d my-x509-device --pfx device.pfx --pass-phrase 4321 --protocol mqtt",
        1,
    );
    assert!(printed.is_empty(), "{printed}");
    assert!(told.contains("device.pfx"), "{told}");
    assert!(events(&stage).is_empty());
}

#[test]
fn devices_by_certificate_register_first_and_send_to_the_hub_they_are_assigned() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    stage
        .ok("muster cert chain --key p256 --days 9 --device device-01 --device device-02 --device device-03");
    stage.json(
        "muster iot dps certificate create -n root --path certs/azure-iot-test-only.root.ca.cert.pem --verified true",
    );
    stage.json(
        "muster iot hub certificate create -n root --path certs/azure-iot-test-only.root.ca.cert.pem --verified true",
    );
    stage.json(
        "muster iot dps enrollment-group create --enrollment-id factory \
         --certificate-path certs/azure-iot-test-only.intermediate.cert.pem",
    );
    let credential = "--certificate-file 'certs/{id}-full-chain.cert.pem' --key-file 'private/{id}.key.pem'";
    for (protocol, times) in [("mqtt", 1), ("mqtt-ws", 2)] {
        // The token of the operator is not needed: everything that a device has is in its hands.
        let told = stage.json(&format!(
            "muster iot device simulate -d 'device-0{{i}}' --devices 3 --id-scope {scope} {credential} \
             --protocol {protocol} --msg-count 2 --msg-interval 0 --token-file no-such-file"
        ));
        assert_eq!(told["hub"], "muster-hub.azure-devices.muster.localhost", "{told}");
        assert_eq!(
            (&told["connected"], &told["acknowledged"]),
            (&3.into(), &6.into()),
            "{told}"
        );
        assert_eq!(events(&stage).len(), 6 * times);
    }
    let state = stage.json("muster iot dps enrollment-group registration show --registration-id device-02");
    assert_eq!(state["status"], "assigned");
}

#[test]
fn devices_by_the_key_of_a_group_register_first() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    stage.json("muster iot dps enrollment-group create --enrollment-id by-key");
    let simulate = format!("muster iot device simulate --id-scope {scope} --msg-count 1 --msg-interval 0");
    // The only group by key need not be named, and its key is the operator's to read.
    let told = stage.json(&format!("{simulate} -d 'sensor-{{i}}' --devices 4"));
    assert_eq!(
        (&told["connected"], &told["acknowledged"]),
        (&4.into(), &4.into()),
        "{told}"
    );
    let told = stage.json(&format!("{simulate} -d single --group-id by-key --protocol http"));
    assert_eq!(told["acknowledged"], 1, "{told}");
    let (_, told) = ended(
        &stage,
        &format!("{simulate} -d single --symmetric-key MDEyMzQ1Njc4OWFiY2RlZg== --compute-key"),
        1,
    );
    assert!(told.contains("1 of 1 messages were not acknowledged"), "{told}");
}

#[test]
fn fifty_devices_with_three_messages_each_are_a_hundred_and_fifty_events() {
    let stage = Stage::new();
    let told = stage.json(
        "muster iot device simulate -d 'many-{i}' --devices 50 --create --msg-count 3 --rate 20 --ramp 0.2 \
         --properties 'line=7;$.ct=application/json;$.ce=utf-8'",
    );
    let expected = json!({
        "hub": "muster-hub.azure-devices.muster.localhost",
        "protocol": "mqtt",
        "devices": 50,
        "connected": 50,
        "reconnects": 0,
        "sent": 150,
        "acknowledged": 150,
        "failed": 0,
        "failures": {},
        "interruptions": {},
        "interrupted": false,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&told[name], value, "{name} in {told}");
    }
    let figures = [
        "/connectsPerSecond",
        "/messagesPerSecond",
        "/seconds",
        "/latencyMs/p50",
        "/latencyMs/p99",
    ];
    for name in figures.into_iter().chain(["/latencyMs/p99.9"]) {
        let figure = told.pointer(name).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0), "{name} in {told}");
    }
    let events = events(&stage);
    assert_eq!(events.len(), 150);
    let numbered: BTreeSet<(&str, u64)> = events
        .iter()
        .map(|event| {
            (
                origin(event),
                event["body"]["messageId"].as_u64().expect("a number"),
            )
        })
        .collect();
    assert_eq!(numbered.len(), 150);
    assert!(numbered.contains(&("many-50", 2)));
    assert!(
        events
            .iter()
            .all(|event| event["applicationProperties"]["line"] == "7"),
        "{}",
        events[0]
    );
    // Devices that are there already are not made again.
    let again = stage.json(
        "muster iot device simulate -d 'many-{i}' --devices 50 --create --msg-count 1 --msg-interval 0 --protocol mqtt-ws",
    );
    assert_eq!(again["acknowledged"], 50, "{again}");
}

#[test]
fn a_refused_device_ends_with_1_and_the_others_go_on() {
    let stage = Stage::new();
    for device in ["a-1", "a-2", "a-3"] {
        stage.json(&format!("{KEPT} -d {device}"));
    }
    stage.json("muster iot hub device-identity update -d a-2 --status disabled");
    for (protocol, reason) in [
        ("mqtt", "CONNACK 5"),
        ("mqtt-ws", "CONNACK 5"),
        ("http", "status 401, "),
    ] {
        let line = format!(
            "muster iot device simulate -d 'a-{{i}}' --devices 3 --msg-count 2 --msg-interval 0 --protocol {protocol}"
        );
        let (printed, told) = ended(&stage, &line, 1);
        let summary: Value = serde_json::from_str(&printed).expect("a summary");
        assert_eq!(
            (&summary["acknowledged"], &summary["failed"]),
            (&4.into(), &2.into()),
            "{summary}"
        );
        let failures = summary["failures"].as_object().expect("failures");
        assert_eq!(failures.len(), 1, "{summary}");
        assert!(
            failures
                .iter()
                .all(|(name, count)| name.starts_with(reason) && count == 1),
            "{summary}"
        );
        assert!(told.contains("2 of 6 messages were not acknowledged"), "{told}");
        assert!(told.contains("why: muster explain "), "{told}");
    }
    assert_eq!(events(&stage).len(), 12);
    assert!(
        stage
            .ok("muster explain --device a-2")
            .contains("device-disabled")
    );
}

#[test]
fn a_device_registers_over_mqtt_and_its_refusal_is_told() {
    let stage = Stage::new();
    stage.json("muster iot dps enrollment-group create --enrollment-id by-key");
    for (protocol, id) in [("mqtt", "one"), ("mqtt-ws", "two"), ("http", "three")] {
        let told = stage.json(&format!(
            "muster iot device registration create --registration-id {id} --protocol {protocol}"
        ));
        assert_eq!(told["status"], "assigned", "{told}");
        assert_eq!(told["registrationState"]["deviceId"], id);
    }
    let (_, told) = ended(
        &stage,
        "muster iot device registration create --registration-id one --protocol mqtt \
         --symmetric-key MDEyMzQ1Njc4OWFiY2RlZg==",
        1,
    );
    assert!(told.contains("why: muster explain --registration one"), "{told}");
}

#[test]
fn protocols_that_are_not_spoken_are_refused_in_one_sentence() {
    let stage = Stage::new();
    for command in [
        "simulate -d x",
        "send-d2c-message -d x",
        "registration create --registration-id x",
    ] {
        for protocol in ["amqp", "AMQP-WS"] {
            let (printed, told) = ended(
                &stage,
                &format!("muster iot device {command} --protocol {protocol}"),
                2,
            );
            assert!(printed.is_empty(), "{printed}");
            assert!(
                told.contains("do not speak AMQP yet; choose http, mqtt or mqtt-ws"),
                "{told}"
            );
        }
    }
    let (_, told) = ended(
        &stage,
        "muster iot device simulate -d x --protocol http --model-id 'dtmi:x;1'",
        2,
    );
    assert!(told.contains("mqtt and mqtt-ws only"), "{told}");
    let (_, told) = ended(
        &stage,
        "muster iot device simulate -d x --devices 2 --symmetric-key AAAA",
        2,
    );
    assert!(told.contains("--compute-key"), "{told}");
}

#[test]
fn help_shows_examples_that_the_command_itself_takes() {
    let stage = Stage::new();
    for command in ["simulate", "send-d2c-message", "registration create"] {
        let help = stage.ok(&format!("muster iot device {command} --help"));
        assert!(help.contains("Examples:"), "{help}");
        for word in ["http", "mqtt", "mqtt-ws", "--pfx", "--pass-phrase"] {
            assert!(help.contains(word), "{word} in {help}");
        }
        assert!(!help.contains("amqp"), "{help}");
    }
}
