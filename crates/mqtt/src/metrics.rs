//! What the gateway counts.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Tells the exporter what the names mean.
pub fn describe_metrics() {
    describe_gauge!("muster_mqtt_sessions", "MQTT sessions that are open, by kind");
    describe_counter!(
        "muster_mqtt_connects_total",
        "CONNECT packets by return code; none for connections that were closed without one"
    );
    describe_counter!(
        "muster_mqtt_messages_total",
        "Messages that devices published, by what became of them"
    );
    describe_counter!("muster_mqtt_endings_total", "Ends of MQTT sessions by reason");
}

/// Counts a CONNECT by its return code.
pub(crate) fn connected(code: &'static str) {
    counter!("muster_mqtt_connects_total", "code" => code).increment(1);
}

/// Counts messages that were taken, or acknowledged as durable.
pub(crate) fn messages(outcome: &'static str, count: u64) {
    counter!("muster_mqtt_messages_total", "outcome" => outcome).increment(count);
}

/// Counts the end of a session.
pub(crate) fn ended(reason: &'static str) {
    counter!("muster_mqtt_endings_total", "reason" => reason).increment(1);
}

/// Counts a session for as long as it lives.
pub(crate) struct Open(&'static str);

impl Open {
    pub(crate) fn new(kind: &'static str) -> Self {
        gauge!("muster_mqtt_sessions", "kind" => kind).increment(1.0);
        Self(kind)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!("muster_mqtt_sessions", "kind" => self.0).decrement(1.0);
    }
}
