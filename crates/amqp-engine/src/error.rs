//! What can go wrong: bytes that are no AMQP, peers that break the rules, and calls that cannot be done now.
//!
//! The first two kinds end a link, a session or the connection in AMQP's own words, so each has a
//! [`condition`](Error::condition). No text here quotes what a peer sent.

use crate::condition;
use crate::symbol::Symbol;

/// Why something was not read, not taken or not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Bytes.
    /// The input ends within a value.
    #[error("the input ends within a value")]
    Truncated,
    /// Bytes follow behind the last value.
    #[error("bytes follow behind the value")]
    Trailing,
    /// An octet that constructs no value, or none that may stand here.
    #[error("the constructor 0x{0:02x} cannot stand here")]
    Constructor(u8),
    /// A compound value whose size does not fit its items.
    #[error("a compound value has another size than its items")]
    Size,
    /// A map with a key that has no value.
    #[error("a map has an odd number of items")]
    OddMap,
    /// Values nest deeper than [`MAX_DEPTH`](crate::codec::MAX_DEPTH).
    #[error("values nest too deeply")]
    TooDeep,
    /// More values than [`MAX_VALUES`](crate::codec::MAX_VALUES).
    #[error("there are too many values")]
    TooMany,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A symbol that is not ASCII.
    #[error("a symbol is not ASCII")]
    NotAscii,
    /// A number that is no Unicode character.
    #[error("0x{0:x} is no character")]
    NotAChar(u32),
    /// A boolean that is neither 0 nor 1.
    #[error("0x{0:02x} is no boolean")]
    NotABool(u8),
    /// A value without the descriptor that says what it is.
    #[error("a value has no descriptor")]
    NotDescribed,
    /// A descriptor that the standard does not have here.
    #[error("the descriptor 0x{0:x} cannot stand here")]
    UnknownDescriptor(u64),
    /// A symbolic descriptor that the standard does not have here.
    #[error("a symbolic descriptor cannot stand here")]
    UnknownDescriptorName,
    /// A value of a type that its field does not take.
    #[error("a field has a value of another type")]
    UnexpectedType,
    /// A number beyond what its field takes.
    #[error("a number is out of its field's range")]
    OutOfRange,
    /// A field that must be there is not.
    #[error("the field {0} is missing")]
    MissingField(&'static str),
    /// A delivery tag longer than 32 octets.
    #[error("a delivery tag has {0} octets, at most 32 are allowed")]
    TagTooLong(usize),
    /// Items of different types for one array.
    #[error("the items of an array have different types")]
    MixedArray,
    /// The sections of a message stand in another order than the standard's, or one stands twice.
    #[error("a section of the message is out of its order")]
    SectionOrder,

    // The connection.
    /// The peer's protocol header is not one that is spoken here.
    #[error("the peer speaks another protocol")]
    Header,
    /// A frame whose header cannot be right.
    #[error("the header of a frame cannot be right")]
    FrameHeader,
    /// A frame larger than was agreed.
    #[error("a frame has {size} octets, at most {limit} were agreed")]
    FrameTooLarge {
        /// Octets announced.
        size: u32,
        /// Octets taken at most.
        limit: u32,
    },
    /// A frame that may not come in this state.
    #[error("a frame came that cannot come now")]
    UnexpectedFrame,
    /// A channel above what was agreed, or one without a session.
    #[error("the channel {0} has no session")]
    Channel(u16),
    /// A session on a channel that has one.
    #[error("the channel {0} has a session already")]
    ChannelInUse(u16),
    /// The peer has not opened the connection in time.
    #[error("the connection was not opened in time")]
    HandshakeTimeout,
    /// The peer was silent for longer than was agreed.
    #[error("the peer was silent for too long")]
    Silence,
    /// The peer sent more than can be held while an answer to it is awaited.
    #[error("the peer sent too much before it was answered")]
    Flooded,

    // Sessions and links.
    /// More transfers than the session's window.
    #[error("a transfer exceeds the session's window")]
    WindowViolation,
    /// A handle without a link.
    #[error("the handle {0} has no link")]
    UnattachedHandle(u32),
    /// A link on a handle that has one.
    #[error("the handle {0} has a link already")]
    HandleInUse(u32),
    /// A handle above what was agreed.
    #[error("the handle {0} is above the agreed maximum")]
    HandleTooLarge(u32),
    /// A delivery on a link without credit.
    #[error("a delivery exceeds the link's credit")]
    CreditExceeded,
    /// A delivery larger than the link takes.
    #[error("a delivery has more than {limit} octets")]
    DeliveryTooLarge {
        /// Octets taken at most.
        limit: u64,
    },
    /// More octets of unfinished deliveries than a connection may hold.
    #[error("the unfinished deliveries of the connection are too large")]
    Assembling,
    /// A transfer whose fields disagree with the delivery it belongs to.
    #[error("a transfer does not fit the delivery that it continues")]
    TransferMismatch,
    /// A delivery id that is not above the one before.
    #[error("a delivery id does not follow the one before")]
    DeliveryId,
    /// A link of the same name and direction is there.
    #[error("a link of this name is attached already")]
    NameInUse,
    /// A link that is asked for in a form that is not offered, such as transactions.
    #[error("this kind of link is not offered")]
    NotOffered,
    /// More links than the connection may have.
    #[error("the connection has too many links")]
    TooManyLinks,
    /// More sessions than the connection may have.
    #[error("the connection has too many sessions")]
    TooManySessions,

    // Calls.
    /// The call does not fit the state of the connection.
    #[error("the connection is in another state")]
    WrongState,
    /// The session is not, or no longer, there.
    #[error("the session is gone")]
    NoSuchSession,
    /// The link is not, or no longer, there.
    #[error("the link is gone")]
    NoSuchLink,
    /// The link has no credit for another delivery.
    #[error("the link has no credit")]
    NoCredit,
    /// The session has no window for another delivery.
    #[error("the session has no window")]
    NoWindow,
    /// The link goes in the other direction.
    #[error("the link goes in the other direction")]
    WrongRole,
}

