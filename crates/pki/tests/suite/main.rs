//! The crate from outside: against certificates that other tools made, against other judges of the same
//! chains, and against a naive model of the rules.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, in its helpers too"
)]

mod keys;
mod layouts;
mod limits;
mod model;
mod oracles;
mod possession;
mod reading;
mod robustness;
mod signatures;
mod support;
mod walking;
