//! The ways in which a device speaks.

use std::fmt;

/// What a device speaks, and over what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTPS.
    Http,
    /// MQTT on a port of its own.
    Mqtt,
    /// MQTT in a WebSocket, on the port of HTTPS.
    MqttWs,
}

impl Protocol {
    /// Its name, as flags spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::MqttWs => "mqtt-ws",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
