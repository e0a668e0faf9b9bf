//! The crate from outside: against certificates that other tools made, against other judges of the same chains, and
//! against a naive model of the rules.

mod keys;
mod layouts;
mod limits;
mod model;
mod oracles;
mod possession;
mod reading;
mod support;
mod walking;
