//! Names of sessions, links and deliveries. None is used again within a connection, so that a call about a link that
//! has gone finds none, and never the one that took its place.

use std::fmt;

/// A session of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    pub(super) channel: u16,
    pub(super) generation: u32,
}

/// A link of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    pub(super) channel: u16,
    pub(super) handle: u32,
    pub(super) generation: u32,
}

/// A delivery of a session, in one of its directions. Ids count upwards from delivery to delivery and wrap around
/// after 2^32, so they have no order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub(super) u32);

impl DeliveryId {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether it came after `other`, if they are less than 2^31 deliveries apart.
    pub const fn is_after(self, other: Self) -> bool {
        is_after(self.0, other.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.channel)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.handle)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whether a serial number stands behind another one.
/// Source: RFC 1982, which OASIS AMQP 1.0 refers to in part 2, section 2.8.10, read 2026-11-25.
pub(super) const fn is_after(number: u32, other: u32) -> bool {
    let distance = number.wrapping_sub(other);
    distance != 0 && distance < 1 << 31
}
