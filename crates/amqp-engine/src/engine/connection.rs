//! From the first octet to the last: protocol headers, SASL, open, frames to sessions, time, and close.

use super::config::Config;
use super::event::{Cause, Event};
use super::id::SessionId;
use super::session::{Fault, Session, SessionState};
use super::{Engine, Side};
use crate::codec::Reader;
use crate::condition::AmqpError;
use crate::error::Error;
use crate::frame::{self, FrameKind, Layer, MIN_MAX_FRAME};
use crate::performative::{Begin, Close, End, Open, Performative};
use crate::sasl::{SaslCode, SaslFrame};

/// Octets of the largest frame of the SASL layer. The standard has 512; tokens in one response are larger.
const MAX_SASL_FRAME: u32 = 8_192;
/// Octets that may come while the caller has not answered a SASL frame: a client that does not wait for the outcome
/// sends its header, open, begin and attach at once.
const MAX_HELD: usize = 65_536;
/// The least milliseconds between two empty frames, whatever the peer asks for.
const MIN_HEARTBEAT: u64 = 250;

/// What the connection awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A protocol header; `None` if either layer may come.
    Header { layer: Option<Layer>, until: u64 },
    /// A step of the SASL layer.
    Sasl { state: SaslState, until: u64 },
    /// The peer's open.
    AwaitOpen { until: u64 },
    /// Anything.
    Open,
    /// The peer's close; what else comes is passed over.
    CloseSent { until: u64 },
    /// Nothing more.
    Finished,
}

/// What the SASL layer awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SaslState {
    ServerAwaitInit,
    ServerAwaitResponse,
    /// The caller's challenge or outcome.
    ServerAnswer,
    ClientAwaitMechanisms,
    /// The caller's choice.
    ClientChoose,
    ClientAwait,
    /// The caller's response.
    ClientRespond,
}

impl Phase {
    pub(super) fn first(side: Side, config: &Config, now: u64) -> Self {
        let layer = match side {
            Side::Client if config.sasl_required => Some(Layer::Sasl),
            Side::Client => Some(Layer::Amqp),
            Side::Server if config.sasl_mechanisms.is_empty() => Some(Layer::Amqp),
            Side::Server if config.sasl_required => Some(Layer::Sasl),
            Side::Server => None,
        };
        Self::Header {
            layer,
            until: now.saturating_add(config.handshake_time_out),
        }
    }

    pub(super) const fn sasl(&self) -> Option<SaslState> {
        match self {
            Self::Sasl { state, .. } => Some(*state),
            _ => None,
        }
    }

    /// Goes from the SASL layer to the header of the next one.
    pub(super) fn expect_amqp(&mut self) {
        if let Some(until) = self.until() {
            *self = Self::Header {
                layer: Some(Layer::Amqp),
                until,
            };
        }
    }

    const fn until(&self) -> Option<u64> {
        match self {
            Self::Header { until, .. }
            | Self::Sasl { until, .. }
            | Self::AwaitOpen { until }
            | Self::CloseSent { until } => Some(*until),
            Self::Open | Self::Finished => None,
        }
    }

    /// Whether bytes have to wait for the caller.
    const fn is_paused(&self) -> bool {
        matches!(
            self.sasl(),
            Some(SaslState::ServerAnswer | SaslState::ClientChoose | SaslState::ClientRespond)
        )
    }
}

/// Bytes in.
impl Engine {
    pub(super) fn feed(&mut self, mut input: &[u8]) {
        while !input.is_empty() && !self.is_finished() {
            if self.phase.is_paused() {
                self.hold(input);
                return;
            }
            if self.inbox.is_empty() {
                match self.unit(input) {
                    Ok(Some(size)) if size <= input.len() => {
                        let (unit, rest) = input.split_at(size);
                        input = rest;
                        self.take_unit(unit);
                    }
                    Ok(_) => {
                        self.inbox.extend_from_slice(input);
                        return;
                    }
                    Err(error) => self.violation(error),
                }
                continue;
            }
            // The size itself may be cut, so at first only as much is added as tells it.
            let wanted = match self.unit(&self.inbox) {
                Ok(size) => size.unwrap_or(4),
                Err(error) => {
                    self.violation(error);
                    continue;
                }
            };
            let (part, rest) = input.split_at(wanted.saturating_sub(self.inbox.len()).min(input.len()));
            self.inbox.extend_from_slice(part);
            input = rest;
            match self.unit(&self.inbox) {
                Ok(Some(size)) if size <= self.inbox.len() => {
                    let mut unit = std::mem::take(&mut self.inbox);
                    self.take_unit(&unit);
                    unit.clear();
                    if self.inbox.is_empty() {
                        self.inbox = unit;
                    }
                }
                Ok(_) => {}
                Err(error) => self.violation(error),
            }
        }
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
    }

