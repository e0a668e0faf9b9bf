//! Azure's textual forms of the nouns.
//!
//! Both directions: what a server answers and reads, and what a client sends and reads. Every function is pure: no I/O,
//! no clock, no randomness but what is handed in. Everything that comes from outside is bounded first and then parsed;
//! an [`Error`] names the field that broke a rule. Whether a caller may do what he asks is not decided here.

mod body;
mod error;
mod secret;

pub mod api_version;
pub mod arm;
pub mod attestation;
pub mod certificate_document;
pub mod device;
pub mod enrollment;
pub mod etag;
pub mod event;
pub mod fault;
pub mod host;
pub mod message;
pub mod mqtt;
pub mod page;
pub mod refusal;
pub mod registration;
pub mod sas;
pub mod time;
pub mod twin;

pub use api_version::ApiVersion;
pub use body::{DPS_BODY, HUB_BODY, escape_non_ascii};
pub use error::{Error, Surface};
pub use host::{Domain, Host};
pub use secret::Secret;
