//! Load: devices that send and register without a pause, and the account of what they were promised.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use muster_tests::tool;
use serde_json::{Value, json};

use crate::ground::{DPS, GLOBAL, Ground, HUB, document, run, text};

const LOAD: &str = include_str!("load.py");
const LOOKUP: &str = include_str!("lookup.py");

/// Devices with certificates, and a group whose devices have derived keys.
pub(crate) struct Fleet {
    pub(crate) scope: String,
    group_key: String,
}

/// What the devices of a run do.
pub(crate) struct Plan<'a> {
    /// Stands before every id of this run.
    pub(crate) prefix: &'a str,
    /// Device and messages in one request, for each connection that sends.
    pub(crate) senders: &'a [(&'a str, u32)],
    /// Devices that publish over MQTT.
    pub(crate) publishers: &'a [&'a str],
    /// Connections that register new devices.
    pub(crate) registrars: u32,
    /// Bytes that a message carries besides its id.
    pub(crate) padding: usize,
    /// Requests of each connection at most.
    pub(crate) most: u32,
}

/// A run that goes on.
pub(crate) struct Load {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What a run was promised.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The messages of each request that got a 204.
    pub(crate) sent: Vec<Vec<String>>,
    /// Registration and operation of each 202.
    pub(crate) answered: Vec<(String, String)>,
    /// Registrations that were told to be assigned.
    pub(crate) assigned: Vec<String>,
    /// Requests that were refused: status, body, ids.
    pub(crate) refused: Vec<Value>,
    /// How connections ended that got no answer.
    pub(crate) broken: Vec<String>,
}

impl Fleet {
    /// Makes certificates for devices, a group for them and one by key, and registers the devices.
    pub(crate) fn new(ground: &Ground, devices: &[&str]) -> Self {
        ground.chain("30", devices);
        let root = "certs/azure-iot-test-only.root.ca.cert.pem";
        let certificate = [
            "iot",
            "dps",
            "certificate",
            "create",
            "--certificate-name",
            "root",
        ];
        ground.json(&[&certificate[..], &["--path", root, "--verified", "true"]].concat());
        let group = ["iot", "dps", "enrollment-group", "create", "--enrollment-id"];
        ground.json(&[&group[..], &["by-ca", "--ca-name", "root"]].concat());
        let by_key = ground.json(&[&group[..], &["by-key"]].concat());
        let fleet = Self {
            scope: ground.id_scope(),
            group_key: text(&by_key["attestation"]["symmetricKey"]["primaryKey"]),
        };
        for device in devices {
            fleet.register(ground, device);
        }
        fleet
    }

    /// Registers a device that has a certificate.
    pub(crate) fn register(&self, ground: &Ground, device: &str) {
        let (certificate, key) = ground.credential(device);
        let path = format!(
            "/{}/registrations/{device}/register?api-version=2021-06-01",
            self.scope
        );
        let answer = ground
            .server()
            .curl_as(GLOBAL, &path)
            .client(&certificate, &key)
            .method("PUT")
            .json(&json!({ "registrationId": device }))
            .send();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Sends one message and returns the status.
    pub(crate) fn send(ground: &Ground, device: &str, id: &str) -> u16 {
        let (certificate, key) = ground.credential(device);
        ground
            .server()
            .curl_as(
                HUB,
                &format!("/devices/{device}/messages/events?api-version=2021-04-12"),
            )
            .client(&certificate, &key)
            .json(&json!({ "id": id }))
            .send()
            .status
    }

    /// Starts a run; returns once each of its connections has had an answer.
    pub(crate) fn run(&self, ground: &Ground, plan: &Plan<'_>) -> Load {
        let address = ground.server().https();
        let senders: Vec<Value> = plan
            .senders
            .iter()
            .map(|(device, batch)| {
                let (certificate, key) = ground.credential(device);
                json!({"device": device, "batch": batch, "certificate": certificate, "key": key})
            })
            .collect();
        let publishers: Vec<Value> = plan
            .publishers
            .iter()
            .map(|device| {
                let (certificate, key) = ground.credential(device);
                json!({"device": device, "certificate": certificate, "key": key})
            })
            .collect();
        let mqtt = ground.server().endpoint("mqtt");
        let value = json!({
            "address": [address.ip(), address.port()],
            "mqtt": [mqtt.ip(), mqtt.port()],
            "publishers": publishers,
            "root": ground.server().root(),
            "hub": HUB,
            "global": GLOBAL,
            "scope": self.scope,
            "prefix": plan.prefix,
            "senders": senders,
            "registrars": plan.registrars,
            "group_key": self.group_key,
            "padding": plan.padding,
            "most": plan.most,
        });
        let path = document(ground.folder(), &format!("load-{}.json", plan.prefix), &value);
        let mut command = tool("python3");
        command.args(["-c", LOAD]).arg(path).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("to read its output");
        assert_eq!(line, "started\n", "the load did not start");
        Load { child, output }
    }
}

impl Load {
    /// Waits until every connection has ended, which each does with the server at the latest.
    pub(crate) fn account(mut self) -> Account {
        let mut line = String::new();
        self.output.read_to_string(&mut line).expect("to read its output");
        assert!(
            self.child.wait().is_ok_and(|status| status.success()),
            "the load failed: {line}"
        );
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let list = |name: &str| {
            value[name]
                .as_array()
                .unwrap_or_else(|| panic!("no {name} in {value}"))
        };
        let texts =
            |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(text).collect() };
        Account {
            sent: list("sent").iter().map(texts).collect(),
            answered: list("answered")
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect(),
            assigned: texts(&value["assigned"]),
            refused: list("refused").clone(),
            broken: texts(&value["broken"]),
        }
    }
}

/// Asks for many paths of a host over one connection, with a policy's token; returns status and body of each.
pub(crate) fn look_up(ground: &Ground, host: &str, paths: &[String]) -> Vec<(u64, String)> {
    let kind = if host == DPS { "dps" } else { "hub" };
    let shown = ground.json(&["iot", kind, "connection-string", "show"]);
    let connection = text(&shown["connectionString"]);
    let field = |name: &str| {
        connection
            .split(';')
            .find_map(|part| part.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name} in the connection string"))
    };
    let token = muster_tests::sas_token(
        host,
        field("SharedAccessKey="),
        Some(field("SharedAccessKeyName=")),
        600,
    );
    let address = ground.server().https();
    let value = json!({
        "address": [address.ip(), address.port()],
        "root": ground.server().root(),
        "host": host,
        "authorization": token,
        "paths": paths,
    });
    let path = document(ground.folder(), "lookup.json", &value);
    let mut command = tool("python3");
    command.args(["-c", LOOKUP]).arg(path);
    let answers: Vec<(u64, String)> =
        serde_json::from_str(&run(&mut command).succeeded("lookup")).expect("answers");
    assert_eq!(answers.len(), paths.len());
    answers
}
