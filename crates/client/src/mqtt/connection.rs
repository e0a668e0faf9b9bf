//! One connection: packets out of a queue, acknowledgements and messages in, pings in between.
//!
//! There is no task behind it: whoever owns it drives it by [`Connection::next`]. Between two packets it holds no buffer,
//! so that thousands of them can wait in one process. Nothing is repeated, and nothing reconnects: what was not
//! acknowledged when a connection ends is the owner's to send again on another one.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use muster_model::message::MAX_MESSAGE;
use muster_mqtt_codec::{
    Connect, ConnectCode, Frames, Packet, PacketId, Publish, Qos, Violation, connect, disconnect, pingreq,
    puback, publish, subscribe,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::error::Error;

/// Largest packet that is taken, in bytes: a message of 256 KiB with the longest topic.
const LARGEST: usize = MAX_MESSAGE + LONGEST_TOPIC + 16;

/// Longest topic, in bytes. Source: MQTT 3.1.1, section 1.5.3.
const LONGEST_TOPIC: usize = 65_535;

/// Bytes that one read can bring, and those of packets that wait to be written before no further one is taken.
const CHUNK: usize = 4 * 1024;
const MAX_QUEUED: usize = 256 * 1024;

/// Messages that wait for the server's acknowledgement at most.
pub const LARGEST_WINDOW: u16 = 1_000;

/// How long CONNECT, and the answer to a ping, may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A stream of bytes of any kind.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// What a connection is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The user name.
    pub user_name: &'a str,
    /// The password, where no certificate stands for it.
    pub password: Option<&'a str>,
    /// The longest silence towards the server, in seconds; 0 for no limit.
    pub keep_alive: u16,
    /// Messages that may wait for their acknowledgement, 1 to [`LARGEST_WINDOW`].
    pub window: u16,
}

/// What a connection brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A message is the server's now.
    Acknowledged(PacketId),
    /// A message came; one that asks for an acknowledgement has it.
    Message {
        /// Its topic.
        topic: String,
        /// Its body.
        body: Vec<u8>,
    },
    /// The server answered a SUBSCRIBE.
    Subscribed(PacketId, Vec<u8>),
}

/// A connection that the server has accepted.
pub struct Connection {
    wire: Box<dyn Wire>,
    /// The place, as errors tell it.
    place: String,
    frames: Frames,
    /// Packets that are not written yet, and how much of them is.
    out: Vec<u8>,
    written: usize,
    unflushed: bool,
    events: VecDeque<Event>,
    /// Messages that wait for their acknowledgement, in the order in which they were sent.
    waiting: VecDeque<PacketId>,
    window: usize,
    last: u16,
    keep_alive: Duration,
    /// Fires when there was silence for so long that a ping is due, or when the answer to one is late. Packets move the
    /// deadline, not the timer.
    timer: Option<Pin<Box<Sleep>>>,
    spoken: Instant,
    pinged: Option<Instant>,
}

