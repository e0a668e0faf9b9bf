//! Where a server is, with which credential it is called, and the calls themselves.
//!
//! One server answers to many names at one place, so that a name and a place are told apart here: management is called
//! by the name of the place, hubs and provisioning services by their own full names. Against Azure each name leads to a
//! place of its own.

use std::sync::Arc;
use std::time::Duration;

use muster_model::{Clock, SymmetricKey};
use muster_wire::sas;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::http::{Call, Http, Reply};
use crate::link::Link;
use crate::tls::{Alpn, Anchors, ClientIdentity, Trust};

/// How long a token lives that is made for a call.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_hours(1);

/// The port of HTTPS where nothing else is said.
pub const HTTPS: u16 = 443;

/// The port of MQTT where nothing else is said.
pub const MQTT: u16 = 8883;

/// Where servers are reached, and which are believed.
#[derive(Clone, Debug)]
pub struct Server {
    https: Door,
    mqtt: Option<Door>,
    anchors: Arc<Anchors>,
}

/// Where one kind of connection is taken.
#[derive(Clone, Debug)]
struct Door {
    /// The host that every name leads to; `None` where each name leads where the name service says.
    through: Option<String>,
    port: u16,
}

impl Server {
    /// A server that answers to all its names at one place.
    pub fn at(host: impl Into<String>, port: u16, trust: Trust) -> Self {
        let host = host.into();
        Self {
            https: Door {
                through: Some(host.clone()),
                port,
            },
            mqtt: Some(Door {
                through: Some(host),
                port: MQTT,
            }),
            anchors: Arc::new(Anchors::new(trust)),
        }
    }

    /// Servers that are found by their names.
    pub fn by_name(port: u16, trust: Trust) -> Self {
        let door = |port| Door { through: None, port };
        Self {
            https: door(port),
            mqtt: Some(door(MQTT)),
            anchors: Arc::new(Anchors::new(trust)),
        }
    }

    /// Says where MQTT is taken, where that is known; a server may take none.
    #[must_use]
    pub fn with_mqtt(mut self, place: Option<(String, u16)>) -> Self {
        self.mqtt = place.map(|(host, port)| Door {
            through: Some(host),
            port,
        });
        self
    }

    /// Says at which port MQTT is taken, wherever that is.
    #[must_use]
    pub fn with_mqtt_port(mut self, port: u16) -> Self {
        match &mut self.mqtt {
            Some(door) => door.port = port,
            None => {
                self.mqtt = Some(Door {
                    port,
                    ..self.https.clone()
                });
            }
        }
        self
    }

    /// Splits `host:port`, where the port may be missing.
    ///
    /// # Errors
    /// [`Error::Target`] when the port is no number.
    pub fn split(place: &str) -> Result<(String, Option<u16>), Error> {
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (place, None),
        };
        if host.is_empty() {
            return Err(Error::Target(format!("{place} names no host")));
        }
        let port = port
            .map(|port| {
                port.parse().map_err(|_| {
                    Error::Target(format!("{place} has a port that is no number from 0 to 65535"))
                })
            })
            .transpose()?;
        Ok((host.to_owned(), port))
    }

    /// Prepares calls to `host`, a name that the server answers to.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn http(&self, host: &str, identity: Option<&ClientIdentity>) -> Result<Http, Error> {
        Ok(Http::over(self.link(host, &self.https, Alpn::Http, identity)?))
    }

    /// The way to `host` for a WebSocket.
    pub(crate) fn web_link(&self, host: &str, identity: Option<&ClientIdentity>) -> Result<Link, Error> {
        self.link(host, &self.https, Alpn::Http, identity)
    }

    /// The way to `host` for MQTT.
    pub(crate) fn mqtt_link(&self, host: &str, identity: Option<&ClientIdentity>) -> Result<Link, Error> {
        let door = self
            .mqtt
            .as_ref()
            .ok_or_else(|| Error::Target("this server takes no MQTT".to_owned()))?;
        self.link(host, door, Alpn::None, identity)
    }

    fn link(
        &self,
        host: &str,
        door: &Door,
        alpn: Alpn,
        identity: Option<&ClientIdentity>,
    ) -> Result<Link, Error> {
        Ok(Link {
            host: host.to_owned(),
            port: door.port,
            address: None,
            through: door.through.clone(),
            config: self.anchors.settings(alpn, identity)?,
        })
    }

    /// Prepares calls to `host` that carry `credential`; a key signs for `resource`.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn channel(
        &self,
        host: &str,
        resource: impl Into<String>,
        credential: Credential,
        clock: Arc<dyn Clock>,
    ) -> Result<Channel, Error> {
        Ok(Channel {
            http: self.http(host, credential.identity())?,
            resource: resource.into(),
            credential,
            clock,
        })
    }
}

