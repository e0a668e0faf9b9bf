//! The other end of the wire: calls that the command line, simulated devices and tests make.
//!
//! Everything here speaks the public HTTPS interfaces only, so that it works against Azure itself where Azure has the
//! call. No server crate is known here.

pub mod error;
pub mod http;
mod io;
pub mod tls;

pub use error::Error;
pub use http::{Call, Http, Reply};
pub use tls::{ClientIdentity, Trust};
