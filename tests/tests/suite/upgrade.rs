//! Data of earlier releases: this one reads all of it, goes on with it, and changes nothing that was kept.
//!
//! The folders stand in `tests/upgrade`, whose page says what is in them. Server and clients live on the day of the data.

use std::fs;
use std::path::{Path, PathBuf};

use muster_tests::{Ended, Launch, derived_key, now, sas_token, tool};
use serde_json::{Value, json};

use crate::ground::{GLOBAL, Ground, HUB, run, text};

/// How long after it was written the data is read, in seconds.
const LATER: i64 = 600;

/// A server on the data of an earlier release.
struct Inherited {
    ground: Ground,
    folder: PathBuf,
    expected: Value,
    variables: Vec<(String, String)>,
}

impl Inherited {
    fn new(release: &str) -> Self {
        let upgrade = Path::new(env!("CARGO_MANIFEST_DIR")).join("upgrade");
        let folder = upgrade.join(release);
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file of the fixture");
        let written: i64 = read("written").trim().parse().expect("a moment");
        let expected = serde_json::from_str(&read("expected.json")).expect("what is expected");
        let mut variables = Vec::new();
        let ground = Ground::launched(|around, _| {
            let clock = around.join("clock.so");
            let mut compile = tool("cc");
            compile
                .args(["-shared", "-fPIC", "-O1", "-o"])
                .arg(&clock)
                .arg(upgrade.join("clock.c"));
            run(&mut compile).succeeded("cc");
            let mut unpack = tool("tar");
            unpack.args([
                "--extract",
                "--gzip",
                "--preserve-permissions",
                "--no-same-owner",
                "--directory",
            ]);
            unpack.arg(around).arg("--file").arg(folder.join("data.tar.gz"));
            run(&mut unpack).succeeded("tar");
            let moved = (written + LATER - now()).to_string();
            variables = vec![
                ("LD_PRELOAD".to_owned(), clock.display().to_string()),
                ("MUSTER_TEST_CLOCK".to_owned(), moved),
            ];
            launch(&variables)
        });
        Self {
            ground,
            folder,
            expected,
            variables,
        }
    }

    fn restart(&mut self) {
        self.ground.stop();
        self.ground.start_by(launch(&self.variables));
    }

    fn muster(&self, arguments: &[&str]) -> Ended {
        let mut command = self.ground.command(arguments);
        run(command.envs(self.variables.iter().cloned()))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.muster(arguments).succeeded(&arguments.join(" "));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }

    /// A request by curl under a host name; returns status and body.
    fn ask(&self, host: &str, path: &str, arguments: &[&str]) -> (String, String) {
        let server = self.ground.server();
        let mut command = tool("curl");
        command
            .args([
                "--disable",
                "--silent",
                "--show-error",
                "--http1.1",
                "--write-out",
                "\n%{http_code}",
                "--cacert",
            ])
            .arg(server.root())
            .arg("--connect-to")
            .arg(format!("::{}", server.https()))
            .args(arguments)
            .arg(format!("https://{host}{path}"))
            .envs(self.variables.iter().cloned());
        let said = run(&mut command).succeeded(path);
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (status.to_owned(), body.to_owned())
    }

    /// Certificate and key of a device, as curl takes them.
    fn credential(&self, certificate: &str, key: &str) -> [String; 4] {
        let file = |name: &str| self.folder.join("material").join(name).display().to_string();
        ["--cert".into(), file(certificate), "--key".into(), file(key)]
    }

    fn ask_as(&self, credential: &[String], host: &str, path: &str, arguments: &[&str]) -> (String, String) {
        let credential: Vec<&str> = credential.iter().map(String::as_str).collect();
        self.ask(host, path, &[&credential[..], arguments].concat())
    }

    fn events(&self) -> Vec<Value> {
        let authorization = format!("Authorization: Bearer {}", self.ground.server().operator_token());
        let path = "/muster/hubs/muster-hub/events?from=earliest";
        let (status, body) = self.ask("localhost", path, &["--header", &authorization]);
        assert_eq!(status, "200", "{body}");
        lines(&body)
    }

    fn send(&self, credential: &[String], device: &str, id: &str) {
        let path = format!("/devices/{device}/messages/events?api-version=2021-04-12");
        let body = json!({ "id": id }).to_string();
        let (status, body) = self.ask_as(credential, HUB, &path, &["--data", &body]);
        assert_eq!(status, "204", "{device}: {body}");
    }

