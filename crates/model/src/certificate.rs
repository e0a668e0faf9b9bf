//! CA certificates that operators upload, and the verification code that proves possession of one.

use std::fmt;

use data_encoding::HEXUPPER;
use muster_pki::Certificate;
use rand::Rng;

use crate::clock::Wall;
use crate::etag::ETag;
use crate::id::CertificateName;
use crate::key::{DpsKey, HubKey};

/// Whose trust a CA certificate is part of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CertificateOwner {
    /// A provisioning service's: it vouches for registering devices.
    Dps(DpsKey),
    /// A hub's: it vouches for devices of type `certificateAuthority`.
    Hub(HubKey),
}

/// The code that a verification certificate must carry as common name: 24 random bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct VerificationCode([u8; 24]);

impl VerificationCode {
    /// Draws a new code.
    pub fn generate(rng: &mut dyn Rng) -> Self {
        let mut bytes = [0; 24];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Wraps a stored code.
    pub const fn from_bytes(bytes: [u8; 24]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store.
    pub const fn bytes(&self) -> [u8; 24] {
        self.0
    }
}

impl fmt::Display for VerificationCode {
    /// Prints 48 upper-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXUPPER.encode(&self.0))
    }
}

impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A CA certificate of a hub or a provisioning service.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    /// Whose it is.
    pub owner: CertificateOwner,
    /// Its name there.
    pub name: CertificateName,
    /// The certificate.
    pub certificate: Certificate,
    /// Whether possession of its key was proved, or taken for granted on upload.
    pub verified: bool,
    /// The code that waits for its verification certificate.
    pub code: Option<VerificationCode>,
    /// Its version.
    pub etag: ETag,
    /// When it was first uploaded.
    pub created: Wall,
    /// When it last changed.
    pub updated: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_48_upper_case_hex_digits() {
        let code = VerificationCode::from_bytes([0xab; 24]).to_string();
        assert_eq!(code.len(), 48);
        assert_eq!(code, "AB".repeat(24));
    }
}
