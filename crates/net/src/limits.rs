//! The bounds that hold for every connection before a gateway sees it.

use std::time::Duration;

/// Bounds what peers may use of this server before they are known.
///
/// One value governs one [`Server`](crate::Server), over all its listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most connections open at once, handshakes included; 1 or more. A further one is closed at once.
    pub max_connections: usize,
    /// Most handshakes under way at once; 1 or more. Further connections wait in the kernel's queue.
    pub max_handshakes: usize,
    /// Most handshakes under way at once from one address (IPv6: one /64); 1 or more. A further one is
    /// closed at once.
    pub max_handshakes_per_address: usize,
    /// Longest time from accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Most certificates in a presented chain, leaf included; 1 or more.
    pub max_chain_certificates: usize,
    /// Most bytes in a presented chain, as DER; the TLS library itself stops at 64 KiB.
    pub max_chain_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            max_handshakes: 2_048,
            max_handshakes_per_address: 512,
            handshake_timeout: Duration::from_secs(10),
            max_chain_certificates: 16,
            max_chain_bytes: 64 * 1024,
        }
    }
}
