//! The server: configuration, data directory, wiring, lifecycle.

pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod data_dir;
pub(crate) mod linked_hub;