    /// Registers and polls until it is done; returns the registration's state.
    fn register(&self, credential: &[String], id: &str) -> Value {
        let scope = text(&self.expected["idScope"]);
        let path = format!("/{scope}/registrations/{id}/register?api-version=2021-06-01");
        let body = json!({ "registrationId": id }).to_string();
        let json_type = ["--header", "Content-Type: application/json"];
        let arguments = [&json_type[..], &["--request", "PUT", "--data", &body]].concat();
        let (status, body) = self.ask_as(credential, GLOBAL, &path, &arguments);
        assert_eq!(status, "202", "{id}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("an answer");
        self.poll(credential, id, &text(&answer["operationId"]))
    }

    fn poll(&self, credential: &[String], id: &str, operation: &str) -> Value {
        let scope = text(&self.expected["idScope"]);
        let path = format!("/{scope}/registrations/{id}/operations/{operation}?api-version=2021-06-01");
        let (status, body) = self.ask_as(credential, GLOBAL, &path, &[]);
        assert_eq!(status, "200", "{id}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("an answer");
        assert_eq!(answer["status"], "assigned", "{id}: {body}");
        answer["registrationState"].clone()
    }

    /// Asks what was asked then, and finds all that was answered then.
    fn hold_answers(&self) {
        for entry in self.expected["answers"].as_array().expect("answers") {
            let command: Vec<String> = entry["command"]
                .as_array()
                .expect("a command")
                .iter()
                .map(text)
                .collect();
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let found = self.json(&command);
            assert!(
                holds(&found, &entry["answer"]),
                "{command:?} answers\n{found:#}\nand not\n{:#}",
                entry["answer"]
            );
        }
    }
}

fn launch(variables: &[(String, String)]) -> Launch<'static> {
    variables.iter().fold(Launch::new(), |launch, (name, value)| {
        launch.variable(name, value)
    })
}

fn lines(text: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(read).collect()
}

/// Whether everything of `expected` is in `found`, which may have members that came later.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, value)| holds(found, value))
        }
        _ => found == expected,
    }
}

#[test]
fn data_of_the_first_formats_is_read_whole() {
    let inherited = Inherited::new("v1");
    let log = inherited.ground.story();
    assert!(!log.contains("it was cut"), "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    inherited.hold_answers();
    let kept = fs::read_to_string(inherited.folder.join("events.ndjson")).expect("the events");
    let kept = lines(&kept);
    assert!(kept.len() > 200, "some hundred messages");
    let found = inherited.events();
    assert_eq!(found.len(), kept.len());
    for (found, kept) in found.iter().zip(&kept) {
        assert!(holds(found, kept), "{found}\nand not\n{kept}");
    }
    // Each device reads the outcome of its operation, again and again.
    let registered = inherited.expected["registered"]
        .as_array()
        .expect("registrations");
    assert_eq!(registered.len(), 5);
    for entry in registered {
        let credential = inherited.credential(&text(&entry["certificate"]), &text(&entry["key"]));
        let state = inherited.poll(&credential, &text(&entry["id"]), &text(&entry["operation"]));
        assert_eq!(state["registrationId"], entry["id"]);
        assert_eq!(state["assignedHub"], HUB);
    }
}

#[test]
fn data_of_the_first_formats_is_gone_on_with() {
    let mut inherited = Inherited::new("v1");
    let before = inherited.events();
    let of_chain = |name: &str| {
        inherited.credential(
            &format!("certs/{name}-full-chain.cert.pem"),
            &format!("private/{name}.key.pem"),
        )
    };
    let of_itself = |name: &str| {
        inherited.credential(
            &format!("certs/{name}.cert.pem"),
            &format!("private/{name}.key.pem"),
        )
    };
    // A device that never came, by the chain of the group; one that came before; one by its secondary certificate.
    let state = inherited.register(&of_chain("later-1"), "later-1");
    assert_eq!(state["substatus"], "initialAssignment");
    assert_eq!(
        inherited.register(&of_chain("group-1"), "group-1")["deviceId"],
        "group-1"
    );
    assert_eq!(
        inherited.register(&of_itself("self-1"), "self-1")["deviceId"],
        "self-1-of-the-hub"
    );
    // By the key of a group.
    let command = [
        "iot",
        "dps",
        "enrollment-group",
        "show",
        "--enrollment-id",
        "by-key",
        "--show-keys",
    ];
    let group = inherited.json(&command);
    let key = derived_key(
        &text(&group["attestation"]["symmetricKey"]["primaryKey"]),
        "by-key-1",
    );
    let audience = format!("{}/registrations/by-key-1", text(&inherited.expected["idScope"]));
    // The token ends a day after it would today: the server may live in the past, never in the future.
    let header = |token: String| ["--header".to_owned(), format!("Authorization: {token}")];
    let token = header(sas_token(&audience, &key, Some("registration"), 86_400));
    assert_eq!(inherited.register(&token, "by-key-1")["deviceId"], "by-key-1");
    // Devices of each kind send.
    inherited.send(&of_chain("later-1"), "later-1", "new-0");
    inherited.send(&of_chain("group-1"), "group-1", "new-1");
    inherited.send(&of_chain("hub-ca-1"), "hub-ca-1", "new-2");
    inherited.send(&of_itself("hub-self-1"), "hub-self-1", "new-3");
    let show = [
        "iot",
        "hub",
        "device-identity",
        "show",
        "--hub-name",
        "muster-hub",
        "--device-id",
        "by-key",
    ];
    let device = inherited.json(&show);
    let key = text(&device["authentication"]["symmetricKey"]["primaryKey"]);
    let token = header(sas_token(&format!("{HUB}/devices/by-key"), &key, None, 86_400));
    inherited.send(&token, "by-key", "new-4");

    // Behind what was there, and nowhere else; the same after a start.
    for _ in 0..2 {
        let after = inherited.events();
        assert_eq!(after.len(), before.len() + 5);
        assert!(before.iter().all(|event| after.contains(event)));
        for new in after.iter().filter(|event| !before.contains(event)) {
            let height = |event: &&Value| event["partition"] == new["partition"];
            let highest = before
                .iter()
                .filter(height)
                .filter_map(|event| event["sequenceNumber"].as_u64())
                .max();
            assert!(new["sequenceNumber"].as_u64() > highest, "{new}");
            assert!(new["body"].to_string().contains("new-"), "{new}");
        }
        inherited.restart();
    }
}
