//! Provisioning: enrollments, attestation, allocation and the state of registrations.
//!
//! A device is admitted by the individual enrollment of its registration id, else by the enrollment group whose
//! certificate or key vouches for it; it is then assigned to a hub. Nothing here knows a protocol, SQL or a socket, and
//! nothing here knows the domain `hub`: a hub is reached through [`LinkedHub`].

mod allocation;
mod attempt;
mod attestation;
mod bulk;
mod draft;
mod enrollments;
mod error;
mod explain;
#[cfg(test)]
mod fixtures;
mod groups;
pub mod ports;
mod registrar;
mod registrations;
mod reprovision;
mod retry;
pub mod testing;

pub use attempt::{Attempt, Credential, Operation};
pub use bulk::{Bulk, BulkFailure, MAX_BULK_ITEMS};
pub use draft::{MAX_DESIRED_BYTES, MAX_INFORMATION_BYTES, MAX_TAGS_BYTES};
pub use enrollments::{Enrollments, MAX_PAGE};
pub use error::Error;
pub use explain::Explainer;
pub use groups::Groups;
pub use ports::{
    Assigned, GroupDraft, IndividualDraft, LinkedDevice, LinkedHub, LinkedHubError, LinkedTwin, NewOperation,
    Outcome, Page, Store, WriteMode,
};
pub use registrar::{Config as RegistrarConfig, HubHostName, Registrar, Sweeper, Swept};
pub use registrations::Registrations;