/// What a caller proves himself by.
#[derive(Clone)]
pub enum Credential {
    /// A bearer token.
    Bearer(Zeroizing<String>),
    /// A client certificate, presented in the TLS handshake.
    Certificate(ClientIdentity),
    /// A key that signs a fresh token for each call.
    Key {
        /// The policy whose key it is; `None` for the key of a device.
        policy: Option<String>,
        /// The key.
        key: SymmetricKey,
    },
}

impl Credential {
    /// The certificate that is presented in the TLS handshake.
    pub(crate) const fn identity(&self) -> Option<&ClientIdentity> {
        match self {
            Self::Certificate(identity) => Some(identity),
            Self::Bearer(_) | Self::Key { .. } => None,
        }
    }
}

/// Calls to one host with one credential.
pub struct Channel {
    http: Http,
    resource: String,
    credential: Credential,
    clock: Arc<dyn Clock>,
}

impl Channel {
    /// The name that is called.
    pub fn host(&self) -> &str {
        self.http.host()
    }

    /// Connects now, so that the first call finds a connection.
    ///
    /// # Errors
    /// As [`Http::open`].
    pub async fn open(&self) -> Result<(), Error> {
        self.http.open().await
    }

    /// Makes a call and takes the answer whatever it says.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn ask(&self, call: Call) -> Result<Reply, Error> {
        self.http.send(&self.authorized(call)).await
    }

    /// Makes a call and takes an answer that says yes.
    ///
    /// # Errors
    /// As [`Http::send`] and [`Reply::accepted`].
    pub async fn send(&self, call: Call) -> Result<Reply, Error> {
        self.ask(call).await?.accepted()
    }

    /// Makes a call and reads the JSON of an answer that says yes.
    ///
    /// # Errors
    /// As [`Channel::send`] and [`Reply::json`].
    pub async fn json(&self, call: Call) -> Result<Value, Error> {
        self.send(call).await?.json()
    }

    /// The transport, for an answer that comes piece by piece.
    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }

    /// Puts the credential on a call.
    pub(crate) fn authorized(&self, call: Call) -> Call {
        match &self.credential {
            Credential::Bearer(token) => {
                call.authorization(&Zeroizing::new(format!("Bearer {}", token.as_str())))
            }
            Credential::Certificate(_) => call,
            Credential::Key { policy, key } => {
                let expiry = self.clock.wall().plus(TOKEN_LIFE);
                call.authorization(&sas::sign(&self.resource, key.bytes(), expiry, policy.as_deref()))
            }
        }
    }
}

/// Percent-encodes a name for one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    sas::encode(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_split_at_the_port() {
        for (place, host, port) in [
            ("127.0.0.1:8443", "127.0.0.1", Some(8443)),
            ("[::1]:8443", "[::1]", Some(8443)),
            ("[::1]", "[::1]", None),
            (
                "hub.azure-devices.muster.localhost",
                "hub.azure-devices.muster.localhost",
                None,
            ),
        ] {
            assert_eq!(Server::split(place).unwrap(), (host.to_owned(), port), "{place}");
        }
        for bad in ["localhost:70000", "localhost:x", ":8443"] {
            assert!(Server::split(bad).is_err(), "{bad}");
        }
    }
}
