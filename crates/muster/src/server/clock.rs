//! The one place that reads the clock and the system's randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use muster_model::{Clock, Mono, Random, Wall};
use rand::TryRng;
use rand::rngs::SysRng;

/// Reads the machine's clocks.
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn wall(&self) -> Wall {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Wall::from_micros(micros)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn mono(&self) -> Mono {
        Mono::from_micros(
            u64::try_from(Instant::now().duration_since(self.start).as_micros()).unwrap_or(u64::MAX),
        )
    }
}

/// Seeds a generator from the operating system.
///
/// # Errors
/// When the operating system gives no randomness.
pub(crate) fn system_random() -> Result<Random, std::io::Error> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(Random::from_seed(seed))
}
