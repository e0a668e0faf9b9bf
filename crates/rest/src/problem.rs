//! What went wrong with a call, on its way to an answer, a log line and a refusal record.
//!
//! The caller sees the code and a sentence meant for him; details of a fault of ours go to the log only.

use muster_model::{ErrorCode, ReasonCode};
use muster_resources::StoreError;

use crate::body::ReadError;
use crate::router::{BadPath, Surface};

/// Seconds after which a caller may try again when nothing better is known.
const RETRY_AFTER: u32 = 3;

/// Why a call was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The code for the caller.
    pub(crate) code: ErrorCode,
    /// The rule that failed, when a credential was refused; a record is kept then.
    pub(crate) reason: Option<ReasonCode>,
    /// A sentence for the caller; the catalogue's where there is none.
    pub(crate) message: Option<String>,
    /// Details for the log.
    pub(crate) detail: Option<String>,
    /// Seconds after which the caller may try again.
    pub(crate) retry_after: Option<u32>,
}

impl Problem {
    /// A problem that the catalogue's own sentence describes.
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self {
            code,
            reason: None,
            message: None,
            detail: None,
            retry_after: None,
        }
    }

    /// Adds a sentence for the caller.
    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Adds the rule that failed.
    #[must_use]
    pub(crate) fn with_reason(mut self, reason: ReasonCode) -> Self {
        self.reason = Some(reason);
        self
    }

    /// A fault of ours: the caller sees nothing but the code.
    pub(crate) fn internal(surface: Surface, detail: impl Into<String>) -> Self {
        let code = match family(surface) {
            Family::Arm => ErrorCode::ArmServerError,
            Family::Dps => ErrorCode::DpsServerError,
            Family::Hub => ErrorCode::ServerError,
        };
        Self {
            detail: Some(detail.into()),
            ..Self::new(code)
        }
    }

    /// The server can't do it now.
    pub(crate) fn unavailable(surface: Surface, detail: impl Into<String>) -> Self {
        let code = match family(surface) {
            Family::Arm => ErrorCode::ArmServiceUnavailable,
            Family::Dps => ErrorCode::DpsServiceUnavailable,
            Family::Hub => ErrorCode::ServiceUnavailable,
        };
        Self {
            detail: Some(detail.into()),
            retry_after: Some(RETRY_AFTER),
            ..Self::new(code)
        }
    }

    /// An argument breaks its rule.
    pub(crate) fn argument(surface: Surface, message: impl Into<String>) -> Self {
        let code = match family(surface) {
            Family::Arm => ErrorCode::ArmBadRequest,
            Family::Dps => ErrorCode::DpsInvalidArgument,
            Family::Hub => ErrorCode::ArgumentInvalid,
        };
        Self::new(code).with_message(message)
    }

    /// No such path.
    pub(crate) fn no_such_path(surface: Surface) -> Self {
        Self::new(match family(surface) {
            Family::Arm => ErrorCode::ArmNotFound,
            Family::Dps => ErrorCode::DpsNotFound,
            Family::Hub => ErrorCode::GenericNotFound,
        })
    }

    /// The path takes other methods.
    pub(crate) fn other_method(surface: Surface) -> Self {
        Self::new(match family(surface) {
            Family::Arm => ErrorCode::ArmMethodNotAllowed,
            Family::Dps => ErrorCode::DpsMethodNotAllowed,
            Family::Hub => ErrorCode::GenericMethodNotAllowed,
        })
    }

    /// A path that can't be one of ours.
    pub(crate) fn bad_path(surface: Surface, error: BadPath) -> Self {
        Self::argument(surface, error.to_string())
    }

    /// A body that was not read to its end.
    pub(crate) fn body(surface: Surface, error: &ReadError) -> Self {
        let too_large = match family(surface) {
            Family::Arm => ErrorCode::ArmRequestTooLarge,
            Family::Dps => ErrorCode::DpsRequestTooLarge,
            Family::Hub => ErrorCode::RequestEntityTooLarge,
        };
        match error {
            ReadError::TooLong(_) => Self::new(too_large).with_message(error.to_string()),
            ReadError::Broken(_) => Self::argument(surface, "the body broke off"),
            ReadError::Slow => Self::argument(surface, "the body did not come in time"),
        }
    }

    /// A text of the wire that was not taken.
    pub(crate) fn wire(surface: Surface, error: &muster_wire::Error) -> Self {
        let wire_surface = match family(surface) {
            Family::Arm => muster_wire::Surface::Arm,
            Family::Dps => muster_wire::Surface::Dps,
            Family::Hub => muster_wire::Surface::Hub,
        };
        let problem = Self::new(error.code(wire_surface));
        match error {
            // Clients know the catalogue's own text for this one.
            muster_wire::Error::RegistrationId(_) => problem,
            other => problem.with_message(other.to_string()),
        }
    }

    /// A store that failed.
    pub(crate) fn store(surface: Surface, error: &StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::internal(surface, error.to_string()),
            StoreError::Unavailable(_) | StoreError::Unknown(_) => {
                Self::unavailable(surface, error.to_string())
            }
        }
    }

    /// What the control plane answered.
    pub(crate) fn resources(surface: Surface, error: &muster_resources::Error) -> Self {
        match error {
            muster_resources::Error::Store(error) => Self::store(surface, error),
            other => {
                let mut problem = Self::new(other.code());
                problem.reason = other.reason();
                if problem.reason.is_none() {
                    problem.message = Some(sentence(&other.to_string()));
                }
                problem
            }
        }
    }
}

impl From<muster_dps::Error> for Problem {
    fn from(error: muster_dps::Error) -> Self {
        if let muster_dps::Error::Store(error) = &error {
            return Self::store(Surface::DpsService, error);
        }
        let mut problem = Self::new(error.code());
        problem.reason = error.reason();
        if let muster_dps::Error::Invalid(text) = &error {
            problem.message = Some(sentence(text));
        }
        problem
    }
}

impl From<muster_hub::Error> for Problem {
    fn from(error: muster_hub::Error) -> Self {
        let mut problem = Self::new(error.code());
        problem.reason = error.reason();
        match &error {
            muster_hub::Error::Store(error) => return Self::store(Surface::HubService, error),
            muster_hub::Error::Refused(_) => {}
            muster_hub::Error::Busy | muster_hub::Error::NotDurable(_) => {
                problem.retry_after = Some(RETRY_AFTER);
                problem.detail = Some(error.to_string());
            }
            muster_hub::Error::Log(_) => problem.detail = Some(error.to_string()),
            other => problem.message = Some(sentence(&other.to_string())),
        }
        problem
    }
}

/// Which form of error a surface has.
#[derive(Clone, Copy)]
enum Family {
    Arm,
    Dps,
    Hub,
}

fn family(surface: Surface) -> Family {
    match surface {
        Surface::Arm | Surface::Own | Surface::Public => Family::Arm,
        Surface::DpsDevice | Surface::DpsService => Family::Dps,
        Surface::HubDevice | Surface::HubService => Family::Hub,
    }
}

/// Makes a clause a sentence.
fn sentence(clause: &str) -> String {
    let mut characters = clause.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let stop = if clause.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}
