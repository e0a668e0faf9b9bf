//! MQTT 3.1.1 as the standard says it, and where a hub is deliberately no broker: bytes written by hand over TLS.
//!
//! No packet here is made or read by a codec of the product. What a test sends is a list of bytes, so that a packet that
//! is none is as easy to send as a good one. Which test holds which normative statement of the standard, and which
//! statements do not apply and why, stands in `statements`.

mod bad_input;
mod bytes;
mod connect;
mod framing;
mod provisioning;
mod publish;
mod session;
mod statements;
mod subscribe;
mod websocket;
mod wills;
mod wire;
mod withdrawal;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use muster_tests::{Launch, sas_token};
use rustls::ClientConfig;
use serde_json::Value;

use crate::ground::{Event, Ground, HUB, text};
use bytes::Hello;
use wire::{Wire, tls};

const HOUR: i64 = 3_600;
/// A moment between two looks at something that nobody tells us of.
const GLANCE: Duration = Duration::from_millis(20);
/// Looks before a test gives up. It bounds a hang, it measures nothing.
const LOOKS: u32 = 3_000;

/// A server, and how it is trusted.
struct Hall {
    ground: Ground,
    tls: Arc<ClientConfig>,
}

/// A device of the ready-made hub that proves itself by its own key.
#[derive(Clone, Debug)]
struct Device {
    id: String,
    token: String,
}

impl Hall {
    fn new() -> Self {
        Self::of(Ground::new())
    }

    /// Starts a server with a configuration.
    fn configured(config: &str) -> Self {
        Self::of(Ground::launched(|folder, _| {
            let file = folder.join("muster.toml");
            std::fs::write(&file, config).expect("to write the configuration");
            Launch::new().arguments(&["--config", &file.to_string_lossy()])
        }))
    }

    fn of(ground: Ground) -> Self {
        let tls = tls(&ground.server().root(), None);
        Self { ground, tls }
    }

    /// Makes a device of the hub.
    fn device(&self, id: &str) -> Device {
        let made = self.ground.json(&[
            "iot",
            "hub",
            "device-identity",
            "create",
            "--hub-name",
            "muster-hub",
            // Some ids look like options.
            &format!("--device-id={id}"),
        ]);
        let key = text(&made["authentication"]["symmetricKey"]["primaryKey"]);
        Device {
            id: id.to_owned(),
            token: sas_token(&format!("{HUB}/devices/{id}"), &key, None, HOUR),
        }
    }

    /// Opens a connection on which nothing was sent yet.
    fn wire(&self) -> Wire {
        Wire::open(self.ground.server().endpoint("mqtt"), HUB, &self.tls)
    }

    /// Opens a connection to where HTTPS is spoken.
    fn web(&self) -> Wire {
        Wire::open(self.ground.server().endpoint("https"), HUB, &self.tls)
    }

    /// Opens a connection that presents a certificate.
    fn wire_with(&self, (certificate, key): &(PathBuf, PathBuf)) -> Wire {
        let identity: Option<(&Path, &Path)> = Some((certificate, key));
        let tls = tls(&self.ground.server().root(), identity);
        Wire::open(self.ground.server().endpoint("mqtt"), HUB, &tls)
    }

    /// Sends bytes on a fresh connection and gives what comes back before the server ends it.
    fn answer(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut wire = self.wire();
        wire.send(bytes);
        wire.rest()
    }

    /// Connects a device with a clean session.
    fn connected(&self, device: &Device) -> Wire {
        let mut wire = self.wire();
        wire.send(Hello::of(device).bytes());
        wire.expect(bytes::ACCEPTED);
        wire
    }

    /// Connects a device whose session is kept, and tells whether there was one.
    fn resumed(&self, device: &Device) -> (Wire, bool) {
        let mut wire = self.wire();
        wire.send(Hello::of(device).kept().bytes());
        let answer = wire.packet();
        assert!(
            answer == bytes::ACCEPTED || answer == bytes::RESUMED,
            "{answer:02x?}"
        );
        let present = answer == bytes::RESUMED;
        (wire, present)
    }

    /// Everything that devices have sent.
    fn events(&self) -> Vec<Event> {
        self.ground.events()
    }

    /// The events, once there are as many as are waited for.
    fn events_when(&self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..LOOKS {
            events = self.events();
            if events.len() >= count {
                break;
            }
            thread::sleep(GLANCE);
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// Waits until there are so many events, or more.
    fn events_at_least(&self, count: usize) {
        let enough = (0..LOOKS).any(|_| {
            thread::sleep(GLANCE);
            self.events().len() >= count
        });
        assert!(enough, "{count} events");
    }

    /// Asserts that the server serves others and that nothing panicked.
    fn unharmed(&self) {
        let answer = self.ground.server().curl("/readyz").send().expect(200);
        assert_eq!(answer.text().trim(), "ready");
        let log = self.ground.server().log();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// What was refused so far, newest first, as the operator sees it.
    fn refusals(&self) -> Vec<Value> {
        let answer = self
            .ground
            .server()
            .curl("/muster/refusals?last=100")
            .authorization(&format!("Bearer {}", self.ground.server().operator_token()))
            .send()
            .expect(200);
        let value = answer.json();
        let list = value.as_array().or_else(|| value["value"].as_array());
        list.unwrap_or_else(|| panic!("no list: {value}")).clone()
    }
}

impl Device {
    /// The topic of its messages, with a bag.
    fn topic(&self, bag: &str) -> String {
        format!("devices/{}/messages/events/{bag}", self.id)
    }

    /// The filter of messages to it.
    fn bound(&self) -> String {
        format!("devices/{}/messages/devicebound/#", self.id)
    }
}

/// The bodies of events, in their order.
fn bodies(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| text(&event.body)).collect()
}
