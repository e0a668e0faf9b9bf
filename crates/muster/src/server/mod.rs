//! The parts of the server that only the binary knows: configuration, data directory, certificates, background work.

pub(crate) mod background;
pub(crate) mod backups;
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod data_dir;
pub(crate) mod handshakes;
pub(crate) mod linked_hub;
pub(crate) mod metrics;
pub(crate) mod own_certificates;
pub(crate) mod readiness;
pub(crate) mod tickets;
