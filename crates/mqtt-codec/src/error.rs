//! What a packet can do wrong.

/// A rule that a packet breaks. The connection can only be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Violation {
    /// Flags of the fixed header are not those of the packet. [MQTT-2.2.2-2]
    #[error("the flags of the fixed header are wrong (MQTT-2.2.2-2)")]
    Flags,
    /// A field breaks its rule, which the text names.
    #[error("{0}")]
    Field(&'static str),
    /// The packet's type is one of the two that are not given out.
    #[error("the type of the packet is reserved (section 2.2.1)")]
    Kind,
    /// The remaining length takes more than four bytes.
    #[error("the remaining length has more than four bytes (section 2.2.3)")]
    Length,
    /// The packet names another version of the protocol; the number is its level.
    #[error("protocol level {0} is not offered (MQTT-3.1.2-2)")]
    Level(u8),
    /// The packet names another protocol.
    #[error("the protocol is not MQTT (MQTT-3.1.2-1)")]
    Protocol,
    /// The packet is longer than is taken.
    #[error("the packet is longer than {0} bytes")]
    TooLarge(usize),
    /// The packet ends within a field, or goes on behind its last one.
    #[error("the packet is shorter or longer than its fields")]
    Truncated,
}
