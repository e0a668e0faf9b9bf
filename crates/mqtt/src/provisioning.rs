//! The session of a device that registers: requests and answers by topics, one after the other.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_hub::{Ending, Mailbox};
use muster_model::{DpsKey, ErrorCode, OperationId, ReasonCode, RegistrationId, TrackingId};
use muster_mqtt_codec::{
    Connack, ConnectCode, Packet, PacketId, Publish, Qos, connack, pingresp, puback, publish, suback,
    unsuback,
};
use muster_net::time::{now as instant, sleep_until};
use muster_net::{Drain, Peer, Presented};
use muster_resources::StoreError;
use muster_wire::fault::Fault;
use muster_wire::mqtt::{ProvisioningTopic, RESPONSES, provisioning_response};
use muster_wire::registration::{DeviceRegistration, OperationStatus, RETRY_AFTER};

use crate::backend::Backend;
use crate::connect::{Registering, Trail};
use crate::machine::Breach;
use crate::metrics;
use crate::pump::Pump;

/// Most bytes of a packet: a body as HTTPS takes it, and a topic. Source: DPS limits, message size, read 2026-11.
const MAX_PACKET: usize = 96 * 1024 + 1024;

/// Longest silence of a client, whatever keep-alive it asked for.
const LONGEST_SILENCE: Duration = Duration::from_mins(30);

/// The clients that register, so that a newer connection of one ends the older.
#[derive(Debug, Default)]
pub(crate) struct Registrations(Mutex<HashMap<(DpsKey, RegistrationId), Arc<Mailbox>>>);

/// A client's place among them, until it is dropped.
struct Place {
    all: Arc<Registrations>,
    key: (DpsKey, RegistrationId),
    mailbox: Arc<Mailbox>,
}

impl Place {
    fn take(all: &Arc<Registrations>, key: (DpsKey, RegistrationId)) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        // A panic while the map was written leaves a map.
        let before = all
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), Arc::clone(&mailbox));
        if let Some(before) = before {
            before.end(Ending::Replaced);
        }
        Self {
            all: Arc::clone(all),
            key,
            mailbox,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all
            .get(&self.key)
            .is_some_and(|present| Arc::ptr_eq(present, &self.mailbox))
        {
            all.remove(&self.key);
        }
    }
}

