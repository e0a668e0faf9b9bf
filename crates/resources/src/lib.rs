//! Control plane: which hubs and provisioning services exist, their CA certificates, proof of possession, access
//! policies, the operator, and the record of refusals.
//!
//! Verbs take a permit, check what the operator asked for, and write through [`Store`]; everything that is asked on a
//! hot path is answered by [`Directory`] from memory. Nothing here knows a protocol, SQL or a socket.

pub mod ports;

pub use ports::{
    CertificateDraft, Changes, Delta, HubDraft, Lease, Leases, RefusalQuery, Refusals, ServerFacts,
    ServiceDraft, Store, StoreError, WriteError,
};
