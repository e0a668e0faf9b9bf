//! What a simulation counts, shared by all its devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_client::Error;
use serde_json::{Value, json};

/// Reasons that are told apart; further ones are counted together.
const MAX_REASONS: usize = 32;

/// What reasons beyond [`MAX_REASONS`] are counted as.
const OTHERS: &str = "others";

/// Everything that is counted. Moments are microseconds since the simulation began.
#[derive(Default)]
pub(super) struct Figures {
    connected: AtomicU64,
    last_connected: AtomicU64,
    reconnected: AtomicU64,
    sent: AtomicU64,
    first_sent: AtomicU64,
    acknowledged: AtomicU64,
    last_acknowledged: AtomicU64,
    latency: Latency,
    failures: Reasons,
    interruptions: Reasons,
    hubs: Mutex<BTreeSet<String>>,
    first_error: Mutex<Option<Error>>,
}

/// What is known once all is over.
pub(super) struct Total {
    /// How long it took.
    pub(super) time: Duration,
    /// Devices and messages that were wanted.
    pub(super) devices: u64,
    pub(super) messages: u64,
    /// Whether it was ended before its time.
    pub(super) interrupted: bool,
}

impl Figures {
    /// A device is connected for the first time.
    pub(super) fn connected(&self, at: Duration, hub: &str) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.last_connected.fetch_max(micros(at), Ordering::Relaxed);
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if !hubs.contains(hub) {
            hubs.insert(hub.to_owned());
        }
    }

    /// A device is connected again.
    pub(super) fn reconnected(&self) {
        self.reconnected.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was sent for the first time.
    pub(super) fn sent(&self, at: Duration) {
        // 0 is nothing yet; the first moment is at least 1.
        if self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_sent.store(micros(at).max(1), Ordering::Relaxed);
        }
    }

    /// A message is the hub's.
    pub(super) fn acknowledged(&self, at: Duration, took: Duration) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.last_acknowledged.fetch_max(micros(at), Ordering::Relaxed);
        self.latency.add(took);
    }

    /// A device was interrupted, and tries again.
    pub(super) fn interrupted(&self, error: &Error) {
        self.interruptions.add(reason(error));
    }

    /// A device, or a message of it, came to nothing.
    pub(super) fn failed(&self, error: Error) {
        self.failures.add(reason(&error));
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    /// Devices that are connected for the first time or were, messages that the hubs have, and those that wait.
    pub(super) fn now(&self) -> (u64, u64, u64) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        (
            self.connected.load(Ordering::Relaxed),
            acknowledged,
            sent.saturating_sub(acknowledged),
        )
    }

    /// The largest latency of so many in a thousand, in milliseconds.
    pub(super) fn latency(&self, of_thousand: u64) -> f64 {
        self.latency.quantile(of_thousand)
    }

    /// The error that came first.
    pub(super) fn take_first_error(&self) -> Option<Error> {
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Messages that came to nothing.
    pub(super) fn lost(&self, total: &Total) -> u64 {
        let wanted = if total.interrupted {
            self.sent.load(Ordering::Relaxed)
        } else {
            total.messages
        };
        wanted.saturating_sub(self.acknowledged.load(Ordering::Relaxed))
    }

    /// The summary, as it is printed.
    pub(super) fn summary(&self, protocol: &str, total: &Total) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (connected, acknowledged) = (read(&self.connected), read(&self.acknowledged));
        let sending = read(&self.last_acknowledged).saturating_sub(read(&self.first_sent));
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "hub": hubs.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            "protocol": protocol,
            "devices": total.devices,
            "connected": connected,
            "connectsPerSecond": per_second(connected, read(&self.last_connected)),
            "reconnects": read(&self.reconnected),
            "sent": read(&self.sent),
            "acknowledged": acknowledged,
            "failed": self.lost(total),
            "messagesPerSecond": per_second(acknowledged, sending),
            "latencyMs": {
                "p50": self.latency(500),
                "p99": self.latency(990),
                "p99.9": self.latency(999),
            },
            "failures": self.failures.to_json(),
            "interruptions": self.interruptions.to_json(),
            "interrupted": total.interrupted,
            "seconds": rounded(total.time.as_secs_f64()),
        })
    }
}

/// How often each reason came.
#[derive(Default)]
struct Reasons(Mutex<BTreeMap<String, u64>>);

impl Reasons {
    fn add(&self, reason: String) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if reasons.len() < MAX_REASONS || reasons.contains_key(&reason) {
            reason
        } else {
            OTHERS.to_owned()
        };
        *reasons.entry(key).or_default() += 1;
    }

    fn to_json(&self) -> Value {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons
            .iter()
            .map(|(reason, count)| (reason.clone(), Value::from(*count)))
            .collect()
    }
}