/// Serves a device that registers.
pub(crate) async fn serve(
    backend: Arc<Backend>,
    registrations: Arc<Registrations>,
    mut pump: Pump,
    registering: Registering,
    peer: Arc<Peer>,
    drain: Drain,
) {
    let open = metrics::Open::new("registration");
    let key = (registering.attempt.service.key, registering.attempt.id.clone());
    let place = Place::take(&registrations, key);
    metrics::connected("0");
    // Every session is a clean one, whatever the client asked for: there is nothing to keep.
    let accepted = Connack {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    connack(&mut pump.out, accepted);
    let silence = match registering.keep_alive {
        0 => LONGEST_SILENCE,
        seconds => (Duration::from_secs(u64::from(seconds)) * 3 / 2).min(LONGEST_SILENCE),
    };
    let mut session = Session {
        presented: peer.presented(),
        backend,
        pump,
        registering,
        peer,
        listening: None,
        last_id: 0,
    };
    let end = session.run(&place.mailbox, silence, &drain).await;
    // What was asked before the end is answered, unless nobody listens any more.
    if !matches!(end, "gone" | "replaced" | "silent") {
        session.pump.close(session.backend.config.write_time).await;
    }
    metrics::ended(end);
    let trail = &session.registering.trail;
    tracing::info!(
        target: "muster::access",
        {
            peer.address = %session.peer.addr,
            mqtt.end = end,
            tracking.id = %trail.tracking,
            target.name = trail.target.as_deref(),
            registration.id = trail.registration.as_deref(),
        },
        "disconnected"
    );
    drop(open);
}

struct Session {
    backend: Arc<Backend>,
    pump: Pump,
    registering: Registering,
    peer: Arc<Peer>,
    presented: Presented,
    /// With which quality of service answers are sent; `None` before the client has subscribed to them.
    listening: Option<Qos>,
    last_id: u16,
}

/// What a packet asks for.
enum Request {
    End,
    Nothing,
    Pong,
    Register {
        rid: String,
        ack: Option<PacketId>,
        body: Vec<u8>,
    },
    Status {
        rid: String,
        ack: Option<PacketId>,
        operation: String,
    },
    Subscribe(PacketId, Vec<u8>, Option<Qos>),
    Unsubscribe(PacketId, bool),
}

impl Session {
    async fn run(&mut self, mailbox: &Mailbox, silence: Duration, drain: &Drain) -> &'static str {
        // Packets count, not bytes: who never ends one is silent [MQTT-3.1.2-24].
        let mut heard = instant();
        loop {
            match self.pump.packet(MAX_PACKET, |frame| read(&frame.packet()?)) {
                Ok(Some(Request::End)) => return "goodbye",
                Ok(Some(request)) => {
                    self.perform(request).await;
                    heard = instant();
                    continue;
                }
                Ok(None) => {}
                Err(breach) => {
                    tracing::debug!(peer.address = %self.peer.addr, error = %breach, "a registering client broke a rule");
                    return breach.as_str();
                }
            }
            if self.pump.send(self.backend.config.write_time).await.is_err() {
                return "gone";
            }
            let filled = tokio::select! {
                _ = poll_fn(|context| mailbox.poll_ended(context)) => return "replaced",
                () = drain.begun() => return "drained",
                () = sleep_until(heard + silence) => return "silent",
                filled = self.pump.fill() => filled,
            };
            if !matches!(filled, Ok(true)) {
                return "gone";
            }
        }
    }

    async fn perform(&mut self, request: Request) {
        match request {
            Request::End | Request::Nothing => {}
            Request::Pong => pingresp(&mut self.pump.out),
            Request::Register { rid, ack, body } => {
                let answer = self.register(&body).await;
                self.answer(&rid, ack, &answer);
            }
            Request::Status { rid, ack, operation } => {
                let answer = self.status(&operation).await;
                self.answer(&rid, ack, &answer);
            }
            Request::Subscribe(id, codes, listening) => {
                self.listening = listening.or(self.listening);
                suback(&mut self.pump.out, id, &codes);
            }
            Request::Unsubscribe(id, ours) => {
                if ours {
                    self.listening = None;
                }
                unsuback(&mut self.pump.out, id);
            }
        }
    }

    /// The acknowledgement goes first: clients wait for it before they look at an answer.
    fn answer(&mut self, rid: &str, ack: Option<PacketId>, answer: &Answer) {
        if let Some(id) = ack {
            puback(&mut self.pump.out, id);
        }
        let Some(qos) = self.listening else { return };
        let topic = provisioning_response(answer.status, rid, answer.retry_after);
        // Clients read the payload as ASCII.
        let payload = muster_wire::escape_non_ascii(&answer.body);
        let delivery = match qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce | Qos::ExactlyOnce => Some((Qos::AtLeastOnce, self.next_id())),
        };
        publish(
            &mut self.pump.out,
            &Publish {
                dup: false,
                delivery,
                retain: false,
                topic: &topic,
                payload: payload.as_bytes(),
            },
        );
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id) {
                return id;
            }
        }
    }

    async fn register(&mut self, body: &[u8]) -> Answer {
        let now = self.backend.clock.wall();
        let tracking = self.backend.random.draw(|rng| TrackingId::random(rng));
        let Registering { attempt, version, .. } = &self.registering;
        let mut attempt = attempt.clone();
        attempt.tracking = tracking;
        let registration = match DeviceRegistration::parse(body, &attempt.id) {
            Ok(registration) => registration,
            Err(error) => {
                return Answer::of(&Fault::from_error(
                    &error,
                    muster_wire::Surface::Dps,
                    tracking,
                    now,
                ));
            }
        };
        if registration.csr.is_some() && version.takes_signing_requests() {
            let fault = Fault::new(ErrorCode::DpsInvalidArgument, tracking, now)
                .with_message("Issuing certificates for signing requests is not offered.");
            return Answer::of(&fault);
        }
        attempt.credential.tpm = registration.tpm.is_some();
        attempt.payload = registration.payload;
        match self.backend.registrar.register(&attempt, now).await {
            Ok(done) => {
                self.note(done.refusal, tracking);
                match done.id {
                    Some(operation) => Answer {
                        status: 202,
                        retry_after: Some(RETRY_AFTER),
                        body: OperationStatus::assigning(&operation).to_json(),
                    },
                    // The enrollment is disabled: there is nothing to poll.
                    None => Answer::done(&OperationStatus::of(&done.state, *version)),
                }
            }
            Err(error) => self.failed(&error, tracking),
        }
    }

    async fn status(&mut self, operation: &str) -> Answer {
        let now = self.backend.clock.wall();
        let tracking = self.backend.random.draw(|rng| TrackingId::random(rng));
        let Registering { attempt, version, .. } = &self.registering;
        let mut attempt = attempt.clone();
        attempt.tracking = tracking;
        let Ok(operation) = OperationId::parse(operation) else {
            return Answer::of(&Fault::new(ErrorCode::DpsRegistrationNotFound, tracking, now));
        };
        match self.backend.registrar.operation(&attempt, &operation, now).await {
            Ok(found) => {
                let status = OperationStatus::of(&found.state, *version);
                if status.is_assigning() {
                    Answer {
                        status: 202,
                        retry_after: Some(RETRY_AFTER),
                        body: status.to_json(),
                    }
                } else {
                    Answer::done(&status)
                }
            }
            Err(error) => self.failed(&error, tracking),
        }
    }

    fn failed(&self, error: &muster_dps::Error, tracking: TrackingId) -> Answer {
        let now = self.backend.clock.wall();
        self.note(error.reason(), tracking);
        let fault = match error {
            muster_dps::Error::Store(store) => {
                tracing::error!(tracking.id = %tracking, error = %store, "a registration failed");
                let code = match store {
                    StoreError::Damaged { .. } => ErrorCode::DpsServerError,
                    StoreError::Unavailable(_) | StoreError::Unknown(_) => ErrorCode::DpsServiceUnavailable,
                };
                Fault::new(code, tracking, now).with_retry_after(RETRY_AFTER)
            }
            other => Fault::new(other.code(), tracking, now),
        };
        Answer::of(&fault)
    }

    /// Keeps a record of a refusal.
    fn note(&self, reason: Option<ReasonCode>, tracking: TrackingId) {
        if let Some(reason) = reason {
            let trail = Trail {
                tracking,
                ..self.registering.trail.clone()
            };
            let at = self.backend.clock.wall();
            let refusal = trail.refusal(reason, &self.peer, &self.presented, at);
            self.backend.refusal_log.report(refusal);
        }
    }
}

