//! The promises of `hub::EventLog` as a battery that every implementation runs.
//!
//! The battery is a client as a gateway is one: it opens another lane and sends again when one closed, and
//! repeats a read that failed for now. So a record may be there twice; it may never be missing, invented, out
//! of order, or in another partition. Panics at the first promise that is broken.

#![expect(clippy::panic, reason = "a battery tells of a broken promise by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use muster_hub::event_log::{
    AuthMethod, AuthScope, Event, EventLog, Full, Lane, LogError, MessageSource, PartitionInfo, ReadFrom,
    StoredEvent, Ticket, durable,
};
use muster_model::message::{Message, SystemProperties};
use muster_model::{DeviceId, GenerationId, HubKey, Partition, Position, Wall};

/// The time at which the battery plays: 2026-01-01T00:00:00Z.
pub const NOW: Wall = Wall::from_seconds(1_767_225_600);
const PATIENCE: usize = 100_000;

/// Makes an event with a body, for tests.
///
/// # Panics
///
/// Never; the device id is a valid one.
#[expect(clippy::expect_used, reason = "the id is a constant")]
pub fn event(body: &str, received: Wall) -> Event {
    Event {
        device: DeviceId::parse("thermostat-1").expect("a device id of letters and digits"),
        generation: GenerationId::new(637_553_997_165_220_462),
        auth: AuthMethod::X509Ca,
        received,
        source: MessageSource::Telemetry,
        targets: 1,
        message: Message {
            body: body.as_bytes().to_vec(),
            ..Message::default()
        },
    }
}

/// Runs the whole battery on an empty log.
pub async fn event_log(log: Arc<dyn EventLog>) {
    keeps_every_field(log.as_ref()).await;
    keeps_order_and_partitions_apart(log.as_ref()).await;
    reads_from_where_it_is_asked(log.as_ref()).await;
    completes_tickets_in_order(log.as_ref()).await;
    keeps_what_belongs_together(log.as_ref()).await;
    enqueued_time_never_steps_back(log.as_ref()).await;
    wakes_readers_that_follow(&log).await;
    keeps_what_is_younger_than_retention(log.as_ref()).await;
    forgets_a_hub_that_was_dropped(log.as_ref()).await;
}

