//! Enrollments, and what becomes of a registration.

use std::fmt;

use muster_pki::{Certificate, Sha256};

use crate::access::SymmetricKey;
use crate::clock::Wall;
use crate::etag::ETag;
use crate::id::{CertificateName, DeviceId, EnrollmentGroupId, HubName, OperationId, RegistrationId};
use crate::json::Json;
use crate::key::{DpsKey, HubKey};
use crate::twin::InitialTwin;

/// An enrollment of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct IndividualEnrollment {
    /// The provisioning service it belongs to.
    pub service: DpsKey,
    /// The registration that it admits.
    pub id: RegistrationId,
    /// The device id that the hub is to use; the registration id where absent.
    pub device_id: Option<DeviceId>,
    /// The operator's notes, an object.
    pub device_information: Option<Json>,
    /// How the device proves who it is.
    pub attestation: Attestation,
    /// What both kinds of enrollment have.
    pub terms: EnrollmentTerms,
}

/// An enrollment of every device that one CA certificate or one key vouches for.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentGroup {
    /// The provisioning service it belongs to.
    pub service: DpsKey,
    /// Its id.
    pub id: EnrollmentGroupId,
    /// How its devices prove who they are; never [`Attestation::Tpm`].
    pub attestation: Attestation,
    /// What both kinds of enrollment have.
    pub terms: EnrollmentTerms,
}

/// What both kinds of enrollment have.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrollmentTerms {
    /// Whether devices may register.
    pub status: ProvisioningStatus,
    /// Whether the device becomes an edge gateway.
    pub iot_edge: bool,
    /// The twin that a new device gets; `None` when the operator gave none.
    pub initial_twin: Option<InitialTwin>,
    /// What happens when a device registers again.
    pub reprovision: ReprovisionPolicy,
    /// How a hub is chosen; the service's own way where absent.
    pub allocation: Option<AllocationPolicy>,
    /// The hubs to choose from; all linked ones where empty.
    pub hubs: Vec<HubName>,
    /// The web call that chooses under [`AllocationPolicy::Custom`].
    pub custom_allocation: Option<CustomAllocation>,
    /// Its version.
    pub etag: ETag,
    /// When it was made.
    pub created: Wall,
    /// When it last changed.
    pub updated: Wall,
}

/// How a device proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Attestation {
    /// A token signed with one of two keys, or, in a group, with a key derived from one of them.
    SymmetricKey {
        /// The first key.
        primary: SymmetricKey,
        /// The second key.
        secondary: SymmetricKey,
    },
    /// A TPM's endorsement key. Kept as written; registering by it is refused.
    Tpm {
        /// Base64 as written.
        endorsement_key: String,
        /// Base64 as written.
        storage_root_key: Option<String>,
    },
    /// A certificate.
    X509(X509Attestation),
}

impl Attestation {
    /// The kind alone.
    pub fn kind(&self) -> AttestationKind {
        match self {
            Self::SymmetricKey { .. } => AttestationKind::SymmetricKey,
            Self::Tpm { .. } => AttestationKind::Tpm,
            Self::X509(_) => AttestationKind::X509,
        }
    }
}

/// The kind of an attestation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AttestationKind {
    /// See [`Attestation::SymmetricKey`].
    SymmetricKey,
    /// See [`Attestation::Tpm`].
    Tpm,
    /// See [`Attestation::X509`].
    X509,
}

/// A certificate, or a reference to one. In each form at least one of the two places is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum X509Attestation {
    /// By the name of CA certificates of the service, looked up at registration.
    CaReferences {
        /// The first name.
        primary: Option<CertificateName>,
        /// The second name.
        secondary: Option<CertificateName>,
    },
    /// The device's own certificates; individual enrollments only.
    ClientCertificates {
        /// The first certificate.
        primary: Option<Certificate>,
        /// The second certificate.
        secondary: Option<Certificate>,
    },
    /// Certificates that sign devices; groups only.
    SigningCertificates {
        /// The first certificate.
        primary: Option<Certificate>,
        /// The second certificate.
        secondary: Option<Certificate>,
    },
}

