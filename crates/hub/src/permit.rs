//! The permit of a device: authority as a value. Only [`crate::Authenticator`] makes one; whatever a device does takes
//! it.

use std::sync::Arc;

use muster_model::estate::Hub;
use muster_model::identity::{DeviceIdentity, Provenance};
use muster_model::{DeviceId, GenerationId, HubKey, PolicyName, TrustVersion, Wall};
use muster_pki::Sha256;
use muster_resources::KeySlot;

use crate::event_log::AuthMethod;

/// What a device's permit rests on, so that a revocation finds what it must cut.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeviceBasis {
    /// A path from its certificate to a verified CA certificate of the hub.
    CertificateAuthority {
        /// The verified certificate that ended the path.
        anchor: Sha256,
        /// SHA-256 of each certificate of the path, leaf first, the anchor last.
        path: Arc<[Sha256]>,
    },
    /// One of its own keys.
    DeviceKey(KeySlot),
    /// A key of a policy of the hub, on behalf of the device.
    Policy {
        /// The policy.
        name: PolicyName,
        /// Which of its keys.
        slot: KeySlot,
    },
    /// A certificate known by its thumbprint.
    Thumbprint {
        /// SHA-256 of the certificate.
        leaf: Sha256,
    },
}

/// A device that proved who it is.
#[derive(Clone, Debug)]
pub struct DevicePermit {
    pub(crate) hub: Arc<Hub>,
    pub(crate) identity: Arc<DeviceIdentity>,
    pub(crate) valid_until: Wall,
    pub(crate) version: TrustVersion,
    pub(crate) basis: DeviceBasis,
}

impl DevicePermit {
    /// The hub as it stood when the permit was given.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The key of the hub.
    pub fn hub_key(&self) -> HubKey {
        self.hub.key
    }

    /// The identity as it stood when the permit was given.
    pub const fn identity(&self) -> &Arc<DeviceIdentity> {
        &self.identity
    }

    /// The device.
    pub fn device(&self) -> &DeviceId {
        &self.identity.id
    }

    /// The device's generation.
    pub fn generation(&self) -> GenerationId {
        self.identity.generation
    }

    /// When the credential ends: the token's expiry without skew, or the last second of the certificates' validity.
    pub const fn valid_until(&self) -> Wall {
        self.valid_until
    }

    /// The trust version by which it was given.
    pub const fn trust_version(&self) -> TrustVersion {
        self.version
    }

    /// What it rests on.
    pub const fn basis(&self) -> &DeviceBasis {
        &self.basis
    }

    /// Where the device came from, when a provisioning service made it.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.identity.provenance.as_ref()
    }

    /// How the device proved who it is, as its events show it.
    pub const fn auth_method(&self) -> AuthMethod {
        use crate::event_log::AuthScope;
        match self.basis {
            DeviceBasis::CertificateAuthority { .. } => AuthMethod::X509Ca,
            DeviceBasis::DeviceKey(_) => AuthMethod::Sas(AuthScope::Device),
            DeviceBasis::Policy { .. } => AuthMethod::Sas(AuthScope::Hub),
            DeviceBasis::Thumbprint { .. } => AuthMethod::X509Thumbprint,
        }
    }
}