/// Sends events one lane after the other until each is durable.
async fn send(log: &dyn EventLog, hub: HubKey, partition: Partition, events: &[Event]) {
    let mut sent = 0;
    for _ in 0..PATIENCE {
        let Some(rest) = events.get(sent..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        let mut lane = log.open_lane(hub, partition);
        sent += send_on(lane.as_mut(), rest).await;
    }
    panic!("the log never took the events");
}

/// Sends events on one lane until it closes; tells how many are durable.
async fn send_on(lane: &mut dyn Lane, events: &[Event]) -> usize {
    let mut last = Ticket(0);
    for (index, event) in events.iter().enumerate() {
        let mut tries = 0;
        let ticket = loop {
            if let Ok(ticket) = lane.submit(event) {
                break ticket;
            }
            tries += 1;
            // A lane that is closed with nothing outstanding refuses for ever; another one will not.
            if durable(lane, last).await.is_err() || tries > 100 {
                return durable_so_far(lane);
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(ticket.0, index as u64 + 1, "tickets count the records of a lane");
        last = ticket;
    }
    if durable(lane, last).await.is_ok() {
        events.len()
    } else {
        durable_so_far(lane)
    }
}

fn durable_so_far(lane: &mut dyn Lane) -> usize {
    match lane.poll_durable(&mut Context::from_waker(Waker::noop()), Ticket(0)) {
        Poll::Ready(Ok(ticket)) => usize::try_from(ticket.0).unwrap_or(usize::MAX),
        Poll::Ready(Err(_)) | Poll::Pending => 0,
    }
}

async fn read(
    log: &dyn EventLog,
    hub: HubKey,
    partition: Partition,
    from: ReadFrom,
    limit: usize,
    bytes: usize,
) -> Vec<StoredEvent> {
    for _ in 0..PATIENCE {
        match log.read(hub, partition, from, limit, bytes).await {
            Ok(events) => {
                assert!(
                    events.len() <= limit,
                    "{} events were read, {limit} were asked for",
                    events.len()
                );
                let ordered = events.is_sorted_by(|a, b| a.position < b.position && a.enqueued <= b.enqueued);
                assert!(ordered, "positions rise strictly, enqueued times do not fall");
                assert!(events.iter().all(|stored| stored.position <= Position::MAX));
                return events;
            }
            Err(LogError::Unavailable(_)) => {}
            Err(LogError::Damaged(detail)) => panic!("the log is damaged: {detail}"),
        }
    }
    panic!("the log was never readable");
}

/// Reads everything there is, a few at a time.
async fn read_all(log: &dyn EventLog, hub: HubKey, partition: Partition) -> Vec<StoredEvent> {
    let mut all: Vec<StoredEvent> = Vec::new();
    loop {
        let from = all
            .last()
            .map_or(ReadFrom::Earliest, |last| ReadFrom::After(last.position));
        let events = read(log, hub, partition, from, 7, usize::MAX).await;
        if events.is_empty() {
            return all;
        }
        all.extend(events);
    }
}

async fn info(log: &dyn EventLog, hub: HubKey, partition: Partition) -> PartitionInfo {
    for _ in 0..PATIENCE {
        if let Ok(info) = log.partition(hub, partition).await {
            return info;
        }
    }
    panic!("the partition never told what it holds");
}

fn body(stored: &StoredEvent) -> String {
    String::from_utf8_lossy(&stored.event.message.body).into_owned()
}

/// The bodies, each where it stands first.
fn bodies(events: &[StoredEvent]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    events
        .iter()
        .map(body)
        .filter(|body| seen.insert(body.clone()))
        .collect()
}

async fn keeps_every_field(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(11), Partition::new(3));
    let empty = info(log, hub, partition).await;
    assert_eq!((empty.last, empty.last_enqueued, empty.empty), (None, None, true));
    let mut full = event("", NOW.plus(Duration::from_micros(1)));
    full.auth = AuthMethod::Sas(AuthScope::Hub);
    full.targets = u64::MAX;
    full.message.body = (0..=255).collect();
    full.message.application = vec![
        ("b".into(), "2".into()),
        ("a".into(), "ü".into()),
        (String::new(), String::new()),
    ];
    full.message.system = SystemProperties {
        message_id: Some("m".into()),
        correlation_id: Some("c".into()),
        user_id: Some("u".into()),
        to: Some("t".into()),
        content_type: Some("application/json".into()),
        content_encoding: Some("utf-8".into()),
        expiry: Some(NOW),
        creation_time: Some("2026-01-01T00:00:00Z".into()),
        ack: Some("full".into()),
        interface_id: Some(String::new()),
        data_schema: Some("dtmi:a;1".into()),
        subject: Some("s".into()),
    };
    send(log, hub, partition, std::slice::from_ref(&full)).await;
    let stored = read_all(log, hub, partition).await;
    assert!(!stored.is_empty());
    for stored in &stored {
        assert_eq!(stored.event, full);
        assert!(stored.enqueued >= full.received);
    }
    let now = info(log, hub, partition).await;
    assert_eq!(
        now.first,
        stored.first().map(|stored| stored.position).unwrap_or_default()
    );
    assert_eq!(now.last, stored.last().map(|stored| stored.position));
    assert_eq!(now.last_enqueued, stored.last().map(|stored| stored.enqueued));
    assert!(!now.empty);
}

async fn keeps_order_and_partitions_apart(log: &dyn EventLog) {
    let places =
        [(12, 0), (12, 1), (13, 0)].map(|(hub, partition)| (HubKey::new(hub), Partition::new(partition)));
    for round in 0..4 {
        for (hub, partition) in places {
            let events: Vec<_> = (0..12)
                .map(|number| event(&format!("{hub}/{partition}/{round}/{number}"), NOW))
                .collect();
            send(log, hub, partition, &events).await;
        }
    }
    for (hub, partition) in places {
        let expected: Vec<_> = (0..4)
            .flat_map(|round| (0..12).map(move |number| format!("{hub}/{partition}/{round}/{number}")))
            .collect();
        assert_eq!(bodies(&read_all(log, hub, partition).await), expected);
    }
}

async fn reads_from_where_it_is_asked(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(14), Partition::new(0));
    let at = |second| NOW.plus(Duration::from_secs(second));
    let events: Vec<_> = (0..20)
        .map(|second| event(&format!("{second}"), at(second)))
        .collect();
    send(log, hub, partition, &events).await;
    let all = read_all(log, hub, partition).await;
    let everything = usize::MAX;
    for (index, stored) in all.iter().enumerate() {
        let after = read(
            log,
            hub,
            partition,
            ReadFrom::After(stored.position),
            3,
            everything,
        )
        .await;
        assert_eq!(
            after.as_slice(),
            all.iter().skip(index + 1).take(3).cloned().collect::<Vec<_>>()
        );
        let from = read(log, hub, partition, ReadFrom::At(stored.position), 2, everything).await;
        assert_eq!(
            from.as_slice(),
            all.iter().skip(index).take(2).cloned().collect::<Vec<_>>()
        );
        let later = read(
            log,
            hub,
            partition,
            ReadFrom::EnqueuedAfter(stored.enqueued),
            1,
            everything,
        )
        .await;
        assert_eq!(
            later.first(),
            all.iter().find(|other| other.enqueued > stored.enqueued)
        );
    }
    assert!(
        read(log, hub, partition, ReadFrom::Latest, 9, everything)
            .await
            .is_empty()
    );
    assert!(
        read(log, hub, partition, ReadFrom::Earliest, 0, everything)
            .await
            .is_empty()
    );
    assert_eq!(
        read(log, hub, partition, ReadFrom::Earliest, 9, 1).await.len(),
        1,
        "the one that crosses the bound"
    );
    assert!(
        read(log, hub, partition, ReadFrom::After(Position::MAX), 9, everything)
            .await
            .is_empty()
    );
    assert!(
        read(log, hub, Partition::new(1), ReadFrom::Earliest, 9, everything)
            .await
            .is_empty()
    );
    assert!(
        read(
            log,
            HubKey::new(999),
            partition,
            ReadFrom::Earliest,
            9,
            everything
        )
        .await
        .is_empty()
    );
}

async fn keeps_what_belongs_together(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(19), Partition::new(0));
    let mut acknowledged = Vec::new();
    for group in 0..60_usize {
        let size = group % 5;
        let mut lane = log.open_lane(hub, partition);
        let events: Vec<_> = (0..size)
            .map(|part| event(&format!("{group}/{part}"), NOW))
            .collect();
        if let Ok(last) = lane.submit_all(&events) {
            assert_eq!(last, Ticket(size as u64), "tickets count the records");
            if durable(lane.as_mut(), last).await.is_ok() {
                acknowledged.extend((0..size).map(|part| format!("{group}/{part}")));
            }
        }
    }
    let found: Vec<_> = read_all(log, hub, partition).await.iter().map(body).collect();
    assert!(acknowledged.iter().all(|body| found.contains(body)));
    let mut rest = found.as_slice();
    while let Some(group) = rest
        .first()
        .and_then(|body| body.split('/').next()?.parse::<usize>().ok())
    {
        let whole: Vec<_> = (0..group % 5).map(|part| format!("{group}/{part}")).collect();
        let (found, behind) = rest.split_at(whole.len().min(rest.len()));
        assert_eq!(found, whole, "all of a group stands in one place");
        rest = behind;
    }
}

