//! A data directory that outlives the servers that run on it: started, killed, stopped, looked into between two runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use muster_tests::{Ended, Launch, Server, tool};
use serde_json::Value;
use tempfile::TempDir;

/// The ready-made hub.
pub(crate) const HUB: &str = "muster-hub.azure-devices.muster.localhost";
/// The ready-made provisioning service.
pub(crate) const DPS: &str = "muster-dps.azure-devices-provisioning.muster.localhost";
/// The name that provisioning services share.
pub(crate) const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";

/// A folder with a data directory, and the server that runs on it at the moment.
pub(crate) struct Ground {
    folder: TempDir,
    data: PathBuf,
    binary: PathBuf,
    server: Option<Server>,
}

/// An event as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) partition: u64,
    pub(crate) position: u64,
    pub(crate) device: String,
    pub(crate) body: Value,
    /// The whole line.
    pub(crate) line: Value,
}

impl Event {
    /// The `id` in the body.
    pub(crate) fn id(&self) -> &str {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {}", self.line))
    }
}

impl Ground {
    /// Starts a server on a fresh data directory.
    pub(crate) fn new() -> Self {
        Self::launched(|_, _| Launch::new())
    }

    /// Starts a server as `launch` says, which gets the folder around the data directory, named `data`, and the binary.
    pub(crate) fn launched<'a>(launch: impl FnOnce(&Path, &Path) -> Launch<'a>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let binary = muster_tests::binary();
        let server = launch(folder.path(), &binary).data(&data).start();
        Self {
            folder,
            data,
            binary,
            server: Some(server),
        }
    }

    /// The folder around the data directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The binary under test.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// The server, which must run.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("a running server")
    }

    /// Starts a server on what is there.
    pub(crate) fn start(&mut self) {
        assert!(self.server.is_none(), "one server at a time");
        self.server = Some(Launch::new().data(&self.data).start());
    }

    /// Starts a server on what is there, as `launch` says.
    pub(crate) fn start_by(&mut self, launch: Launch<'_>) {
        assert!(self.server.is_none(), "one server at a time");
        self.server = Some(launch.data(&self.data).start());
    }

    /// What a server tells once it is ready, and what it logged before.
    pub(crate) fn story(&self) -> String {
        // It is reachable a moment before it says so.
        for _ in 0..2_000 {
            let log = self.server().log();
            if log.contains("muster demo shows the whole way") {
                return log;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the server never told: {}", self.server().log());
    }

    /// Demands that a start is refused with exit code 1, and returns what was said.
    pub(crate) fn refused_start(&self) -> String {
        assert!(self.server.is_none(), "one server at a time");
        match Launch::new().data(&self.data).try_start() {
            Ok(server) => panic!("the server started: {}", server.log()),
            Err((status, log)) => {
                assert_eq!(status.and_then(|status| status.code()), Some(1), "{log}");
                log
            }
        }
    }

    /// Kills the server without a word.
    pub(crate) fn kill(&mut self) {
        self.server.take().expect("a running server").kill();
    }

    /// Has the server drain, and demands that it ends well.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("a running server");
        let status = server.terminate();
        assert_eq!(status.code(), Some(0), "{}", server.log());
    }

    /// A command of the binary on this data directory, whether a server runs or not.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tool(&self.binary);
        command
            .env("MUSTER_DATA", &self.data)
            .args(arguments)
            .current_dir(self.folder());
        command
    }

    /// Runs such a command.
    pub(crate) fn muster(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// A command that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.muster(arguments).succeeded(&arguments.join(" "))
    }

    /// A command that must succeed and print JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The id scope of the ready-made provisioning service.
    pub(crate) fn id_scope(&self) -> String {
        let service = self.json(&["iot", "dps", "show", "--name", "muster-dps"]);
        text(&service["properties"]["idScope"])
    }

    /// Every event of a hub, in the order of reading.
    pub(crate) fn events_of(&self, hub: &str) -> Vec<Event> {
        let answer = self
            .server()
            .curl(&format!("/muster/hubs/{hub}/events?from=earliest"))
            .authorization(&format!("Bearer {}", self.server().operator_token()))
            .send()
            .expect(200);
        answer.text().lines().map(event).collect()
    }

    /// Every event of the ready-made hub.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events_of("muster-hub")
    }

    /// Makes a root, an intermediate and devices of P-256 in the folder, by the binary.
    pub(crate) fn chain(&self, days: &str, devices: &[&str]) {
        let mut arguments = vec!["cert", "chain", "--key", "p256", "--days", days];
        for device in devices {
            arguments.extend(["--device", device]);
        }
        self.ok(&arguments);
    }

    /// The full chain and the key of a device that [`Self::chain`] made.
    pub(crate) fn credential(&self, device: &str) -> (PathBuf, PathBuf) {
        let certificate = format!("certs/{device}-full-chain.cert.pem");
        let key = format!("private/{device}.key.pem");
        (self.folder().join(certificate), self.folder().join(key))
    }

    /// Copies the data directory; its server must not run.
    pub(crate) fn copy_data(&self, to: &Path) {
        copy(&self.data, to);
    }
}

/// Copies a folder with everything in it, modes included.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mut command = tool("cp");
    command.arg("--archive").arg(from).arg(to);
    run(&mut command).succeeded("cp");
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    match command.output() {
        Ok(output) => output.into(),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// The text of a JSON value.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// Writes a JSON document into a file of a folder and returns its path.
pub(crate) fn document(folder: &Path, name: &str, value: &Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, value.to_string()).expect("to write a document");
    path
}

fn event(line: &str) -> Event {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let number = |name: &str| {
        line[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    Event {
        partition: number("partition"),
        position: number("sequenceNumber"),
        device: text(&line["annotations"]["iothub-connection-device-id"]),
        body: line["body"].clone(),
        line,
    }
}