    /// Keeps bytes until the caller has answered.
    fn hold(&mut self, input: &[u8]) {
        if self.inbox.len() + input.len() > MAX_HELD {
            self.violation(Error::Flooded);
        } else {
            self.inbox.extend_from_slice(input);
        }
    }

    /// Goes on with what was kept.
    pub(super) fn resume(&mut self) {
        let held = std::mem::take(&mut self.inbox);
        self.feed(&held);
    }

    /// How many octets the unit at the front of `input` has, a protocol header or a frame.
    fn unit(&self, input: &[u8]) -> Result<Option<usize>, Error> {
        match self.phase {
            Phase::Header { .. } => {
                let same = input.iter().zip(b"AMQP").all(|(is, should)| is == should);
                if same { Ok(Some(8)) } else { Err(Error::Header) }
            }
            Phase::Sasl { .. } => frame::size(input, MAX_SASL_FRAME),
            _ => frame::size(input, self.shared.config.open.max_frame_size.max(MIN_MAX_FRAME)),
        }
    }

    fn take_unit(&mut self, unit: &[u8]) {
        let outcome = match self.phase {
            Phase::Header { layer, .. } => self.on_header(unit, layer),
            Phase::Sasl { state, .. } => self.on_sasl(unit, state),
            Phase::AwaitOpen { .. } | Phase::Open => self.on_frame(unit),
            Phase::CloseSent { .. } => {
                self.on_frame_while_closing(unit);
                Ok(())
            }
            Phase::Finished => Ok(()),
        };
        if let Err(error) = outcome {
            self.violation(error);
        }
    }

    fn on_header(&mut self, header: &[u8], expected: Option<Layer>) -> Result<(), Error> {
        let layer = [Layer::Amqp, Layer::Sasl]
            .into_iter()
            .find(|layer| header == layer.header())
            .filter(|layer| expected.is_none_or(|expected| expected == *layer))
            .ok_or(Error::Header)?;
        let until = self.phase.until().unwrap_or(self.now);
        if self.side == Side::Server {
            self.shared.out.raw(&layer.header());
        }
        self.phase = match layer {
            Layer::Amqp => Phase::AwaitOpen { until },
            Layer::Sasl => {
                let state = if self.side == Side::Server {
                    let mechanisms = SaslFrame::Mechanisms(self.shared.config.sasl_mechanisms.clone());
                    self.shared.out.sasl(|out| mechanisms.write(out));
                    SaslState::ServerAwaitInit
                } else {
                    SaslState::ClientAwaitMechanisms
                };
                Phase::Sasl { state, until }
            }
        };
        Ok(())
    }

    fn on_sasl(&mut self, unit: &[u8], state: SaslState) -> Result<(), Error> {
        let frame = frame::parse(unit)?;
        if frame.kind != FrameKind::Sasl {
            return Err(Error::UnexpectedFrame);
        }
        let mut reader = Reader::new(frame.body);
        let (next, event) = match (state, SaslFrame::read(&mut reader)?) {
            (SaslState::ServerAwaitInit, SaslFrame::Init(init)) => {
                (SaslState::ServerAnswer, Event::SaslInit(Box::new(init)))
            }
            (SaslState::ServerAwaitResponse, SaslFrame::Response(octets)) => {
                (SaslState::ServerAnswer, Event::SaslResponse(octets))
            }
            (SaslState::ClientAwaitMechanisms, SaslFrame::Mechanisms(mechanisms)) => {
                (SaslState::ClientChoose, Event::SaslMechanisms(mechanisms))
            }
            (SaslState::ClientAwait, SaslFrame::Challenge(octets)) => {
                (SaslState::ClientRespond, Event::SaslChallenge(octets))
            }
            (SaslState::ClientAwait, SaslFrame::Outcome(code, data)) => {
                self.shared.tell(Event::SaslOutcome { code, data });
                if code == SaslCode::Ok {
                    self.phase.expect_amqp();
                    self.say_hello();
                } else {
                    self.finish(Cause::Peer(None));
                }
                return Ok(());
            }
            _ => return Err(Error::UnexpectedFrame),
        };
        self.shared.tell(event);
        self.sasl_step(state, next)
    }

