//! The packets, as they lie in the bytes that came.

use std::fmt;
use std::num::NonZeroU16;

use crate::decode::Reader;

/// Any packet of MQTT 3.1.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// CONNACK.
    Connack(Connack),
    /// CONNECT.
    Connect(Connect<'a>),
    /// DISCONNECT.
    Disconnect,
    /// PINGREQ.
    Pingreq,
    /// PINGRESP.
    Pingresp,
    /// PUBACK.
    Puback(PacketId),
    /// PUBCOMP.
    Pubcomp(PacketId),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBREC.
    Pubrec(PacketId),
    /// PUBREL.
    Pubrel(PacketId),
    /// SUBACK, with one code for each filter.
    Suback(PacketId, &'a [u8]),
    /// SUBSCRIBE.
    Subscribe(PacketId, Subscriptions<'a>),
    /// UNSUBACK.
    Unsuback(PacketId),
    /// UNSUBSCRIBE.
    Unsubscribe(PacketId, Filters<'a>),
}

impl Packet<'_> {
    /// The packet's name in the standard.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connack(_) => "CONNACK",
            Self::Connect(_) => "CONNECT",
            Self::Disconnect => "DISCONNECT",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Puback(_) => "PUBACK",
            Self::Pubcomp(_) => "PUBCOMP",
            Self::Publish(_) => "PUBLISH",
            Self::Pubrec(_) => "PUBREC",
            Self::Pubrel(_) => "PUBREL",
            Self::Suback(..) => "SUBACK",
            Self::Subscribe(..) => "SUBSCRIBE",
            Self::Unsuback(_) => "UNSUBACK",
            Self::Unsubscribe(..) => "UNSUBSCRIBE",
        }
    }
}

/// Names a packet until it is acknowledged; never 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// Takes a number; `None` for 0.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How sure a delivery is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Qos {
    /// Quality of service 0.
    AtMostOnce,
    /// Quality of service 1.
    AtLeastOnce,
    /// Quality of service 2.
    ExactlyOnce,
}

impl Qos {
    /// Reads the number; `None` beyond 2.
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// The wish of a client to be connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connect<'a> {
    /// The client's identifier; may be empty.
    pub client_id: &'a str,
    /// Whether nothing of an earlier session is to be kept.
    pub clean_session: bool,
    /// Seconds within which the client sends something; 0 for no limit.
    pub keep_alive: u16,
    /// What is to be published when the connection ends without DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
}

/// What a client leaves for the case of its death.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Will<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The quality of service.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
}

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connack {
    /// Whether the server had a session of this client.
    pub session_present: bool,
    /// Whether the client is connected.
    pub code: ConnectCode,
}

/// Return codes of CONNACK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectCode {
    /// 0.
    Accepted,
    /// 1: the level of the protocol is not offered.
    UnacceptableLevel,
    /// 2: the client identifier is not taken.
    IdentifierRejected,
    /// 3: the server can't serve now.
    ServerUnavailable,
    /// 4: user name or password are malformed.
    BadUserNameOrPassword,
    /// 5: the client may not connect.
    NotAuthorized,
}

impl ConnectCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::UnacceptableLevel,
        Self::IdentifierRejected,
        Self::ServerUnavailable,
        Self::BadUserNameOrPassword,
        Self::NotAuthorized,
    ];

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::UnacceptableLevel => 1,
            Self::IdentifierRejected => 2,
            Self::ServerUnavailable => 3,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized => 5,
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Publish<'a> {
    /// Whether it was sent before.
    pub dup: bool,
    /// Its quality of service and, above 0, its identifier.
    pub delivery: Option<(Qos, PacketId)>,
    /// Whether it is to be retained.
    pub retain: bool,
    /// The topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
}

impl Publish<'_> {
    /// Its quality of service.
    pub fn qos(&self) -> Qos {
        self.delivery.map_or(Qos::AtMostOnce, |(qos, _)| qos)
    }
}

/// The filters of SUBSCRIBE with their qualities of service; they were read once and are known to be good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscriptions<'a>(pub(crate) Reader<'a>);

impl<'a> Iterator for Subscriptions<'a> {
    type Item = (&'a str, Qos);

    fn next(&mut self) -> Option<Self::Item> {
        let filter = self.0.text().ok()?;
        Some((filter, Qos::of(self.0.byte().ok()?)?))
    }
}

/// The filters of UNSUBSCRIBE; they were read once and are known to be good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filters<'a>(pub(crate) Reader<'a>);

impl<'a> Iterator for Filters<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.text().ok()
    }
}
