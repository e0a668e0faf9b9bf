//! Certificates for tests, valid from 1,000 to 2,000,000,000 seconds after 1970.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests only: a failure is a failure of the test"
)]

use std::sync::Arc;

use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::{Certificate, NewKey, PrivateKey, Time};
use rand::SeedableRng;

/// The first second in which the certificates are valid.
pub const NOT_BEFORE: Time = Time::from_unix(1_000);
/// The last one.
pub const NOT_AFTER: Time = Time::from_unix(2_000_000_000);

/// A CA with its key.
#[derive(Clone)]
pub struct TestCa(Arc<Issuer>);

impl TestCa {
    /// Makes a self-signed CA.
    pub fn root(name: &str) -> Self {
        let key = leaf_key();
        let certificate = template(name, Profile::ScriptCa, NOT_AFTER)
            .self_signed(&key)
            .unwrap();
        Self(Arc::new(Issuer::new(certificate, key).unwrap()))
    }

    /// Makes a CA below this one.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let key = leaf_key();
        let certificate = self
            .0
            .issue(&template(name, Profile::ScriptCa, NOT_AFTER), &key)
            .unwrap();
        Self(Arc::new(Issuer::new(certificate, key).unwrap()))
    }

    /// The CA's own certificate.
    pub fn certificate(&self) -> Certificate {
        self.0.certificate().clone()
    }

    /// Issues a certificate as the vendor's script makes them for devices.
    pub fn leaf(&self, name: &str) -> Certificate {
        self.issue(name, Profile::ScriptLeaf, NOT_AFTER)
    }

    /// Issues a certificate of any kind that ends at `not_after`.
    pub fn issue(&self, name: &str, profile: Profile, not_after: Time) -> Certificate {
        self.0
            .issue(&template(name, profile, not_after), &leaf_key())
            .unwrap()
    }
}

/// Makes a new key.
pub fn leaf_key() -> PrivateKey {
    PrivateKey::generate(NewKey::EcP256).unwrap()
}

/// Makes a certificate that signed itself, as a device known by its thumbprint has.
pub fn self_signed(name: &str) -> Certificate {
    template(name, Profile::SelfSignedDevice, NOT_AFTER)
        .self_signed(&leaf_key())
        .unwrap()
}

fn template(name: &str, profile: Profile, not_after: Time) -> Template {
    let serial = Serial::random(&mut rand::rngs::StdRng::seed_from_u64(7));
    Template::new(name, serial, NOT_BEFORE, not_after, profile).unwrap()
}
