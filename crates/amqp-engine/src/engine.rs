//! The machine of one connection.
//!
//! It holds no socket, no clock and no queue of messages: bytes go in by [`receive`](Engine::receive) and come out of
//! [`transmit`](Engine::transmit), time is an argument, and [`next_event`](Engine::next_event) says what happened.
//! What the peer does wrong is answered here, in the peer's protocol, and told as the end of the thing it was done to.

mod attachment;
mod config;
mod connection;
mod event;
mod id;
mod incoming;
mod link;
mod outgoing;
mod output;
mod session;
mod settlement;
mod unsettled;

pub use attachment::{LinkAnswer, LinkRequest};
pub use config::Config;
pub use event::{Cause, Delivery, Event};
pub use id::{DeliveryId, LinkId, SessionId};
pub use outgoing::Outgoing;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::condition::AmqpError;
use crate::error::Error;
use crate::frame::{Layer, MIN_MAX_FRAME};
use crate::outcome::DeliveryState;
use crate::sasl::{SaslCode, SaslFrame, SaslInit};
use connection::{Phase, SaslState};
use output::Output;
use session::{Session, SessionState, Shared};

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

/// One connection, seen from one of its ends.
#[derive(Debug)]
pub struct Engine {
    side: Side,
    phase: Phase,
    /// The latest moment that was told.
    now: u64,
    /// When the peer last sent something, and when something was last written.
    heard: u64,
    said: u64,
    said_octets: u64,
    /// Bytes of what has not arrived wholly, or waits for the caller's answer.
    inbox: Vec<u8>,
    peer_channel_max: u16,
    peer_idle: Option<u32>,
    shared: Shared,
    /// By this side's channel.
    sessions: Vec<Option<Box<Session>>>,
    /// This side's channels by the peer's, in the order of these.
    by_remote: Vec<(u16, u16)>,
}

impl Engine {
    /// The end that was connected to. Times are milliseconds from any moment on, the same for all calls.
    pub fn server(config: Arc<Config>, now_ms: u64) -> Self {
        Self::new(Side::Server, config, now_ms)
    }

    /// The end that connected. It has bytes to write at once.
    pub fn client(config: Arc<Config>, now_ms: u64) -> Self {
        let mut engine = Self::new(Side::Client, config, now_ms);
        if engine.shared.config.sasl_required {
            engine.shared.out.raw(&Layer::Sasl.header());
        } else {
            engine.say_hello();
        }
        engine
    }

    fn new(side: Side, config: Arc<Config>, now: u64) -> Self {
        Self {
            side,
            phase: Phase::first(side, &config, now),
            now,
            heard: now,
            said: now,
            said_octets: 0,
            inbox: Vec::new(),
            peer_channel_max: u16::MAX,
            peer_idle: None,
            shared: Shared {
                config,
                out: Output::default(),
                events: VecDeque::new(),
                peer_max_frame: MIN_MAX_FRAME,
                assembling: 0,
                links: 0,
                generation: 0,
            },
            sessions: Vec::new(),
            by_remote: Vec::new(),
        }
    }

    // Bytes and time.

