//! One simulated device: it registers if told so, connects, sends in its rhythm, and connects again when it was cut off.
//!
//! A device is one task, and holds nothing but its connection and the numbers of the messages that wait. A message that
//! was not acknowledged when the connection broke is made anew and sent again, as a real device would: the hub may have
//! it twice then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_client::device::Device;
use muster_client::mqtt::{self, Event, MqttDevice, PacketId};
use muster_client::{Credential, Error, Protocol, Server};
use muster_model::message::Message;
use muster_model::{Clock, Mono, Random, RegistrationId};
use rand::RngExt;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::figures::Figures;
use crate::commands::iot::device::{RegistrationPlace, open};
use crate::commands::iot::options::{MqttArgs, ServerBesideDataArgs};
use crate::commands::iot::{Problem, connect};

/// Over this temperature a message carries an alert. Source: the X.509 tutorial's device program, read 2026-11.
const ALERT: i32 = 30;

/// Attempts in a row of a device that was connected once, and of one that never was, before it is given up.
const PATIENCE: u32 = 8;
const FIRST_PATIENCE: u32 = 4;

/// The wait before the second attempt; it doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// How long acknowledgements are waited for once everything is to end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How long before the end of its token a device connects anew.
const RENEWAL: Duration = Duration::from_mins(5);

/// What every simulated device does.
pub(super) struct Plan {
    pub(super) protocol: Protocol,
    pub(super) count: u64,
    /// Between two messages of a device.
    pub(super) pause: Duration,
    pub(super) window: u16,
    pub(super) data: Option<Vec<u8>>,
    pub(super) template: Message,
    pub(super) model_id: Option<String>,
    pub(super) destination: Destination,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) begin: Mono,
    pub(super) figures: Figures,
    /// Handshakes that may be under way at once, and registrations, which mostly wait.
    pub(super) connecting: Semaphore,
    pub(super) registering: Semaphore,
}

/// Which hub devices speak to.
pub(super) enum Destination {
    /// A hub that was named.
    Hub(Server, String),
    /// The one that a provisioning service assigns.
    Assigned(Box<Provisioning>),
}

/// Where devices are assigned to hubs.
pub(super) struct Provisioning {
    pub(super) place: RegistrationPlace,
    pub(super) flags: ServerBesideDataArgs,
    pub(super) mqtt: MqttArgs,
    /// Where the hubs are that were assigned so far.
    pub(super) servers: Mutex<BTreeMap<String, Server>>,
}

/// One device.
pub(super) struct Seat {
    pub(super) id: String,
    pub(super) credential: Credential,
    pub(super) rng: Arc<Random>,
    /// When it comes, and how much later its first message is due.
    pub(super) start: Instant,
    pub(super) phase: Duration,
    /// Turns true when everything is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// Where a device was sent.
struct Home {
    server: Server,
    host: String,
    device: String,
}

/// How far a device has come.
struct Progress {
    /// The number of the next message that was never sent.
    next: u64,
    /// Numbers that are to be sent again.
    again: VecDeque<u64>,
    /// When the next message is due; set at the first connection.
    due: Option<Instant>,
    connected: bool,
    /// Attempts since something succeeded.
    attempts: u32,
}

/// Plays one device to its end.
pub(super) async fn play(plan: Arc<Plan>, mut seat: Seat) {
    let start = seat.start;
    tokio::select! {
        () = sleep_until(start) => {}
        () = stopped(&mut seat.stop) => {}
    }
    let mut home = None;
    let mut progress = Progress {
        next: 0,
        again: VecDeque::new(),
        due: None,
        connected: false,
        attempts: 0,
    };
    while !*seat.stop.borrow() {
        match plan.session(&mut seat, &mut home, &mut progress).await {
            Ok(()) if progress.is_done(plan.count) => break,
            // Its token comes to an end, or everything does.
            Ok(()) => {}
            Err(error) => {
                progress.attempts += 1;
                let patience = if progress.connected {
                    PATIENCE
                } else {
                    FIRST_PATIENCE
                };
                if is_hopeless(&error) || progress.attempts >= patience {
                    plan.figures.failed(error);
                    break;
                }
                plan.figures.interrupted(&error);
                let wait = FIRST_WAIT * (1 << (progress.attempts - 1).min(7));
                // Whoever was cut off together must not come back together.
                let share = seat.rng.draw(|rng| rng.random_range(50..=100_u32));
                tokio::select! {
                    () = sleep(wait * share / 100) => {}
                    () = stopped(&mut seat.stop) => {}
                }
            }
        }
    }
}

impl Progress {
    fn is_done(&self, count: u64) -> bool {
        self.next >= count && self.again.is_empty()
    }
}

/// Resolves when everything is to end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has nothing more to say.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells whether another attempt would end the same way.
fn is_hopeless(error: &Error) -> bool {
    match error {
        Error::NotAccepted { code, .. } => *code != 3,
        Error::Refused { status, .. } => matches!(status, 400..=428 | 430..=499),
        Error::Identity(_) | Error::Target(_) | Error::TooLarge { .. } | Error::Unexpected(_) => true,
        Error::Broken { .. } | Error::Connect { .. } | Error::TimedOut { .. } | Error::Tls { .. } => false,
    }
}

impl Plan {
    fn since(&self) -> Duration {
        self.clock.mono().since(self.begin)
    }

