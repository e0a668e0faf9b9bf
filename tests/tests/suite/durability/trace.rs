//! The order of system calls: the sync that covers a record stands between its write and the answer that acknowledges it.
//!
//! Answers are encrypted, so one is known by its place: on an otherwise idle server, it is the first write to the socket
//! from which the request was read. The checker is shown to object, too: to its own traces without
//! the syncs, and to a server whose calls to sync are taken out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use muster_tests::{Launch, sh, tool};
use serde_json::{Value, json};

use super::load::Fleet;
use crate::ground::{GLOBAL, Ground, HUB, document, run};

const READS: &[&str] = &["read", "readv", "recvfrom", "recvmsg"];
const WRITES: &[&str] = &[
    "pwrite64", "pwritev", "pwritev2", "sendmsg", "sendto", "write", "writev",
];
const SYNCS: &[&str] = &["fdatasync", "fsync"];
const CALLER: &str = include_str!("caller.py");

/// A system call on a file: where its lines stand in the trace, and what it was.
#[derive(Clone, Debug)]
struct Call<'a> {
    begun: usize,
    ended: usize,
    name: &'a str,
    /// The path, or what stands for the socket.
    file: &'a str,
    /// Everything that was written or read, as the tracer prints it.
    text: String,
    result: i64,
}

/// What a trace lacks.
#[derive(Debug, Eq, PartialEq)]
enum Violation {
    /// The record was never written before an answer.
    NoWrite,
    /// No answer follows.
    NoAnswer,
    /// This many writes of the record had no sync behind them when the answer was written.
    Unsynced(usize),
}

/// Reads a trace; calls that another thread interrupted are put together again.
fn parse(trace: &str) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    let mut open: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
    for (place, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((_, rest)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            let name = begun.split('(').next().unwrap_or_default();
            open.insert((thread, name), (place, begun));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((name, end)) = resumed.split_once(" resumed>") else {
                continue;
            };
            if let Some((begun, start)) = open.remove(&(thread, name)) {
                calls.extend(call(begun, place, start, end));
            }
        } else {
            calls.extend(call(place, place, rest, ""));
        }
    }
    calls.sort_by_key(|call: &Call<'_>| call.begun);
    calls
}

/// Takes `name(7<file>, "text", …) = result` apart; `start` and `end` are its two halves.
fn call<'a>(begun: usize, ended: usize, start: &'a str, end: &str) -> Option<Call<'a>> {
    let (name, arguments) = start.split_once('(')?;
    let (_, named) = arguments.split_once('<')?;
    // `->` stands in the names of connections.
    let close = named
        .match_indices('>')
        .find(|(at, _)| !named.get(..*at).is_some_and(|before| before.ends_with('-')))
        .map(|(at, _)| at)?;
    let text = format!("{start}{end}");
    let (_, result) = text.rsplit_once(" = ")?;
    let result = result.split(' ').next()?.parse().ok()?;
    Some(Call {
        begun,
        ended,
        name,
        file: named.get(..close)?,
        text,
        result,
    })
}

/// Holds a trace against the promise: what carries `marker` into a file whose path ends in `ending` is synced before the
/// request is answered that brought it.
fn check(trace: &str, marker: &str, ending: &str) -> Result<(), Violation> {
    let calls = parse(trace);
    let is_socket = |call: &Call<'_>| !call.file.starts_with('/') && !call.file.starts_with("anon");
    let is = |call: &Call<'_>, names: &[&str]| names.contains(&call.name);
    let record = |call: &&Call<'_>| {
        is(call, WRITES) && call.file.ends_with(ending) && call.text.contains(marker) && call.result > 0
    };
    let first = calls.iter().find(record).ok_or(Violation::NoWrite)?;
    let request = calls
        .iter()
        .filter(|call| is(call, READS) && is_socket(call) && call.result > 0 && call.ended < first.begun)
        .max_by_key(|call| call.ended)
        .ok_or(Violation::NoAnswer)?;
    let answer = calls
        .iter()
        .find(|call| is(call, WRITES) && call.file == request.file && call.begun > request.ended)
        .ok_or(Violation::NoAnswer)?;
    if answer.begun < first.begun {
        return Err(Violation::NoWrite);
    }
    let synced = |write: &Call<'_>| {
        calls.iter().any(|call| {
            is(call, SYNCS)
                && call.file == write.file
                && call.result == 0
                && call.begun > write.ended
                && call.ended < answer.begun
        })
    };
    let written = calls
        .iter()
        .filter(record)
        .filter(|write| write.begun < answer.begun);
    match written.filter(|write| !synced(write)).count() {
        0 => Ok(()),
        unsynced => Err(Violation::Unsynced(unsynced)),
    }
}

