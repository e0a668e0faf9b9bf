//! The metrics of this crate, each with its help text.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const BATCH: &str = "muster_store_batch_units";
const COMMIT: &str = "muster_store_commit_seconds";
const FAILED: &str = "muster_store_commits_failed_total";
const PARTIAL: &str = "muster_store_checkpoints_partial_total";
const QUEUE: &str = "muster_store_queue_units";
const REFUSALS_LOST: &str = "muster_store_refusals_lost_total";
const REFUSED: &str = "muster_store_writes_refused_total";

/// Tells the recorder what the metrics of this crate mean. Call once, after a recorder is installed.
pub fn describe() {
    describe_histogram!(
        BATCH,
        Unit::Count,
        "Units of work that one commit of the registry covered"
    );
    describe_histogram!(
        COMMIT,
        Unit::Seconds,
        "Time from the start of a batch to the end of its commit"
    );
    describe_counter!(
        FAILED,
        Unit::Count,
        "Commits of the registry that failed; their outcome is unknown"
    );
    describe_counter!(
        PARTIAL,
        Unit::Count,
        "Checkpoints that readers kept from copying the whole write-ahead log"
    );
    describe_gauge!(
        QUEUE,
        Unit::Count,
        "Units of work that wait for the writer of the registry"
    );
    describe_counter!(
        REFUSALS_LOST,
        Unit::Count,
        "Explained refusals that were dropped to stay within the bounds, or could not be kept"
    );
    describe_counter!(REFUSED, Unit::Count, "Writes refused because too many wait");
}

pub(crate) fn queued() {
    gauge!(QUEUE).increment(1.0);
}

pub(crate) fn refused() {
    counter!(REFUSED).increment(1);
}

pub(crate) fn batch(units: usize, took: Duration) {
    let units = u32::try_from(units).map_or(f64::from(u32::MAX), f64::from);
    gauge!(QUEUE).decrement(units);
    histogram!(BATCH).record(units);
    histogram!(COMMIT).record(took.as_secs_f64());
}

pub(crate) fn commit_failed() {
    counter!(FAILED).increment(1);
}

pub(crate) fn checkpoint_partial() {
    counter!(PARTIAL).increment(1);
}

pub(crate) fn refusals_lost(count: u64) {
    counter!(REFUSALS_LOST).increment(count);
}