    pub(super) fn sasl_step(&mut self, from: SaslState, to: SaslState) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Sasl { state, .. } if *state == from => {
                *state = to;
                Ok(())
            }
            _ => Err(Error::WrongState),
        }
    }

    pub(super) fn answer_sasl(&mut self, frame: &SaslFrame) {
        self.shared.out.sasl(|out| frame.write(out));
        self.resume();
    }

    /// A client's header and open, in one go.
    pub(super) fn say_hello(&mut self) {
        self.shared.out.raw(&Layer::Amqp.header());
        self.write_open();
    }

    fn write_open(&mut self) {
        let config = &self.shared.config;
        if config.open.max_frame_size >= MIN_MAX_FRAME {
            self.shared.out.frame(0, |out| config.open.write(out));
        } else {
            let open = Open {
                max_frame_size: MIN_MAX_FRAME,
                ..config.open.clone()
            };
            self.shared.out.frame(0, |out| open.write(out));
        }
    }

    fn on_frame(&mut self, unit: &[u8]) -> Result<(), Error> {
        let frame = frame::parse(unit)?;
        if frame.kind != FrameKind::Amqp {
            return Err(Error::UnexpectedFrame);
        }
        if frame.body.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(frame.body);
        let performative = Performative::read(&mut reader)?;
        let payload = reader.rest();
        if !matches!(performative, Performative::Transfer(_)) {
            reader.finish()?;
        }
        let channel = frame.channel;
        match (performative, self.phase) {
            (Performative::Open(open), Phase::AwaitOpen { .. }) => {
                self.on_open(open);
                Ok(())
            }
            (Performative::Close(close), _) => {
                self.on_close(close);
                Ok(())
            }
            (Performative::Open(_), _) | (_, Phase::AwaitOpen { .. }) => Err(Error::UnexpectedFrame),
            (Performative::Begin(begin), _) => self.on_begin(channel, begin),
            (Performative::End(end), _) => {
                self.on_end(channel, end);
                Ok(())
            }
            (performative, _) => self.on_session_frame(channel, performative, payload),
        }
    }

    fn on_frame_while_closing(&mut self, unit: &[u8]) {
        let close = frame::parse(unit)
            .ok()
            .filter(|frame| frame.kind == FrameKind::Amqp)
            .and_then(|frame| Performative::read(&mut Reader::new(frame.body)).ok());
        if let Some(Performative::Close(_)) = close {
            self.finish(Cause::Local);
        }
    }

    fn on_open(&mut self, open: Box<Open>) {
        if self.side == Side::Server {
            self.write_open();
        }
        // Less than the least is not allowed, and nothing could be sent in it.
        self.shared.peer_max_frame = open.max_frame_size.max(MIN_MAX_FRAME);
        self.peer_channel_max = open.channel_max;
        self.peer_idle = open.idle_time_out.filter(|time_out| *time_out > 0);
        self.phase = Phase::Open;
        self.shared.tell(Event::Opened(open));
    }

    fn on_close(&mut self, close: Close) {
        if self.side == Side::Server && matches!(self.phase, Phase::AwaitOpen { .. }) {
            self.write_open();
        }
        self.shared.out.frame(0, |out| Close { error: None }.write(out));
        self.finish(Cause::Peer(close.error));
    }
}

