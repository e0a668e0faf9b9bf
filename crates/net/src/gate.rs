//! Counts connections and handshakes against the limits.
//!
//! A place is a value: it is given back when it is dropped, however the connection ends.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// What admits connections, for all listeners of a server.
#[derive(Debug)]
pub(crate) struct Gate {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    /// Handshakes under way by source; holds no entry of 0, so at most as many as handshakes.
    by_source: Mutex<HashMap<IpAddr, usize>>,
    per_source: usize,
}

/// The right to be open.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    _permit: OwnedSemaphorePermit,
}

/// The right to be in a handshake, not yet tied to a source.
#[derive(Debug)]
pub(crate) struct HandshakePlace {
    _permit: OwnedSemaphorePermit,
}

/// The right of a source to be in a handshake.
#[derive(Debug)]
pub(crate) struct SourcePlace {
    gate: Arc<Gate>,
    source: IpAddr,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let semaphore = |count: usize| Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            connections: semaphore(limits.max_connections),
            handshakes: semaphore(limits.max_handshakes),
            by_source: Mutex::default(),
            per_source: limits.max_handshakes_per_address.max(1),
        }
    }

    /// Takes a place among the open connections, if there is one.
    pub(crate) fn connection(&self) -> Option<ConnectionPlace> {
        Some(ConnectionPlace {
            _permit: Arc::clone(&self.connections).try_acquire_owned().ok()?,
        })
    }

    /// Waits for a place among the handshakes.
    pub(crate) async fn handshake(&self) -> HandshakePlace {
        match Arc::clone(&self.handshakes).acquire_owned().await {
            Ok(permit) => HandshakePlace { _permit: permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes a place for one more handshake from `addr`, if its source has one left.
    pub(crate) fn source(self: &Arc<Self>, addr: IpAddr) -> Option<SourcePlace> {
        let source = source_of(addr);
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_source.entry(source).or_insert(0);
        if *count >= self.per_source {
            return None;
        }
        *count += 1;
        Some(SourcePlace {
            gate: Arc::clone(self),
            source,
        })
    }
}

impl Drop for SourcePlace {
    fn drop(&mut self) {
        let mut by_source = self.gate.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

/// Who is counted as one: an IPv4 address, or an IPv6 /64, since that much is handed to a single customer.
fn source_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(per_source: usize) -> Arc<Gate> {
        let limits = Limits {
            max_connections: 2,
            max_handshakes_per_address: per_source,
            ..Limits::default()
        };
        Arc::new(Gate::new(&limits))
    }

    #[test]
    fn gives_connection_places_back() {
        let gate = gate(1);
        let first = gate.connection();
        let second = gate.connection();
        assert!(first.is_some() && second.is_some());
        assert!(gate.connection().is_none());
        drop(first);
        assert!(gate.connection().is_some());
    }

    #[test]
    fn counts_a_64_of_ipv6_as_one_source_and_forgets_idle_sources() {
        let gate = gate(1);
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let same: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let place = gate.source(one);
        assert!(place.is_some());
        assert!(gate.source(same).is_none());
        assert!(gate.source(other).is_some());
        drop(place);
        assert!(gate.source(same).is_some());
        assert!(gate.by_source.lock().unwrap().is_empty());
    }

    #[test]
    fn counts_mapped_addresses_as_the_ipv4_address() {
        let gate = gate(1);
        let _place = gate.source("192.0.2.1".parse().unwrap()).unwrap();
        assert!(gate.source("::ffff:192.0.2.1".parse().unwrap()).is_none());
    }
}
