//! The keys of TLS session tickets: kept over restarts, changed twice a day.
//!
//! Without them a restart would cost every device a full handshake at once.

use std::time::Duration;

use muster_model::{Random, Wall};
use muster_net::{TicketKey, TicketKeys};
use zeroize::Zeroizing;

use super::data_dir::{DataDir, DataDirError};

/// Time for which a key seals new tickets. Tickets live for 24 hours and are opened by the current and the previous key,
/// so that a ticket lives for 12 to 24 hours.
pub(crate) const ROTATION: Duration = Duration::from_hours(12);

const FILE: &str = "tickets.key";

/// Seconds since 1970, the current key, the previous key.
const LENGTH: usize = 8 + 32 + 32;

/// The keys in use, and since when.
pub(crate) struct KeptKeys {
    since: Wall,
    current: Zeroizing<[u8; 32]>,
    previous: Zeroizing<[u8; 32]>,
}

impl KeptKeys {
    fn draw(random: &Random, now: Wall) -> Self {
        let draw = || {
            let mut key = Zeroizing::new([0; 32]);
            random.draw(|rng| rng.fill_bytes(&mut *key));
            key
        };
        Self {
            since: now,
            current: draw(),
            previous: draw(),
        }
    }

    /// The keys as the listener takes them.
    pub(crate) fn keys(&self) -> TicketKeys {
        TicketKeys {
            current: TicketKey::new(self.current.clone()),
            previous: Some(TicketKey::new(self.previous.clone())),
        }
    }

    /// Tells whether the current key has sealed for long enough. A clock that stepped back counts as long enough.
    pub(crate) fn is_due(&self, now: Wall) -> bool {
        now < self.since || now >= self.since.plus(ROTATION)
    }

    /// Makes the current key the previous one and draws another.
    pub(crate) fn rotate(&mut self, random: &Random, now: Wall) {
        let fresh = Self::draw(random, now);
        self.previous = std::mem::replace(&mut self.current, fresh.current);
        self.since = now;
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.extend_from_slice(&self.since.seconds().to_be_bytes());
        bytes.extend_from_slice(&*self.current);
        bytes.extend_from_slice(&*self.previous);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (since, keys) = bytes.split_at_checked(8)?;
        let (current, previous) = keys.split_at_checked(32)?;
        Some(Self {
            since: Wall::from_seconds(i64::from_be_bytes(since.try_into().ok()?)),
            current: Zeroizing::new(current.try_into().ok()?),
            previous: Zeroizing::new(previous.try_into().ok()?),
        })
    }
}

/// Reads the keys, or draws them; ones that are due are changed.
///
/// # Errors
/// [`DataDirError`].
pub(crate) fn load(data: &DataDir, random: &Random, now: Wall) -> Result<KeptKeys, DataDirError> {
    // Keys that can't be read cost a full handshake for each device, no more: they are drawn anew.
    let kept = data.read(FILE)?.and_then(|bytes| KeptKeys::from_bytes(&bytes));
    let mut keys = kept.unwrap_or_else(|| KeptKeys::draw(random, now));
    if keys.is_due(now) {
        keys.rotate(random, now);
    }
    keep(data, &keys)?;
    Ok(keys)
}

/// Writes the keys.
///
/// # Errors
/// [`DataDirError`].
pub(crate) fn keep(data: &DataDir, keys: &KeptKeys) -> Result<(), DataDirError> {
    data.write(FILE, &keys.to_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_current_key_becomes_the_previous_one() {
        let random = Random::from_number(1);
        let start = Wall::from_seconds(1_795_000_000);
        let mut keys = KeptKeys::draw(&random, start);
        let current = keys.current.clone();
        assert!(!keys.is_due(start));
        assert!(keys.is_due(start.plus(ROTATION)));
        assert!(keys.is_due(start.minus(Duration::from_secs(1))));
        keys.rotate(&random, start.plus(ROTATION));
        assert_eq!(*keys.previous, *current);
        assert_ne!(*keys.current, *current);
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = KeptKeys::draw(&Random::from_number(1), Wall::from_seconds(1_795_000_000));
        let read = KeptKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(
            (read.since, *read.current, *read.previous),
            (keys.since, *keys.current, *keys.previous)
        );
        assert!(KeptKeys::from_bytes(&[0; 71]).is_none());
        assert!(KeptKeys::from_bytes(&[0; 73]).is_none());
    }
}
