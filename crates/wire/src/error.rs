//! What can be wrong with a text from outside, and the code that a client gets for it.
//!
//! The same rule can break on any of the three surfaces, so the code is chosen when the surface is known. No variant
//! quotes a value: values may be keys.

use muster_model::{ErrorCode, InvalidId, JsonError};

/// Which of Azure's three families of calls a text came through.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Surface {
    /// Management.
    Arm,
    /// Provisioning: device and service calls.
    Dps,
    /// A hub: device and service calls.
    Hub,
}

impl Surface {
    /// Its name in documents and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arm => "management",
            Self::Dps => "provisioning",
            Self::Hub => "hub",
        }
    }
}

/// Why a text from outside was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The api-version is missing, malformed or too old.
    #[error("api-version {0}")]
    ApiVersion(&'static str),
    /// A field breaks its rule.
    #[error("{path} {rule}")]
    Field {
        /// Where it stands in the document, or which header or parameter it is.
        path: String,
        /// The rule, as the rest of a sentence that begins with the path.
        rule: String,
    },
    /// The document as a whole is not one that is taken.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// The registration id breaks its grammar.
    #[error("{0}")]
    RegistrationId(InvalidId),
    /// A message or a body is larger than allowed.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The bound in bytes.
        limit: usize,
    },
    /// A list has more items than allowed.
    #[error("{path} holds more than {limit} items")]
    TooMany {
        /// Where it stands.
        path: String,
        /// The bound.
        limit: usize,
    },
    /// An item stands twice in a list that must not repeat it.
    #[error("{0} stands twice")]
    Twice(String),
    /// A member has a type that the call does not take.
    #[error("{0} has a type that this call does not take")]
    Type(String),
    /// A member asks for something that this server does not offer.
    #[error("{0} is not offered by this server")]
    Unsupported(String),
}

impl Error {
    /// Says that a field breaks a rule.
    pub fn field(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Field {
            path: path.into(),
            rule: rule.into(),
        }
    }

    /// Says that an id in a field breaks its grammar.
    pub fn id(path: impl Into<String>, invalid: &InvalidId) -> Self {
        Self::field(path, format!("must be {}", invalid.rule))
    }

    /// The code that a client of `surface` gets for it.
    pub fn code(&self, surface: Surface) -> ErrorCode {
        match surface {
            Surface::Arm => match self {
                Self::Json(JsonError::Long(_)) | Self::TooLarge { .. } => ErrorCode::ArmRequestTooLarge,
                _ => ErrorCode::ArmBadRequest,
            },
            Surface::Dps => match self {
                Self::Json(JsonError::Long(_)) | Self::TooLarge { .. } => ErrorCode::DpsRequestTooLarge,
                Self::RegistrationId(_) => ErrorCode::DpsInvalidRegistrationId,
                _ => ErrorCode::DpsInvalidArgument,
            },
            Surface::Hub => match self {
                Self::ApiVersion(_) => ErrorCode::InvalidProtocolVersion,
                Self::Json(JsonError::Long(_)) => ErrorCode::RequestEntityTooLarge,
                Self::Json(_) | Self::Type(_) => ErrorCode::DeserializationError,
                Self::Missing(_) => ErrorCode::ArgumentNull,
                Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
                Self::TooMany { .. } => ErrorCode::TooManyDevices,
                Self::Twice(_) => ErrorCode::DeviceDefinedMultipleTimes,
                Self::Unsupported(_) => ErrorCode::FeatureNotSupported,
                Self::Field { .. } | Self::RegistrationId(_) => ErrorCode::ArgumentInvalid,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_model::RegistrationId;

    use super::*;

    #[test]
    fn the_code_follows_the_surface() {
        let error = Error::field("attestation.type", "must be x509");
        assert_eq!(error.code(Surface::Dps), ErrorCode::DpsInvalidArgument);
        assert_eq!(error.code(Surface::Hub), ErrorCode::ArgumentInvalid);
        assert_eq!(error.code(Surface::Arm), ErrorCode::ArmBadRequest);
        assert_eq!(error.to_string(), "attestation.type must be x509");
    }

    #[test]
    fn a_bad_registration_id_has_a_code_of_its_own() {
        let invalid = RegistrationId::parse("é").unwrap_err();
        assert_eq!(
            Error::RegistrationId(invalid).code(Surface::Dps),
            ErrorCode::DpsInvalidRegistrationId
        );
    }
}
