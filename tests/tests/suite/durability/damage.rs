//! Damaged log files on a real data directory: a torn tail is cut and said so, damage before a whole batch stops the start
//! until a repair that throws nothing away.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::load::Fleet;
use crate::ground::{Ground, copy};

const MESSAGES: usize = 12;

/// A data directory whose server was killed after it had acknowledged some messages, each in a batch of its own.
struct Killed {
    ground: Ground,
    kept: PathBuf,
}

impl Killed {
    fn new() -> Self {
        let mut ground = Ground::new();
        Fleet::new(&ground, &["device-1"]);
        for number in 0..MESSAGES {
            assert_eq!(Fleet::send(&ground, "device-1", &name(number)), 204);
        }
        ground.kill();
        let kept = ground.folder().join("kept");
        ground.copy_data(&kept);
        Self { ground, kept }
    }

    /// Puts the data back as the killed server left it.
    fn again(&self) {
        fs::remove_dir_all(self.ground.data()).expect("to remove the data");
        copy(&self.kept, self.ground.data());
    }

    fn newest(&self) -> PathBuf {
        segments(self.ground.data()).pop().expect("a segment")
    }

    fn ids(&self) -> Vec<String> {
        let events = self.ground.events();
        events.iter().map(|event| event.id().to_owned()).collect()
    }
}

fn name(number: usize) -> String {
    format!("message-number-{number:03}")
}

fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(name).collect()
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(data.join("log"))
        .expect("the log's folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Does to a segment file what an interrupted write may leave.
type Tear = fn(&Path);

/// Where the last byte stands that is not zero.
fn last_byte(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("the segment");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
    last as u64
}

/// Turns every bit of a byte.
fn garble(path: &Path, offset: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&byte.map(|byte| !byte), offset)
        .expect("to write a byte");
}

#[test]
fn a_torn_tail_is_cut_and_said_so() {
    let mut killed = Killed::new();
    let tears: [(&str, Tear); 3] = [
        ("truncated", |path| {
            let file = OpenOptions::new().write(true).open(path).expect("the segment");
            file.set_len(last_byte(path) - 5).expect("to truncate");
        }),
        ("garbled", |path| garble(path, last_byte(path) - 3)),
        ("half zeroed", |path| {
            let file = OpenOptions::new().write(true).open(path).expect("the segment");
            file.write_all_at(&[0; 40], last_byte(path) - 39)
                .expect("to write zeros");
        }),
    ];
    for (how, tear) in tears {
        killed.again();
        tear(&killed.newest());
        killed.ground.start();
        let log = killed.ground.story();
        assert!(log.contains("it was cut"), "{how}: {log}");
        assert!(log.contains("of segment 1"), "{how}: {log}");
        assert_eq!(killed.ids(), names(0..MESSAGES - 1), "{how}");
        let last = killed.ground.events().pop().expect("an event");
        assert_eq!(Fleet::send(&killed.ground, "device-1", "after"), 204, "{how}");
        let after = killed.ground.events().pop().expect("an event");
        assert_eq!(after.id(), "after", "{how}");
        // What stood in the torn batch may have been seen by nobody, yet no position is given out twice.
        assert!(after.position > last.position + 1, "{how}");
        // The cut is told once.
        killed.ground.kill();
        killed.ground.start();
        assert!(!killed.ground.story().contains("it was cut"), "{how}");
        let expected = [names(0..MESSAGES - 1), vec!["after".to_owned()]].concat();
        assert_eq!(killed.ids(), expected, "{how}");
        killed.ground.kill();
    }
}

#[test]
fn damage_before_a_whole_batch_stops_the_start_until_it_is_repaired() {
    let mut killed = Killed::new();
    let segment = killed.newest();
    let bytes = fs::read(&segment).expect("the segment");
    let marker = name(4);
    let place = bytes
        .windows(marker.len())
        .position(|window| window == marker.as_bytes())
        .expect("the message as it was sent");
    garble(&segment, place as u64);
    let damaged = fs::read(&segment).expect("the segment");

    let said = killed.ground.refused_start();
    assert!(said.contains("segment 1 is damaged"), "{said}");
    assert!(said.contains("`muster log inspect`"), "{said}");
    let inspected = killed.ground.muster(&["log", "inspect"]);
    assert_eq!(inspected.code, Some(1), "{inspected:?}");
    assert!(inspected.stdout.contains("damaged at offset"), "{inspected:?}");
    assert!(inspected.stderr.contains("`muster log repair`"), "{inspected:?}");
    // Neither the refused start nor the look has touched it.
    assert_eq!(fs::read(&segment).expect("the segment"), damaged);

    killed.ground.ok(&["log", "repair"]);
    killed.ground.ok(&["log", "inspect"]);
    let kept_aside = fs::read_dir(killed.ground.data().join("log"))
        .expect("the log's folder")
        .map(|entry| entry.expect("an entry").path())
        .any(|path| fs::read(path).is_ok_and(|bytes| bytes == damaged));
    assert!(kept_aside, "the damaged file is still there");
    killed.ground.start();
    let rest: Vec<usize> = (0..MESSAGES).filter(|number| *number != 4).collect();
    assert_eq!(killed.ids(), names(rest.iter().copied()));
    let last = killed.ground.events().pop().expect("an event");
    assert_eq!(Fleet::send(&killed.ground, "device-1", "after"), 204);
    let after = killed.ground.events().pop().expect("an event");
    assert!(after.position > last.position);
    killed.ground.stop();
}

#[test]
fn a_log_that_is_gone_is_not_begun_again() {
    let mut killed = Killed::new();
    fs::remove_file(killed.newest()).expect("to remove the segment");
    let said = killed.ground.refused_start();
    assert!(said.contains("no log segment was found"), "{said}");
    killed.again();
    killed.ground.start();
    assert_eq!(killed.ids(), names(0..MESSAGES));
}
