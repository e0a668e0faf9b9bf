//! What the black-box suites share: the built binary, and clients that are not ours.
//!
//! Nothing here speaks a protocol by itself or uses a crate of the product: a fault in our codec must not be able to hide
//! behind the same fault in a test. Requests are made by curl, certificates by openssl, anything else by Python.
//! Every child has a bound on its time and an environment without the machine's certificate settings, and ends with
//! the value that started it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set up its stage ends there, and says at which step"
)]
#![expect(clippy::print_stdout, reason = "a failed test shows the log of its server")]
#![expect(
    clippy::disallowed_methods,
    reason = "the suites find the binary by the environment and give a start a deadline of real time"
)]

mod authority;
mod curl;
mod namespace;
mod run;
mod sas;
mod server;

pub use authority::Credential;
pub use curl::{Answer, Curl, CurlFailure};
pub use namespace::Namespace;
pub use run::{Ended, openssl, output, python, sh, tool, try_openssl};
pub use sas::{derived_key, now, sas_token};
pub use server::{Launch, Server, binary};
