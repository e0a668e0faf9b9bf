//! The session of a device: from CONNACK to the end of the connection.
//!
//! Messages are submitted as they come and acknowledged as they become durable, in the order in which they came; those
//! of one commit leave in one write. Reading stops while too much waits for the disk, so that a device is slowed down
//! and nothing piles up here.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use muster_hub::{Attachment, DevicePermit, Ending, Event, Lane, LaneClosed, Mailbox, Telemetry, Ticket};
use muster_model::message::{MAX_MESSAGE, Message};
use muster_model::subscription::Subscriptions;
use muster_model::{ErrorCode, Mono, RequestId, TrackingId};
use muster_mqtt_codec::{
    Connack, ConnectCode, PacketId, Publish, connack, pingresp, puback, publish, suback, unsuback,
};
use muster_net::time::{now as instant, sleep, sleep_until, timeout};
use muster_net::{Drain, Peer};
use muster_resources::{StoreError, WriteError};
use muster_wire::fault::Fault;
use muster_wire::mqtt::twin_response;

use crate::backend::Backend;
use crate::connect::{Device, Refused};
use crate::gateway::refuse;
use crate::machine::{Action, Breach, Machine};
use crate::metrics;
use crate::pump::Pump;

/// Largest packet, in bytes: a message with the longest topic.
const MAX_PACKET: usize = MAX_MESSAGE + 65_535 + 16;

/// Messages that wait for the disk at most, and their bytes.
const MAX_WAITING: usize = 1_024;
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Longest silence of a client, whatever keep-alive it asked for. Source: IoT Hub, "Default keep-alive time-out",
/// read 2026-11: 29.45 minutes.
const LONGEST_SILENCE: Duration = Duration::from_secs(1_767);

/// How long a device may be kept waiting for room in the event log, and how often that is tried.
const FULL: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(5);

/// How long the last messages are waited for, and the will.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often a device's activity is noted at most.
const NOTED: Duration = Duration::from_secs(5);

/// Why a session came to its end.
#[derive(Debug)]
enum End {
    /// The client broke a rule.
    Breach(Breach),
    /// The server drains.
    Drained,
    /// The index of attachments says so.
    Ended(Ending),
    /// The client went away without a word, or reads nothing.
    Gone,
    /// The client said goodbye.
    Goodbye,
    /// What was sent can't be kept.
    NotKept(String),
    /// The client was silent for too long.
    Silent,
}

impl End {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Breach(breach) => breach.as_str(),
            Self::Drained => "drained",
            Self::Ended(ending) => ending.as_str(),
            Self::Gone => "gone",
            Self::Goodbye => "goodbye",
            Self::NotKept(_) => "not-kept",
            Self::Silent => "silent",
        }
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

impl From<Breach> for End {
    fn from(breach: Breach) -> Self {
        Self::Breach(breach)
    }
}

/// Serves a device that was let in.
pub(crate) async fn serve(
    backend: Arc<Backend>,
    mut pump: Pump,
    device: Box<Device>,
    peer: Arc<Peer>,
    drain: Drain,
) {
    let mailbox = Arc::new(Mailbox::default());
    let opened = Box::pin(attach(&backend, &mut pump, &device, &peer, &mailbox)).await;
    let Some((attachment, subscriptions)) = opened else {
        return;
    };
    // The peer's certificates have done their work, and a sleeping device keeps nothing that it does not need.
    let address = peer.addr;
    drop(peer);
    let mut session = Session::new(backend, pump, mailbox, device, subscriptions, address);
    let end = session.run(&drain).await;
    Box::pin(session.finish(end)).await;
    // Only now: whoever attaches next must not come before the last words.
    drop(attachment);
}

