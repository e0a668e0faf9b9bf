//! What the gateway counts.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram};

use crate::router::Surface;

/// Says what each metric means, for the exposition.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "muster_http_requests_total",
        "Requests answered, by surface and class of status."
    );
    metrics::describe_histogram!(
        "muster_http_request_seconds",
        metrics::Unit::Seconds,
        "Time from the head of a request to the head of its answer, by surface."
    );
}

/// The metrics of one surface, looked up once: to find one by its labels costs more than to count.
struct Counted {
    classes: [Counter; 5],
    seconds: Histogram,
}

impl Counted {
    fn of(surface: &'static str) -> Self {
        let class = |class: &'static str| metrics::counter!("muster_http_requests_total", "surface" => surface, "class" => class);
        Self {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: metrics::histogram!("muster_http_request_seconds", "surface" => surface),
        }
    }
}

static COUNTED: [OnceLock<Counted>; 8] = [const { OnceLock::new() }; 8];

/// Counts an answer. The recorder of the process must be there before the first one.
pub(crate) fn answered(surface: Option<Surface>, status: u16, took: Duration) {
    let (place, surface) = match surface {
        Some(Surface::Arm) => (0, "arm"),
        Some(Surface::DpsDevice) => (1, "dps_device"),
        Some(Surface::DpsService) => (2, "dps_service"),
        Some(Surface::HubDevice) => (3, "hub_device"),
        Some(Surface::HubService) => (4, "hub_service"),
        Some(Surface::Own) => (5, "own"),
        Some(Surface::Public) => (6, "public"),
        None => (7, "none"),
    };
    let class = match status {
        ..=199 => 0,
        200..=299 => 1,
        300..=399 => 2,
        400..=499 => 3,
        500.. => 4,
    };
    let Some(counted) = COUNTED
        .get(place)
        .map(|counted| counted.get_or_init(|| Counted::of(surface)))
    else {
        return;
    };
    if let Some(counter) = counted.classes.get(class) {
        counter.increment(1);
    }
    counted.seconds.record(took.as_secs_f64());
}
