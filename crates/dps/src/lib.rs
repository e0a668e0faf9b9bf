//! Provisioning: enrollments, attestation, allocation and the state of registrations.
//!
//! A device is admitted by the individual enrollment of its registration id, else by the enrollment group whose
//! certificate or key vouches for it; it is then assigned to a hub. Nothing here knows a protocol, SQL or a socket, and
//! nothing here knows the domain `hub`: a hub is reached through [`LinkedHub`].

pub mod ports;

pub use ports::{
    Assigned, GroupDraft, IndividualDraft, LinkedDevice, LinkedHub, LinkedHubError, NewOperation, Outcome,
    Page, Store, WriteMode,
};
