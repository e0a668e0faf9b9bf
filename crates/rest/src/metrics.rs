//! What the gateway counts.

use std::time::Duration;

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

/// Counts an answer.
pub(crate) fn answered(surface: Option<Surface>, status: u16, took: Duration) {
    let surface = match surface {
        Some(Surface::Arm) => "arm",
        Some(Surface::DpsDevice) => "dps_device",
        Some(Surface::DpsService) => "dps_service",
        Some(Surface::HubDevice) => "hub_device",
        Some(Surface::HubService) => "hub_service",
        Some(Surface::Own) => "own",
        Some(Surface::Public) => "public",
        None => "none",
    };
    let class = match status {
        ..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500.. => "5xx",
    };
    metrics::counter!("muster_http_requests_total", "surface" => surface, "class" => class).increment(1);
    metrics::histogram!("muster_http_request_seconds", "surface" => surface).record(took.as_secs_f64());
}
