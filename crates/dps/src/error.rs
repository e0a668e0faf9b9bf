//! What provisioning answers when it does not do what was asked.

use muster_model::access::DpsRights;
use muster_model::{ErrorCode, ReasonCode};
use muster_resources::{StoreError, WriteError};

/// Why a call ended without doing what was asked. Nothing in here holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another attempt at the same registration goes on, or won.
    #[error("another attempt at this registration goes on")]
    Conflict,
    /// An enrollment or group of that id is there already.
    #[error("an enrollment of that id exists already")]
    EnrollmentExists,
    /// No enrollment or group of that id.
    #[error("no such enrollment")]
    EnrollmentMissing,
    /// The permit lacks a right.
    #[error("the policy lacks the right {needed}")]
    Forbidden {
        /// The right that is needed.
        needed: DpsRights,
    },
    /// What the operator wrote breaks a rule; the text says which, for the caller to read.
    #[error("{0}")]
    Invalid(String),
    /// The device was not let in.
    #[error("the device is refused: {reason}")]
    Refused {
        /// The rule that failed, for the operator.
        reason: ReasonCode,
        /// Whether it was a certificate that was refused, which is all the device learns.
        certificate: bool,
        /// The rule that would have failed had nothing been enrolled under that id, where the answer must not tell
        /// a stranger that something is.
        told: Option<ReasonCode>,
    },
    /// No such registration, or none that this operation belongs to.
    #[error("no such registration")]
    RegistrationMissing,
    /// The provisioning service is gone.
    #[error("the provisioning service is gone")]
    ServiceMissing,
    /// The version that the caller named is not the current one.
    #[error("the version that was named is not the current one")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// A device that presented a certificate and is not let in.
    pub(crate) fn certificate(reason: ReasonCode) -> Self {
        Self::Refused {
            reason,
            certificate: true,
            told: None,
        }
    }

    /// A device that presented a certificate and is not let in by an enrollment of which it may not learn.
    pub(crate) fn certificate_as_if(reason: ReasonCode, told: ReasonCode) -> Self {
        Self::Refused {
            reason,
            certificate: true,
            told: Some(told),
        }
    }

    /// A device that presented a token, or nothing, and is not let in.
    pub(crate) fn token(reason: ReasonCode) -> Self {
        Self::Refused {
            reason,
            certificate: false,
            told: None,
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Puts the outcome of a write to an enrollment into words.
    pub(crate) fn of_enrollment(error: WriteError) -> Self {
        match error {
            WriteError::Exists => Self::EnrollmentExists,
            WriteError::Missing => Self::EnrollmentMissing,
            WriteError::Stale => Self::Stale,
            WriteError::Store(error) => Self::Store(error),
        }
    }

    /// The code that the caller is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict | Self::EnrollmentExists => ErrorCode::DpsConflict,
            Self::EnrollmentMissing => ErrorCode::DpsEnrollmentNotFound,
            Self::Forbidden { .. } => ErrorCode::DpsForbidden,
            Self::Invalid(_) => ErrorCode::DpsInvalidArgument,
            Self::Refused {
                reason,
                certificate,
                told,
            } => refusal_code(told.unwrap_or(*reason), *certificate),
            Self::RegistrationMissing => ErrorCode::DpsRegistrationNotFound,
            Self::ServiceMissing => ErrorCode::DpsNotFound,
            Self::Stale => ErrorCode::DpsPreconditionFailed,
            Self::Store(StoreError::Damaged { .. }) => ErrorCode::DpsServerError,
            Self::Store(StoreError::Unavailable(_) | StoreError::Unknown(_)) => {
                ErrorCode::DpsServiceUnavailable
            }
        }
    }

    /// The rule that failed, when this is a refusal that deserves a record.
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Forbidden { .. } => Some(ReasonCode::PolicyLacksRight),
            Self::Refused { reason, .. } => Some(*reason),
            Self::ServiceMissing => Some(ReasonCode::ScopeUnknown),
            _ => None,
        }
    }
}

/// The code for a refused device. Source: DPS troubleshooting, "Common error codes": 401000 for tokens, 401002 for
/// certificates, read 2026-11-24. The two texts of 401002 are told apart by whether the chain met anything trusted.
fn refusal_code(reason: ReasonCode, certificate: bool) -> ErrorCode {
    match reason {
        ReasonCode::RegistrationIdInvalid => ErrorCode::DpsInvalidRegistrationId,
        _ if !certificate => ErrorCode::DpsUnauthorized,
        ReasonCode::AnchorNotVerified
        | ReasonCode::AnchorUnknown
        | ReasonCode::CaReferenceMissing
        | ReasonCode::ChainIncomplete
        | ReasonCode::NoEnrollment => ErrorCode::DpsCaNotFound,
        _ => ErrorCode::DpsInvalidCertificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_tokens_are_refused_by_different_codes() {
        for (error, code) in [
            (
                Error::certificate(ReasonCode::CommonNameDiffers),
                ErrorCode::DpsInvalidCertificate,
            ),
            (
                Error::certificate(ReasonCode::ChainIncomplete),
                ErrorCode::DpsCaNotFound,
            ),
            (
                Error::certificate(ReasonCode::RegistrationIdInvalid),
                ErrorCode::DpsInvalidRegistrationId,
            ),
            (Error::token(ReasonCode::NoEnrollment), ErrorCode::DpsUnauthorized),
            (
                Error::token(ReasonCode::TooManyCandidates),
                ErrorCode::DpsUnauthorized,
            ),
        ] {
            assert_eq!(error.code(), code, "{error}");
            assert!(error.reason().is_some());
        }
    }
}
