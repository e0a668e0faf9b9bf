//! Who calls, as far as the connection tells: the address and the certificates of the handshake, read once for all
//! requests on it.

use std::net::SocketAddr;

use muster_net::{Peer, Presented};
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

impl Caller {
    /// Reads what the handshake left.
    pub(crate) fn new(peer: &Peer) -> Self {
        Self {
            address: peer.addr,
            server_name: peer.server_name.clone(),
            presented: peer.presented(),
        }
    }

    /// The chain, where one was read.
    pub(crate) fn chain(&self) -> Option<&Chain> {
        self.presented.chain()
    }
}
