//! Keys that stand behind names and are never reused, and the numbers of the event log.

use std::fmt;

use data_encoding::HEXLOWER;
use rand::Rng;
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$meta:meta])* $name:ident, $repr:ty) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($repr);

        impl $name {
            /// Wraps a number that a store or a log handed out.
            pub const fn new(number: $repr) -> Self {
                Self(number)
            }

            /// The number itself.
            pub const fn get(self) -> $repr {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// The key of a hub. A hub that is deleted and made again under the same name has another one.
    HubKey, u64
);
number!(
    /// The key of a provisioning service.
    DpsKey, u64
);
number!(
    /// The generation of a device identity: a decimal, ticks-like number, new at each creation, never reused.
    GenerationId, u64
);
number!(
    /// The number of a change of trust, in commit order over the whole server.
    TrustVersion, u64
);
number!(
    /// A partition of a hub's built-in endpoint, from 0.
    Partition, u16
);
number!(
    /// The place of a record in its partition: strictly increasing from 0, below 2^53, never reused, gaps allowed.
    Position, u64
);

impl Position {
    /// The largest position: clients read it as a JSON number, and 2^53 is where those stop being exact.
    pub const MAX: Self = Self((1 << 53) - 1);
}

/// How many partitions a hub has: 1 to 128.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// The number that a hub gets when its maker names none.
    pub const DEFAULT: Self = Self(4);

    /// Checks that `count` is 1 to 128; Azure's own range is 2 to 32 for most tiers and up to 128 for some.
    pub const fn new(count: u16) -> Option<Self> {
        if count >= 1 && count <= 128 {
            Some(Self(count))
        } else {
            None
        }
    }

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Every partition, in order.
    pub fn partitions(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }

    /// The partition with this number, when there is one.
    pub fn partition(self, number: u16) -> Option<Partition> {
        (number < self.0).then_some(Partition(number))
    }
}

impl TryFrom<u16> for PartitionCount {
    type Error = &'static str;

    fn try_from(count: u16) -> Result<Self, Self::Error> {
        Self::new(count).ok_or("a partition count is 1 to 128")
    }
}

impl From<PartitionCount> for u16 {
    fn from(count: PartitionCount) -> Self {
        count.0
    }
}

macro_rules! guid {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws a new one: a version 4 GUID.
            pub fn random(rng: &mut dyn Rng) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                bytes[6] = (bytes[6] & 0x0f) | 0x40;
                bytes[8] = (bytes[8] & 0x3f) | 0x80;
                Self(bytes)
            }

            /// Wraps bytes that were stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes.
            pub const fn bytes(&self) -> [u8; 16] {
                self.0
            }

            /// Reads 32 hex digits, with or without dashes, in any case.
            pub fn parse(text: &str) -> Option<Self> {
                let hex: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
                let bytes = HEXLOWER.decode(hex.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }
        }

        impl fmt::Display for $name {
            /// Prints the form with dashes, in lower case.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = HEXLOWER.encode(&self.0);
                for (at, part) in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].into_iter().enumerate() {
                    if at > 0 {
                        f.write_str("-")?;
                    }
                    f.write_str(hex.get(part.0..part.1).unwrap_or_default())?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

guid!(
    /// Makes the repeat of a write harmless: a store that has seen it answers as it did the first time.
    RequestId
);
guid!(
    /// Names one attempt from socket to store; it stands in the answer, in the log and in the refusal record.
    TrackingId
);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn tracking_ids_are_read_as_they_are_printed() {
        let id = TrackingId::random(&mut rand::rngs::StdRng::seed_from_u64(7));
        assert_eq!(TrackingId::parse(&id.to_string()), Some(id));
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(
            TrackingId::parse(&id.to_string().replace('-', "").to_uppercase()),
            Some(id)
        );
        assert_eq!(TrackingId::parse("é"), None);
    }

    #[test]
    fn partition_counts_are_bounded() {
        assert_eq!(PartitionCount::new(0), None);
        assert_eq!(PartitionCount::new(129), None);
        assert_eq!(PartitionCount::new(4).unwrap().partitions().count(), 4);
    }
}
