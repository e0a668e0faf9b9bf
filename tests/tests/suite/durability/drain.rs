//! `SIGTERM`: open requests are answered, nothing acknowledged is lost, and the server ends with 0.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use muster_tests::tool;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::kill::Promises;
use super::load::{Fleet, Plan};
use crate::ground::{Ground, HUB, document};

const PATIENT: &str = include_str!("patient.py");

#[test]
fn a_drain_under_load_loses_nothing_acknowledged() {
    let mut ground = Ground::new();
    let fleet = Fleet::new(&ground, &["single-1", "batch-1", "mqtt-1"]);
    let mut promises = Promises::default();
    for round in 0..2 {
        let load = fleet.run(
            &ground,
            &Plan {
                prefix: &format!("run{round}"),
                senders: &[("single-1", 1), ("batch-1", 3)],
                publishers: &["mqtt-1"],
                registrars: 2,
                padding: 100,
                most: 100_000,
            },
        );
        thread::sleep(Duration::from_millis(300));
        ground.stop();
        let account = load.account();
        assert!(account.refused.is_empty(), "{:?}", account.refused);
        promises.add(account);
        ground.start();
        promises.hold_events(&ground);
        promises.hold_registrations(&ground);
    }
    let (sent, answered) = promises.figures();
    assert!(
        sent >= 8 && answered >= 4,
        "{sent} messages, {answered} registrations"
    );
}

#[test]
fn a_drain_answers_what_is_open_and_ends_those_who_follow() {
    let mut ground = Ground::new();
    Fleet::new(&ground, &["device-1"]);
    assert_eq!(Fleet::send(&ground, "device-1", "before"), 204);
    let mut follower = tool("curl")
        .args([
            "--disable",
            "--silent",
            "--show-error",
            "--no-buffer",
            "--http1.1",
            "--cacert",
        ])
        .arg(ground.server().root())
        .arg("--connect-to")
        .arg(format!("::{}", ground.server().https()))
        .arg("--header")
        .arg(format!(
            "Authorization: Bearer {}",
            ground.server().operator_token()
        ))
        .arg("https://localhost/muster/hubs/muster-hub/events?from=earliest&follow")
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a first event");
    assert!(line.contains("before"), "{line}");

    let (certificate, key) = ground.credential("device-1");
    let address = ground.server().https();
    let plan = json!({
        "address": [address.ip(), address.port()],
        "root": ground.server().root(),
        "host": HUB,
        "certificate": certificate,
        "key": key,
        "path": "/devices/device-1/messages/events?api-version=2021-04-12",
        "body": json!({"id": "during"}).to_string(),
    });
    let plan = document(ground.folder(), "patient.json", &plan);
    let mut patient = tool("python3")
        .args(["-c", PATIENT])
        .arg(plan)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut said = BufReader::new(patient.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("to read its output");
    assert_eq!(line, "open\n");

    let pid = i32::try_from(ground.server().pid())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, Signal::TERM).expect("to send the signal");
    // Nobody new is let in from some moment on: the drain is under way.
    for _ in 0..6_000 {
        if TcpStream::connect(address).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(TcpStream::connect(address).is_err(), "{}", ground.server().log());
    let mut input = patient.stdin.take().expect("its input is piped");
    input.write_all(b"go on\n").expect("to tell it");
    let mut answer = String::new();
    said.read_to_string(&mut answer).expect("to read its output");
    assert_eq!(answer, "[\"204\", false]\n");
    assert!(patient.wait().is_ok_and(|status| status.success()));
    ground.stop();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("to read its output");
    let ended = follower.wait().expect("to wait for curl");
    assert!(ended.success(), "the follower saw a broken answer: {ended}");

    ground.start();
    let ids: Vec<String> = ground
        .events()
        .iter()
        .map(|event| event.id().to_owned())
        .collect();
    assert_eq!(ids, ["before", "during"]);
}
