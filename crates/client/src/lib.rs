//! The other end of the wire: calls that the command line, simulated devices and tests make.
//!
//! Operators' calls go over the public HTTPS interfaces; devices speak HTTPS, or MQTT on a port of its own or in a
//! WebSocket. All of it works against Azure itself where Azure has the call. No server crate is known here. Documents pass through as the server wrote them.

pub mod channel;
pub mod device;
pub mod dps;
pub mod error;
pub mod http;
pub mod hub;
pub mod identity;
mod io;
mod link;
pub mod management;
pub mod mqtt;
pub mod own;
pub mod protocol;
pub mod tls;
mod websocket;

pub use channel::{Channel, Credential, Server};
pub use error::Error;
pub use http::{Call, Http, Reply};
pub use protocol::Protocol;
pub use tls::{ClientIdentity, Trust};
