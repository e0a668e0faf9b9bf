//! What can go wrong while sockets and TLS are set up. A connection's own failures are `std::io::Error`s
//! or [`HandshakeFailure`](crate::HandshakeFailure)s instead.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// Says why a listener or its TLS settings could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be bound.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Every bind was optional, and none of them could be used.
    #[error("none of the addresses exists on this machine")]
    NoAddress,
    /// No server identity was given, so that no client could be answered.
    #[error("no server certificate was given")]
    NoIdentity,
    /// A private key could not be read, or does not belong to its certificate.
    #[error("the server's private key cannot be used: {reason}")]
    PrivateKey {
        /// What is wrong with it; no key material.
        reason: String,
    },
    /// Ticket keys could not be used.
    #[error("ticket keys cannot be used")]
    TicketKey,
    /// The TLS library refused the settings.
    #[error("TLS cannot be configured: {reason}")]
    TlsSettings {
        /// What it said.
        reason: String,
    },
}
