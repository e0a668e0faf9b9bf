//! The arithmetic of SAS tokens: what a token covers, whether it has ended, and which key signed it.
//!
//! Reading a token from its text is done in `wire`; which key may sign for whom is decided by [`crate::Access`],
//! `hub::Authenticator` and `dps`. Signatures are compared in constant time, and both keys of a pair are always tried.

use std::time::Duration;

use aws_lc_rs::hmac;
use muster_model::{SasToken, SymmetricKey, Wall};

/// How far past its expiry a token is still taken, unless configured otherwise.
/// Source: IoT Hub, "Control access", clock skew of five minutes, read 2026-11.
pub const DEFAULT_SKEW: Duration = Duration::from_mins(5);

/// What a request was made to, for comparing it with what a token was made for.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// Every first part that leads to the resource asked for: host names of the hub without port, or an id scope.
    /// Compared without case.
    pub roots: &'a [&'a str],
    /// The path of the request, percent-decoded once, with or without a leading slash.
    pub path: &'a str,
}

/// Which of two keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeySlot {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

/// Whether the case of path segments matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Case {
    /// It does: device ids that differ in case only are different devices.
    Matters,
    /// It does not.
    Folded,
}

impl Audience<'_> {
    /// Says whether a token made for `resource` covers this request: its first part leads here, and the rest is a
    /// prefix of the path on whole segments. A scheme and a port in `resource` are skipped.
    pub fn is_covered_by(&self, resource: &str, case: Case) -> bool {
        let resource = resource.split_once("://").map_or(resource, |(_, rest)| rest);
        let (root, rest) = resource.split_once('/').unwrap_or((resource, ""));
        let root = without_port(root);
        if root.is_empty() || !self.roots.iter().any(|known| known.eq_ignore_ascii_case(root)) {
            return false;
        }
        let mut asked = self.path.split('/').filter(|segment| !segment.is_empty());
        rest.split('/')
            .filter(|segment| !segment.is_empty())
            .all(|segment| match (case, asked.next()) {
                (_, None) => false,
                (Case::Matters, Some(asked)) => asked == segment,
                (Case::Folded, Some(asked)) => asked.eq_ignore_ascii_case(segment),
            })
    }
}

/// Says whether a token has ended at `now`, `skew` granted.
pub fn is_expired(token: &SasToken, skew: Duration, now: Wall) -> bool {
    now > token.expiry.plus(skew)
}

/// Answers which of the two keys signed a token.
pub fn signing_key(primary: &SymmetricKey, secondary: &SymmetricKey, token: &SasToken) -> Option<KeySlot> {
    match (is_signed_with(primary, token), is_signed_with(secondary, token)) {
        (true, _) => Some(KeySlot::Primary),
        (false, true) => Some(KeySlot::Secondary),
        (false, false) => None,
    }
}

/// Says whether a key signed a token.
pub fn is_signed_with(key: &SymmetricKey, token: &SasToken) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
    hmac::verify(&key, token.signed_text.as_bytes(), &token.signature).is_ok()
}

/// Derives the key of one device from the key of its enrollment group: HMAC-SHA256 over the registration id as the
/// caller folded it. `None` never happens for a MAC of 32 bytes; it is there because a key checks its length.
pub fn derive_key(key: &SymmetricKey, text: &str) -> Option<SymmetricKey> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
    SymmetricKey::new(hmac::sign(&key, text.as_bytes()).as_ref().to_vec())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
