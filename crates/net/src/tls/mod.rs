//! TLS: what a listener offers, and what it asks of a client.
//!
//! Versions 1.2 and 1.3, the cipher suites and key exchanges of the provider in its own order (hybrid
//! X25519MLKEM768 first). A client certificate is asked for and never required, and the list of acceptable
//! issuers is empty: who is trusted is decided later, by the domain. Early data is never accepted, since
//! what it carries can be replayed.

mod handshake;
mod identity;
mod session;
mod tickets;
mod verifier;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::time_provider::TimeProvider;

use crate::error::Error;
use crate::limits::Limits;

pub(crate) use self::handshake::{Rejection, accept, linger};
pub use self::identity::{ServerCertificates, ServerIdentities, ServerIdentity};
pub use self::tickets::{TicketKey, TicketKeys, Tickets};
use self::verifier::PossessionVerifier;
pub(crate) use self::verifier::Witness;

/// Tells the wall time, as the time since 1970-01-01T00:00:00Z.
pub type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Says what a TLS listener offers.
#[derive(Clone)]
pub struct TlsSettings {
    /// The server's certificates; shared, and replaceable while the server runs.
    pub certificates: Arc<ServerCertificates>,
    /// What seals session tickets; without it no session is resumed.
    pub tickets: Option<Arc<Tickets>>,
    /// Application protocols (ALPN) in order of preference. A client that offers none of them is served
    /// without one, unless everything that it offers is a protocol that cannot be mistaken for these.
    pub alpn: Vec<String>,
    /// The wall clock.
    pub wall: WallClock,
}

/// What a TLS listener offers, made ready.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    certificates: Arc<ServerCertificates>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    alpn: Vec<Vec<u8>>,
    time: Arc<Clock>,
}

impl Tls {
    /// Makes the settings ready.
    ///
    /// # Errors
    /// [`Error::TlsSettings`] if the TLS library refuses them.
    pub fn new(settings: TlsSettings) -> Result<Self, Error> {
        let TlsSettings {
            certificates,
            tickets,
            alpn,
            wall,
        } = settings;
        let tls = Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            certificates,
            tickets: tickets.map(|tickets| tickets.producer()),
            alpn: alpn.into_iter().map(String::into_bytes).collect(),
            time: Arc::new(Clock(wall)),
        };
        // So that a refusal shows here and not at the first client.
        tls.config(&Arc::default(), &Limits::default(), &[])
            .map_err(|error| Error::TlsSettings {
                reason: error.to_string(),
            })?;
        Ok(tls)
    }

    /// Makes the library's settings for one connection, whose presented chain goes to `witness`.
    fn config(
        &self,
        witness: &Arc<Witness>,
        limits: &Limits,
        alpn: &[Vec<u8>],
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let verifier = PossessionVerifier::new(
            self.provider.signature_verification_algorithms,
            Arc::clone(witness),
            limits,
        );
        let time = Arc::clone(&self.time);
        let mut config = ServerConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&self.certificates) as _);
        config.alpn_protocols = alpn.to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(tickets) = &self.tickets {
            config.ticketer = Arc::clone(tickets);
            // One is enough: a device has one session at a time, and each holds its whole chain.
            config.send_tls13_tickets = 1;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    /// The protocols to negotiate with a client that offers `offered`.
    ///
    /// An empty answer means to go on without the extension, as for a client that knows nothing of it:
    /// RFC 7301 §3.2 asks for an alert there, but device SDKs and older stacks offer names of their own
    /// and then speak what the port is for. A client that offers only HTTP/2 or HTTP/3, or only asks for
    /// an ACME challenge, could not be served and gets the alert.
    fn alpn_for<'a>(&self, offered: impl Iterator<Item = &'a [u8]> + Clone) -> &[Vec<u8>] {
        let shared = offered
            .clone()
            .any(|name| self.alpn.iter().any(|ours| ours == name));
        let hopeless =
            |name: &[u8]| name == b"h2" || name == b"h3" || name.starts_with(b"h3-") || name == b"acme-tls/1";
        let mut offered = offered.peekable();
        let refuse = offered.peek().is_some() && offered.all(hopeless);
        if shared || refuse { &self.alpn } else { &[] }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("tickets", &self.tickets.is_some())
            .finish_non_exhaustive()
    }
}

/// The wall clock in the shape that the TLS library asks for.
struct Clock(WallClock);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch((self.0)()))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
