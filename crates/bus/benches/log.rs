//! How far the log is from the disk under it: records per second against one file that takes the same bytes.
//!
//! Each row is measured beside its primitive, a write and a `fdatasync` of the same number of bytes to one
//! preallocated file, in the same run and on the same disk. `outstanding` is how many records wait for their
//! acknowledgement at once; the primitive writes that many per sync. The two take turns, and the best of three
//! turns counts, so that a busy machine disturbs the ratio little. Takes about twenty seconds.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_bus::log::{From, Incarnation, Log, Options, PartitionKey, RealDisk, Record, Refused, Watermark};
use rustix::fs::{FallocateFlags, fallocate};

const PAYLOAD: [u8; 320] = [0x5a; 320];
/// Bytes that a record of the bench takes in a batch.
const STORED: usize = 48 + 8 + PAYLOAD.len();
const SPAN: Duration = Duration::from_millis(600);
const ROUNDS: usize = 3;
const PARTITIONS: u16 = 4;

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!(
        "records of {} bytes ({STORED} stored), best of {ROUNDS} turns",
        PAYLOAD.len()
    );
    println!(
        "{:>12} {:>14} {:>14} {:>8} {:>10}",
        "outstanding", "log /s", "primitive /s", "ratio", "per commit"
    );
    for outstanding in [1, 128, 1_024, 4_096] {
        let (mut primitive, mut log, mut per_commit) = (0.0_f64, 0.0, 0.0);
        for round in 0..ROUNDS {
            primitive = primitive.max(write_and_sync(&directory.path().join("primitive"), outstanding));
            let (rate, commits) = append(
                &directory.path().join(format!("log-{outstanding}-{round}")),
                outstanding,
            );
            if rate > log {
                (log, per_commit) = (rate, rate * SPAN.as_secs_f64() / commits);
            }
        }
        let ratio = log / primitive;
        println!("{outstanding:>12} {log:>14.0} {primitive:>14.0} {ratio:>8.2} {per_commit:>10.1}");
    }
    open_and_read(&directory.path().join("log-4096-0"));
}

fn options() -> Options {
    Options::new(Incarnation::from(1))
}

/// Appends for the span with a number of records unacknowledged; returns records per second and commits.
fn append(path: &std::path::Path, outstanding: u64) -> (f64, f64) {
    let disk = Arc::new(RealDisk::open(path).unwrap());
    let log = Log::create(disk, options(), 0).unwrap();
    let watermark = Watermark::new();
    let record = Record {
        received: 1,
        targets: &[0; 8],
        payload: &PAYLOAD,
    };
    let begun = Instant::now();
    let mut ticket = 0;
    while begun.elapsed() < SPAN {
        // A burst, as a gateway that read many packets submits it.
        for _ in 0..outstanding.div_ceil(2) {
            let partition = u16::try_from(ticket % u64::from(PARTITIONS)).unwrap();
            while log.append(
                PartitionKey { hub: 1, partition },
                &record,
                &watermark,
                ticket + 1,
            ) == Err(Refused::Full)
            {
                watermark.wait(ticket).unwrap();
            }
            ticket += 1;
        }
        watermark.wait(ticket.saturating_sub(outstanding / 2)).unwrap();
    }
    watermark.wait(ticket).unwrap();
    let rate = ticket as f64 / begun.elapsed().as_secs_f64();
    let commits = *log.watch().borrow();
    (rate, commits as f64)
}

/// Writes and syncs the same bytes to one preallocated file; returns records per second.
fn write_and_sync(path: &std::path::Path, outstanding: u64) -> f64 {
    const LENGTH: u64 = 64 << 20;
    let file = File::create(path).unwrap();
    let chunk = vec![0x5a; usize::try_from(outstanding).unwrap() * STORED];
    let (mut offset, mut syncs) = (LENGTH, 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < SPAN {
        if offset + chunk.len() as u64 > LENGTH {
            // A fresh file, as a log begins a fresh segment.
            file.set_len(0).unwrap();
            fallocate(&file, FallocateFlags::empty(), 0, LENGTH).unwrap();
            file.sync_all().unwrap();
            offset = 0;
        }
        file.write_all_at(&chunk, offset).unwrap();
        file.sync_data().unwrap();
        offset += chunk.len() as u64;
        syncs += 1;
    }
    (syncs * outstanding) as f64 / begun.elapsed().as_secs_f64()
}

/// Opens the log that the last row left and reads one partition of it, a thousand records at a time.
fn open_and_read(path: &std::path::Path) {
    let disk = Arc::new(RealDisk::open(path).unwrap());
    let begun = Instant::now();
    let (log, recovery) = Log::open(disk, options()).unwrap();
    let opened = begun.elapsed();
    println!(
        "open: {:.1} ms with {} segments, {} events in the newest",
        opened.as_secs_f64() * 1_000.0,
        recovery.segments,
        recovery.events_read
    );
    let begun = Instant::now();
    let (mut position, mut count) = (0, 0_u64);
    while begun.elapsed() < SPAN {
        let key = PartitionKey { hub: 1, partition: 0 };
        let records = log.read(key, From::At(position), 1_000, usize::MAX).unwrap();
        let Some(last) = records.last() else { break };
        position = last.position + 1;
        count += records.len() as u64;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("read: {rate:.0} records/s of one partition of {PARTITIONS}, 1,000 at a time");
}