async fn completes_tickets_in_order(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(15), Partition::new(0));
    for attempt in 0..20 {
        let mut lane = log.open_lane(hub, partition);
        let mut newest = Ticket(0);
        let mut submitted = Vec::new();
        for number in 0..40 {
            let body = format!("{attempt}/{number}");
            if let Ok(ticket) = lane.submit(&event(&body, NOW)) {
                assert_eq!(ticket, Ticket(submitted.len() as u64 + 1));
                submitted.push(body);
            }
            match lane.poll_durable(&mut Context::from_waker(Waker::noop()), newest) {
                Poll::Ready(Ok(ticket)) => {
                    assert!(ticket > newest && ticket.0 <= submitted.len() as u64);
                    newest = ticket;
                }
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {}
            }
        }
        let outcome = durable(lane.as_mut(), Ticket(submitted.len() as u64)).await;
        let acknowledged = if outcome.is_ok() {
            submitted.len()
        } else {
            durable_so_far(lane.as_mut())
        };
        if outcome.is_err() {
            assert_eq!(
                lane.submit(&event("late", NOW)),
                Err(Full),
                "a closed lane stays closed"
            );
            assert!(
                durable(lane.as_mut(), Ticket(submitted.len() as u64))
                    .await
                    .is_err()
            );
        }
        drop(lane);
        let own: Vec<_> = read_all(log, hub, partition)
            .await
            .iter()
            .map(body)
            .filter(|body| body.starts_with(&format!("{attempt}/")))
            .collect();
        assert!(
            own.len() >= acknowledged,
            "{acknowledged} were acknowledged, {} are there",
            own.len()
        );
        assert_eq!(
            submitted.get(..own.len()),
            Some(own.as_slice()),
            "a lane leaves a prefix of what it took"
        );
    }
}

