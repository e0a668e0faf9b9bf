//! MQTT 3.1.1 for devices: telemetry at a hub, and registration at a provisioning service.
//!
//! A [`Gateway`] is a `net::StreamService`, so that it speaks on TLS sockets and inside WebSockets alike. It translates:
//! who a device is, what it may send and what became of its registration are decided by the domains, by the same calls
//! that HTTPS makes. A PUBACK means what a 204 means: the message is on disk.
//!
//! The first packet decides what a connection is: `connect` reads it, `session` serves a device of a hub,
//! `provisioning` one that registers. What a packet means in a session is decided without I/O, by `machine`.
//!
//! Source: IoT Hub, "Communicate with an IoT hub using the MQTT protocol", and the device SDKs, read 2026-11.

mod backend;
mod connect;
mod gateway;
mod machine;
mod metrics;
mod provisioning;
mod pump;
mod session;

pub use backend::{Backend, Config};
pub use gateway::Gateway;
pub use machine::{Action, Breach, Machine};
pub use metrics::describe_metrics;
