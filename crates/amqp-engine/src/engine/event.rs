//! What an engine tells its caller.

use bytes::Bytes;

use super::id::{DeliveryId, LinkId, SessionId};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::outcome::DeliveryState;
use crate::performative::{Attach, Begin, DeliveryTag, Open};
use crate::sasl::{SaslCode, SaslInit};
use crate::symbol::Symbol;

/// Something that happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// To a client: the mechanisms that the server offers. Answer with [`sasl_init`](crate::Engine::sasl_init).
    SaslMechanisms(Vec<Symbol>),
    /// To a server: the client has begun. Answer with [`sasl_challenge`](crate::Engine::sasl_challenge) or
    /// [`sasl_outcome`](crate::Engine::sasl_outcome).
    SaslInit(Box<SaslInit>),
    /// To a client: octets of the mechanism. Answer with [`sasl_response`](crate::Engine::sasl_response).
    SaslChallenge(Bytes),
    /// To a server: octets of the mechanism. Answer as after [`SaslInit`](Self::SaslInit).
    SaslResponse(Bytes),
    /// To a client: how authentication ended. After anything but [`SaslCode::Ok`] the engine is finished.
    SaslOutcome {
        /// How it ended.
        code: SaslCode,
        /// What the mechanism says to it.
        data: Option<Bytes>,
    },
    /// The connection is open on both sides; what the peer said of itself.
    Opened(Box<Open>),
    /// A session has begun on both sides.
    SessionBegun {
        /// The session.
        session: SessionId,
        /// What the peer said of it.
        begin: Box<Begin>,
    },
    /// A session that could not send can do so again, if its links have credit.
    WindowOpened {
        /// The session.
        session: SessionId,
    },
    /// A session has ended, and with it its links, which get no events of their own.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why.
        cause: Cause,
    },
    /// The peer asks for a link. Answer with [`accept`](crate::Engine::accept) or [`refuse`](crate::Engine::refuse).
    AttachRequested {
        /// The link.
        link: LinkId,
        /// The session that it is on.
        session: SessionId,
        /// What the peer said of it; the role is the peer's.
        attach: Box<Attach>,
    },
    /// The peer has taken the link that was asked for.
    Attached {
        /// The link.
        link: LinkId,
        /// What the peer said of it; the role is the peer's.
        attach: Box<Attach>,
    },
    /// The peer told how much it takes on a link that this side sends on.
    LinkFlow {
        /// The link.
        link: LinkId,
        /// Deliveries that may be sent now.
        credit: u32,
        /// Whether credit that is not used at once is to be given back, with [`drained`](crate::Engine::drained).
        drain: bool,
    },
    /// The peer gave back what credit it had left on a link that this side receives on.
    Drained {
        /// The link.
        link: LinkId,
    },
    /// A whole delivery.
    Delivery(Delivery),
    /// The peer told what became of deliveries that follow each other on one link.
    Disposition {
        /// The link.
        link: LinkId,
        /// The first of them.
        first: DeliveryId,
        /// The last of them.
        last: DeliveryId,
        /// Whether the peer has settled them; if not, this side has to.
        settled: bool,
        /// Their state; `None` is the default outcome of the source.
        state: Option<DeliveryState>,
    },
    /// A link is gone, or was refused.
    Detached {
        /// The link.
        link: LinkId,
        /// Why.
        cause: Cause,
    },
    /// The connection is gone. What is still to be written explains it to the peer.
    Closed {
        /// Why.
        cause: Cause,
    },
}

/// Who ended something, and why.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The peer did, with this error if not all was well.
    Peer(Option<Box<AmqpError>>),
    /// The peer broke a rule, and was told which.
    Violation(Error),
    /// This side did, by a call, and the peer has confirmed it or was not asked.
    Local,
}

/// A whole delivery, in however many transfers it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The link.
    pub link: LinkId,
    /// The name to settle it by.
    pub id: DeliveryId,
    /// The sender's name of it.
    pub tag: DeliveryTag,
    /// How the payload is to be read; 0 is a message.
    pub message_format: u32,
    /// Whether the sender has settled it, so that no answer is due.
    pub settled: bool,
    /// The sections of the message; bytes of their own, which hold nothing else in memory.
    pub payload: Bytes,
}
