//! AMQP 1.0: a codec, and the machine of a connection for both of its ends. No sockets, no clock, no tasks.
//!
//! # How an engine is driven
//!
//! ```text
//!   bytes ──► receive(bytes, now) ──► next_event()* ──► calls: accept, grant, settle, send, …
//!   bytes ◄── transmit(), transmitted(count) ◄─────────────┘
//!   timer ──► tick(now), at next_deadline() at the latest
//! ```
//!
//! 1. Give what was read to [`Engine::receive`], as it came; frames may be cut anywhere.
//! 2. Take events until there are none. A server answers [`Event::SaslInit`] and [`Event::AttachRequested`]; open and
//!    begin are answered by the engine. Calls may be made at any time, not only between events.
//! 3. Write the slices of [`Engine::transmit`] and say how much was written. Read again while
//!    [`Engine::wants_input`] is true.
//! 4. When [`Engine::is_finished`], write what is left and end the stream. A stream that ended by itself needs no
//!    call: drop the engine.
//!
//! A server's life of a link: `AttachRequested` → [`Engine::accept`] with credit → `Delivery`… → [`Engine::settle`]
//! over a range, [`Engine::grant`] more credit → `Detached`. A sender's: `LinkFlow` with credit → [`Engine::send`]
//! while there is some → `Disposition`.
//!
//! # What is held for the caller
//!
//! Frames and their sizes, channels, handles, session windows both ways, credit both ways, delivery ids, what is
//! unsettled, silence and heartbeats. A peer that breaks a rule loses the link, the session or the connection, in
//! this order of preference, and is always told why by a frame. Everything that a peer can make this side remember
//! is bounded by [`Config`].
//!
//! # What is not here
//!
//! Meaning: addresses, messages' properties, tokens, mechanisms of SASL. Queues: a delivery that has no credit stays
//! with the caller. Transactions and resumed links: the first are refused, the second begin anew.

pub mod codec;
pub mod condition;
mod engine;
mod error;
mod frame;
pub mod message;
mod outcome;
mod performative;
mod sasl;
mod symbol;
mod terminus;
mod value;

pub use condition::AmqpError;
pub use engine::{
    Cause, Config, Delivery, DeliveryId, Engine, Event, LinkAnswer, LinkId, LinkRequest, Outgoing, SessionId,
};
pub use error::Error;
pub use outcome::{ACCEPTED, DeliveryState, MODIFIED, REJECTED, RELEASED};
pub use performative::{
    Attach, Begin, DeliveryTag, MAX_TAG, Open, ReceiverSettleMode, Role, SenderSettleMode,
};
pub use sasl::{SaslCode, SaslInit};
pub use symbol::Symbol;
pub use terminus::{Source, Target};
pub use value::{Array, Described, Kind, Map, Value, find};
