//! The nouns of Muster as values that cannot be built wrong.
//!
//! Ids, certificates' owners, messages, enrollments, registration states, device identities, subscriptions, entity tags, error codes
//! and the clock. Constructors return the checked type; later code does not check again. Nothing here knows a protocol,
//! a store or a text of Azure's wire: texts are made and read in `wire`.

pub mod access;
pub mod certificate;
pub mod clock;
pub mod dps;
pub mod error;
pub mod estate;
pub mod etag;
pub mod id;
pub mod identity;
pub mod json;
pub mod key;
pub mod message;
pub mod random;
pub mod reason;
pub mod refusal;
pub mod subscription;
pub mod twin;

pub use access::{AccessPolicy, DpsRights, HubRights, Rights, SasToken, SymmetricKey};
pub use certificate::{CaCertificate, CertificateOwner, VerificationCode};
pub use clock::{Clock, ManualClock, Mono, Wall};
pub use error::ErrorCode;
pub use etag::{ETag, IfMatch};
pub use id::{
    CertificateName, ConsumerGroupName, DeviceId, DpsName, EnrollmentGroupId, HubName, IdScope, InvalidId,
    Location, OperationId, PolicyName, RegistrationId, ResourceGroupName, SubscriptionId,
};
pub use json::{Json, JsonError, JsonLimits};
pub use key::{
    DpsKey, GenerationId, HubKey, Partition, PartitionCount, Position, RequestId, TrackingId, TrustVersion,
};
pub use random::Random;
pub use reason::ReasonCode;
pub use subscription::{Assurance, Channel, Subscriptions};
