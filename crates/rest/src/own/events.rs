//! `GET /muster/hubs/{hub}/events?consumerGroup&partition&from[&follow]`: events as one JSON object a line.
//!
//! `from` is `earliest` (the default), `latest`, `after:{position}`, or a time in ISO 8601. With `follow` the answer goes
//! on until either side ends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use muster_hub::{AuthMethod, AuthScope, EventReader, MessageSource, ReadFrom, StoredEvent};
use muster_model::{Clock, ConsumerGroupName, ErrorCode, HubName, Partition, Position};
use muster_net::Drain;
use muster_wire::event::{EventView, Sender};
use tokio::sync::mpsc;

use crate::body::Answer;
use crate::exchange::{Exchange, Outcome};
use crate::hub;
use crate::problem::Problem;
use crate::router::Surface;

/// Events that are read at once.
const READ: usize = 500;

/// Bytes of events that are read at once, about.
const READ_BYTES: usize = 1 << 20;

/// Pieces that wait for a slow reader; then reading waits.
const WAITING: usize = 4;

/// How often the permit of a reader that waits is judged again.
const JUDGED_AGAIN: Duration = Duration::from_secs(30);

/// Reads events.
pub(crate) async fn read(exchange: &mut Exchange<'_>, name: &str) -> Outcome {
    exchange.trail.action = "read events";
    exchange.trail.target = Some(name.to_owned());
    let argument = |message: String| Problem::argument(Surface::Own, message);
    let found = HubName::parse(name)
        .ok()
        .and_then(|name| exchange.backend.directory.hub(&name));
    let hub = found.ok_or_else(|| {
        Problem::new(ErrorCode::ArmResourceNotFound).with_message(format!("There is no hub {name}."))
    })?;
    let permit = hub::permit_at(exchange, &hub)?;
    let group = exchange.query.value("consumerGroup").unwrap_or("$Default");
    let group = ConsumerGroupName::parse(group).map_err(|error| argument(format!("{error}.")))?;
    let partition = match exchange.query.value("partition") {
        None => None,
        Some(text) => Some(
            text.parse::<u16>()
                .map_err(|_| argument("A partition is a number from 0.".into()))?,
        ),
    };
    let from = match exchange.query.value("from") {
        None => ReadFrom::Earliest,
        Some(text) => start(text).ok_or_else(|| {
            argument("\"from\" is earliest, latest, after:{position} or a time in ISO 8601.".into())
        })?,
    };
    let follow = exchange
        .query
        .value("follow")
        .is_some_and(|text| matches!(text, "" | "true" | "1" | "True" | "yes"));
    let reader = exchange
        .backend
        .events
        .open(&permit, &group, partition, from)
        .await
        .map_err(problem)?;
    let (sender, pieces) = mpsc::channel(WAITING);
    let drain = exchange.drain.clone();
    // The task ends when the caller goes, when everything was read, when the hub or the permit
    // goes, or when the server stops.
    let feeding = feed(
        reader,
        sender,
        follow.then(|| drain.clone()),
        Arc::clone(&exchange.backend.clock),
    );
    drop(muster_net::task::spawn(&drain.clone(), async move {
        if drain.bounded(feeding).await.is_none() {
            tracing::debug!("a reader of events was ended by the drain");
        }
    }));
    let mut response = Response::new(Answer::Pieces(pieces));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn problem(error: muster_hub::Error) -> Problem {
    match error {
        muster_hub::Error::ConsumerGroupMissing(name) => Problem::new(ErrorCode::ArmResourceNotFound)
            .with_message(format!("There is no consumer group {name}.")),
        muster_hub::Error::Argument(text) => Problem::argument(Surface::Own, format!("{text}.")),
        muster_hub::Error::Refused(reason) => Problem::new(ErrorCode::ArmForbidden).with_reason(reason),
        other => Problem::from(other),
    }
}

fn start(text: &str) -> Option<ReadFrom> {
    if text.eq_ignore_ascii_case("earliest") {
        return Some(ReadFrom::Earliest);
    }
    if text.eq_ignore_ascii_case("latest") {
        return Some(ReadFrom::Latest);
    }
    if let Some(position) = text.strip_prefix("after:") {
        let position = Position::new(position.parse().ok()?);
        return (position <= Position::MAX).then_some(ReadFrom::After(position));
    }
    muster_wire::time::parse_iso(text).map(ReadFrom::EnqueuedAfter)
}

/// Sends what is there; then, given a drain to follow under, what comes until that begins. The answer is whole either way.
async fn feed(
    mut reader: EventReader,
    sender: mpsc::Sender<Bytes>,
    follow: Option<Drain>,
    clock: Arc<dyn Clock>,
) {
    loop {
        if follow.as_ref().is_some_and(Drain::has_begun) {
            return;
        }
        if !reader.is_permitted(clock.wall()) {
            tracing::info!("a reader of events is ended: what permitted it stands no more");
            return;
        }
        let events = match reader.next(READ, READ_BYTES).await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, "a reader of events ended");
                return;
            }
        };
        if events.is_empty() {
            let Some(drain) = &follow else {
                return;
            };
            tokio::select! {
                woken = muster_net::time::timeout(JUDGED_AGAIN, reader.wait()) => {
                    if matches!(woken, Ok(Err(_))) {
                        return;
                    }
                }
                () = drain.begun() => return,
                () = sender.closed() => return,
            }
            continue;
        }
        let mut piece = BytesMut::new();
        for (partition, stored) in &events {
            piece.extend_from_slice(line(*partition, stored).as_bytes());
            piece.extend_from_slice(b"\n");
        }
        if sender.send(piece.freeze()).await.is_err() {
            return;
        }
    }
}

fn line(partition: Partition, stored: &StoredEvent) -> String {
    let event = &stored.event;
    EventView {
        partition,
        position: stored.position,
        enqueued: stored.enqueued,
        device: &event.device,
        generation: event.generation,
        sender: match event.auth {
            AuthMethod::Sas(AuthScope::Device) => Sender::DeviceKey,
            AuthMethod::Sas(AuthScope::Hub) => Sender::PolicyKey,
            AuthMethod::X509Ca => Sender::X509Ca,
            AuthMethod::X509Thumbprint => Sender::X509Thumbprint,
        },
        received: event.received,
        source: match event.source {
            MessageSource::Telemetry => "Telemetry",
        },
        message: &event.message,
    }
    .line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_words_positions_or_times() {
        assert_eq!(start("Latest"), Some(ReadFrom::Latest));
        assert_eq!(start("after:17"), Some(ReadFrom::After(Position::new(17))));
        assert!(matches!(
            start("2026-11-25T08:00:00Z"),
            Some(ReadFrom::EnqueuedAfter(_))
        ));
        for bad in ["", "after:", "after:-1", "after:9007199254740992", "yesterday"] {
            assert_eq!(start(bad), None, "{bad}");
        }
    }
}
