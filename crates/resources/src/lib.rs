//! Control plane: which hubs and provisioning services exist, their CA certificates, proof of possession, access
//! policies, the operator, and the record of refusals.
//!
//! Verbs take a permit, check what the operator asked for, and write through [`Store`]; everything that is asked on a
//! hot path is answered by [`Directory`] from memory. Nothing here knows a protocol, SQL or a socket.

pub mod access;
mod bootstrap;
mod certificates;
mod command;
mod directory;
mod error;
mod estate;
pub mod explain;
mod hubs;
pub mod metrics;
mod path_reason;
mod permit;
mod policy;
pub mod ports;
mod refusal_log;
pub mod sas;
mod services;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trust;

pub use access::{Access, Credential};
pub use bootstrap::{FirstStart, bootstrap};
pub use certificates::Certificates;
pub use command::Command;
pub use directory::{Directory, Snapshot};
pub use error::{Error, Plane};
pub use estate::{Estate, Groups};
pub use explain::{Explainer, Routed};
pub use hubs::{HubRequest, Hubs, MAX_CONSUMER_GROUPS, MAX_RETENTION_DAYS, consumer_group_of};
pub use path_reason::{presented_steps, reason_code, walk_steps};
pub use permit::{Basis, DpsPermit, HubPermit, OperatorPermit};
pub use policy::{MAX_POLICIES, PolicyDraft};

pub use ports::{
    CertificateDraft, Changes, Delta, HubDraft, Lease, Leases, RefusalQuery, Refusals, ServerFacts,
    ServiceDraft, Store, StoreError, WriteError,
};
pub use refusal_log::{Explain, RefusalLog};
pub use sas::{Audience, KeySlot};
pub use services::{LinkKey, LinkRequest, MAX_LINKS, MAX_WEIGHT, ServiceRequest, Services};
pub use trust::OwnerTrust;

#[cfg(test)]
mod tests;