    /// Connects, and sends until everything is sent, the connection is to be renewed, or all is to end.
    async fn session(
        &self,
        seat: &mut Seat,
        home: &mut Option<Home>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let home = match home {
            Some(home) => home,
            // Boxed, as connecting is: the task of a connected device has no room for what is long over.
            None => home.insert(Box::pin(self.home(seat)).await?),
        };
        let permit = self.connecting.acquire().await;
        if *seat.stop.borrow() {
            return Ok(());
        }
        if self.protocol == Protocol::Http {
            let credential = seat.credential.clone();
            let device = open(&home.server, &home.host, &home.device, credential).map_err(unproblem)?;
            Box::pin(device.open()).await?;
            drop(permit);
            self.arrived(seat, home, progress);
            return self.post(&device, seat, progress).await;
        }
        let hub = mqtt::Hub {
            server: &home.server,
            protocol: self.protocol,
            host: &home.host,
            device: &home.device,
            model_id: self.model_id.as_deref(),
            credential: &seat.credential,
            window: self.window,
        };
        let device = Box::pin(MqttDevice::connect(hub, &*self.clock)).await?;
        drop(permit);
        self.arrived(seat, home, progress);
        self.publish(Box::new(device), seat, progress).await
    }

    fn arrived(&self, seat: &Seat, home: &Home, progress: &mut Progress) {
        if progress.connected {
            self.figures.reconnected();
        } else {
            self.figures.connected(self.since(), &home.host);
            progress.connected = true;
        }
        progress.due.get_or_insert_with(|| Instant::now() + seat.phase);
    }

    /// Where a device is to connect: what was named, or what provisioning assigns.
    async fn home(&self, seat: &Seat) -> Result<Home, Error> {
        let provisioning = match &self.destination {
            Destination::Hub(server, host) => {
                return Ok(Home {
                    server: server.clone(),
                    host: host.clone(),
                    device: seat.id.clone(),
                });
            }
            Destination::Assigned(provisioning) => provisioning,
        };
        let _permit = self.registering.acquire().await;
        let id = RegistrationId::parse(&seat.id).map_err(|e| Error::Target(format!("{}: {e}", seat.id)))?;
        let credential = match &seat.credential {
            Credential::Key { key, .. } => Credential::Key {
                policy: Some("registration".to_owned()),
                key: key.clone(),
            },
            other => other.clone(),
        };
        let outcome = provisioning
            .place
            .register(self.protocol, credential, &id, None)
            .await?;
        let state = outcome.status.registration_state.clone().unwrap_or_default();
        let (Some(host), Some(device)) = (state.assigned_hub, state.device_id) else {
            return Err(Error::Target(format!(
                "a device was not assigned: {}",
                outcome.status.status
            )));
        };
        let server = provisioning.server_of(&host).map_err(unproblem)?;
        Ok(Home { server, host, device })
    }

    /// Sends over HTTPS, one message after the other.
    async fn post(&self, device: &Device, seat: &mut Seat, progress: &mut Progress) -> Result<(), Error> {
        while let Some(number) = progress.peek(self.count) {
            if let Some(due) = progress.due {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = stopped(&mut seat.stop) => return Ok(()),
                }
            }
            let message = self.message(&seat.id, number, &seat.rng);
            if progress.begin(number, self.pause) {
                self.figures.sent(self.since());
            }
            let begun = self.clock.mono();
            if let Err(error) = device.send(&message).await {
                progress.again.push_back(number);
                return Err(error);
            }
            progress.attempts = 0;
            self.figures
                .acknowledged(self.since(), self.clock.mono().since(begun));
        }
        Ok(())
    }

