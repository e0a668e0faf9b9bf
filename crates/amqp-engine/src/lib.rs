//! AMQP 1.0.
pub mod codec;
pub mod condition;
mod error;
mod frame;
mod outcome;
mod performative;
mod sasl;
mod symbol;
mod terminus;
mod value;

pub use error::Error;