async fn enqueued_time_never_steps_back(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(16), Partition::new(0));
    let events: Vec<_> = [5, 1, 9, 2, 9, 0]
        .into_iter()
        .enumerate()
        .map(|(index, second)| event(&index.to_string(), NOW.plus(Duration::from_secs(second))))
        .collect();
    send(log, hub, partition, &events).await;
    // `read` checks the order of the times it sees.
    let stored = read_all(log, hub, partition).await;
    assert_eq!(bodies(&stored).len(), 6);
    assert!(
        stored
            .iter()
            .all(|stored| stored.enqueued >= stored.event.received)
    );
}

async fn wakes_readers_that_follow(log: &Arc<dyn EventLog>) {
    let (hub, partition) = (HubKey::new(17), Partition::new(0));
    let sender = {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for number in 0..50 {
                send(log.as_ref(), hub, partition, &[event(&number.to_string(), NOW)]).await;
                tokio::task::yield_now().await;
            }
        })
    };
    let mut commits = log.watch();
    let mut seen: Vec<StoredEvent> = Vec::new();
    while bodies(&seen).len() < 50 {
        commits.borrow_and_update();
        let from = seen
            .last()
            .map_or(ReadFrom::Earliest, |last| ReadFrom::After(last.position));
        let events = read(log.as_ref(), hub, partition, from, 16, usize::MAX).await;
        if events.is_empty() {
            assert!(commits.changed().await.is_ok(), "the log outlives its watchers");
        }
        seen.extend(events);
    }
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&seen), expected);
    assert!(sender.await.is_ok(), "the sender saw a promise broken");
}

async fn keeps_what_is_younger_than_retention(log: &dyn EventLog) {
    let (hub, partition) = (HubKey::new(18), Partition::new(0));
    let other = HubKey::new(19);
    let hour = |hours: u64| NOW.plus(Duration::from_hours(hours));
    for hours in 0..100 {
        let mut sent = event(&hours.to_string(), hour(hours));
        sent.message
            .application
            .push(("padding".into(), "x".repeat(3_000)));
        send(log, hub, partition, &[sent]).await;
        send(log, other, partition, &[event(&hours.to_string(), hour(hours))]).await;
    }
    let untouched = read_all(log, other, partition).await;
    let last_before = info(log, hub, partition).await.last;
    log.retain(hub, Duration::from_hours(24), None);
    let mut swept = 0;
    for _ in 0..PATIENCE {
        if let Ok(bytes) = log.sweep(hour(100)).await {
            swept = bytes;
            break;
        }
    }
    assert!(swept > 0);
    let left = read_all(log, hub, partition).await;
    let first: u64 = left
        .first()
        .map(body)
        .and_then(|body| body.parse().ok())
        .unwrap_or(u64::MAX);
    assert!(
        first > 10 && first <= 76,
        "hour {first} is the oldest that is left"
    );
    let last: BTreeSet<_> = left.iter().map(body).collect();
    assert!(
        (76..100).all(|hours: u64| last.contains(&hours.to_string())),
        "nothing younger than a day went"
    );
    assert_eq!(info(log, hub, partition).await.last, last_before);
    let lagging = read(
        log,
        hub,
        partition,
        ReadFrom::At(Position::default()),
        1,
        usize::MAX,
    )
    .await;
    assert_eq!(lagging.first(), left.first(), "who lags gets the oldest there is");
    assert_eq!(read_all(log, other, partition).await, untouched);
    send(log, hub, partition, &[event("next", hour(100))]).await;
    let next = read_all(log, hub, partition).await;
    assert!(
        next.last().map(|stored| stored.position) > last_before,
        "positions are not used again"
    );
}

async fn forgets_a_hub_that_was_dropped(log: &dyn EventLog) {
    let (hub, other, partition) = (HubKey::new(20), HubKey::new(21), Partition::new(0));
    send(log, hub, partition, &[event("gone", NOW)]).await;
    send(log, other, partition, &[event("stays", NOW)]).await;
    assert!(log.hubs().contains(&hub) && log.hubs().contains(&other));
    for _ in 0..2 {
        let mut dropped = false;
        for _ in 0..PATIENCE {
            if log.drop_hub(hub).await.is_ok() {
                dropped = true;
                break;
            }
        }
        assert!(dropped, "a repeat is harmless");
        assert!(read_all(log, hub, partition).await.is_empty());
        assert!(info(log, hub, partition).await.empty);
        assert!(!log.hubs().contains(&hub) && log.hubs().contains(&other));
        let mut lane = log.open_lane(hub, partition);
        assert_eq!(lane.submit(&event("late", NOW)), Err(Full));
    }
    assert_eq!(bodies(&read_all(log, other, partition).await), ["stays"]);
}
