//! What a packet means in the session of a device, decided without I/O: each packet leads to one [`Action`], or breaks a
//! rule and ends the connection.
//!
//! The machine knows who the device is and what it is subscribed to. It stores nothing and sends nothing.

use muster_model::message::Message;
use muster_model::subscription::{Assurance, Subscriptions};
use muster_mqtt_codec::{Packet, PacketId, Publish, Qos, Violation};
use muster_wire::mqtt::{HubTopic, channel, from_bag};

/// Code of SUBACK for a filter that is not offered.
const FAILURE: u8 = 0x80;

/// Why a connection is closed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Breach {
    /// A property of a message breaks its rule, or the message is too large.
    #[error("a message is not taken: {0}")]
    Message(#[from] muster_wire::Error),
    /// The packet has no place in a session, or not at this moment.
    #[error("{0} has no place here")]
    OutOfPlace(&'static str),
    /// The packet breaks a rule of the protocol.
    #[error(transparent)]
    Protocol(#[from] Violation),
    /// Delivery exactly once is not offered.
    #[error("QoS 2 is not offered")]
    QosTwo,
    /// The topic is none of this device's business.
    #[error("the topic is not one that this device may publish to")]
    Topic,
}

impl Breach {
    /// Its stable text, for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::OutOfPlace(_) => "out-of-place",
            Self::Protocol(Violation::TooLarge(_)) => "too-large",
            Self::Protocol(_) => "malformed",
            Self::QosTwo => "qos-2",
            Self::Topic => "topic",
        }
    }
}

/// What is to be done for a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing.
    Done,
    /// The client says goodbye: the connection ends, and a will is forgotten.
    End,
    /// A message is to be stored; once it is durable, the packet is acknowledged where it has an identifier.
    Ingest(Box<Message>, Option<PacketId>),
    /// PINGRESP.
    Pong,
    /// The subscriptions have changed where `changed` says so. Where the session outlives the connection they are to be
    /// stored, and only then answered by SUBACK with these codes.
    Subscribed {
        /// The packet.
        id: PacketId,
        /// One code for each filter.
        codes: Vec<u8>,
        /// Whether anything has changed.
        changed: bool,
    },
    /// A request about the twin, which is not offered: an acknowledgement where the packet has an identifier, then the
    /// refusal to a device that is subscribed to such answers.
    TwinRefused {
        /// The request id, to be echoed.
        rid: String,
        /// The packet.
        ack: Option<PacketId>,
        /// Whether the device is subscribed to answers.
        heard: bool,
    },
    /// Something that came is acknowledged and needs nothing else.
    Acknowledged(PacketId),
    /// As [`Action::Subscribed`], for UNSUBACK.
    Unsubscribed {
        /// The packet.
        id: PacketId,
        /// Whether anything has changed.
        changed: bool,
    },
}

/// The session of a device, as far as packets go.
#[derive(Clone, Debug)]
pub struct Machine {
    device: String,
    model_id: Option<String>,
    subscriptions: Subscriptions,
}

impl Machine {
    /// Begins with the subscriptions of an earlier connection.
    pub fn new(device: &str, model_id: Option<String>, subscriptions: Subscriptions) -> Self {
        Self {
            device: device.to_owned(),
            model_id,
            subscriptions,
        }
    }

    /// What the device is subscribed to.
    pub const fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Says what is to be done for a packet.
    ///
    /// # Errors
    /// [`Breach`]: the connection is to be closed.
    pub fn on(&mut self, packet: &Packet<'_>) -> Result<Action, Breach> {
        match packet {
            Packet::Publish(publish) => self.publish(publish),
            Packet::Subscribe(id, filters) => {
                let before = self.subscriptions.clone();
                let codes = filters
                    .clone()
                    .map(|(filter, qos)| self.subscribe(filter, qos))
                    .collect();
                Ok(Action::Subscribed {
                    id: *id,
                    codes,
                    changed: self.subscriptions != before,
                })
            }
            Packet::Unsubscribe(id, filters) => {
                let mut changed = false;
                for filter in filters.clone() {
                    if let Some(channel) = channel(filter, &self.device) {
                        changed |= self.subscriptions.remove(channel).is_some();
                    }
                }
                Ok(Action::Unsubscribed { id: *id, changed })
            }
            Packet::Pingreq => Ok(Action::Pong),
            Packet::Disconnect => Ok(Action::End),
            // Nothing is sent at QoS 1 yet, so there is nothing that it could settle.
            Packet::Puback(_) => Ok(Action::Done),
            // Of QoS 2, of a second CONNECT [MQTT-3.1.0-2], and of what only servers send.
            other => Err(Breach::OutOfPlace(other.name())),
        }
    }

    fn publish(&self, publish: &Publish<'_>) -> Result<Action, Breach> {
        if publish.qos() == Qos::ExactlyOnce {
            return Err(Breach::QosTwo);
        }
        let ack = publish.delivery.map(|(_, id)| id);
        match HubTopic::parse(publish.topic) {
            Some(HubTopic::Telemetry { device, bag }) if device == self.device => {
                let mut message = from_bag(bag, publish.payload.to_vec(), publish.retain)?;
                message.system.data_schema.clone_from(&self.model_id);
                Ok(Action::Ingest(Box::new(message), ack))
            }
            Some(HubTopic::TwinGet { rid } | HubTopic::ReportedPatch { rid }) => Ok(Action::TwinRefused {
                rid: rid.to_owned(),
                ack,
                heard: self
                    .subscriptions
                    .get(muster_model::subscription::Channel::TwinResponses)
                    .is_some(),
            }),
            // An answer to a call that nobody waits for any more.
            Some(HubTopic::MethodResponse) => Ok(ack.map_or(Action::Done, Action::Acknowledged)),
            Some(HubTopic::Telemetry { .. }) | None => Err(Breach::Topic),
        }
    }

    /// Takes a filter, and gives its code. Who asks for exactly once gets at least once.
    fn subscribe(&mut self, filter: &str, qos: Qos) -> u8 {
        let Some(channel) = channel(filter, &self.device) else {
            return FAILURE;
        };
        let (assurance, code) = match qos {
            Qos::AtMostOnce => (Assurance::AtMostOnce, 0),
            Qos::AtLeastOnce | Qos::ExactlyOnce => (Assurance::AtLeastOnce, 1),
        };
        self.subscriptions.insert(channel, assurance);
        code
    }
}

#[cfg(test)]
mod tests;
