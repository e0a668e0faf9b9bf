//! The black-box suites: the built binary, driven by openssl, curl, its own command line and clients that are not ours.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends there, and says at which step"
)]

mod access;
mod api;
mod bad_input;
mod cert;
mod command_line;
mod durability;
mod explain;
mod ground;
mod mqtt;
mod odd;
mod own_certificates;
mod raw;
mod sdk;
mod simulate;
mod stage;
mod tutorials;
mod upgrade;