/// The trace of a server that forgot to sync: every sync of a file is taken out.
fn without_syncs(trace: &str) -> String {
    let others = trace.lines().filter(|line| !is_sync(line));
    others.collect::<Vec<_>>().join("\n")
}

fn is_sync(line: &str) -> bool {
    SYNCS.iter().any(|name| line.contains(name))
}

/// The trace of a server that answers first: each sync moves to the end.
fn with_late_syncs(trace: &str) -> String {
    let (late, early): (Vec<&str>, Vec<&str>) = trace.lines().partition(|line| is_sync(line));
    [early, late].concat().join("\n")
}

/// Starts a tracer with the server as the child of this process, so that signals reach the server itself.
fn tracer(ground: &Ground, output: &Path) -> PathBuf {
    let calls = [READS, WRITES, SYNCS].concat().join(",");
    let script = format!(
        "#!/bin/sh\nexec strace -D -f -ttt -yy -s 8192 -e signal=none -e trace={calls} -o '{}' '{}' \"$@\"\n",
        output.display(),
        ground.binary().display()
    );
    // By a child, since a file that another test's child inherited for writing could not be executed.
    let line = "printf '%s' \"$SCRIPT\" > traced && chmod 755 traced";
    sh(ground.folder(), line, &[("SCRIPT", &script)]).succeeded(line);
    ground.folder().join("traced")
}