/// Takes the device's place in the index, restores its subscriptions and answers CONNECT. `None` when the client was
/// turned away.
async fn attach(
    backend: &Backend,
    pump: &mut Pump,
    device: &Device,
    peer: &Peer,
    mailbox: &Arc<Mailbox>,
) -> Option<(Attachment, Subscriptions)> {
    let now = backend.clock.wall();
    let outcome = async {
        let permit = &device.permit;
        let attachment = Attachment::new(&backend.presence, permit, mailbox, now)
            .await
            .map_err(|error| Refused::unavailable(&error))?;
        // What was written between the judgement and the attachment found nobody to tell.
        backend
            .authenticator
            .confirm(permit)
            .await
            .map_err(Refused::of_hub)?;
        let kept = restored(backend, device)
            .await
            .map_err(|error| Refused::unavailable(&error))?;
        Ok((attachment, kept))
    }
    .await;
    let (attachment, kept) = match outcome {
        Ok(opened) => opened,
        Err(refused) => {
            refuse(backend, pump, peer, &peer.presented(), &device.trail, &refused).await;
            return None;
        }
    };
    metrics::connected("0");
    backend.activity.note(&device.permit, now);
    let accepted = Connack {
        session_present: kept.is_some(),
        code: ConnectCode::Accepted,
    };
    connack(&mut pump.out, accepted);
    pump.send(backend.config.write_time).await.ok()?;
    Some((attachment, kept.unwrap_or_default()))
}

/// The session that outlived earlier connections; a clean one forgets it, the other makes it where there is none.
async fn restored(backend: &Backend, device: &Device) -> Result<Option<Subscriptions>, StoreError> {
    let permit = &device.permit;
    let kept = backend
        .devices
        .subscriptions(permit.hub_key(), permit.device())
        .await?;
    let request = backend.random.draw(RequestId::random);
    match (&kept, device.clean) {
        (Some(_), true) => {
            let forgotten = backend
                .devices
                .forget_subscriptions(request, permit.hub_key(), permit.device(), permit.generation())
                .await;
            settled(forgotten)?;
            Ok(None)
        }
        (None, false) => {
            keep(backend, permit, &Subscriptions::default()).await?;
            Ok(None)
        }
        _ => Ok(kept),
    }
}

async fn keep(
    backend: &Backend,
    permit: &DevicePermit,
    subscriptions: &Subscriptions,
) -> Result<(), StoreError> {
    let request = backend.random.draw(RequestId::random);
    let write = || {
        backend.devices.keep_subscriptions(
            request,
            permit.hub_key(),
            permit.device(),
            permit.generation(),
            subscriptions.clone(),
        )
    };
    match write().await {
        // It may have gone through; a repeat under the same id is harmless.
        Err(WriteError::Store(StoreError::Unknown(_))) => settled(write().await),
        outcome => settled(outcome),
    }
}

