//! The other end of the wire: calls that the command line, simulated devices and tests make.
//!
//! Everything here speaks the public HTTPS interfaces only, so that it works against Azure itself where Azure has the
//! call. No server crate is known here. Documents pass through as the server wrote them.

pub mod channel;
pub mod device;
pub mod dps;
pub mod error;
pub mod http;
pub mod hub;
pub mod identity;
mod io;
pub mod management;
pub mod own;
pub mod tls;

pub use channel::{Channel, Credential, Server};
pub use error::Error;
pub use http::{Call, Http, Reply};
pub use tls::{ClientIdentity, Trust};
