//! How long commands took to compile on this machine, which bounds what a look-up of the same command may take.
//!
//! `times`, below the home: slots of 8 bytes, each a part of the command's digest (u32 LE) and ms (u32 LE). Nothing is locked: two
//! commands of one slot overwrite each other, and a slot that is torn or another's reads as an unknown time or as a wrong one,
//! which decides nothing but how long a look-up waits.

use crate::home::Home;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

/// The file below the home.
const NAME: &str = "times";

/// Number of slots: more than the translation units of nearly all trees; 256 KiB.
const SLOTS: u64 = 1 << 15;

/// Time that a look-up may take in ms where the compile's own time is not known.
const UNKNOWN_MS: u32 = 300;

/// Longest time that a look-up may take in ms.
const BUDGET_MAX_MS: u32 = 1000;

/// Shortest one in ms: that of an unknown compile. An outage is paid once, since the breaker is shared; a shorter time would also end
/// look-ups that walk from a dead owner to the next on a busy machine.
const BUDGET_MIN_MS: u32 = UNKNOWN_MS;

/// Where the time of one command is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSlot {
    offset: u64,
    tag: [u8; 4],
}

impl TimeSlot {
    /// Finds the slot of a command in a directory.
    pub fn of(directory: &[u8], argv: &[Vec<u8>]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for word in std::iter::once(directory).chain(argv.iter().map(Vec::as_slice)) {
            hasher.update(&(word.len() as u64).to_le_bytes()).update(word);
        }
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        let [a, b, c, d, tag @ ..] = number;
        Self { offset: u64::from(u32::from_le_bytes([a, b, c, d])) % SLOTS * 8, tag }
    }

    /// Notes how long the command took, in ms. What cannot be written is unknown next time.
    pub fn note(&self, home: &Home, ms: u32) {
        let Ok(file) = home.open_for_writing(NAME, OFlags::WRONLY) else { return };
        let mut slot = [0; 8];
        slot[..4].copy_from_slice(&self.tag);
        slot[4..].copy_from_slice(&ms.to_le_bytes());
        let _ = file.write_all_at(&slot, self.offset);
    }

    /// Returns how long a look-up of the command may take, in ms: half of what the compile took, between bounds.
    pub fn budget_ms(&self, home: &Home) -> u32 {
        let mut slot = [0; 8];
        let read =
            home.open_file(NAME, OFlags::RDONLY).and_then(|file| file.read_exact_at(&mut slot, self.offset));
        let [tag @ .., a, b, c, d] = slot;
        match read {
            Ok(()) if tag == self.tag => {
                (u32::from_le_bytes([a, b, c, d]) / 2).clamp(BUDGET_MIN_MS, BUDGET_MAX_MS)
            }
            _ => UNKNOWN_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_may_take_half_of_the_compile_between_bounds_and_300_ms_where_that_is_unknown() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let argv = |source: &str| vec![b"gcc".to_vec(), b"-c".to_vec(), source.as_bytes().to_vec()];
        let slot = TimeSlot::of(b"/w", &argv("a.c"));
        assert_eq!(slot.budget_ms(&home), 300);
        for (ms, budget) in [(0, 300), (90, 300), (900, 450), (1999, 999), (60_000, 1000)] {
            slot.note(&home, ms);
            assert_eq!(slot.budget_ms(&home), budget);
        }
        assert_ne!(TimeSlot::of(b"/v", &argv("a.c")), slot);
        assert_eq!(TimeSlot::of(b"/w", &argv("b.c")).budget_ms(&home), 300);
        std::fs::write(place.path().join(NAME), b"cut").unwrap();
        assert_eq!(slot.budget_ms(&home), 300);
    }
}
