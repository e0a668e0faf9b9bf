//! The table: which SDK runs over which transport with which credential, step by step; and the fixed list of cells that do
//! not run, each with its reason.

use std::fmt;

/// A client library, or a role of one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Sdk {
    EventsNode,
    EventsPython,
    Mosquitto,
    NodeDevice,
    Paho,
    PythonDevice,
    Registry,
    Rhea,
}

/// What carries it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Transport {
    Amqp,
    AmqpWs,
    Http,
    Mqtt,
    MqttWs,
}

/// How it proves who it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Proof {
    /// Whatever it would be: for a row that cannot exist.
    Any,
    /// A certificate that chains to the CA certificate of an enrollment group.
    Ca,
    /// A key derived from an enrollment group's.
    GroupKey,
    /// The key of an individual enrollment.
    Key,
    /// A shared access policy's key.
    Policy,
    /// A certificate that is signed by itself, in an individual enrollment.
    SelfSigned,
}

/// What is done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// Registers and is assigned to the hub.
    Provision,
    /// Registers with a wrong credential and is told so.
    ProvisionRefused,
    /// Sends, and the same is read back.
    Send,
    /// Leaves, comes back and sends.
    Reconnect,
    /// A second connection of the same identity ends the first.
    Takeover,
    /// The server is killed and started again, and the client goes on by itself.
    Outlive,
    /// Connects with a wrong credential and is told so.
    Refused,
    /// Manages the registry.
    Manage,
    /// Reads what all devices sent.
    Read,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    pub(crate) sdk: Sdk,
    pub(crate) transport: Transport,
    pub(crate) proof: Proof,
}

/// Whether a cell runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It cannot exist.
    Never(&'static str),
    /// The server does not have it yet.
    Pending(&'static str),
    /// It runs.
    Runs,
}

/// The steps of a device, in the order in which they run: a device that was assigned goes on as that device.
pub(crate) const DEVICE_STEPS: &[Step] = &[
    Step::ProvisionRefused,
    Step::Provision,
    Step::Send,
    Step::Reconnect,
    Step::Takeover,
    Step::Outlive,
    Step::Refused,
];
/// The steps of a back end.
pub(crate) const BACK_END_STEPS: &[Step] = &[Step::Manage, Step::Read, Step::Refused];

const DEVICE_PROOFS: &[Proof] = &[Proof::Key, Proof::GroupKey, Proof::SelfSigned, Proof::Ca];
const STRANGER_PROOFS: &[Proof] = &[Proof::Key, Proof::SelfSigned];
const EVERY_TRANSPORT: &[Transport] = &[
    Transport::Mqtt,
    Transport::MqttWs,
    Transport::Amqp,
    Transport::AmqpWs,
    Transport::Http,
];
const MQTT: &[Transport] = &[Transport::Mqtt, Transport::MqttWs];
const AMQP: &[Transport] = &[Transport::Amqp, Transport::AmqpWs];

const NO_AMQP: &str = "AMQP is not there yet";
const MQTT_ONLY: &str = "azure-iot-device for Python speaks MQTT only, and HTTPS to upload files";
const MOSQUITTO_TCP: &str = "mosquitto's clients of Debian have no WebSocket";
const NO_SESSION: &str = "over HTTP there is no connection that another could take over";
const NO_CONNECTION: &str = "over HTTP there is no connection that a restart could end";
const NO_ANSWERS: &str =
    "mosquitto_rr takes no wildcard for the topic of an answer, and each result has a topic of its own";
const SHORT_LIVED: &str = "mosquitto_pub sends and ends";
const NO_REGISTRY: &str = "reads events, and manages nothing";
const NO_EVENTS: &str = "manages the registry, and reads no events";

/// Every row that a device has.
pub(crate) fn device_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (sdk, transports, proofs) in [
        (Sdk::PythonDevice, EVERY_TRANSPORT, DEVICE_PROOFS),
        (Sdk::NodeDevice, EVERY_TRANSPORT, DEVICE_PROOFS),
        (Sdk::Paho, MQTT, STRANGER_PROOFS),
        (Sdk::Mosquitto, MQTT, STRANGER_PROOFS),
        (Sdk::Rhea, AMQP, STRANGER_PROOFS),
    ] {
        for transport in transports.iter().copied() {
            let exists = without_transport(sdk, transport).is_none();
            let proofs = if exists { proofs } else { &[Proof::Any] };
            rows.extend(proofs.iter().map(|proof| Row {
                sdk,
                transport,
                proof: *proof,
            }));
        }
    }
    rows
}

/// Every row that a back end has.
pub(crate) fn back_end_rows() -> Vec<Row> {
    [
        (Sdk::Registry, &[Transport::Http][..]),
        (Sdk::EventsPython, AMQP),
        (Sdk::EventsNode, AMQP),
    ]
    .into_iter()
    .flat_map(|(sdk, transports)| {
        transports.iter().map(move |transport| Row {
            sdk,
            transport: *transport,
            proof: Proof::Policy,
        })
    })
    .collect()
}

