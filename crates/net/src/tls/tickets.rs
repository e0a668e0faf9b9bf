//! Session tickets: sessions continue after a restart and on other nodes, under keys of the caller.
//!
//! A ticket is everything the server needs to go on with a session, the presented chain included, sealed
//! with AES-256-GCM. Where keys are kept and when they change is the caller's business. The age is checked
//! here, since the TLS library only tells it to the client. A ticket says nothing about trust: the domain
//! judges a resumed session's chain as it judges any other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::WallClock;
use crate::error::Error;

/// Longest life of a ticket: a device that was away longer does a full handshake.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// Greatest content of a ticket. Longer chains (RSA-4096 with intermediates) get none: sending several KiB
/// in every handshake costs a device more than the full handshake does. The content is the chain and about
/// a quarter KiB of session state.
const MAX_CONTENT: usize = 2 * 1024 + 256;

/// Most that a clock may have stepped back since a ticket was made, in seconds.
const CLOCK_STEP: u64 = 300;

const NAME_LEN: usize = 16;
const ISSUED_LEN: usize = 8;
const NONCE_LEN: usize = 12;

/// A key that seals tickets: 256 random bits that only servers know.
#[derive(Clone)]
pub struct TicketKey {
    name: [u8; NAME_LEN],
    secret: Zeroizing<[u8; 32]>,
}

impl TicketKey {
    /// Takes the key's bits, which must be random. The bits are not kept elsewhere.
    pub fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"muster ticket key name\0");
        context.update(&*secret);
        let mut name = [0; NAME_LEN];
        for (to, from) in name.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self { name, secret }
    }
}

/// Shows nothing of the key.
impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

/// The keys in use at a time.
#[derive(Clone, Debug)]
pub struct TicketKeys {
    /// Seals new tickets, and opens them.
    pub current: TicketKey,
    /// Opens tickets that were made before the last change of keys.
    pub previous: Option<TicketKey>,
}

/// Seals and opens tickets; shared by listeners, and by nodes that are given the same keys.
#[derive(Debug)]
pub struct Tickets {
    sealer: Arc<Sealer>,
}

impl Tickets {
    /// Starts with `keys`. Tickets live for `life`, at most 24 hours and at least a second.
    ///
    /// # Errors
    /// [`Error::TicketKey`] if the cipher refuses a key.
    pub fn new(keys: &TicketKeys, life: Duration, wall: WallClock) -> Result<Self, Error> {
        let life = life.clamp(Duration::from_secs(1), MAX_LIFE).as_secs();
        let ring = ArcSwap::from_pointee(Ring::new(keys)?);
        Ok(Self {
            sealer: Arc::new(Sealer { ring, life, wall }),
        })
    }

    /// Uses `keys` from now on. The caller rotates so that no key seals for longer than tickets live, and
    /// gives the last current key as the previous one.
    ///
    /// # Errors
    /// [`Error::TicketKey`] if the cipher refuses a key; the present ones stay.
    pub fn rotate(&self, keys: &TicketKeys) -> Result<(), Error> {
        self.sealer.ring.store(Arc::new(Ring::new(keys)?));
        Ok(())
    }

    pub(super) fn producer(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.sealer) as _
    }
}

/// The keys, expanded.
struct Ring {
    current: SealingKey,
    previous: Option<SealingKey>,
}

struct SealingKey {
    name: [u8; NAME_LEN],
    key: RandomizedNonceKey,
}

impl Ring {
    fn new(keys: &TicketKeys) -> Result<Self, Error> {
        let expand = |key: &TicketKey| {
            let expanded =
                RandomizedNonceKey::new(&AES_256_GCM, &*key.secret).map_err(|_| Error::TicketKey)?;
            Ok(SealingKey {
                name: key.name,
                key: expanded,
            })
        };
        Ok(Self {
            current: expand(&keys.current)?,
            previous: keys.previous.as_ref().map(expand).transpose()?,
        })
    }

    fn named(&self, name: &[u8]) -> Option<&SealingKey> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.name == name)
    }
}

