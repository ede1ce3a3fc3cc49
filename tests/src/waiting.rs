//! Waiting for a condition, and chance that can be repeated.

use std::time::{Duration, Instant};

/// Bound that only ends a test which would never end, however busy the machine is.
const LONG: Duration = Duration::from_secs(600);

/// Variable and value that let a compile wait for the ring until it answers: what is on the ring is then found on a machine that
/// is busy with other things, too.
pub const PATIENT: (&str, &str) = ("DCCACHE_REMOTE_BUDGET", "20000");

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something, and returns it.
///
/// # Panics
/// There is nothing for ten minutes; `what` says what was missing.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < LONG, "still not: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Numbers that look random and are the same in every run with the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
