//! The metrics of this crate. Label sets are closed enums; no name of a hub or a device is ever a label.

use metrics::{counter, describe_counter};
use muster_model::ReasonCode;
use muster_model::refusal::Protocol;

const REFUSALS: &str = "muster_refusals_total";
const UNEXPLAINED: &str = "muster_refusals_unexplained_total";

/// Declares the metrics with their help texts; called once by the binary.
pub fn describe() {
    describe_counter!(
        REFUSALS,
        "Attempts that were refused, by reason code and protocol."
    );
    describe_counter!(
        UNEXPLAINED,
        "Refused attempts of which no explained record was made, because too many came at once."
    );
}

pub(crate) fn refused(reason: ReasonCode, protocol: Protocol) {
    counter!(REFUSALS, "reason" => reason.as_str(), "protocol" => protocol.as_str()).increment(1);
}

pub(crate) fn unexplained(count: u64) {
    counter!(UNEXPLAINED).increment(count);
}
