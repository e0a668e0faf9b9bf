//! Randomness that is shared by tasks: one seeded generator behind a lock.
//!
//! The binary seeds it from the operating system; tests and simulations seed it with a number, and get the same run.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A cryptographic generator for everything that must not be guessed: codes, keys, ids.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// Makes a generator from 32 bytes that nobody can guess.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Mutex::new(StdRng::from_seed(seed)))
    }

    /// Makes a generator that gives the same run for the same number; for tests and simulations.
    pub fn from_number(number: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(number)))
    }

    /// Lends the generator to `draw`.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut dyn Rng) -> T) -> T {
        // A panic while drawing leaves the generator in a usable state.
        draw(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(withheld)")
    }
}
