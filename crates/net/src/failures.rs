//! How failed handshakes are told to whoever keeps records of refusals.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

/// Is told of every connection that ended before a gateway saw it.
///
/// Called on the connection's task, so an implementation must not block; under flood it may sample.
pub trait HandshakeFailures: Send + Sync {
    /// Takes note of one failure.
    fn failed(&self, failure: HandshakeFailure);
}

/// Takes no note of failures, for listeners whose failures nobody explains.
#[derive(Clone, Copy, Debug, Default)]
pub struct IgnoreHandshakeFailures;

impl HandshakeFailures for IgnoreHandshakeFailures {
    fn failed(&self, _failure: HandshakeFailure) {}
}

/// Tells what is known of a connection that ended before a gateway saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeFailure {
    /// The peer's address.
    pub addr: SocketAddr,
    /// The address that the peer connected to.
    pub local_addr: SocketAddr,
    /// The server name asked for, where the first message could be read.
    pub server_name: Option<String>,
    /// The presented certificates as DER, as sent, where they were seen and within the caps.
    pub chain: Arc<[Bytes]>,
    /// What happened, as a stable code.
    pub code: HandshakeCode,
    /// One clause of detail for a person; wording may change.
    pub detail: String,
}

/// Says why a connection ended before a gateway saw it. The text forms are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeCode {
    /// Too many handshakes of this peer's address are under way.
    AddressBusy,
    /// The client offers only application protocols that cannot be served here.
    AlpnUnsupported,
    /// The presented chain has more bytes than permitted.
    ChainTooLarge,
    /// The presented chain has more certificates than permitted.
    ChainTooLong,
    /// The peer closed the connection before the handshake was done.
    ClosedByPeer,
    /// The server failed by itself; see its log.
    Internal,
    /// The key in the presented leaf certificate cannot be read or is of an unsupported kind.
    LeafKeyUnusable,
    /// Client and server share no protocol version, cipher suite, key exchange or signature scheme.
    NothingInCommon,
    /// What arrived is not TLS.
    NotTls,
    /// The peer ended the handshake with an alert: most often, it does not trust the server's certificate.
    PeerAlert,
    /// The peer could not prove that it holds the private key of its certificate.
    PossessionNotProven,
    /// The peer broke the rules of the protocol.
    ProtocolViolation,
    /// The server is full.
    ServerFull,
    /// The socket failed.
    SocketFailed,
    /// The handshake took too long.
    TimedOut,
}

impl HandshakeCode {
    /// The code's stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressBusy => "address_busy",
            Self::AlpnUnsupported => "alpn_unsupported",
            Self::ChainTooLarge => "chain_too_large",
            Self::ChainTooLong => "chain_too_long",
            Self::ClosedByPeer => "closed_by_peer",
            Self::Internal => "internal",
            Self::LeafKeyUnusable => "leaf_key_unusable",
            Self::NothingInCommon => "nothing_in_common",
            Self::NotTls => "not_tls",
            Self::PeerAlert => "peer_alert",
            Self::PossessionNotProven => "possession_not_proven",
            Self::ProtocolViolation => "protocol_violation",
            Self::ServerFull => "server_full",
            Self::SocketFailed => "socket_failed",
            Self::TimedOut => "timed_out",
        }
    }
}
