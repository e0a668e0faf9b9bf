//! Reads, chains, checks and issues X.509 certificates.
//!
//! The bottom of the house: no other crate of Muster is used here, no clock is read, no socket opened, no
//! file touched. Reading is as lenient as the service is; deciding trust ([`verify`]) is strict about
//! signatures, issuers and dates, and can tell for every certificate it looked at why it did not count.

mod algorithm;
mod certificate;
mod chain;
mod der;
mod error;
pub mod issue;
pub mod key;
mod name;
pub mod pfx;
mod thumbprint;
mod time;
pub mod verify;

pub use algorithm::{Digest, KeyAlgorithm, MAX_RSA_BITS, MIN_RSA_BITS, SignatureAlgorithm};
pub use certificate::{
    BasicConstraints, Certificate, KeyUsage, MAX_CERTIFICATE_BYTES, MAX_FILE_CERTIFICATES,
};
pub use chain::{Chain, MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES, Presented};
pub use error::{ChainError, IssueError, KeyError, ParseError, PfxError, ThumbprintError};
pub use key::{NewKey, PrivateKey};
pub use name::Name;
pub use thumbprint::{Sha256, Thumbprint};
pub use time::Time;