impl X509Attestation {
    /// The certificates that stand in it, references not among them.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        let (primary, secondary) = match self {
            Self::ClientCertificates { primary, secondary }
            | Self::SigningCertificates { primary, secondary } => (primary.as_ref(), secondary.as_ref()),
            Self::CaReferences { .. } => (None, None),
        };
        primary.into_iter().chain(secondary)
    }

    /// The names of CA certificates that it refers to.
    pub fn references(&self) -> impl Iterator<Item = &CertificateName> {
        let (primary, secondary) = match self {
            Self::CaReferences { primary, secondary } => (primary.as_ref(), secondary.as_ref()),
            Self::ClientCertificates { .. } | Self::SigningCertificates { .. } => (None, None),
        };
        primary.into_iter().chain(secondary)
    }
}

/// What a write does to one of the two places of an attestation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SlotChange<T> {
    /// It is empty afterwards: the place was missing or null in what the operator wrote.
    #[default]
    Clear,
    /// It stays as it is stored: the operator sent back what reading shows of it.
    Keep,
    /// It holds this afterwards.
    Set(T),
}

/// An attestation as an operator writes it; what is stored already fills the gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum AttestationChange {
    /// See [`Attestation::SymmetricKey`]. Where both keys are missing the stored ones stay; what is missing else is
    /// drawn anew.
    SymmetricKey {
        /// The first key.
        primary: Option<SymmetricKey>,
        /// The second key.
        secondary: Option<SymmetricKey>,
    },
    /// See [`Attestation::Tpm`].
    Tpm {
        /// Base64 as written.
        endorsement_key: String,
        /// Base64 as written.
        storage_root_key: Option<String>,
    },
    /// See [`Attestation::X509`].
    X509(X509Change),
}

impl AttestationChange {
    /// The kind alone.
    pub fn kind(&self) -> AttestationKind {
        match self {
            Self::SymmetricKey { .. } => AttestationKind::SymmetricKey,
            Self::Tpm { .. } => AttestationKind::Tpm,
            Self::X509(_) => AttestationKind::X509,
        }
    }
}

/// A certificate attestation as an operator writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum X509Change {
    /// See [`X509Attestation::CaReferences`].
    CaReferences {
        /// The first name.
        primary: Option<CertificateName>,
        /// The second name.
        secondary: Option<CertificateName>,
    },
    /// See [`X509Attestation::ClientCertificates`].
    ClientCertificates {
        /// The first certificate.
        primary: SlotChange<Certificate>,
        /// The second certificate.
        secondary: SlotChange<Certificate>,
    },
    /// See [`X509Attestation::SigningCertificates`].
    SigningCertificates {
        /// The first certificate.
        primary: SlotChange<Certificate>,
        /// The second certificate.
        secondary: SlotChange<Certificate>,
    },
}

/// [`EnrollmentTerms`] as an operator writes them, without what the server sets itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TermsChange {
    /// See [`EnrollmentTerms::status`].
    pub status: ProvisioningStatus,
    /// See [`EnrollmentTerms::iot_edge`].
    pub iot_edge: bool,
    /// See [`EnrollmentTerms::initial_twin`].
    pub initial_twin: Option<InitialTwin>,
    /// See [`EnrollmentTerms::reprovision`].
    pub reprovision: ReprovisionPolicy,
    /// See [`EnrollmentTerms::allocation`].
    pub allocation: Option<AllocationPolicy>,
    /// See [`EnrollmentTerms::hubs`].
    pub hubs: Vec<HubName>,
    /// See [`EnrollmentTerms::custom_allocation`].
    pub custom_allocation: Option<CustomAllocation>,
}

/// An individual enrollment as an operator writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct IndividualChange {
    /// See [`IndividualEnrollment::id`].
    pub id: RegistrationId,
    /// See [`IndividualEnrollment::device_id`].
    pub device_id: Option<DeviceId>,
    /// See [`IndividualEnrollment::device_information`].
    pub device_information: Option<Json>,
    /// See [`IndividualEnrollment::attestation`].
    pub attestation: AttestationChange,
    /// See [`IndividualEnrollment::terms`].
    pub terms: TermsChange,
}

