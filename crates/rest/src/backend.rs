//! Everything that the gateway calls, wired once by the binary.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use muster_dps::{Enrollments, Groups, Registrar, Registrations};
use muster_hub::{Activity, Authenticator, Events, Identities, Presence, Telemetry};
use muster_model::{Clock, Random};
use muster_net::StreamService;
use muster_resources::{Access, Certificates, Directory, Hubs, RefusalLog, Refusals, ServerFacts, Services};
use muster_wire::api_version::ApiVersion;
use muster_wire::host::Domain;

use crate::gateway::Config;

/// What the gateway calls.
pub struct Backend {
    /// Bounds of connections.
    pub config: Config,
    /// The names under which the server is reached.
    pub domain: Domain,
    /// The port that absolute addresses of management name.
    pub https_port: u16,
    /// Facts of this server.
    pub facts: ServerFacts,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<Random>,
    /// What exists.
    pub directory: Arc<Directory>,
    /// Who may call.
    pub access: Arc<Access>,
    /// Resource groups.
    pub resource_groups: muster_resources::Groups,
    /// Hubs.
    pub hubs: Hubs,
    /// Provisioning services.
    pub services: Services,
    /// CA certificates.
    pub certificates: Certificates,
    /// Where refusals go.
    pub refusal_log: Arc<RefusalLog>,
    /// Where explained refusals lie.
    pub refusals: Arc<dyn Refusals>,
    /// Registering devices.
    pub registrar: Arc<Registrar>,
    /// Individual enrollments.
    pub enrollments: Enrollments,
    /// Enrollment groups.
    pub enrollment_groups: Groups,
    /// Registration states.
    pub registrations: Registrations,
    /// Devices at hubs.
    pub authenticator: Arc<Authenticator>,
    /// Which devices are attached.
    pub presence: Arc<dyn Presence>,
    /// The identity registry.
    pub identities: Identities,
    /// Device-to-cloud messages.
    pub telemetry: Telemetry,
    /// When devices last did something.
    pub activity: Arc<Activity>,
    /// Reading device-to-cloud messages.
    pub events: Events,
    /// Whether the server can do its work.
    pub readiness: Arc<dyn Readiness>,
    /// What speaks MQTT inside a WebSocket.
    pub mqtt: Arc<dyn StreamService>,
    /// Work that an operator orders.
    pub maintenance: Arc<dyn Maintenance>,
    /// The certificates that clients are to trust, in PEM.
    pub trusted: Arc<dyn Fn() -> std::io::Result<String> + Send + Sync>,
    /// Versions that were warned of.
    pub warned: Warned,
}

/// Tells whether the server can do its work.
pub trait Readiness: Send + Sync {
    /// Everything that keeps the server from its work; empty when it is ready.
    fn obstacles(&self) -> Vec<String>;
}

/// Does the work that an operator orders. Blocks; it is called on a thread of its own.
pub trait Maintenance: Send + Sync {
    /// Writes a backup of registry and event log into a folder that does not exist yet.
    ///
    /// # Errors
    /// One sentence for the operator.
    fn backup(&self, folder: &Path) -> Result<(), String>;
}

/// Versions that were warned of, so that each is named once.
#[derive(Debug, Default)]
pub struct Warned(Mutex<HashSet<ApiVersion>>);

impl Warned {
    /// Most versions that are remembered: clients choose them.
    const MOST: usize = 64;

    /// Tells whether this version turns up for the first time.
    pub(crate) fn first(&self, version: ApiVersion) -> bool {
        // A panic while a set was written leaves a set.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() < Self::MOST && seen.insert(version)
    }
}
