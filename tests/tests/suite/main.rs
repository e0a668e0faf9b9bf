//! The black-box suites: the built binary, driven by openssl, curl, its own command line and clients that are not ours.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends there, and says at which step"
)]

mod durability;
mod ground;
mod explain;
mod odd;
mod access;
mod stage;
mod tutorials;
