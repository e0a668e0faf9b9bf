//! What a verb of the hub answers when it does not do what was asked.

use muster_model::{ConsumerGroupName, DeviceId, ErrorCode, ReasonCode};
use muster_resources::{StoreError, WriteError};

use crate::event_log::LogError;

/// Why a verb of the hub did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An argument breaks its rule; the clause says which.
    #[error("{0}")]
    Argument(String),
    /// The log takes nothing more at the moment; the device tries again later.
    #[error("the event log takes nothing more at the moment")]
    Busy,
    /// The hub has no consumer group of that name.
    #[error("there is no consumer group {0}")]
    ConsumerGroupMissing(ConsumerGroupName),
    /// One device stands twice in a bulk call.
    #[error("the device {0} stands there twice")]
    DefinedTwice(DeviceId),
    /// The device is there already.
    #[error("the device {0} exists already")]
    DeviceExists(DeviceId),
    /// The hub has no such device.
    #[error("there is no device {0}")]
    DeviceMissing(DeviceId),
    /// The hub does not offer this.
    #[error("{0} is not offered")]
    FeatureMissing(&'static str),
    /// The hub was deleted meanwhile.
    #[error("the hub is gone")]
    HubGone,
    /// The event log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The message is larger than allowed.
    #[error("the message has {size} bytes, and {limit} are allowed")]
    MessageTooLarge {
        /// Its size in bytes, properties included.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// What was sent may or may not be in the log; the device sends it again.
    #[error("the message could not be stored: {0}")]
    NotDurable(String),
    /// Whoever called is not who he says, or may not do it.
    #[error("refused: {0}")]
    Refused(ReasonCode),
    /// It is there in another version than the caller named.
    #[error("it is there in another version")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More devices in one call than allowed.
    #[error("there are {count} devices in one call, and {limit} are allowed")]
    TooManyDevices {
        /// How many there are.
        count: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl Error {
    /// Answers the code that the client sees.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Argument(_) => ErrorCode::ArgumentInvalid,
            Self::Busy => ErrorCode::ThrottlingException,
            Self::ConsumerGroupMissing(_) => ErrorCode::GenericNotFound,
            Self::DefinedTwice(_) => ErrorCode::DeviceDefinedMultipleTimes,
            Self::DeviceExists(_) => ErrorCode::DeviceAlreadyExists,
            Self::DeviceMissing(_) | Self::Refused(ReasonCode::DeviceUnknown) => ErrorCode::DeviceNotFound,
            Self::FeatureMissing(_) => ErrorCode::FeatureNotSupported,
            Self::HubGone => ErrorCode::IotHubNotFound,
            Self::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::Refused(_) => ErrorCode::IotHubUnauthorizedAccess,
            Self::Stale => ErrorCode::PreconditionFailed,
            Self::Log(LogError::Damaged(_)) | Self::Store(StoreError::Damaged { .. }) => {
                ErrorCode::ServerError
            }
            Self::Log(LogError::Unavailable(_))
            | Self::NotDurable(_)
            | Self::Store(StoreError::Unavailable(_) | StoreError::Unknown(_)) => {
                ErrorCode::ServiceUnavailable
            }
            Self::TooManyDevices { .. } => ErrorCode::TooManyDevices,
        }
    }

    /// Answers why the caller was refused, where that is what happened.
    pub const fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused(reason) => Some(*reason),
            _ => None,
        }
    }

    /// Says what a failed write means for a device.
    pub(crate) fn of_write(error: WriteError, id: &DeviceId) -> Self {
        match error {
            WriteError::Exists => Self::DeviceExists(id.clone()),
            WriteError::Missing => Self::DeviceMissing(id.clone()),
            WriteError::Stale => Self::Stale,
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

impl From<muster_resources::Error> for Error {
    /// A permit of `resources` that lacks a right is the only thing that comes this way.
    fn from(error: muster_resources::Error) -> Self {
        match error {
            muster_resources::Error::Refused { reason, .. } => Self::Refused(reason),
            muster_resources::Error::Store(error) => Self::Store(error),
            other => Self::Argument(other.to_string()),
        }
    }
}
