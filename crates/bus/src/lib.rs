//! Moves what the domains must deliver: the event log and change notices, in one process.
//!
//! [`log`] keeps records on a disk and knows nothing of hubs' events; [`local`] is `hub::EventLog` on it;
//! [`memory`] is the same port in memory, which delays, refuses and loses replies by seed, for tests. Both are
//! held to the promises of the port by one battery, [`contract`]; [`changes`] has the like for change notices, [`presence`] keeps which devices are attached.
//! [`sim`] is a disk that forgets and tears.
//! What does not belong here: what an event says on the wire, who may read it, where a message goes.

pub mod changes;
pub mod contract;
pub mod local;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod presence;
pub mod sim;
mod stored;
