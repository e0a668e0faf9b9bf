//! What was acknowledged stays: kills under load, the order of system calls, drains, full disks, damaged files, backups.
//!
//! Nothing here looks into the server: it is killed, traced and given bad disks from outside, and asked over its public
//! interfaces what it kept. The log's own battery tries every byte and every write on a made-up disk; this is the proof
//! that the whole binary keeps the promise on a real one.

mod backup;
mod damage;
mod disk;
mod drain;
mod kill;
mod load;
mod trace;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0, below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The seed of this run: the given one, else one that no earlier run had.
#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by naming its seed in the environment"
)]
fn seed() -> u64 {
    std::env::var("MUSTER_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| {
            let seconds = u64::try_from(muster_tests::now()).unwrap_or_default();
            seconds.wrapping_mul(100_000) + u64::from(std::process::id() % 100_000)
        })
}
