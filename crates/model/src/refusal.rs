//! The record behind a refusal: what came, which rule failed, and what would mend it.
//!
//! A record holds no private key, no token and no body. Of a token it keeps what the client claimed (resource, expiry,
//! policy name), never the signature.

use muster_pki::Chain;

use crate::clock::Wall;
use crate::key::TrackingId;
use crate::reason::ReasonCode;

/// What a refused caller spoke.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// AMQP 1.0, plain or over WebSocket.
    Amqp,
    /// HTTPS.
    Https,
    /// MQTT, plain or over WebSocket.
    Mqtt,
    /// Nothing yet: the TLS handshake failed.
    Tls,
}

impl Protocol {
    /// Its stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Https => "https",
            Self::Mqtt => "mqtt",
            Self::Tls => "tls",
        }
    }
}

/// The facts of a refused attempt, as they were at hand when it was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The attempt.
    pub tracking: TrackingId,
    /// When it was refused.
    pub at: Wall,
    /// The rule that failed, as far as the hot path knew.
    pub reason: ReasonCode,
    /// What the caller spoke.
    pub protocol: Protocol,
    /// Where the caller was.
    pub address: Option<std::net::SocketAddr>,
    /// What was being done, in a few words (`register`, `send telemetry`).
    pub action: &'static str,
    /// The name of the hub or provisioning service, or the id scope, as far as it was known.
    pub target: Option<String>,
    /// The device id that was named.
    pub device: Option<String>,
    /// The registration id that was named.
    pub registration: Option<String>,
    /// The certificates as they came.
    pub chain: Option<Chain>,
    /// What the token claimed; without its signature.
    pub token: Option<TokenClaims>,
}

/// What a refused token claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenClaims {
    /// The resource it was made for.
    pub resource: String,
    /// When it ends.
    pub expiry: Wall,
    /// The policy it names.
    pub policy: Option<String>,
}

/// A refusal with its explanation, as it is kept.
#[derive(Clone, Debug)]
pub struct ExplainedRefusal {
    /// The facts.
    pub refusal: Refusal,
    /// The explanation; the reason in it may be more exact than that of the facts.
    pub explanation: Explanation,
}

/// Why an attempt was refused and what would mend it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// The rule that failed.
    pub reason: ReasonCode,
    /// One sentence that names the facts.
    pub sentence: String,
    /// What was tried, step by step: each certificate, each configured CA certificate, each rule.
    pub steps: Vec<String>,
    /// Commands that would mend it, the likeliest first, to be typed as they are; empty when none would.
    pub remedies: Vec<String>,
}