    /// Takes bytes from the peer, cut anywhere. What they lead to is told by [`next_event`](Self::next_event); take
    /// all events before the next bytes, and give none while [`wants_input`](Self::wants_input) is false: that is
    /// what bounds the memory of a connection whose peer does not read.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) {
        self.now = now_ms;
        if !bytes.is_empty() {
            self.heard = now_ms;
        }
        self.feed(bytes);
        self.note_said();
    }

    /// Whether bytes from the peer should be read: not while much is still to be written, and not at the end.
    pub fn wants_input(&self) -> bool {
        !self.is_finished() && self.shared.out.pending() <= self.shared.config.max_pending_output
    }

    /// What happened, in its order; `None` when all was told.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.shared.events.pop_front();
        if event.is_none() && self.shared.events.capacity() > 0 {
            // An idle connection holds no queue.
            self.shared.events = VecDeque::new();
        }
        event
    }

    /// The bytes that wait to be written, in slices, one after the other.
    pub fn transmit(&self) -> impl Iterator<Item = &[u8]> {
        self.shared.out.slices()
    }

    /// How many bytes wait to be written.
    pub fn pending_output(&self) -> usize {
        self.shared.out.pending()
    }

    /// Says that the first `count` of these bytes were written.
    pub fn transmitted(&mut self, count: usize) {
        self.note_said();
        self.shared.out.advance(count);
    }

    /// When [`tick`](Self::tick) is to be called at the latest; `None` if only bytes or calls can change anything.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadline()
    }

    /// Does what is due at this moment: an empty frame for a peer that wants to hear something, the end of a
    /// connection whose peer was silent.
    pub fn tick(&mut self, now_ms: u64) {
        self.now = now_ms;
        self.note_said();
        self.due();
    }

    /// Whether nothing more can happen. What still waits to be written should be written before the stream is ended.
    pub const fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }

    /// Octets that the connection holds on the heap, give or take what the allocator adds.
    pub fn heap_size(&self) -> usize {
        let sessions: usize = self.sessions.iter().flatten().map(|session| session.heap()).sum();
        self.inbox.capacity()
            + self.shared.out.heap()
            + self.shared.events.capacity() * size_of::<Event>()
            + self.sessions.capacity() * size_of::<Option<Box<Session>>>()
            + self.by_remote.capacity() * size_of::<(u16, u16)>()
            + sessions
    }

    // SASL.

    /// Chooses a mechanism, as a client.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless [`Event::SaslMechanisms`] has come.
    pub fn sasl_init(&mut self, init: SaslInit) -> Result<(), Error> {
        self.sasl_step(SaslState::ClientChoose, SaslState::ClientAwait)?;
        self.answer_sasl(&SaslFrame::Init(init));
        Ok(())
    }

    /// Answers a challenge, as a client.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless [`Event::SaslChallenge`] has come.
    pub fn sasl_response(&mut self, octets: impl Into<Bytes>) -> Result<(), Error> {
        self.sasl_step(SaslState::ClientRespond, SaslState::ClientAwait)?;
        self.answer_sasl(&SaslFrame::Response(octets.into()));
        Ok(())
    }

    /// Asks the client for more, as a server.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless the client has just begun or responded.
    pub fn sasl_challenge(&mut self, octets: impl Into<Bytes>) -> Result<(), Error> {
        self.sasl_step(SaslState::ServerAnswer, SaslState::ServerAwaitResponse)?;
        self.answer_sasl(&SaslFrame::Challenge(octets.into()));
        Ok(())
    }

    /// Ends authentication, as a server. Anything but [`SaslCode::Ok`] ends the connection.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless the client has just begun or responded.
    pub fn sasl_outcome(&mut self, code: SaslCode, data: Option<Bytes>) -> Result<(), Error> {
        if self.phase.sasl() != Some(SaslState::ServerAnswer) {
            return Err(Error::WrongState);
        }
        self.shared
            .out
            .sasl(|out| SaslFrame::Outcome(code, data).write(out));
        if code == SaslCode::Ok {
            self.phase.expect_amqp();
            self.resume();
        } else {
            self.finish(Cause::Local);
        }
        Ok(())
    }

    // Connection and sessions.

    /// Closes the connection. The engine is finished when the peer has confirmed it or had its time to.
    ///
    /// # Errors
    /// [`Error::WrongState`] if it is closing or closed.
    pub fn close(&mut self, error: Option<AmqpError>) -> Result<(), Error> {
        if matches!(self.phase, Phase::CloseSent { .. } | Phase::Finished) {
            return Err(Error::WrongState);
        }
        self.begin_close(error.map(Box::new));
        Ok(())
    }

    /// Begins a session. Links can be asked for at once.
    ///
    /// # Errors
    /// [`Error::WrongState`] unless the connection is open, [`Error::TooManySessions`] if the peer takes no more.
    pub fn begin(&mut self) -> Result<SessionId, Error> {
        if !matches!(self.phase, Phase::Open) {
            return Err(Error::WrongState);
        }
        let channel = self.free_channel().ok_or(Error::TooManySessions)?;
        let id = SessionId {
            channel,
            generation: self.shared.next_generation(),
        };
        let session = Session::new(id, SessionState::AwaitBegin, &self.shared.config);
        session.write_begin(&mut self.shared);
        self.place(session);
        Ok(id)
    }

    /// Ends a session and all its links.
    ///
    /// # Errors
    /// [`Error::NoSuchSession`] if it has ended.
    pub fn end(&mut self, session: SessionId, error: Option<AmqpError>) -> Result<(), Error> {
        let (session, shared) = self.session(session)?;
        if matches!(session.state, SessionState::AwaitEnd { .. }) {
            return Err(Error::NoSuchSession);
        }
        session.write_end(shared, error.map(Box::new), true);
        Ok(())
    }

    // Links.

    /// Asks for a link. A receiver's credit is told to the peer when it has taken the link.
    ///
    /// # Errors
    /// [`Error::NoSuchSession`], [`Error::NameInUse`] or [`Error::TooManyLinks`].
    pub fn attach(&mut self, session: SessionId, request: LinkRequest) -> Result<LinkId, Error> {
        let (session, shared) = self.session(session)?;
        session.attach(shared, request)
    }

    /// Takes a link that the peer asked for.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`] if it has gone meanwhile, [`Error::WrongState`] if it was answered.
    pub fn accept(&mut self, link: LinkId, answer: LinkAnswer) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.accept(shared, link, answer)
    }

    /// Refuses a link that the peer asked for. There is no event about it any more.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`] if it has gone meanwhile, [`Error::WrongState`] if it was answered.
    pub fn refuse(&mut self, link: LinkId, error: AmqpError) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.refuse(shared, link, error)
    }

    /// Detaches a link for good. [`Event::Detached`] comes when the peer has confirmed it.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`] if it is gone or going.
    pub fn detach(&mut self, link: LinkId, error: Option<AmqpError>) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.detach(shared, link, error)
    }

    /// Lets the peer send this many deliveries from now on, whatever was allowed before. Deliveries that were
    /// allowed before and are on their way still come.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`], [`Error::WrongRole`], or [`Error::WrongState`] if the link is not attached.
    pub fn grant(&mut self, link: LinkId, credit: u32) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.grant(shared, link, credit)
    }

    /// Asks the peer to use its credit now or to give it back; [`Event::Drained`] comes after that.
    ///
    /// # Errors
    /// As for [`grant`](Self::grant).
    pub fn drain(&mut self, link: LinkId) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.drain(shared, link)
    }

    /// Gives back the credit of a link that the peer is draining.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`], [`Error::WrongRole`], or [`Error::WrongState`] if the peer is not draining it or a
    /// delivery is still on its way out.
    pub fn drained(&mut self, link: LinkId) -> Result<(), Error> {
        let (session, shared) = self.session_of(link)?;
        session.drained(shared, link)
    }

    /// Deliveries that a link may carry now: of a sender those that can be sent, of a receiver those that the peer
    /// may still send.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`].
    pub fn credit(&mut self, link: LinkId) -> Result<u32, Error> {
        let (session, _) = self.session_of(link)?;
        let link = session.named(link)?;
        Ok(match link.role {
            crate::performative::Role::Sender => link.sendable(),
            crate::performative::Role::Receiver => link.credit,
        })
    }

    // Deliveries.

    /// Sends a delivery. One that is larger than the peer's frames goes out as the session's window lets it; until
    /// its last frame is written, the link has no credit.
    ///
    /// # Errors
    /// [`Error::NoCredit`]: wait for [`Event::LinkFlow`]; [`Error::NoWindow`]: wait for [`Event::WindowOpened`];
    /// [`Error::DeliveryTooLarge`] for what the peer does not take; [`Error::NoSuchLink`]; [`Error::WrongRole`].
    pub fn send(&mut self, link: LinkId, outgoing: Outgoing) -> Result<DeliveryId, Error> {
        let (session, shared) = self.session_of(link)?;
        session.send(shared, link, outgoing)
    }

    /// Gives up the delivery of which a link still has frames to send.
    ///
    /// # Errors
    /// [`Error::WrongState`] if there is none, [`Error::NoWindow`] if even that cannot be said now,
    /// [`Error::NoSuchLink`].
    pub fn abort(&mut self, link: LinkId) -> Result<DeliveryId, Error> {
        let (session, shared) = self.session_of(link)?;
        session.abort(shared, link)
    }

    /// Settles deliveries of a link, from the first to the last of a range, and says how many there were. Those that
    /// follow each other on the link are settled in one frame; those of other links are left alone.
    ///
    /// A receiver settles what it got; where the sender settles last, this only says the outcome, and
    /// [`Event::Disposition`] comes when the sender has settled. A sender settles what the receiver has told an
    /// outcome of.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`].
    pub fn settle(
        &mut self,
        link: LinkId,
        first: DeliveryId,
        last: DeliveryId,
        state: &DeliveryState,
    ) -> Result<usize, Error> {
        let (session, shared) = self.session_of(link)?;
        session.settle(shared, link, (first, last), state)
    }

    /// Deliveries of a session that are not settled: those that came in, and those that went out.
    ///
    /// # Errors
    /// [`Error::NoSuchSession`] if it has ended.
    pub fn unsettled(&mut self, session: SessionId) -> Result<(usize, usize), Error> {
        let (session, _) = self.session(session)?;
        Ok((session.incoming.len(), session.outgoing.len()))
    }

    fn session(&mut self, id: SessionId) -> Result<(&mut Session, &mut Shared), Error> {
        let session = self
            .sessions
            .get_mut(usize::from(id.channel))
            .and_then(Option::as_deref_mut)
            .filter(|session| session.id == id)
            .ok_or(Error::NoSuchSession)?;
        Ok((session, &mut self.shared))
    }

    fn session_of(&mut self, link: LinkId) -> Result<(&mut Session, &mut Shared), Error> {
        let session = self
            .sessions
            .get_mut(usize::from(link.channel))
            .and_then(Option::as_deref_mut)
            .ok_or(Error::NoSuchLink)?;
        Ok((session, &mut self.shared))
    }
}

#[cfg(test)]
mod tests;
