//! A device at its hub.

use muster_model::message::Message;
use muster_model::{Clock, Wall};
use muster_wire::mqtt::{hub_user_name, telemetry, to_bag};

use super::connection::{Connection, Event, Opening};
use super::{KEEP_ALIVE, PROGRAM, PacketId, password, stream};
use crate::channel::{Credential, Server};
use crate::device::Device;
use crate::error::Error;
use crate::protocol::Protocol;

/// Where a device connects, and as what.
#[derive(Clone, Copy)]
pub struct Hub<'a> {
    /// Where servers are.
    pub server: &'a Server,
    /// [`Protocol::Mqtt`] or [`Protocol::MqttWs`].
    pub protocol: Protocol,
    /// The hub's full name.
    pub host: &'a str,
    /// The device id.
    pub device: &'a str,
    /// The digital twin model that the device announces.
    pub model_id: Option<&'a str>,
    /// What the device proves itself by.
    pub credential: &'a Credential,
    /// Messages that may wait for their acknowledgement, 1 to [`super::LARGEST_WINDOW`].
    pub window: u16,
}

/// A device that is connected to its hub.
pub struct MqttDevice {
    connection: Connection,
    id: String,
    expiry: Option<Wall>,
}

impl MqttDevice {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::NotAccepted`] when the hub says no; [`Error::Connect`], [`Error::Tls`], [`Error::Broken`],
    /// [`Error::TimedOut`], [`Error::Unexpected`], and [`Error::Refused`] where a WebSocket is.
    pub async fn connect(hub: Hub<'_>, clock: &dyn Clock) -> Result<Self, Error> {
        let (wire, place) = stream(hub.server, hub.protocol, hub.host, hub.credential).await?;
        let resource = Device::sas_resource(hub.host, hub.device);
        let password = password(hub.credential, &resource, clock)?;
        let opening = Opening {
            client_id: hub.device,
            user_name: &hub_user_name(hub.host, hub.device, hub.model_id, PROGRAM),
            password: password.as_ref().map(|one| one.text.as_str()),
            keep_alive: KEEP_ALIVE,
            window: hub.window,
        };
        Ok(Self {
            connection: Connection::open(wire, place, &opening).await?,
            id: hub.device.to_owned(),
            expiry: password.map(|one| one.expiry),
        })
    }

    /// When the token ends by which the device was let in; the hub closes the connection some time after it.
    pub const fn expiry(&self) -> Option<Wall> {
        self.expiry
    }

    /// Messages that wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.connection.waiting()
    }

    /// Tells whether another message would be taken now.
    pub fn has_room(&self) -> bool {
        self.connection.has_room()
    }

    /// Queues a message, which [`MqttDevice::next`] writes; `None` while there is no room.
    ///
    /// # Errors
    /// As [`Connection::publish`].
    pub fn publish(&mut self, message: &Message) -> Result<Option<PacketId>, Error> {
        self.connection
            .publish(&telemetry(&self.id, &to_bag(message)), &message.body)
    }

    /// Waits for what comes next; nothing is lost when the wait is given up.
    ///
    /// # Errors
    /// As [`Connection::next`].
    pub async fn next(&mut self) -> Result<Event, Error> {
        self.connection.next().await
    }

    /// Sends one message; when this returns, the hub has it for good.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send(&mut self, message: &Message) -> Result<(), Error> {
        let topic = telemetry(&self.id, &to_bag(message));
        self.connection.send(&topic, &message.body).await
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// As [`Connection::disconnect`].
    pub async fn disconnect(self) -> Result<(), Error> {
        self.connection.disconnect().await
    }
}
