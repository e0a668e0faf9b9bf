//! HTTP APIs: devices and back ends of hubs and provisioning services, management, and what only Muster has.
//!
//! A gateway only translates: it finds the operation, reads ids, headers and body through `wire`, calls a domain's verb,
//! and writes the answer through `wire`. Rules live in the domains. Every refusal of a credential leaves a record.

mod arm;
mod audience;
mod backend;
mod body;
mod caller;
mod device;
mod dispatch;
mod enrollment;
mod exchange;
mod gateway;
mod hub;
mod identity;
mod metrics;
mod operations;
mod own;
mod problem;
mod provisioning;
pub mod router;
mod websocket;

pub use backend::{Backend, Maintenance, Readiness, Warned};
pub use gateway::{Config, Gateway};
pub use metrics::describe_metrics;
pub use operations::{Operation, ROUTES};