impl Error {
    /// The condition that tells a peer.
    pub const fn condition(self) -> Symbol {
        match self {
            Self::Truncated
            | Self::Trailing
            | Self::Constructor(_)
            | Self::Size
            | Self::OddMap
            | Self::NotUtf8
            | Self::NotAscii
            | Self::NotAChar(_)
            | Self::NotABool(_)
            | Self::NotDescribed
            | Self::UnknownDescriptor(_)
            | Self::UnknownDescriptorName
            | Self::MixedArray
            | Self::SectionOrder => condition::DECODE_ERROR,
            Self::UnexpectedType | Self::OutOfRange | Self::MissingField(_) | Self::TagTooLong(_) => {
                condition::INVALID_FIELD
            }
            Self::TooDeep
            | Self::TooMany
            | Self::HandshakeTimeout
            | Self::Silence
            | Self::Flooded
            | Self::Assembling
            | Self::TooManyLinks
            | Self::TooManySessions => condition::RESOURCE_LIMIT_EXCEEDED,
            Self::FrameHeader | Self::FrameTooLarge { .. } | Self::Channel(_) | Self::HandleTooLarge(_) => {
                condition::FRAMING_ERROR
            }
            Self::Header | Self::UnexpectedFrame | Self::ChannelInUse(_) | Self::DeliveryId => {
                condition::ILLEGAL_STATE
            }
            Self::TransferMismatch | Self::NameInUse | Self::WrongRole => condition::NOT_ALLOWED,
            Self::WindowViolation => condition::WINDOW_VIOLATION,
            Self::UnattachedHandle(_) => condition::UNATTACHED_HANDLE,
            Self::HandleInUse(_) => condition::HANDLE_IN_USE,
            Self::CreditExceeded | Self::NoCredit | Self::NoWindow => condition::TRANSFER_LIMIT_EXCEEDED,
            Self::DeliveryTooLarge { .. } => condition::MESSAGE_SIZE_EXCEEDED,
            Self::NotOffered => condition::NOT_IMPLEMENTED,
            Self::WrongState | Self::NoSuchSession | Self::NoSuchLink => condition::INTERNAL_ERROR,
        }
    }
}
