//! Connections over real sockets: this crate's server against independent clients.
//!
//! Every test has its own server on loopback with ports chosen by the kernel, and its own certificates.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod certificates;
mod limits;
mod possession;
mod resumption;
mod serving;
mod strangers;
mod support;