/// A device that is gone needs nothing kept: the index tells its session.
fn settled(outcome: Result<(), WriteError>) -> Result<(), StoreError> {
    match outcome {
        Err(WriteError::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

/// A session under way. It is held in one allocation and its futures are made when they are needed: hundreds of thousands
/// of devices sleep at a time.
struct Session {
    backend: Arc<Backend>,
    pump: Pump,
    machine: Machine,
    mailbox: Arc<Mailbox>,
    permit: DevicePermit,
    clean: bool,
    will: Option<Box<Message>>,
    address: SocketAddr,
    tracking: TrackingId,
    started: Mono,
    _open: metrics::Open,
    /// Opened with the first message: most devices sleep most of the time.
    lane: Option<Box<dyn Lane>>,
    /// What was submitted and is not durable yet, with the packet to acknowledge and its size.
    waiting: VecDeque<(Ticket, Option<PacketId>, usize)>,
    waiting_bytes: usize,
    /// The newest ticket that is known to be durable.
    durable: Ticket,
    heard: Instant,
    silence: Duration,
    noted: Option<Mono>,
    /// Messages that became durable.
    stored: u64,
}

/// What is left of an action that can't be done at once.
enum Later {
    End(End),
    /// The subscriptions are to be stored before they are answered.
    Keep(Kept),
    /// There was no room in the event log.
    Submit(Box<Event>, Option<PacketId>, usize),
}

/// How a change of subscriptions is answered.
enum Kept {
    Subscribed(PacketId, Vec<u8>),
    Unsubscribed(PacketId),
}

/// What a session waits for.
enum Wake {
    Drain,
    Durable(Result<Ticket, LaneClosed>),
    Ended(Ending),
    /// Something came, or nothing will any more.
    Read(std::io::Result<bool>),
    Silence,
}

impl Session {
    fn new(
        backend: Arc<Backend>,
        pump: Pump,
        mailbox: Arc<Mailbox>,
        device: Box<Device>,
        subscriptions: Subscriptions,
        address: SocketAddr,
    ) -> Box<Self> {
        let silence = match device.keep_alive {
            0 => LONGEST_SILENCE,
            seconds => (Duration::from_secs(u64::from(seconds)) * 3 / 2).min(LONGEST_SILENCE),
        };
        Box::new(Self {
            machine: Machine::new(device.permit.device().as_str(), device.model_id, subscriptions),
            noted: None,
            pump,
            mailbox,
            permit: device.permit,
            clean: device.clean,
            will: device.will.map(Box::new),
            address,
            tracking: device.trail.tracking,
            started: backend.clock.mono(),
            _open: metrics::Open::new("device"),
            lane: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            durable: Ticket(0),
            heard: instant(),
            silence,
            stored: 0,
            backend,
        })
    }

    async fn run(&mut self, drain: &Drain) -> End {
        match self.serve(drain).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn serve(&mut self, drain: &Drain) -> Result<End, End> {
        let mut drained = pin!(drain.begun());
        loop {
            // The timer is set anew only when it fires: packets move the deadline, not the timer.
            let mut silent = pin!(sleep_until(self.heard + self.silence));
            loop {
                while self.has_room()
                    && let Some(action) = self.next_action()?
                {
                    self.heard = instant();
                    if let Some(later) = self.perform(action)? {
                        match later {
                            Later::End(end) => return Ok(end),
                            cold => Box::pin(self.perform_later(cold)).await?,
                        }
                    }
                }
                if self.pump.has_output() {
                    Box::pin(self.send()).await?;
                }
                let wake = poll_fn(|context| {
                    if let Poll::Ready(wake) = self.poll_wake(context) {
                        return Poll::Ready(wake);
                    }
                    if drained.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Wake::Drain);
                    }
                    silent.as_mut().poll(context).map(|()| Wake::Silence)
                })
                .await;
                match wake {
                    Wake::Drain => return Ok(End::Drained),
                    Wake::Durable(outcome) => self.acknowledge(outcome)?,
                    Wake::Ended(ending) => return Ok(End::Ended(ending)),
                    Wake::Read(outcome) => {
                        if !outcome? {
                            return Ok(End::Gone);
                        }
                    }
                    Wake::Silence if instant() >= self.heard + self.silence => return Ok(End::Silent),
                    Wake::Silence => break,
                }
            }
        }
    }

    /// Sends what is to be sent. A client that reads nothing does not keep its session from being told of its end.
    async fn send(&mut self) -> Result<(), End> {
        let sending = self.pump.send(self.backend.config.write_time);
        let mailbox = &self.mailbox;
        let mut sending = pin!(sending);
        poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(End::from)),
            Poll::Pending => mailbox.poll_ended(context).map(|ending| Err(End::Ended(ending))),
        })
        .await
    }

    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(ending) = self.mailbox.poll_ended(context) {
            return Poll::Ready(Wake::Ended(ending));
        }
        if let (Some(lane), false) = (&mut self.lane, self.waiting.is_empty())
            && let Poll::Ready(outcome) = lane.poll_durable(context, self.durable)
        {
            return Poll::Ready(Wake::Durable(outcome));
        }
        if self.has_room()
            && !self.pump.has_input()
            && let Poll::Ready(outcome) = self.pump.poll_fill(context)
        {
            return Poll::Ready(Wake::Read(outcome));
        }
        Poll::Pending
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING && self.waiting_bytes < MAX_WAITING_BYTES
    }

    fn next_action(&mut self) -> Result<Option<Action>, Breach> {
        let machine = &mut self.machine;
        self.pump.packet(MAX_PACKET, |frame| machine.on(&frame.packet()?))
    }

    /// Does what needs no waiting, and says what is left.
    fn perform(&mut self, action: Action) -> Result<Option<Later>, End> {
        match action {
            Action::Acknowledged(id) => puback(&mut self.pump.out, id),
            Action::Done => {}
            Action::End => return Ok(Some(Later::End(End::Goodbye))),
            Action::Ingest(message, id) => return self.ingest(*message, id),
            Action::Pong => pingresp(&mut self.pump.out),
            Action::Subscribed { id, codes, changed } => {
                if changed && !self.clean {
                    return Ok(Some(Later::Keep(Kept::Subscribed(id, codes))));
                }
                suback(&mut self.pump.out, id, &codes);
            }
            Action::TwinRefused { rid, ack, heard } => {
                if let Some(id) = ack {
                    puback(&mut self.pump.out, id);
                }
                if heard {
                    self.refuse_twin(&rid);
                }
            }
            Action::Unsubscribed { id, changed } => {
                if changed && !self.clean {
                    return Ok(Some(Later::Keep(Kept::Unsubscribed(id))));
                }
                unsuback(&mut self.pump.out, id);
            }
        }
        Ok(None)
    }

    async fn perform_later(&mut self, later: Later) -> Result<(), End> {
        match later {
            Later::End(end) => Err(end),
            Later::Keep(kept) => {
                keep(&self.backend, &self.permit, self.machine.subscriptions())
                    .await
                    .map_err(|error| End::NotKept(error.to_string()))?;
                match kept {
                    Kept::Subscribed(id, codes) => suback(&mut self.pump.out, id, &codes),
                    Kept::Unsubscribed(id) => unsuback(&mut self.pump.out, id),
                }
                Ok(())
            }
            Later::Submit(event, id, size) => {
                let ticket = self.submit_later(&event).await?;
                self.await_sync(ticket, id, size);
                Ok(())
            }
        }
    }

    fn ingest(&mut self, message: Message, id: Option<PacketId>) -> Result<Option<Later>, End> {
        let size = message.size();
        let received = self.backend.clock.wall();
        let event = Telemetry::event(&self.permit, message, received)
            .map_err(|error| End::NotKept(error.to_string()))?;
        let Some(ticket) = self.submit(&event) else {
            return Ok(Some(Later::Submit(Box::new(event), id, size)));
        };
        self.await_sync(ticket, id, size);
        Ok(None)
    }

    fn await_sync(&mut self, ticket: Ticket, id: Option<PacketId>, size: usize) {
        self.waiting.push_back((ticket, id, size));
        self.waiting_bytes += size;
    }

    fn submit(&mut self, event: &Event) -> Option<Ticket> {
        let lane = self
            .lane
            .get_or_insert_with(|| self.backend.telemetry.lane(&self.permit));
        lane.submit(event).ok()
    }

    /// Offers an event again until there is room. What is durable meanwhile is acknowledged.
    async fn submit_later(&mut self, event: &Event) -> Result<Ticket, End> {
        let give_up = instant() + FULL;
        loop {
            let ended = poll_fn(|context| match self.mailbox.poll_ended(context) {
                Poll::Ready(ending) => Poll::Ready(Some(ending)),
                Poll::Pending => Poll::Pending,
            });
            if let Ok(Some(ending)) = timeout(AGAIN, ended).await {
                return Err(End::Ended(ending));
            }
            if !self.waiting.is_empty()
                && let Some(lane) = &mut self.lane
            {
                let durable = self.durable;
                let outcome = timeout(AGAIN, poll_fn(|context| lane.poll_durable(context, durable))).await;
                if let Ok(outcome) = outcome {
                    self.acknowledge(outcome)?;
                    self.send().await?;
                }
            }
            if let Some(ticket) = self.submit(event) {
                return Ok(ticket);
            }
            if instant() >= give_up {
                return Err(End::NotKept("the event log takes nothing more".into()));
            }
        }
    }

    /// Acknowledges everything that is durable by now.
    fn acknowledge(&mut self, outcome: Result<Ticket, LaneClosed>) -> Result<(), End> {
        self.durable = outcome.map_err(|closed| End::NotKept(closed.to_string()))?;
        let mut count = 0;
        while let Some((ticket, id, size)) = self.waiting.front().copied()
            && ticket <= self.durable
        {
            self.waiting.pop_front();
            self.waiting_bytes -= size;
            count += 1;
            if let Some(id) = id {
                puback(&mut self.pump.out, id);
            }
        }
        metrics::messages("stored", count);
        self.stored += count;
        if self.waiting.is_empty() {
            self.waiting.shrink_to(8);
        }
        let now = self.backend.clock.mono();
        if self.noted.is_none_or(|noted| now.since(noted) >= NOTED) {
            self.noted = Some(now);
            self.backend
                .activity
                .note(&self.permit, self.backend.clock.wall());
        }
        Ok(())
    }

    /// Twins are not there yet: the code that a hub gives for what its tier lacks.
    fn refuse_twin(&mut self, rid: &str) {
        let backend = &self.backend;
        let tracking = backend.random.draw(|rng| TrackingId::random(rng));
        let fault = Fault::new(ErrorCode::FeatureNotSupported, tracking, backend.clock.wall());
        let topic = twin_response(fault.status(), rid);
        let body = fault.description();
        let answer = Publish {
            dup: false,
            delivery: None,
            retain: false,
            topic: &topic,
            payload: body.as_bytes(),
        };
        publish(&mut self.pump.out, &answer);
    }

    /// Ends the connection as the protocol allows: what is durable is acknowledged, a will is published unless the client
    /// said goodbye.
    async fn finish(&mut self, end: End) {
        if let (End::Drained, Some(lane)) = (&end, &mut self.lane)
            && let Some((last, ..)) = self.waiting.back().copied()
        {
            let durable = muster_hub::event_log::durable(lane.as_mut(), last);
            if let Ok(Ok(())) = timeout(LAST_WORDS, durable).await {
                // The end is known already.
                let _ = self.acknowledge(Ok(last));
            }
        }
        if let (Some(will), false) = (self.will.take(), matches!(end, End::Goodbye)) {
            self.publish_will(*will).await;
        }
        match end {
            End::Gone => {}
            // No packet says so, but the carrier ends as it should: a client tells that from a line that was cut.
            End::Ended(_) => {
                self.pump.out.clear();
                self.pump.close(LAST_WORDS).await;
            }
            // What was asked before the end is answered.
            End::Breach(_) | End::Drained | End::Goodbye | End::NotKept(_) | End::Silent => {
                self.pump.close(self.backend.config.write_time).await;
            }
        }
        metrics::ended(end.as_str());
        let took = self.backend.clock.mono().since(self.started);
        tracing::info!(
            target: "muster::access",
            {
                peer.address = %self.address,
                mqtt.end = end.as_str(),
                detail = end.detail(),
                messages = self.stored,
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                tracking.id = %self.tracking,
                target.name = %self.permit.hub().name,
                device.id = %self.permit.device(),
            },
            "disconnected"
        );
    }

    async fn publish_will(&mut self, will: Message) {
        let received = self.backend.clock.wall();
        let Ok(event) = Telemetry::event(&self.permit, will, received) else {
            return;
        };
        let mut lane = self.backend.telemetry.lane(&self.permit);
        let publishing = async {
            let ticket = loop {
                match lane.submit(&event) {
                    Ok(ticket) => break ticket,
                    Err(_) => sleep(AGAIN).await,
                }
            };
            muster_hub::event_log::durable(lane.as_mut(), ticket).await
        };
        if !matches!(timeout(LAST_WORDS, publishing).await, Ok(Ok(()))) {
            tracing::warn!(device.id = %self.permit.device(), "a will could not be stored");
        }
    }
}

impl End {
    fn detail(&self) -> Option<String> {
        match self {
            Self::Breach(breach) => Some(breach.to_string()),
            // Azure's logs name it so.
            Self::Ended(Ending::Replaced) => Some("400027 ConnectionForcefullyClosedOnNewConnection".into()),
            Self::NotKept(why) => Some(why.clone()),
            Self::Drained | Self::Ended(_) | Self::Gone | Self::Goodbye | Self::Silent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_sleeping_session_is_small() {
        assert!(size(serve) <= 1_280, "{}", size(serve));
        assert!(size_of::<Session>() <= 640, "{}", size_of::<Session>());
    }
}
