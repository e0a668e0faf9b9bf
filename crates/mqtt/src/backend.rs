//! Everything that the gateway calls, wired once by the binary.

use std::sync::Arc;
use std::time::Duration;

use muster_dps::Registrar;
use muster_hub::{Activity, Authenticator, Presence, Store, Telemetry};
use muster_model::{Clock, Random};
use muster_resources::{Directory, RefusalLog};
use muster_wire::host::Domain;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a client may take from the handshake to the end of CONNECT.
    pub connect_time: Duration,
    /// How long a client may take to read what it is sent.
    pub write_time: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
        }
    }
}

/// What the gateway calls.
pub struct Backend {
    /// Bounds of connections.
    pub config: Config,
    /// The names under which the server is reached.
    pub domain: Domain,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<Random>,
    /// What exists.
    pub directory: Arc<Directory>,
    /// Where refusals go.
    pub refusal_log: Arc<RefusalLog>,
    /// Registering devices.
    pub registrar: Arc<Registrar>,
    /// Devices at hubs.
    pub authenticator: Arc<Authenticator>,
    /// Which devices are attached.
    pub presence: Arc<dyn Presence>,
    /// What is kept of devices: their subscriptions.
    pub devices: Arc<dyn Store>,
    /// Device-to-cloud messages.
    pub telemetry: Telemetry,
    /// When devices last did something.
    pub activity: Arc<Activity>,
}
