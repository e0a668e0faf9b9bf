//! Who calls, as far as the connection tells: the address and the certificates of the handshake, read once for all
//! requests on it.

use std::net::SocketAddr;

use muster_net::Peer;
use muster_pki::Chain;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The server name it asked for, in lower case.
    pub(crate) server_name: Option<String>,
    /// The certificates it presented.
    pub(crate) presented: Presented,
}

/// The certificates of a caller.
#[derive(Debug)]
pub(crate) enum Presented {
    /// They were read.
    Chain(Chain),
    /// None came.
    Nothing,
    /// The leaf is not a certificate that can be read. The handshake was done all the same, since its key could be.
    Unreadable,
}

impl Caller {
    /// Reads what the handshake left.
    pub(crate) fn new(peer: &Peer) -> Self {
        let presented = if peer.chain.is_empty() {
            Presented::Nothing
        } else {
            match Chain::from_ders(peer.chain.iter().map(|der| &der[..])) {
                Ok(chain) => Presented::Chain(chain),
                Err(error) => {
                    tracing::debug!(peer.address = %peer.addr, %error, "a presented chain can't be read");
                    Presented::Unreadable
                }
            }
        };
        Self {
            address: peer.addr,
            server_name: peer.server_name.clone(),
            presented,
        }
    }

    /// The chain, where one was read.
    pub(crate) fn chain(&self) -> Option<&Chain> {
        match &self.presented {
            Presented::Chain(chain) => Some(chain),
            Presented::Nothing | Presented::Unreadable => None,
        }
    }
}
