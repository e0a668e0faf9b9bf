//! What the bus measures. No label is open-ended: neither hub nor device is one.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const BATCHES: &str = "muster_log_batch_records";
const BATCH_BYTES: &str = "muster_log_batch_bytes";
const BYTES: &str = "muster_log_written_bytes_total";
const DISK_FULL: &str = "muster_log_disk_full_total";
const POISONED: &str = "muster_log_poisoned";
const RECORDS: &str = "muster_log_records_total";
const REFUSED: &str = "muster_log_refused_total";
const SWEPT: &str = "muster_log_swept_bytes_total";
const SYNC: &str = "muster_log_sync_seconds";
const TORN: &str = "muster_log_torn_tails_total";

/// Describes every metric of the bus to the recorder that is installed.
pub fn describe() {
    describe_histogram!(BATCHES, Unit::Count, "Records of one commit of the event log.");
    describe_histogram!(BATCH_BYTES, Unit::Bytes, "Bytes of one commit of the event log.");
    describe_counter!(BYTES, Unit::Bytes, "Bytes committed to the event log.");
    describe_counter!(
        DISK_FULL,
        Unit::Count,
        "Commits refused because the disk had no room for a segment."
    );
    describe_gauge!(
        POISONED,
        Unit::Count,
        "1 after a failed write or sync ended writing, else 0."
    );
    describe_counter!(RECORDS, Unit::Count, "Records committed to the event log.");
    describe_counter!(REFUSED, Unit::Count, "Events refused, by reason.");
    describe_counter!(SWEPT, Unit::Bytes, "Bytes given back by retention.");
    describe_histogram!(SYNC, Unit::Seconds, "Duration of one sync of the event log.");
    describe_counter!(
        TORN,
        Unit::Count,
        "Starts that cut a torn tail off the event log."
    );
}

pub(crate) fn committed(records: u32, bytes: usize, sync: Duration) {
    histogram!(BATCHES).record(records);
    // Exact up to 2^53; a batch is far smaller.
    #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^53 bytes")]
    histogram!(BATCH_BYTES).record(bytes as f64);
    histogram!(SYNC).record(sync);
    counter!(RECORDS).increment(u64::from(records));
    counter!(BYTES).increment(bytes as u64);
}

pub(crate) fn disk_full() {
    counter!(DISK_FULL).increment(1);
}

pub(crate) fn poisoned(poisoned: bool) {
    gauge!(POISONED).set(if poisoned { 1.0 } else { 0.0 });
}

pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn swept(bytes: u64) {
    counter!(SWEPT).increment(bytes);
}

pub(crate) fn torn_tail() {
    counter!(TORN).increment(1);
}
