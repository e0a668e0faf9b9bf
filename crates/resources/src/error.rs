//! What a verb of the control plane answers when it does not do what was asked.

use muster_model::{CertificateName, ErrorCode, HubName, PolicyName, ReasonCode, ResourceGroupName};
use muster_pki::verify::PopFailure;

use crate::ports::{StoreError, WriteError};

/// Whose clients are answered; the same refusal has another code on each plane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plane {
    /// Service calls of a provisioning service.
    Dps,
    /// Calls of a hub.
    Hub,
    /// Management.
    Management,
}

/// Why a verb of the control plane did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An argument breaks its rule; the clause says which.
    #[error("{0}")]
    Argument(String),
    /// The owner has no CA certificate of that name.
    #[error("there is no certificate named {0}")]
    CertificateMissing(CertificateName),
    /// The name is taken.
    #[error("the {what} {name} exists already")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// No such resource group.
    #[error("there is no resource group {0}")]
    GroupMissing(ResourceGroupName),
    /// A hub to be linked is not one of this server.
    #[error("the hub {0} is not one of this server, and no others can be linked")]
    LinkedHubUnknown(HubName),
    /// The key of a link is not a current key of the policy that it names.
    #[error("the key is not a current key of the policy {policy} of the hub {hub}")]
    LinkKeyWrong {
        /// The hub.
        hub: HubName,
        /// The policy.
        policy: PolicyName,
    },
    /// Nothing of that name is there.
    #[error("there is no {what} {name}")]
    Missing {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A proof is to be finished that was not begun.
    #[error("no verification code was generated for the certificate {0}")]
    NoCode(CertificateName),
    /// The verification certificate does not prove possession.
    #[error("the proof of possession failed: {0}")]
    ProofFailed(#[source] PopFailure),
    /// The caller is not who he says, or may not do it.
    #[error("the caller was refused: {reason}")]
    Refused {
        /// Where.
        plane: Plane,
        /// Why.
        reason: ReasonCode,
    },
    /// It is there in another version than the caller named.
    #[error("it is there in another version")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The call must name the version that it changes.
    #[error("the version to change must be named")]
    VersionMissing,
}

impl Error {
    /// Answers the code that the client sees.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Argument(_) | Self::LinkedHubUnknown(_) | Self::LinkKeyWrong { .. } => {
                ErrorCode::ArmBadRequest
            }
            Self::CertificateMissing(_) => ErrorCode::ArmCertificateNotFound,
            Self::Exists { .. } => ErrorCode::ArmConflict,
            Self::GroupMissing(_) => ErrorCode::ArmResourceGroupNotFound,
            Self::Missing { .. } => ErrorCode::ArmResourceNotFound,
            Self::NoCode(_) | Self::ProofFailed(_) => ErrorCode::ArmProofOfPossessionFailed,
            Self::Refused { plane, reason } => refused(*plane, *reason),
            Self::Stale | Self::VersionMissing => ErrorCode::ArmPreconditionFailed,
            Self::Store(StoreError::Damaged { .. }) => ErrorCode::ArmServerError,
            Self::Store(StoreError::Unavailable(_) | StoreError::Unknown(_)) => {
                ErrorCode::ArmServiceUnavailable
            }
        }
    }

    /// Answers why the caller was refused, where that is what happened.
    pub const fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Says what a failed write means for a thing of this kind and name.
    pub(crate) fn of_write(error: WriteError, what: &'static str, name: &dyn std::fmt::Display) -> Self {
        match error {
            WriteError::Exists => Self::Exists {
                what,
                name: name.to_string(),
            },
            WriteError::Missing => Self::Missing {
                what,
                name: name.to_string(),
            },
            WriteError::Stale => Self::Stale,
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

const fn refused(plane: Plane, reason: ReasonCode) -> ErrorCode {
    match (plane, reason) {
        (Plane::Dps, ReasonCode::PolicyLacksRight) => ErrorCode::DpsForbidden,
        (Plane::Dps, _) => ErrorCode::DpsUnauthorized,
        (Plane::Hub, _) => ErrorCode::IotHubUnauthorizedAccess,
        (Plane::Management, ReasonCode::PolicyLacksRight) => ErrorCode::ArmForbidden,
        (Plane::Management, _) => ErrorCode::ArmUnauthenticated,
    }
}