/// Sessions.
impl Engine {
    fn on_begin(&mut self, channel: u16, begin: Box<Begin>) -> Result<(), Error> {
        if channel > self.shared.config.open.channel_max {
            return Err(Error::Channel(channel));
        }
        let Err(place) = self.by_remote.binary_search_by_key(&channel, |pair| pair.0) else {
            return Err(Error::ChannelInUse(channel));
        };
        let own = if let Some(own) = begin.remote_channel {
            let session = self
                .sessions
                .get_mut(usize::from(own))
                .and_then(Option::as_deref_mut)
                .filter(|session| session.remote_channel.is_none())
                .ok_or(Error::Channel(own))?;
            session.learn(channel, &begin);
            own
        } else {
            let own = self.free_channel().ok_or(Error::TooManySessions)?;
            let id = SessionId {
                channel: own,
                generation: self.shared.next_generation(),
            };
            let mut session = Session::new(id, SessionState::Begun, &self.shared.config);
            session.learn(channel, &begin);
            session.write_begin(&mut self.shared);
            self.place(session);
            own
        };
        self.by_remote.insert(place, (channel, own));
        let session = self.sessions.get(usize::from(own)).and_then(Option::as_deref);
        if let Some(session) = session.filter(|session| session.state == SessionState::Begun) {
            self.shared.tell(Event::SessionBegun {
                session: session.id,
                begin,
            });
        }
        Ok(())
    }

    fn on_end(&mut self, channel: u16, end: End) {
        let Some(own) = self.channel_of(channel) else {
            return;
        };
        self.by_remote.retain(|pair| pair.0 != channel);
        let slot = self.sessions.get_mut(usize::from(own));
        let Some(mut session) = slot.and_then(Option::take) else {
            return;
        };
        while self.sessions.last().is_some_and(Option::is_none) {
            self.sessions.pop();
        }
        let cause = match session.state {
            SessionState::AwaitEnd { announce: false } => return,
            SessionState::AwaitEnd { announce: true } => Cause::Local,
            SessionState::AwaitBegin | SessionState::Begun => {
                session.write_end(&mut self.shared, None, false);
                Cause::Peer(end.error)
            }
        };
        self.shared.tell(Event::SessionEnded {
            session: session.id,
            cause,
        });
    }

    fn on_session_frame(
        &mut self,
        channel: u16,
        performative: Performative,
        payload: &[u8],
    ) -> Result<(), Error> {
        let session = self
            .channel_of(channel)
            .and_then(|own| self.sessions.get_mut(usize::from(own)))
            .and_then(Option::as_deref_mut);
        let Some(session) = session else {
            // Clients send these after the end of a session, when it no longer matters.
            let late = matches!(
                performative,
                Performative::Detach(_) | Performative::Disposition(_) | Performative::Flow(_)
            );
            return if late {
                Ok(())
            } else {
                Err(Error::Channel(channel))
            };
        };
        if matches!(session.state, SessionState::AwaitEnd { .. }) {
            return Ok(());
        }
        let shared = &mut self.shared;
        let outcome = match performative {
            Performative::Attach(attached) => session.on_attach(shared, *attached),
            Performative::Flow(flow) => {
                session.on_flow(shared, &flow);
                Ok(())
            }
            Performative::Transfer(transfer) => session.on_transfer(shared, &transfer, payload),
            Performative::Disposition(disposition) => {
                session.on_disposition(shared, &disposition);
                Ok(())
            }
            Performative::Detach(detach) => {
                session.on_detach(shared, detach);
                Ok(())
            }
            Performative::Open(_)
            | Performative::Begin(_)
            | Performative::End(_)
            | Performative::Close(_) => Err(Fault::Connection(Error::UnexpectedFrame)),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Fault::Connection(error)) => Err(error),
            Err(Fault::Session(error)) => {
                session.write_end(shared, Some(Box::new(error.into())), false);
                shared.tell(Event::SessionEnded {
                    session: session.id,
                    cause: Cause::Violation(error),
                });
                Ok(())
            }
        }
    }

    fn channel_of(&self, remote: u16) -> Option<u16> {
        let place = self.by_remote.binary_search_by_key(&remote, |pair| pair.0).ok()?;
        self.by_remote.get(place).map(|pair| pair.1)
    }

    pub(super) fn free_channel(&self) -> Option<u16> {
        let place = self
            .sessions
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.sessions.len());
        let highest = self.peer_channel_max.min(self.shared.config.open.channel_max);
        u16::try_from(place).ok().filter(|channel| *channel <= highest)
    }

    pub(super) fn place(&mut self, session: Session) {
        let place = usize::from(session.id.channel);
        while self.sessions.len() <= place {
            self.sessions.push(None);
        }
        if let Some(slot) = self.sessions.get_mut(place) {
            *slot = Some(Box::new(session));
        }
    }
}

