//! Device identities: the rows of a hub's identity registry.

use std::fmt;

use muster_pki::{Sha256, Thumbprint};

use crate::access::SymmetricKey;
use crate::clock::Wall;
use crate::etag::ETag;
use crate::id::{DeviceId, EnrollmentGroupId, RegistrationId};
use crate::key::{DpsKey, GenerationId, HubKey};

/// A device identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceIdentity {
    /// The hub it belongs to.
    pub hub: HubKey,
    /// Its id; case matters.
    pub id: DeviceId,
    /// New at each creation under the same id.
    pub generation: GenerationId,
    /// Its version.
    pub etag: ETag,
    /// Whether it may connect.
    pub status: DeviceStatus,
    /// The operator's reason for the status.
    pub status_reason: Option<StatusReason>,
    /// When the status last changed; `None` means never.
    pub status_updated: Option<Wall>,
    /// How it proves who it is.
    pub authentication: Authentication,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
    /// Where it came from, when a provisioning service made it.
    pub provenance: Option<Provenance>,
    /// When it was created.
    pub created: Wall,
    /// When it last did something; `None` means never. Not covered by the version.
    pub last_activity: Option<Wall>,
}

/// Whether a device may connect.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeviceStatus {
    /// It may not.
    Disabled,
    /// It may.
    Enabled,
}

/// A reason for a status, of at most 128 characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusReason(String);

impl StatusReason {
    /// Wraps at most 128 characters.
    pub fn new(text: String) -> Option<Self> {
        (text.chars().count() <= 128).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a device proves who it is.
#[derive(Clone, Eq, PartialEq)]
pub enum Authentication {
    /// A certificate that chains to a verified CA certificate of the hub.
    CertificateAuthority,
    /// No credential of its own (modules of gateways).
    None,
    /// A token signed with one of two keys.
    Sas {
        /// The first key.
        primary: SymmetricKey,
        /// The second key.
        secondary: SymmetricKey,
    },
    /// A certificate known by its thumbprint. At least one is there.
    SelfSigned {
        /// The first thumbprint.
        primary: Option<Thumbprint>,
        /// The second thumbprint.
        secondary: Option<Thumbprint>,
    },
}

impl Authentication {
    /// The kind alone, for logs and records.
    pub fn kind(&self) -> AuthenticationKind {
        match self {
            Self::CertificateAuthority => AuthenticationKind::CertificateAuthority,
            Self::None => AuthenticationKind::None,
            Self::Sas { .. } => AuthenticationKind::Sas,
            Self::SelfSigned { .. } => AuthenticationKind::SelfSigned,
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned { primary, secondary } => f
                .debug_struct("SelfSigned")
                .field("primary", primary)
                .field("secondary", secondary)
                .finish(),
            other => write!(f, "{:?}", other.kind()),
        }
    }
}

/// The kind of a device's credential.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthenticationKind {
    /// See [`Authentication::CertificateAuthority`].
    CertificateAuthority,
    /// See [`Authentication::None`].
    None,
    /// See [`Authentication::Sas`].
    Sas,
    /// See [`Authentication::SelfSigned`].
    SelfSigned,
}

/// Where a provisioned identity came from, so that a later revocation finds what it must cut.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provenance {
    /// The provisioning service that made it.
    pub service: DpsKey,
    /// The registration it stands for.
    pub registration: RegistrationId,
    /// The enrollment that admitted it.
    pub enrollment: EnrollmentRef,
    /// SHA-256 of each certificate of the path that admitted it, leaf first; empty for a symmetric key.
    pub chain: Vec<Sha256>,
}

/// The enrollment that admitted a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EnrollmentRef {
    /// An enrollment group.
    Group(EnrollmentGroupId),
    /// An individual enrollment.
    Individual(RegistrationId),
}

/// How many devices a hub has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceCounts {
    /// All of them.
    pub total: u64,
    /// Those that may connect.
    pub enabled: u64,
    /// Those that may not.
    pub disabled: u64,
}
