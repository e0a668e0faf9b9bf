//! What holds implementations of this crate's ports to their promises, for tests here and in other crates: the battery of
//! [`LinkedHub`](crate::LinkedHub), and hubs in memory that misbehave by seed.

mod hubs;
mod linked_hub;

pub use hubs::{HubFault, MadeDevice, MemoryHubs, Mischief};
pub use linked_hub::{Look, SeenDevice, Subject, linked_hub};
