//! Devices: the identity registry, authentication, and device-to-cloud events.
//!
//! Every gateway goes through the same verbs: [`Authenticator`] says which device a caller is, [`Identities`] keeps the
//! registry, [`Telemetry`] and [`Events`] write and read what devices send, [`Explainer`] says why one was refused.
//! Nothing here knows a protocol, SQL or a socket.

mod activity;
pub mod authenticator;
mod error;
pub mod event_log;
mod events;
mod explain;
mod identities;
pub mod partition;
mod permit;
pub mod ports;
pub mod presence;
mod remembered;
mod telemetry;
mod telling;

pub use activity::Activity;
pub use authenticator::{Authenticator, DeviceCredential};
pub use error::Error;
pub use event_log::{
    AuthMethod, AuthScope, Event, EventLog, Full, Lane, LaneClosed, LogError, MessageSource, PartitionInfo,
    ReadFrom, StoredEvent, Ticket,
};
pub use events::{EventReader, Events};
pub use explain::Explainer;
pub use identities::{
    AuthenticationRequest, BulkFailure, BulkItem, BulkMode, Identities, IdentityRequest, MAX_BULK, MAX_LIST,
};
pub use permit::{DeviceBasis, DevicePermit};
pub use ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store};
pub use presence::{Attachment, Ending, Mailbox, Presence};
pub use telemetry::{SECURITY_INTERFACE, Telemetry};
pub use telling::TellingStore;

#[cfg(test)]
mod tests;
