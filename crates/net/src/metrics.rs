//! The metrics of this crate. Labels are closed sets: no address, name or certificate is ever one.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::failures::HandshakeCode;
use crate::peer::{Peer, TlsVersion};

const CONNECTIONS: &str = "muster_net_connections";
const ACCEPTED: &str = "muster_net_accepted_total";
const ACCEPT_ERRORS: &str = "muster_net_accept_errors_total";
const HANDSHAKES: &str = "muster_net_handshakes_total";
const HANDSHAKE_FAILURES: &str = "muster_net_handshake_failures_total";
const HANDSHAKE_SECONDS: &str = "muster_net_handshake_seconds";

/// Tells the installed recorder what the metrics of this crate mean.
pub fn describe_metrics() {
    describe_gauge!(
        CONNECTIONS,
        Unit::Count,
        "Connections that are open, handshakes included"
    );
    describe_counter!(ACCEPTED, Unit::Count, "Connections accepted from the system");
    describe_counter!(
        ACCEPT_ERRORS,
        Unit::Count,
        "Failures of the system to give a waiting connection"
    );
    describe_counter!(
        HANDSHAKES,
        Unit::Count,
        "TLS handshakes that succeeded, by version and resumption"
    );
    describe_counter!(
        HANDSHAKE_FAILURES,
        Unit::Count,
        "Connections that ended before a gateway saw them, by code"
    );
    describe_histogram!(
        HANDSHAKE_SECONDS,
        Unit::Seconds,
        "Time from accept to the end of a successful handshake"
    );
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(());

impl OpenConnection {
    pub(crate) fn count() -> Self {
        counter!(ACCEPTED).increment(1);
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

pub(crate) fn accept_failed() {
    counter!(ACCEPT_ERRORS).increment(1);
}

pub(crate) fn handshake_done(peer: &Peer, took: std::time::Duration) {
    let version = peer.tls_version.map_or("none", TlsVersion::as_str);
    let resumed = if peer.resumed { "true" } else { "false" };
    counter!(HANDSHAKES, "version" => version, "resumed" => resumed).increment(1);
    histogram!(HANDSHAKE_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn handshake_failed(code: HandshakeCode) {
    counter!(HANDSHAKE_FAILURES, "code" => code.as_str()).increment(1);
}