/// An enrollment group as an operator writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange {
    /// See [`EnrollmentGroup::id`].
    pub id: EnrollmentGroupId,
    /// See [`EnrollmentGroup::attestation`].
    pub attestation: AttestationChange,
    /// See [`EnrollmentGroup::terms`].
    pub terms: TermsChange,
}

/// Whether devices of an enrollment may register.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ProvisioningStatus {
    /// They may not.
    Disabled,
    /// They may.
    #[default]
    Enabled,
}

/// How a hub is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AllocationPolicy {
    /// A web call decides.
    Custom,
    /// The nearest hub; here the same as [`AllocationPolicy::Hashed`].
    GeoLatency,
    /// Spread by a hash of the registration id and the hubs' weights.
    #[default]
    Hashed,
    /// The one hub that the enrollment names.
    Static,
}

/// The web call of custom allocation, kept as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomAllocation {
    /// Where it goes.
    pub webhook_url: String,
    /// The shape of its request.
    pub api_version: String,
}

/// What happens when a device registers again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReprovisionPolicy {
    /// Whether the hub is chosen anew.
    pub update_hub_assignment: bool,
    /// Whether the twin is carried to another hub.
    pub migrate_device_data: bool,
}

impl Default for ReprovisionPolicy {
    fn default() -> Self {
        Self {
            update_hub_assignment: true,
            migrate_device_data: true,
        }
    }
}

/// What became of a registration: one record for each registration id of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationState {
    /// The provisioning service it belongs to.
    pub service: DpsKey,
    /// The registration id as the device first wrote it.
    pub id: RegistrationId,
    /// The attempt that this state is the outcome of.
    pub operation: OperationId,
    /// Where the attempt stands.
    pub status: RegistrationStatus,
    /// How the assignment came about; there once a hub was assigned.
    pub substatus: Option<Substatus>,
    /// The hub and device id, once assigned; kept when a later attempt is refused or fails.
    pub assignment: Option<Assignment>,
    /// Why it failed, under [`RegistrationStatus::Failed`].
    pub failure: Option<RegistrationFailure>,
    /// The group that admitted it; `None` for an individual enrollment.
    pub group: Option<EnrollmentGroupId>,
    /// The kind of credential that admitted it.
    pub attestation: AttestationKind,
    /// SHA-256 of each certificate of the path that admitted it, leaf first; empty for a symmetric key.
    pub chain: Vec<Sha256>,
    /// What custom allocation handed out for the device.
    pub payload: Option<Json>,
    /// When the first attempt came.
    pub created: Wall,
    /// When this state was written.
    pub updated: Wall,
    /// Its version.
    pub etag: ETag,
}

/// The hub and the device id that a registration was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The hub's key. It may be gone by now.
    pub hub: HubKey,
    /// The hub's full host name as it was handed out.
    pub host_name: String,
    /// The device id there.
    pub device_id: DeviceId,
}

/// Why a registration failed after the device had been authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistrationFailure {
    /// The number that goes on the wire as `errorCode`.
    pub code: u32,
    /// One sentence.
    pub message: String,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RegistrationStatus {
    /// A hub was assigned.
    Assigned,
    /// The attempt goes on.
    Assigning,
    /// The enrollment is disabled.
    Disabled,
    /// The attempt ended without a hub.
    Failed,
    /// A record exists and nothing was assigned.
    Unassigned,
}

/// How an assignment came about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Substatus {
    /// Moved to another hub with its twin.
    DeviceDataMigrated,
    /// Moved to another hub, or reset on the same one, with the initial twin.
    DeviceDataReset,
    /// The first assignment.
    InitialAssignment,
    /// Registered again and led to the same hub.
    ReprovisionedToInitialAssignment,
}

impl fmt::Display for RegistrationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Assigned => "assigned",
            Self::Assigning => "assigning",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
            Self::Unassigned => "unassigned",
        })
    }
}