/// Time and the end.
impl Engine {
    /// Remembers that something was written, as of the latest moment that was told.
    pub(super) fn note_said(&mut self) {
        if self.said_octets != self.shared.out.added() {
            self.said_octets = self.shared.out.added();
            self.said = self.now;
        }
    }

    fn heartbeat_due(&self) -> Option<u64> {
        let interval = (u64::from(self.peer_idle?) / 2).max(MIN_HEARTBEAT);
        Some(self.said.saturating_add(interval))
    }

    fn silence_due(&self) -> Option<u64> {
        let time_out = self
            .shared
            .config
            .open
            .idle_time_out
            .filter(|time_out| *time_out > 0)?;
        Some(self.heard.saturating_add(u64::from(time_out) * 2))
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Open => [self.heartbeat_due(), self.silence_due()]
                .into_iter()
                .flatten()
                .min(),
            phase => phase.until(),
        }
    }

    pub(super) fn due(&mut self) {
        let now = self.now;
        let is_due = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now);
        match self.phase {
            Phase::Open => {
                if is_due(self.silence_due()) {
                    self.violation(Error::Silence);
                } else if is_due(self.heartbeat_due()) {
                    // What waits already is as good, and a peer that does not read gets no more of them.
                    if self.shared.out.pending() == 0 {
                        self.shared.out.frame(0, |_| {});
                        self.note_said();
                    }
                    self.said = now;
                }
            }
            Phase::CloseSent { .. } if is_due(self.phase.until()) => self.finish(Cause::Local),
            phase if is_due(phase.until()) => self.violation(Error::HandshakeTimeout),
            _ => {}
        }
    }

    /// Closes from this side.
    pub(super) fn begin_close(&mut self, error: Option<Box<AmqpError>>) {
        match self.phase {
            Phase::AwaitOpen { .. } | Phase::Open => {
                self.write_close(error);
                self.drop_sessions();
                self.phase = Phase::CloseSent {
                    until: self.now.saturating_add(self.shared.config.close_time_out),
                };
            }
            Phase::Header { .. } | Phase::Sasl { .. } => self.finish(Cause::Local),
            Phase::CloseSent { .. } | Phase::Finished => {}
        }
    }

    /// Ends the connection because the peer broke a rule, in the words of the layer that it is in.
    fn violation(&mut self, error: Error) {
        match self.phase {
            Phase::Header { layer, .. } => {
                if self.side == Side::Server && error != Error::HandshakeTimeout {
                    let layer = layer.unwrap_or(Layer::Amqp);
                    self.shared.out.raw(&layer.header());
                }
            }
            Phase::Sasl { .. } => {
                if self.side == Side::Server {
                    let outcome = SaslFrame::Outcome(SaslCode::SysPerm, None);
                    self.shared.out.sasl(|out| outcome.write(out));
                }
            }
            Phase::AwaitOpen { .. } | Phase::Open => self.write_close(Some(Box::new(error.into()))),
            Phase::CloseSent { .. } => {}
            Phase::Finished => return,
        }
        self.finish(Cause::Violation(error));
    }

    fn write_close(&mut self, error: Option<Box<AmqpError>>) {
        // A close without an open before it would be no frame that the peer can read.
        if self.side == Side::Server && matches!(self.phase, Phase::AwaitOpen { .. }) {
            self.write_open();
        }
        self.shared.out.frame(0, |out| Close { error }.write(out));
    }

    pub(super) fn finish(&mut self, cause: Cause) {
        self.drop_sessions();
        self.inbox = Vec::new();
        self.phase = Phase::Finished;
        self.shared.tell(Event::Closed { cause });
    }

    fn drop_sessions(&mut self) {
        for mut session in self.sessions.drain(..).flatten() {
            session.drop_links(&mut self.shared);
        }
        self.sessions = Vec::new();
        self.by_remote = Vec::new();
    }
}
