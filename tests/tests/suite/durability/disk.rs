//! A full disk: nothing is acknowledged that could not be kept, the server stays up, says why, and goes on afterwards.
//!
//! The disk is a small file system in memory, mounted in a private mount namespace: the machine never sees it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use muster_tests::{Curl, Launch, sh};

use super::kill::Promises;
use super::load::{Account, Fleet, Plan};
use crate::ground::Ground;

/// Room for the first segment, what the log leaves alone, and less than another segment beside the filler.
const DISK: &str = "size=288m,mode=700";
const FILLER: usize = 100 << 20;

/// Lays the disk under the two folders that grow, and holds the namespace until its input ends.
const SET_UP: &str = "set -e; mkdir -p \"$1/disk\"; mount -t tmpfs -o \"$2\" tmpfs \"$1/disk\"; \
     for part in log registry; do mkdir -p -m 700 \"$1/disk/$part\" \"$1/data/$part\"; \
     mount --bind \"$1/disk/$part\" \"$1/data/$part\"; done; chmod 700 \"$1/data\"; echo ready; exec cat";

/// A private mount namespace with a small disk, held until dropped.
struct SmallDisk {
    holder: Child,
    root: PathBuf,
}

impl SmallDisk {
    fn new(folder: &Path) -> Self {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", SET_UP, "sh"]).arg(folder).arg(DISK);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare starts");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().expect("its output is piped"))
            .read_line(&mut line)
            .expect("to read its output");
        assert_eq!(line, "ready\n", "the namespace needs root or user namespaces");
        let root = PathBuf::from(format!(
            "/proc/{}/root{}",
            holder.id(),
            folder.join("disk").display()
        ));
        Self { holder, root }
    }

    /// Writes a program into the folder that runs the binary where the disk is seen.
    fn enter(&self, folder: &Path, binary: &Path) -> PathBuf {
        let user = if is_root() {
            ""
        } else {
            "--user --preserve-credentials"
        };
        let script = format!(
            "#!/bin/sh\nexec nsenter --target={} --mount {user} -- '{}' \"$@\"\n",
            self.holder.id(),
            binary.display()
        );
        // By a child, since a file that another test's child inherited for writing could not be executed.
        let line = "printf '%s' \"$SCRIPT\" > entered && chmod 755 entered";
        sh(folder, line, &[("SCRIPT", &script)]).succeeded(line);
        folder.join("entered")
    }

    fn fill(&self, bytes: usize) {
        fs::write(self.root.join("filler"), vec![1; bytes]).expect("to fill the disk");
    }

    fn free(&self) {
        fs::remove_file(self.root.join("filler")).expect("to free the disk");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn ready(ground: &Ground) -> (u16, String) {
    let answer = Curl::new(format!("http://{}/readyz", ground.server().endpoint("metrics"))).send();
    (answer.status, answer.text().to_owned())
}

/// Has two devices send until they are refused, which is when the segment is full.
fn send_until_refused(fleet: &Fleet, ground: &Ground, prefix: &str) -> Account {
    let plan = Plan {
        prefix,
        senders: &[("large-1", 1), ("large-2", 1)],
        publishers: &[],
        registrars: 0,
        padding: 240_000,
        most: 1_000,
    };
    let account = fleet.run(ground, &plan).account();
    assert!(
        account.broken.is_empty(),
        "the server stays up: {:?}",
        account.broken
    );
    assert_eq!(account.refused.len(), 2, "{:?}", account.refused);
    for refused in &account.refused {
        assert!(matches!(refused["status"].as_u64(), Some(429 | 503)), "{refused}");
    }
    let (status, why) = ready(ground);
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("the disk is full"), "{why}");
    account
}

#[test]
fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let mut disk = None;
    let mut program = PathBuf::new();
    let mut ground = Ground::launched(|folder, binary| {
        let small = SmallDisk::new(folder);
        program = small.enter(folder, binary);
        disk = Some(small);
        Launch::new().program(&program)
    });
    let disk = disk.expect("the disk");
    let fleet = Fleet::new(&ground, &["large-1", "large-2", "small-1"]);
    assert_eq!(ready(&ground).0, 200);
    disk.fill(FILLER);

    let mut promises = Promises::default();
    promises.add(send_until_refused(&fleet, &ground, "large"));
    // The registry has the room that the log leaves alone: devices still register, and readers read.
    let load = fleet.run(
        &ground,
        &Plan {
            prefix: "meanwhile",
            senders: &[],
            publishers: &[],
            registrars: 1,
            padding: 0,
            most: 5,
        },
    );
    promises.add(load.account());
    promises.hold_events(&ground);
    promises.hold_registrations(&ground);

    // A full disk does not keep a killed server from starting.
    ground.kill();
    ground.start_by(Launch::new().program(&program));
    promises.hold_events(&ground);
    promises.add(send_until_refused(&fleet, &ground, "more"));

    // With room again, the running server goes on by itself.
    disk.free();
    let mut status = 0;
    for _ in 0..900 {
        status = Fleet::send(&ground, "small-1", "afterwards/small-1/1");
        if status == 204 {
            break;
        }
        assert!(matches!(status, 429 | 503), "{status}");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status, 204, "{}", ready(&ground).1);
    assert_eq!(ready(&ground).0, 200);
    let load = fleet.run(
        &ground,
        &Plan {
            prefix: "later",
            senders: &[("large-1", 1)],
            publishers: &[],
            registrars: 1,
            padding: 1_000,
            most: 20,
        },
    );
    let account = load.account();
    assert!(account.refused.is_empty(), "{:?}", account.refused);
    promises.add(account);
    ground.stop();
    ground.start_by(Launch::new().program(&program));
    promises.hold_events(&ground);
    promises.hold_registrations(&ground);
    ground.stop();
}
