//! Who is at the other end of a [`Stream`](crate::Stream), as far as socket and handshake tell.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use muster_pki::Chain;

/// Describes the other end of a connection.
///
/// Nothing in it is trusted: `chain` is what the peer sent, of which only the possession of the leaf's key
/// is proved.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The peer's address.
    pub addr: SocketAddr,
    /// The address that the peer connected to.
    pub local_addr: SocketAddr,
    /// The server name that the client asked for (SNI), in lower case; absent on plain connections and for
    /// clients that connect to an address.
    pub server_name: Option<String>,
    /// The presented certificates as DER, in the order in which they were sent, leaf first; empty when the
    /// client sent none. A resumed session has the chain of the session that it continues.
    pub chain: Arc<[Bytes]>,
    /// The protocol version; absent on plain connections.
    pub tls_version: Option<TlsVersion>,
    /// The cipher suite's registered name, such as `TLS13_AES_256_GCM_SHA384`; absent on plain connections.
    pub cipher: Option<&'static str>,
    /// Whether the session was resumed, in which case no signature was made by the peer on this connection.
    pub resumed: bool,
    /// The agreed application protocol (ALPN), if any.
    pub alpn: Option<String>,
}

impl Peer {
    /// Describes a peer without TLS.
    pub fn plain(addr: SocketAddr, local_addr: SocketAddr) -> Self {
        Self {
            addr,
            local_addr,
            server_name: None,
            chain: Arc::new([]),
            tls_version: None,
            cipher: None,
            resumed: false,
            alpn: None,
        }
    }

    /// Reads the presented certificates.
    pub fn presented(&self) -> Presented {
        if self.chain.is_empty() {
            return Presented::Nothing;
        }
        match Chain::from_ders(self.chain.iter().map(|der| &der[..])) {
            Ok(chain) => Presented::Chain(chain),
            Err(error) => {
                tracing::debug!(peer.address = %self.addr, %error, "a presented chain can't be read");
                Presented::Unreadable
            }
        }
    }

    /// Makes up a peer for tests of gateways: loopback addresses, TLS 1.3, the given name and chain.
    pub fn made_up(server_name: &str, chain: impl IntoIterator<Item = Bytes>) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            server_name: Some(server_name.to_ascii_lowercase()),
            chain: chain.into_iter().collect(),
            tls_version: Some(TlsVersion::V1_3),
            cipher: Some("TLS13_AES_256_GCM_SHA384"),
            ..Self::plain(at(50_000), at(8443))
        }
    }
}

/// The certificates of a peer, read.
#[derive(Clone, Debug)]
pub enum Presented {
    /// They were read.
    Chain(Chain),
    /// None came.
    Nothing,
    /// The leaf is not a certificate that can be read. The handshake was done all the same, since its key could be.
    Unreadable,
}

impl Presented {
    /// The chain, where one was read.
    pub const fn chain(&self) -> Option<&Chain> {
        match self {
            Self::Chain(chain) => Some(chain),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

/// Names a version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// The version as it is commonly written: `1.2` or `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}