/// Says why a library has no such transport.
fn without_transport(sdk: Sdk, transport: Transport) -> Option<&'static str> {
    match (sdk, transport) {
        (Sdk::PythonDevice, Transport::Amqp | Transport::AmqpWs | Transport::Http) => Some(MQTT_ONLY),
        (Sdk::Mosquitto, Transport::MqttWs) => Some(MOSQUITTO_TCP),
        _ => None,
    }
}

impl Row {
    /// Whether a step of this row runs, and why not.
    pub(crate) fn fate(self, step: Step) -> Fate {
        if let Some(reason) = without_transport(self.sdk, self.transport) {
            return Fate::Never(reason);
        }
        match (self.sdk, self.transport, step) {
            (_, Transport::Http, Step::Takeover) => Fate::Never(NO_SESSION),
            (_, Transport::Http, Step::Outlive) => Fate::Never(NO_CONNECTION),
            (Sdk::Mosquitto, _, Step::Outlive) => Fate::Never(SHORT_LIVED),
            (Sdk::Mosquitto, _, Step::Provision | Step::ProvisionRefused) => Fate::Never(NO_ANSWERS),
            (Sdk::Registry, _, Step::Read) => Fate::Never(NO_EVENTS),
            (Sdk::EventsNode | Sdk::EventsPython, _, Step::Manage) => Fate::Never(NO_REGISTRY),
            (_, Transport::Amqp | Transport::AmqpWs, _) => Fate::Pending(NO_AMQP),
            _ => Fate::Runs,
        }
    }

    /// The steps of this row.
    pub(crate) fn steps(self) -> &'static [Step] {
        match self.sdk {
            Sdk::EventsNode | Sdk::EventsPython | Sdk::Registry => BACK_END_STEPS,
            _ => DEVICE_STEPS,
        }
    }

    /// The name of a cell, as in the ledger.
    pub(crate) fn cell(self, step: Step) -> String {
        format!("{self}/{}", step.name())
    }

    /// The id of the device of this row at the hub: an enrollment of its own gives it another than it registers with.
    pub(crate) fn device_id(self) -> String {
        match self.proof {
            Proof::Key | Proof::SelfSigned => format!("Unit.{}", self.id()),
            _ => self.id(),
        }
    }

    /// An id that is this row's alone: the registration id of its device.
    pub(crate) fn id(self) -> String {
        format!(
            "{}-{}-{}",
            self.sdk.name(),
            self.transport.name(),
            self.proof.name()
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sdk, transport, proof) = (self.sdk.name(), self.transport.name(), self.proof.name());
        write!(f, "{sdk}/{transport}/{proof}")
    }
}

impl Sdk {
    /// The name in cells.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EventsNode => "node-events",
            Self::EventsPython => "python-events",
            Self::Mosquitto => "mosquitto",
            Self::NodeDevice => "node-device",
            Self::Paho => "paho",
            Self::PythonDevice => "python-device",
            Self::Registry => "python-registry",
            Self::Rhea => "rhea",
        }
    }

    /// The name that a reader knows.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::EventsNode => "Node @azure/event-hubs",
            Self::EventsPython => "Python azure-eventhub",
            Self::Mosquitto => "mosquitto's clients",
            Self::NodeDevice => "Node azure-iot-device",
            Self::Paho => "Python paho-mqtt",
            Self::PythonDevice => "Python azure-iot-device",
            Self::Registry => "Python azure-iot-hub",
            Self::Rhea => "Node rhea",
        }
    }
}

impl Transport {
    /// The name in cells and in scenarios.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::AmqpWs => "amqp-ws",
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::MqttWs => "mqtt-ws",
        }
    }

    /// The name that a reader knows.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Amqp => "AMQP",
            Self::AmqpWs => "AMQP over WebSocket",
            Self::Http => "HTTPS",
            Self::Mqtt => "MQTT",
            Self::MqttWs => "MQTT over WebSocket",
        }
    }
}

impl Proof {
    /// The name in cells.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Ca => "ca",
            Self::GroupKey => "group-key",
            Self::Key => "key",
            Self::Policy => "policy",
            Self::SelfSigned => "self-signed",
        }
    }

    /// The name that a reader knows.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Ca => "certificate of a CA (group)",
            Self::GroupKey => "key derived from a group's",
            Self::Key => "key (individual)",
            Self::Policy => "policy's key",
            Self::SelfSigned => "self-signed certificate (individual)",
        }
    }

    /// Whether it is a certificate.
    pub(crate) const fn is_x509(self) -> bool {
        matches!(self, Self::Ca | Self::SelfSigned)
    }
}

impl Step {
    /// The name in cells.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Outlive => "outlive",
            Self::Provision => "provision",
            Self::ProvisionRefused => "provision-refused",
            Self::Read => "read",
            Self::Reconnect => "reconnect",
            Self::Refused => "refused",
            Self::Send => "send",
            Self::Takeover => "takeover",
        }
    }

    /// The head of its column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Manage => "Manages devices",
            Self::Outlive => "Outlives a restart",
            Self::Provision => "Registers",
            Self::ProvisionRefused => "Registration refused",
            Self::Read => "Reads events",
            Self::Reconnect => "Comes back",
            Self::Refused => "Refused",
            Self::Send => "Sends, read back",
            Self::Takeover => "Taken over",
        }
    }
}
