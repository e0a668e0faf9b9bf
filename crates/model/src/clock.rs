//! Time as a value: wall time for certificates, tokens and stored times, monotonic time for deadlines inside a process.
//!
//! Nothing here reads a clock. The binary owns the one implementation of [`Clock`] that does; everything else takes
//! `now` or a `&dyn Clock`.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Wall-clock time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(i64);

impl Wall {
    /// The epoch itself, also used as "never" by readers that need a value.
    pub const EPOCH: Self = Self(0);

    /// Makes a time from microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Makes a time from milliseconds since the epoch; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Makes a time from seconds since the epoch; saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The same moment in the form that certificate decisions take.
    pub fn to_pki(self) -> muster_pki::Time {
        muster_pki::Time::from_unix(self.seconds())
    }

    /// This time moved forward by `span`; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This time moved backward by `span`; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Wall {
    /// Prints ISO 8601 in UTC with seconds, for logs and messages; the wire's forms are made in `wire`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match time::OffsetDateTime::from_unix_timestamp(self.seconds()) {
            Ok(t) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                t.year(),
                u8::from(t.month()),
                t.day(),
                t.hour(),
                t.minute(),
                t.second()
            ),
            Err(_) => write!(f, "{} s after 1970", self.seconds()),
        }
    }
}

/// Monotonic time, in microseconds since an arbitrary start of this process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mono(u64);

impl Mono {
    /// Makes a monotonic time from microseconds since the process's own start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the process's own start.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Reads the two kinds of time. Held as `Arc<dyn Clock>`.
pub trait Clock: Send + Sync {
    /// The wall time now. May step in either direction when the machine's clock is set.
    fn wall(&self) -> Wall;

    /// The monotonic time now.
    fn mono(&self) -> Mono;
}

/// A clock that stands still until it is moved; for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    mono: AtomicU64,
}

impl ManualClock {
    /// Makes a clock that shows `wall`.
    pub fn at(wall: Wall) -> Self {
        Self {
            wall: AtomicI64::new(wall.micros()),
            mono: AtomicU64::new(0),
        }
    }

    /// Moves both times forward by `span`.
    pub fn advance(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.mono.fetch_add(micros, Ordering::SeqCst);
        self.wall
            .fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall time alone, as an operator's `date -s` would.
    pub fn set_wall(&self, wall: Wall) {
        self.wall.store(wall.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Wall {
        Wall::from_micros(self.wall.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(self.mono.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_in_utc() {
        assert_eq!(
            Wall::from_seconds(1_661_622_799).to_string(),
            "2022-08-27T17:53:19Z"
        );
    }

    #[test]
    fn rounds_down_before_the_epoch() {
        assert_eq!(Wall::from_micros(-1).seconds(), -1);
        assert_eq!(Wall::from_micros(-1).millis(), -1);
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(
            Wall::from_micros(i64::MAX).plus(Duration::from_secs(1)).micros(),
            i64::MAX
        );
    }
}