/// Reads the trace once it has ended with the server.
fn finished(path: &Path) -> String {
    for _ in 0..2_000 {
        let trace = fs::read_to_string(path).unwrap_or_default();
        if trace.trim_end().ends_with("+++ exited with 0 +++") {
            return trace;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the trace in {} does not end", path.display());
}

/// Traces a server that takes one message over HTTPS, one over MQTT, and one registration, with these variables in its environment.
fn trace(variables: &[(&str, &Path)]) -> String {
    let mut ground = Ground::new();
    let fleet = Fleet::new(&ground, &["device-1"]);
    // One that is not registered yet: its registration is traced.
    ground.ok(&["cert", "device", "--key", "p256", "device-2"]);
    ground.stop();
    let output = ground.folder().join("trace");
    let launch = Launch::new().program(tracer(&ground, &output));
    let launch = variables.iter().fold(launch, |launch, (name, path)| {
        launch.variable(name, &path.display().to_string())
    });
    ground.start_by(launch);
    let ask = |device: &str, host: &str, method: &str, path: String, body: Value, status: u16| {
        let (certificate, key) = ground.credential(device);
        let address = match method {
            "PUBLISH" => ground.server().endpoint("mqtt"),
            _ => ground.server().https(),
        };
        let plan = json!({
            "address": [address.ip(), address.port()],
            "root": ground.server().root(),
            "host": host,
            "certificate": certificate,
            "key": key,
            "method": method,
            "path": path,
            "body": body.to_string(),
            "status": status,
        });
        let file = document(ground.folder(), &format!("caller-{device}.json"), &plan);
        let mut command = tool("python3");
        command.args(["-c", CALLER]).arg(file);
        run(&mut command).succeeded("the call");
    };
    ask(
        "device-1",
        HUB,
        "POST",
        "/devices/device-1/messages/events?api-version=2021-04-12".into(),
        json!({"id": "a-traced-message"}),
        204,
    );
    ask(
        "device-1",
        HUB,
        "PUBLISH",
        "device-1".into(),
        json!({"id": "a-published-message"}),
        0,
    );
    ask(
        "device-2",
        GLOBAL,
        "PUT",
        format!(
            "/{}/registrations/device-2/register?api-version=2021-06-01",
            fleet.scope
        ),
        json!({"registrationId": "device-2"}),
        202,
    );
    ground.stop();
    finished(&output)
}

/// What is traced: what stands in the record, and how the name of its file ends.
const TRACED: [(&str, &str); 3] = [
    ("a-traced-message", ".seg"),
    ("a-published-message", ".seg"),
    ("device-2", "/registry/registry.db-wal"),
];

#[test]
fn a_sync_stands_between_a_record_and_the_answer_that_acknowledges_it() {
    let trace = trace(&[]);
    for (marker, ending) in TRACED {
        assert_eq!(check(&trace, marker, ending), Ok(()), "{marker}");
        for doctored in [without_syncs(&trace), with_late_syncs(&trace)] {
            let found = check(&doctored, marker, ending);
            assert!(
                matches!(found, Err(Violation::Unsynced(_))),
                "{marker}: {found:?}"
            );
        }
    }
}

/// Stands in for the system's calls, and does nothing.
const NO_SYNC: &str = "int fdatasync(int f) { return f < 0; }\nint fsync(int f) { return f < 0; }\n";

#[test]
fn a_server_whose_syncs_are_taken_out_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("no-sync.so");
    fs::write(folder.path().join("no-sync.c"), NO_SYNC).expect("to write the library");
    let mut compile = tool("cc");
    compile
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg("no-sync.c");
    run(compile.current_dir(folder.path())).succeeded("cc");
    let trace = trace(&[("LD_PRELOAD", &library)]);
    for (marker, ending) in TRACED {
        let found = check(&trace, marker, ending);
        assert!(
            matches!(found, Err(Violation::Unsynced(_))),
            "{marker}: {found:?}"
        );
    }
}

/// A trace of one message, as the tracer writes it: thread, time, call.
const GOOD: &str = r#"7 1.00 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\27\3", 4096, 0, NULL, NULL) = 120
8 1.01 pwrite64(5</d/log/1.seg>, "MBAT...the-message...", 160, 4096) = 160
8 1.02 fdatasync(5</d/log/1.seg> <unfinished ...>
7 1.03 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0x7f, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
8 1.04 <... fdatasync resumed>) = 0
7 1.05 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\27\3", 90, MSG_NOSIGNAL, NULL, 0) = 90
"#;

#[test]
fn the_checker_accepts_a_sync_in_time_and_objects_to_every_other_order() {
    let marker = "the-message";
    assert_eq!(check(GOOD, marker, ".seg"), Ok(()));
    assert_eq!(
        check(&without_syncs(GOOD), marker, ".seg"),
        Err(Violation::Unsynced(1))
    );
    assert_eq!(
        check(&with_late_syncs(GOOD), marker, ".seg"),
        Err(Violation::Unsynced(1))
    );
    // A sync of another file, one that failed, one that begins before the write and one that ends after the answer.
    let other = GOOD.replace("fdatasync(5</d/log/1.seg>", "fdatasync(6</d/log/2.seg>");
    let failed = GOOD.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)");
    let lines: Vec<&str> = GOOD.lines().collect();
    let order = |places: [usize; 6]| {
        let lines: Vec<&str> = places
            .iter()
            .filter_map(|place| lines.get(*place).copied())
            .collect();
        lines.join("\n")
    };
    for trace in [
        other,
        failed,
        order([0, 2, 1, 3, 4, 5]),
        order([0, 1, 2, 3, 5, 4]),
    ] {
        assert_eq!(
            check(&trace, marker, ".seg"),
            Err(Violation::Unsynced(1)),
            "{trace}"
        );
    }
    assert_eq!(
        check(&order([0, 5, 1, 2, 3, 4]), marker, ".seg"),
        Err(Violation::NoWrite)
    );
    assert_eq!(check(GOOD, "another", ".seg"), Err(Violation::NoWrite));
}