struct Sealer {
    ring: ArcSwap<Ring>,
    /// In seconds, below 2^17.
    life: u64,
    wall: WallClock,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.life).unwrap_or(u32::MAX)
    }

    /// Layout: key name (16), time of issue in seconds (8, big endian), nonce (12), sealed content and tag.
    /// Name and time are authenticated too.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() > MAX_CONTENT {
            return None;
        }
        let ring = self.ring.load();
        let issued = (self.wall)().as_secs();
        let mut head = [0; NAME_LEN + ISSUED_LEN];
        for (to, from) in head
            .iter_mut()
            .zip(ring.current.name.iter().chain(&issued.to_be_bytes()))
        {
            *to = *from;
        }
        // Room for the tag, so that the content is not left behind by a reallocation.
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(plain);
        let nonce = ring
            .current
            .key
            .seal_in_place_append_tag(Aad::from(&head), &mut sealed)
            .ok()?;
        let mut ticket = Vec::with_capacity(head.len() + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&head);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = ticket.split_at_checked(NAME_LEN + ISSUED_LEN)?;
        let (name, issued) = head.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let issued = u64::from_be_bytes(issued.try_into().ok()?);
        let now = (self.wall)().as_secs();
        if issued > now.saturating_add(CLOCK_STEP) || now.saturating_sub(issued) >= self.life {
            return None;
        }
        let ring = self.ring.load();
        let key = ring.named(name)?;
        let mut content = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = key
            .key
            .open_in_place(nonce, Aad::from(head), &mut content)
            .ok()?
            .len();
        content.truncate(length);
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn key(byte: u8) -> TicketKey {
        TicketKey::new(Zeroizing::new([byte; 32]))
    }

    fn keys(current: u8, previous: Option<u8>) -> TicketKeys {
        TicketKeys {
            current: key(current),
            previous: previous.map(key),
        }
    }

    fn at(seconds: &Arc<AtomicU64>) -> WallClock {
        let seconds = Arc::clone(seconds);
        Arc::new(move || Duration::from_secs(seconds.load(Ordering::Relaxed)))
    }

    fn tickets(keys: &TicketKeys, seconds: &Arc<AtomicU64>) -> Tickets {
        Tickets::new(keys, Duration::from_hours(1), at(seconds)).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_until_it_is_too_old() {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let tickets = tickets(&keys(1, None), &clock);
        let sealed = tickets.sealer.encrypt(b"session").unwrap();
        assert_eq!(tickets.sealer.decrypt(&sealed).unwrap(), b"session");
        clock.fetch_add(3599, Ordering::Relaxed);
        assert!(tickets.sealer.decrypt(&sealed).is_some());
        clock.fetch_add(1, Ordering::Relaxed);
        assert!(tickets.sealer.decrypt(&sealed).is_none());
    }

    #[test]
    fn refuses_tickets_from_the_future() {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let tickets = tickets(&keys(1, None), &clock);
        let sealed = tickets.sealer.encrypt(b"session").unwrap();
        clock.fetch_sub(CLOCK_STEP + 1, Ordering::Relaxed);
        assert!(tickets.sealer.decrypt(&sealed).is_none());
    }

    #[test]
    fn refuses_every_changed_byte_and_every_cut() {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let tickets = tickets(&keys(1, None), &clock);
        let sealed = tickets.sealer.encrypt(b"session").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(tickets.sealer.decrypt(&changed).is_none(), "byte {at}");
            assert!(tickets.sealer.decrypt(&sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn opens_with_the_previous_key_and_not_with_an_older_one() {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let tickets = tickets(&keys(1, None), &clock);
        let sealed = tickets.sealer.encrypt(b"session").unwrap();
        tickets.rotate(&keys(2, Some(1))).unwrap();
        assert!(tickets.sealer.decrypt(&sealed).is_some());
        tickets.rotate(&keys(3, Some(2))).unwrap();
        assert!(tickets.sealer.decrypt(&sealed).is_none());
    }

    #[test]
    fn makes_no_ticket_of_a_long_chain() {
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let tickets = tickets(&keys(1, None), &clock);
        assert!(tickets.sealer.encrypt(&vec![0; MAX_CONTENT]).is_some());
        assert!(tickets.sealer.encrypt(&vec![0; MAX_CONTENT + 1]).is_none());
    }
}