/// What failures are counted under: the kind of error without names and ids, of which there may be thousands.
fn reason(error: &Error) -> String {
    match error {
        Error::NotAccepted { code, .. } => format!("CONNACK {code}"),
        Error::Refused { status, code, .. } => match code {
            Some(code) => format!("status {status}, {code}"),
            None => format!("status {status}"),
        },
        Error::Connect { source, .. } => format!("connect: {}", source.kind()),
        Error::Tls { detail, .. } => format!("TLS: {detail}"),
        Error::Broken { detail, .. } => format!("broken: {detail}"),
        Error::TimedOut { .. } => "timed out".to_owned(),
        Error::TooLarge { .. } => "answer too large".to_owned(),
        Error::Identity(_) | Error::Target(_) | Error::Unexpected(_) => error.to_string(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_second(count: u64, micros: u64) -> f64 {
    if micros == 0 {
        return 0.0;
    }
    rounded(count as f64 * 1e6 / micros as f64)
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Steps that each doubling of a latency is cut into: what is told is right to 1.6 %.
const STEPS: usize = 64;

/// Doublings beyond the first steps: up to 2^34 microseconds, almost five hours.
const DOUBLINGS: usize = 28;

/// Latencies, counted in buckets whose width grows with what they hold.
struct Latency(Box<[AtomicU64]>);

impl Default for Latency {
    fn default() -> Self {
        Self((0..STEPS * (DOUBLINGS + 1)).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Latency {
    fn add(&self, took: Duration) {
        let place = place(micros(took)).min(self.0.len() - 1);
        if let Some(bucket) = self.0.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The end of the bucket that holds the last of so many in a thousand, in milliseconds; 0 when nothing was counted.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn quantile(&self, of_thousand: u64) -> f64 {
        let counts: Vec<u64> = self.0.iter().map(|one| one.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = total.saturating_mul(of_thousand).div_ceil(1000);
        let mut seen = 0;
        for (place, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return rounded(end(place) as f64 / 1000.0);
            }
        }
        0.0
    }
}

/// The bucket of a number: the first [`STEPS`] have one each, then each doubling has [`STEPS`].
fn place(number: u64) -> usize {
    let steps = STEPS as u64;
    if number < steps {
        return usize::try_from(number).unwrap_or(0);
    }
    let doublings = number.ilog2() - steps.ilog2();
    let step = (number >> doublings) - steps;
    // The first doubling has half of its numbers in the steps before it.
    let whole = u64::from(doublings + 1) * steps + step;
    usize::try_from(whole).unwrap_or(usize::MAX)
}

/// The largest number of a bucket.
fn end(place: usize) -> u64 {
    let (doubling, step) = (place / STEPS, (place % STEPS) as u64);
    match doubling.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS as u64 + step + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_a_bucket_of_about_its_size() {
        for number in (0..5_000).chain([1 << 20, (1 << 33) + 12_345, (1 << 34) - 1]) {
            let place = place(number);
            let end = end(place);
            assert!(end >= number, "{number} behind {end}");
            assert!(end - number <= number / 64, "{number} in a bucket to {end}");
            assert!(place < STEPS * (DOUBLINGS + 1), "{number}");
        }
        assert!(place(u64::MAX) > STEPS * DOUBLINGS);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let latency = Latency::default();
        assert!(latency.quantile(500).abs() < f64::EPSILON);
        for number in 1..=1000 {
            latency.add(Duration::from_micros(number * 10));
        }
        latency.add(Duration::from_hours(100));
        for (of_thousand, about) in [(500, 5.0), (990, 9.9)] {
            let told = latency.quantile(of_thousand);
            assert!((about..about * 1.02).contains(&told), "{told} for {about}");
        }
        assert!(latency.quantile(1000) > 1e6);
    }

    #[test]
    fn reasons_are_bounded_and_name_nobody() {
        let reasons = Reasons::default();
        for number in 0..100 {
            reasons.add(format!("reason {number}"));
        }
        let told = reasons.to_json();
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(MAX_REASONS + 1));
        assert_eq!(told[OTHERS], 100 - MAX_REASONS);
        let refused = Error::NotAccepted {
            host: "h".into(),
            client: "sensor-1".into(),
            code: 5,
        };
        assert_eq!(reason(&refused), "CONNACK 5");
    }

    #[test]
    fn a_summary_tells_what_was_counted() {
        let figures = Figures::default();
        figures.connected(Duration::from_millis(500), "h");
        for _ in 0..2 {
            figures.sent(Duration::from_secs(1));
        }
        figures.acknowledged(Duration::from_secs(2), Duration::from_millis(3));
        let mut total = Total {
            time: Duration::from_secs(3),
            devices: 1,
            messages: 4,
            interrupted: false,
        };
        let summary = figures.summary("mqtt", &total);
        assert_eq!(summary["connectsPerSecond"], 2.0);
        assert_eq!(summary["messagesPerSecond"], 1.0);
        assert_eq!((&summary["sent"], &summary["failed"]), (&2.into(), &3.into()));
        // Whoever ends it early did not lose what was never sent.
        total.interrupted = true;
        assert_eq!(figures.summary("mqtt", &total)["failed"], 1);
    }
}
