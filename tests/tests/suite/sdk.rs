//! The vendor's SDKs, unchanged and at pinned versions, and clients that are nobody's of ours: each over each transport with
//! each kind of credential, against the built binary on the well-known ports of a network of its own.
//!
//! The programs are in `tests/sdk`, one for each library and role; they do as they are told and judge nothing. What is
//! right is said here. `MUSTER_TEST_SDK` runs only the rows whose names hold its text, such as `python-device/mqtt/`.

mod cell;
mod judge;
mod message;
mod place;
mod reader;
mod table;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use cell::{Row, Step, back_end_rows, device_rows};
use judge::Verdict;
use place::Place;
use table::{Ledger, Verdicts};

/// How many rows run beside each other. They wait more than they work.
const BESIDE: usize = 6;

#[test]
fn every_sdk_does_over_every_transport_what_the_page_says() {
    let part = part();
    let chosen = |row: &Row| part.as_deref().is_none_or(|part| row.to_string().contains(part));
    let mut place = Place::new();
    let mut verdicts = Verdicts::new();
    let devices: Vec<Row> = device_rows().into_iter().filter(chosen).collect();
    run(&place, devices.clone().into(), judge::device, &mut verdicts);
    verdicts.extend(judge::outlive(&mut place, &devices));
    // Readers come when there is something to read.
    let (back_ends, without_package): (Vec<Row>, Vec<Row>) = back_end_rows()
        .into_iter()
        .filter(chosen)
        .partition(|row| place.has(row.sdk));
    run(&place, back_ends.into(), judge::back_end, &mut verdicts);
    for row in &without_package {
        println!(
            "sdk {row} is not run: this machine has no package of {}",
            row.sdk.title()
        );
    }

    for ((row, step), verdict) in &verdicts {
        let outcome = if verdict.is_ok() { "ok" } else { "FAILED" };
        println!("sdk {} ... {outcome}", row.cell(*step));
    }
    let ledger = Ledger::read();
    let whole = part.is_none() && without_package.is_empty();
    let mut wrong = ledger.judge(&verdicts, whole);
    if whole {
        let rows = [device_rows(), back_end_rows()].concat();
        wrong.extend(table::compare(&table::page(&rows, &verdicts, &ledger)));
    }
    if !wrong.is_empty() {
        println!("log of the server before its restart:\n{}", place.earlier_log());
    }
    assert!(
        wrong.is_empty(),
        "{} finding(s):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Runs rows beside each other, the steps of each one after another.
fn run(
    place: &Place,
    rows: VecDeque<Row>,
    judge: fn(&Place, Row) -> Vec<(Step, Verdict)>,
    verdicts: &mut Verdicts,
) {
    let (rows, found) = (Mutex::new(rows), Mutex::new(verdicts));
    let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..BESIDE {
            scope.spawn(|| {
                while let Some(row) = next() {
                    let came = judge(place, row);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.extend(came.into_iter().map(|(step, verdict)| ((row, step), verdict)));
                }
            });
        }
    });
}

/// The part of the table that is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs a part of the table says so by the environment"
)]
fn part() -> Option<String> {
    std::env::var("MUSTER_TEST_SDK").ok()
}