/// An answer on its way.
struct Answer {
    status: u16,
    retry_after: Option<u32>,
    body: String,
}

impl Answer {
    fn of(fault: &Fault) -> Self {
        Self {
            status: fault.status(),
            retry_after: fault.retry_after,
            body: fault.body(),
        }
    }

    fn done(status: &OperationStatus) -> Self {
        Self {
            status: 200,
            retry_after: None,
            body: status.to_json(),
        }
    }
}

/// Reads what a packet asks for.
fn read(packet: &Packet<'_>) -> Result<Request, Breach> {
    match packet {
        Packet::Publish(publish) => {
            if publish.qos() == Qos::ExactlyOnce {
                return Err(Breach::QosTwo);
            }
            let ack = publish.delivery.map(|(_, id)| id);
            match ProvisioningTopic::parse(publish.topic).ok_or(Breach::Topic)? {
                ProvisioningTopic::Register { rid } => Ok(Request::Register {
                    rid: rid.to_owned(),
                    ack,
                    body: publish.payload.to_vec(),
                }),
                ProvisioningTopic::Status { rid, operation } => Ok(Request::Status {
                    rid: rid.to_owned(),
                    ack,
                    operation: operation.to_owned(),
                }),
            }
        }
        Packet::Subscribe(id, filters) => {
            let mut listening = None;
            let code = |(filter, qos): (&str, Qos)| {
                if filter != RESPONSES {
                    return 0x80;
                }
                let granted = qos.min(Qos::AtLeastOnce);
                listening = Some(granted);
                granted.number()
            };
            let codes = filters.clone().map(code).collect();
            Ok(Request::Subscribe(*id, codes, listening))
        }
        Packet::Unsubscribe(id, filters) => Ok(Request::Unsubscribe(
            *id,
            filters.clone().any(|filter| filter == RESPONSES),
        )),
        Packet::Pingreq => Ok(Request::Pong),
        Packet::Disconnect => Ok(Request::End),
        Packet::Puback(_) => Ok(Request::Nothing),
        other => Err(Breach::OutOfPlace(other.name())),
    }
}
