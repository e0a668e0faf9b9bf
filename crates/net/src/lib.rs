//! Sockets: TLS, limits, drain.
//!
//! A [`Listener`] binds addresses, a [`Server`] accepts on them, applies [`Limits`], finishes the TLS
//! handshake and hands a byte [`Stream`] with its [`Peer`] to a [`StreamService`]. Gateways are such
//! services, so that none of them imports another; they also borrow their timers and tasks here
//! ([`time`], [`task`]), which lets a whole server run in a simulation.
//!
//! Invariants:
//! * The handshake proves that the peer holds the key of the certificate that it sent, and nothing else.
//!   No issuer, date or extension is judged here: the domains decide trust from [`Peer::chain`].
//! * No type of the TLS library and no I/O type of the runtime stands in this crate's public interface;
//!   only `tls/session.rs` knows the record layer.
//! * An idle connection holds no buffer of ours, neither for reading nor for writing.

mod chunk;
mod drain;
mod error;
mod failures;
mod gate;
mod hyper_io;
mod hyper_time;
mod limits;
mod listener;
mod memory;
mod metrics;
mod peer;
mod server;
mod stream;
pub mod task;
mod tcp;
pub mod time;
mod tls;

pub use crate::chunk::Chunk;
pub use crate::drain::{Drain, Drained, Drainer};
pub use crate::error::Error;
pub use crate::failures::{HandshakeCode, HandshakeFailure, HandshakeFailures, IgnoreHandshakeFailures};
pub use crate::hyper_io::HyperStream;
pub use crate::hyper_time::HyperTimer;
pub use crate::limits::Limits;
pub use crate::listener::{Binds, Listener};
pub use crate::memory::memory_pair;
pub use crate::metrics::describe_metrics;
pub use crate::peer::{Peer, Presented, TlsVersion};
pub use crate::server::{BoxFuture, Server, StreamService};
pub use crate::stream::{Stream, Transport};
pub use crate::tls::{
    ServerCertificates, ServerIdentities, ServerIdentity, TicketKey, TicketKeys, Tickets, Tls, TlsSettings,
    WallClock,
};
