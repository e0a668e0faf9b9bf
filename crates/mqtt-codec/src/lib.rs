//! MQTT 3.1.1 packets in both directions: framing, strict reading, writing. No I/O, no session, no clock.
//!
//! Reading borrows: a packet lends its texts and its payload out of the bytes that came. Every rule of the standard that
//! can be told from one packet alone is held here, and a packet that breaks one is a [`Violation`] which names the
//! statement. What depends on the packets before it is the business of a session. MQTT 5 is told apart and not read.
//!
//! Source: OASIS, "MQTT Version 3.1.1", 2014-10-29; statements are cited by the numbers of its appendix B.

mod decode;
mod encode;
mod error;
mod frame;
mod packet;
#[cfg(test)]
mod tests;

pub use encode::{
    connack, connack_v5_unsupported, connect, disconnect, pingreq, pingresp, puback, publish, suback,
    subscribe, unsuback, unsubscribe,
};
pub use error::Violation;
pub use frame::{Frame, Frames};
pub use packet::{
    Connack, Connect, ConnectCode, Filters, Packet, PacketId, Publish, Qos, Subscriptions, Will,
};
