//! Digests by which a certificate is known: thumbprints as operators write them, and the SHA-256 that this
//! server uses for identity.
//!
//! A thumbprint is public, so it is compared in the ordinary way; nothing here is a secret.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};

use crate::certificate::Certificate;
use crate::error::ThumbprintError;

/// SHA-256 of a certificate's DER, or of a whole chain: the identity used inside this server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Computes the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(out)
    }

    /// Answers the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    /// Writes 64 upper-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXUPPER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// A certificate's thumbprint, under one of the two hashes that the identity registry takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thumbprint {
    /// SHA-1, 40 hex digits: what older tools write.
    Sha1([u8; 20]),
    /// SHA-256, 64 hex digits: what provisioning and newer tools write.
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// Computes the SHA-1 thumbprint of a certificate's DER. A name for lookups, not a proof: SHA-1 is
    /// broken.
    pub fn sha1(der: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
        let mut out = [0; 20];
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self::Sha1(out)
    }

    /// Computes the SHA-256 thumbprint of a certificate's DER.
    pub fn sha256(der: &[u8]) -> Self {
        Self::Sha256(Sha256::of(der).0)
    }

    /// Says whether this is the certificate's thumbprint, under the hash that this thumbprint was written
    /// with.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Sha1(_) => *self == certificate.sha1(),
            Self::Sha256(bytes) => *bytes == certificate.sha256().0,
        }
    }

    /// Answers the digest's bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

impl From<Sha256> for Thumbprint {
    fn from(digest: Sha256) -> Self {
        Self::Sha256(digest.0)
    }
}

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    /// Reads 40 or 64 hex digits in any case; colons and blanks are refused, as the service refuses them.
    ///
    /// # Errors
    /// [`ThumbprintError`] when the text is anything else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| ThumbprintError;
        match text.len() {
            40 | 64 => {
                let bytes = HEXUPPER_PERMISSIVE.decode(text.as_bytes()).map_err(wrong)?;
                if let Ok(sha1) = <[u8; 20]>::try_from(bytes.as_slice()) {
                    Ok(Self::Sha1(sha1))
                } else {
                    <[u8; 32]>::try_from(bytes.as_slice())
                        .map(Self::Sha256)
                        .map_err(|_| ThumbprintError)
                }
            }
            _ => Err(ThumbprintError),
        }
    }
}

impl fmt::Display for Thumbprint {
    /// Writes upper-case hex digits without separators.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXUPPER.encode(self.as_bytes()))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = match self {
            Self::Sha1(_) => "Sha1",
            Self::Sha256(_) => "Sha256",
        };
        write!(f, "{hash}({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lengths_in_any_case_and_prints_upper_case() {
        let sha1: Thumbprint = "97388663832d0393C9246CAB4FBA2C8677185A25".parse().unwrap();
        assert_eq!(sha1.to_string(), "97388663832D0393C9246CAB4FBA2C8677185A25");
        let sha256: Thumbprint = "ab".repeat(32).parse().unwrap();
        assert_eq!(sha256, Thumbprint::Sha256([0xab; 32]));
    }

    #[test]
    fn refuses_colons_blanks_other_digits_and_other_lengths() {
        for text in [
            "",
            "97:38",
            "9738866383 2d0393C9246CAB4FBA2C8677185A2",
            &"G".repeat(40),
            &"a".repeat(41),
            &"a".repeat(63),
            &"ä".repeat(20),
        ] {
            assert!(text.parse::<Thumbprint>().is_err(), "{text}");
        }
    }
}
