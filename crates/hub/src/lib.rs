//! Devices: the identity registry, authentication, and device-to-cloud events.
//!
//! Every gateway goes through the same verbs: [`event_log`] keeps what devices send. Nothing here knows a protocol, SQL
//! or a socket.

pub mod event_log;
pub mod ports;

pub use event_log::{
    AuthMethod, AuthScope, Event, EventLog, Full, Lane, LaneClosed, LogError, MessageSource, PartitionInfo,
    ReadFrom, StoredEvent, Ticket,
};
pub use ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store};