    /// Sends over MQTT, several messages at a time where they are due.
    async fn publish(
        &self,
        mut device: Box<MqttDevice>,
        seat: &mut Seat,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let mut waiting = VecDeque::new();
        let outcome = self.converse(&mut device, seat, progress, &mut waiting).await;
        // What was not acknowledged is sent again on the next connection.
        progress
            .again
            .extend(waiting.iter().map(|(_, number, _)| *number));
        outcome?;
        // Everything is acknowledged, so that how the goodbye went is of no weight.
        if let Err(error) = device.disconnect().await {
            tracing::debug!(%error, "a goodbye");
        }
        Ok(())
    }

    async fn converse(
        &self,
        device: &mut MqttDevice,
        seat: &mut Seat,
        progress: &mut Progress,
        waiting: &mut VecDeque<(PacketId, u64, Mono)>,
    ) -> Result<(), Error> {
        let mut timer = std::pin::pin!(sleep_until(progress.due.unwrap_or_else(Instant::now)));
        loop {
            let ends = *seat.stop.borrow()
                || device
                    .expiry()
                    .is_some_and(|expiry| self.clock.wall().plus(RENEWAL) >= expiry);
            while !ends
                && let Some(number) = progress.peek(self.count)
                && progress.due.is_none_or(|due| due <= Instant::now())
                && device.has_room()
            {
                let message = self.message(&seat.id, number, &seat.rng);
                let Some(packet) = device.publish(&message)? else {
                    break;
                };
                if progress.begin(number, self.pause) {
                    self.figures.sent(self.since());
                }
                waiting.push_back((packet, number, self.clock.mono()));
            }
            let more = !ends && progress.peek(self.count).is_some();
            if waiting.is_empty() && !more {
                return Ok(());
            }
            if let (true, Some(due)) = (more, progress.due)
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            let timed = more && device.has_room();
            let event = if *seat.stop.borrow() {
                match timeout(LAST_WAIT, device.next()).await {
                    Ok(event) => event?,
                    Err(_) => return Ok(()),
                }
            } else {
                tokio::select! {
                    event = device.next() => event?,
                    () = &mut timer, if timed => continue,
                    () = stopped(&mut seat.stop) => continue,
                }
            };
            if let Event::Acknowledged(packet) = event
                && let Some(place) = waiting.iter().position(|(id, _, _)| *id == packet)
                && let Some((_, _, begun)) = waiting.remove(place)
            {
                progress.attempts = 0;
                self.figures
                    .acknowledged(self.since(), self.clock.mono().since(begun));
            }
        }
    }

    fn message(&self, id: &str, number: u64, rng: &Random) -> Message {
        let mut message = self.template.clone();
        if let Some(data) = &self.data {
            message.body.clone_from(data);
            return message;
        }
        let (temperature, humidity) =
            rng.draw(|rng| (rng.random_range(20..35_i32), rng.random_range(60..80_i32)));
        let body = json!({
            "deviceId": id,
            "messageId": number,
            "temperature": temperature,
            "humidity": humidity,
        });
        message.body = body.to_string().into_bytes();
        let alert = (temperature > ALERT).to_string();
        message.application.push(("temperatureAlert".to_owned(), alert));
        let system = &mut message.system;
        system
            .content_type
            .get_or_insert_with(|| "application/json".to_owned());
        system.content_encoding.get_or_insert_with(|| "utf-8".to_owned());
        message
    }
}

impl Progress {
    /// The number of the next message.
    fn peek(&self, count: u64) -> Option<u64> {
        self.again
            .front()
            .copied()
            .or((self.next < count).then_some(self.next))
    }

    /// Notes that the message is on its way, and tells whether for the first time.
    fn begin(&mut self, number: u64, pause: Duration) -> bool {
        if self.again.front() == Some(&number) {
            self.again.pop_front();
            return false;
        }
        self.next = number + 1;
        // Against the clock, not against the last message: a device that was held up catches up.
        self.due = self.due.map(|due| due + pause);
        true
    }
}

impl Provisioning {
    /// Where an assigned hub is.
    fn server_of(&self, host: &str) -> Result<Server, Problem> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(host) {
            return Ok(server.clone());
        }
        let server = self.mqtt.on(connect::server_of(host, None, &self.flags)?);
        servers.insert(host.to_owned(), server.clone());
        Ok(server)
    }
}

fn unproblem(problem: Problem) -> Error {
    match problem {
        Problem::Call(error) => error,
        Problem::Other(text) | Problem::Usage(text) => Error::Target(text),
        Problem::Output(failure) => Error::Target(failure.to_string()),
    }
}