impl Connection {
    /// Says CONNECT on a stream and waits for the answer.
    ///
    /// # Errors
    /// [`Error::NotAccepted`] when the server says no; [`Error::Broken`], [`Error::TimedOut`], [`Error::Unexpected`].
    pub(crate) async fn open(
        wire: Box<dyn Wire>,
        place: String,
        opening: &Opening<'_>,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let mut this = Self {
            wire,
            place,
            frames: Frames::default(),
            out: Vec::new(),
            written: 0,
            unflushed: false,
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            window: usize::from(opening.window.clamp(1, LARGEST_WINDOW)),
            last: 0,
            keep_alive: Duration::from_secs(u64::from(opening.keep_alive)),
            timer: None,
            spoken: now,
            pinged: None,
        };
        let packet = Connect {
            client_id: opening.client_id,
            clean_session: true,
            keep_alive: opening.keep_alive,
            will: None,
            user_name: Some(opening.user_name),
            password: opening.password.map(str::as_bytes),
        };
        connect(&mut this.out, &packet);
        let answer = timeout(PATIENCE, poll_fn(|context| this.poll_accepted(context))).await;
        let code = answer.map_err(|_| this.late(PATIENCE))??;
        if code != ConnectCode::Accepted {
            return Err(Error::NotAccepted {
                host: this.place,
                client: opening.client_id.to_owned(),
                code: code.number(),
            });
        }
        if !this.keep_alive.is_zero() {
            this.timer = Some(Box::pin(sleep_until(this.spoken + this.keep_alive)));
        }
        Ok(this)
    }

    /// The place that it leads to.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Messages that wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether another message would be taken now.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.window && self.out.len() - self.written < MAX_QUEUED
    }

    /// Queues a message of quality of service 1, which [`Connection::next`] writes; `None` while there is no room.
    ///
    /// # Errors
    /// [`Error::Target`] when topic or body are too long.
    pub fn publish(&mut self, topic: &str, body: &[u8]) -> Result<Option<PacketId>, Error> {
        if topic.len() > LONGEST_TOPIC || body.len() > MAX_MESSAGE {
            return Err(Error::Target(format!(
                "a message of {} bytes with {} bytes of topic is too long; {MAX_MESSAGE} and {LONGEST_TOPIC} are taken",
                body.len(),
                topic.len()
            )));
        }
        if !self.has_room() {
            return Ok(None);
        }
        let id = self.number();
        let packet = Publish {
            dup: false,
            delivery: Some((Qos::AtLeastOnce, id)),
            retain: false,
            topic,
            payload: body,
        };
        publish(&mut self.out, &packet);
        self.waiting.push_back(id);
        Ok(Some(id))
    }

    /// Waits for what comes next, writing what is queued and pinging a server that was not spoken to for too long.
    /// Nothing is lost when the wait is given up.
    ///
    /// # Errors
    /// [`Error::Broken`], [`Error::TimedOut`], [`Error::Unexpected`]; the connection is of no use then.
    pub async fn next(&mut self) -> Result<Event, Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Sends a message and waits until it is the server's. Messages that come meanwhile are passed over.
    ///
    /// # Errors
    /// As [`Connection::publish`] and [`Connection::next`].
    pub async fn send(&mut self, topic: &str, body: &[u8]) -> Result<(), Error> {
        let id = loop {
            match self.publish(topic, body)? {
                Some(id) => break id,
                None => drop(self.next().await?),
            }
        };
        while self.waiting.contains(&id) {
            self.next().await?;
        }
        Ok(())
    }

    /// Subscribes to a filter at quality of service 1.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the server does not grant it; as [`Connection::next`].
    pub async fn subscribe(&mut self, filter: &str) -> Result<(), Error> {
        let id = self.number();
        subscribe(&mut self.out, id, &[(filter, Qos::AtLeastOnce)]);
        let mut others = VecDeque::new();
        let codes = loop {
            match self.next().await? {
                Event::Subscribed(answered, codes) if answered == id => break codes,
                other => others.push_back(other),
            }
            if others.len() > usize::from(LARGEST_WINDOW) {
                return Err(Error::Unexpected(
                    "the answer to SUBSCRIBE does not come".to_owned(),
                ));
            }
        };
        others.append(&mut self.events);
        self.events = others;
        if codes.iter().any(|code| *code > 2) {
            return Err(Error::Unexpected(format!(
                "the subscription to {filter} is not granted"
            )));
        }
        Ok(())
    }

    /// Says DISCONNECT and closes. What waits for its acknowledgement is not waited for.
    ///
    /// # Errors
    /// [`Error::Broken`], [`Error::TimedOut`].
    pub async fn disconnect(mut self) -> Result<(), Error> {
        disconnect(&mut self.out);
        let goodbye = async {
            poll_fn(|context| self.poll_write(context)).await?;
            poll_fn(|context| Pin::new(&mut *self.wire).poll_shutdown(context)).await
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(self.late(GOODBYE)),
        }
    }

    /// The next number that names no packet.
    fn number(&mut self) -> PacketId {
        loop {
            self.last = self.last.wrapping_add(1);
            // The window is much smaller than the numbers there are.
            if let Some(id) = PacketId::new(self.last)
                && !self.waiting.contains(&id)
            {
                return id;
            }
        }
    }

    fn broken(&self, error: &io::Error) -> Error {
        let detail = if error.kind() == io::ErrorKind::UnexpectedEof {
            // The TLS library's own words are for programmers, with a link to its manual.
            "the server was gone without a goodbye".to_owned()
        } else {
            error.to_string()
        };
        Error::Broken {
            host: self.place.clone(),
            detail,
        }
    }

    fn late(&self, patience: Duration) -> Error {
        Error::TimedOut {
            host: self.place.clone(),
            seconds: patience.as_secs(),
        }
    }

    fn poll_accepted(&mut self, context: &mut Context<'_>) -> Poll<Result<ConnectCode, Error>> {
        self.write_some(context)?;
        loop {
            // Nothing but CONNACK comes first, and what comes with it is kept. [MQTT-3.2.0-1]
            let mut code = None;
            ready!(self.poll_read(context, |packet, _| match (packet, &code) {
                (Packet::Connack(connack), None) => {
                    code = Some(connack.code);
                    Ok(None)
                }
                (other, None) => Err(unasked(other)),
                (other, Some(_)) => taken(other),
            }))?;
            if let Some(code) = code {
                return Poll::Ready(Ok(code));
            }
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            self.write_some(context)?;
            self.keep_alive(context)?;
            let mut pong = false;
            ready!(self.poll_read(context, |packet, pinged| match packet {
                Packet::Pingresp if pinged => {
                    pong = true;
                    Ok(None)
                }
                other => taken(other),
            }))?;
            if pong {
                self.pinged = None;
                let due = self.spoken + self.keep_alive;
                if let Some(timer) = &mut self.timer {
                    timer.as_mut().reset(due);
                }
            }
        }
    }

    /// Pings when nothing was said for the time of keep-alive, and loses patience when no answer comes.
    fn keep_alive(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        while let Some(timer) = &mut self.timer
            && timer.as_mut().poll(context).is_ready()
        {
            let now = Instant::now();
            let due = match self.pinged {
                Some(pinged) if now >= pinged + PATIENCE => return Err(self.late(PATIENCE)),
                Some(pinged) => pinged + PATIENCE,
                None if now >= self.spoken + self.keep_alive => {
                    pingreq(&mut self.out);
                    self.pinged = Some(now);
                    self.write_some(context)?;
                    now + PATIENCE
                }
                None => self.spoken + self.keep_alive,
            };
            if let Some(timer) = &mut self.timer {
                timer.as_mut().reset(due);
            }
        }
        Ok(())
    }

    /// Writes as much as goes now.
    fn write_some(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        match self.poll_write(context) {
            Poll::Ready(Err(error)) => Err(self.broken(&error)),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.out.get(self.written..) {
            let length = ready!(Pin::new(&mut *self.wire).poll_write(context, rest))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += length;
            self.unflushed = true;
            self.spoken = Instant::now();
        }
        if !self.out.is_empty() {
            self.out = Vec::new();
            self.written = 0;
        }
        if self.unflushed {
            ready!(Pin::new(&mut *self.wire).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and takes the packets that are whole.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(Packet<'_>, bool) -> Result<Option<Taken>, Error>,
    ) -> Poll<Result<(), Error>> {
        // On the stack: a connection that waits keeps no buffer.
        let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
        let mut buffer = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut *self.wire).poll_read(context, &mut buffer)).map_err(|e| self.broken(&e))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(Error::Broken {
                host: self.place.clone(),
                detail: "the server closed it".to_owned(),
            }));
        }
        let pinged = self.pinged.is_some();
        let mut input = buffer.filled();
        while let Some(frame) = self.frames.next(&mut input, LARGEST).map_err(violation)? {
            match take(frame.packet().map_err(violation)?, pinged)? {
                None => {}
                Some(Taken::Acknowledged(id)) => {
                    let place = self.waiting.iter().position(|one| *one == id).ok_or_else(|| {
                        Error::Unexpected(format!("PUBACK for packet {id}, which waits for none"))
                    })?;
                    self.waiting.remove(place);
                    self.events.push_back(Event::Acknowledged(id));
                }
                Some(Taken::Event(event, acknowledge)) => {
                    if let Some(id) = acknowledge {
                        puback(&mut self.out, id);
                    }
                    self.events.push_back(event);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What a packet means for the connection.
enum Taken {
    Acknowledged(PacketId),
    /// Something for the owner, and the packet that is to be acknowledged.
    Event(Event, Option<PacketId>),
}

fn taken(packet: Packet<'_>) -> Result<Option<Taken>, Error> {
    Ok(Some(match packet {
        Packet::Puback(id) => Taken::Acknowledged(id),
        Packet::Suback(id, codes) => Taken::Event(Event::Subscribed(id, codes.to_vec()), None),
        Packet::Publish(Publish {
            delivery: delivery @ (None | Some((Qos::AtLeastOnce, _))),
            topic,
            payload,
            ..
        }) => Taken::Event(
            Event::Message {
                topic: topic.to_owned(),
                body: payload.to_vec(),
            },
            delivery.map(|(_, id)| id),
        ),
        other => return Err(unasked(other)),
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the packet")]
fn unasked(packet: Packet<'_>) -> Error {
    Error::Unexpected(format!("{} came unasked", packet.name()))
}

fn violation(violation: Violation) -> Error {
    Error::Unexpected(format!("a packet breaks a rule: {violation}"))
}
