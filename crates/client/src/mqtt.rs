//! MQTT 3.1.1 as a device speaks it, on a port of its own or in a WebSocket.

mod connection;
mod device;
mod registrar;

pub use connection::{Connection, Event, LARGEST_WINDOW, Opening};
pub use device::{Hub, MqttDevice};
pub use muster_mqtt_codec::PacketId;
pub use registrar::{Scope, register};

use std::time::Duration;

use muster_model::{Clock, Wall};
use muster_wire::sas;
use zeroize::Zeroizing;

use crate::channel::{Credential, Server, TOKEN_LIFE};
use crate::error::Error;
use crate::protocol::Protocol;
use crate::websocket;
use connection::Wire;

/// How this program calls itself.
const PROGRAM: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// The subprotocol of WebSockets that carry MQTT.
const SUBPROTOCOL: &str = "mqtt";

/// Seconds of silence after which a server is pinged, as the SDK for Python does by default (2.14.0).
const KEEP_ALIVE: u16 = 60;

/// How long a stream may take to be opened.
const CONNECT_TIME: Duration = Duration::from_mins(1);

/// Opens a stream that MQTT can be spoken on, and says where it leads.
async fn stream(
    server: &Server,
    protocol: Protocol,
    host: &str,
    credential: &Credential,
) -> Result<(Box<dyn Wire>, String), Error> {
    let link = match protocol {
        Protocol::Mqtt => server.mqtt_link(host, credential.identity())?,
        Protocol::MqttWs => server.web_link(host, credential.identity())?,
        Protocol::Http => return Err(Error::Target("HTTPS carries no MQTT".to_owned())),
    };
    let place = link.place();
    let opened = async {
        let stream = link.connect().await?;
        Ok(match protocol {
            Protocol::MqttWs => {
                Box::new(websocket::upgrade(&link, stream, SUBPROTOCOL).await?) as Box<dyn Wire>
            }
            Protocol::Http | Protocol::Mqtt => Box::new(stream),
        })
    };
    let wire = tokio::time::timeout(CONNECT_TIME, opened)
        .await
        .map_err(|_| Error::TimedOut {
            host: place.clone(),
            seconds: CONNECT_TIME.as_secs(),
        })??;
    Ok((wire, place))
}

/// A password, and when it ends.
struct Password {
    text: Zeroizing<String>,
    expiry: Wall,
}

/// The password of a credential for a resource; a certificate has none.
fn password(credential: &Credential, resource: &str, clock: &dyn Clock) -> Result<Option<Password>, Error> {
    match credential {
        Credential::Certificate(_) => Ok(None),
        Credential::Key { policy, key } => {
            let expiry = clock.wall().plus(TOKEN_LIFE);
            Ok(Some(Password {
                text: sas::sign(resource, key.bytes(), expiry, policy.as_deref()),
                expiry,
            }))
        }
        Credential::Bearer(_) => Err(Error::Identity("a device has no bearer token".to_owned())),
    }
}
