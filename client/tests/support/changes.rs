//! Compiles before and after a change, each equal to the plain compiler's.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use super::{DCCACHE, Place};

/// Compiles plainly and twice through dccache; all three must be equal.
pub fn assert_equal(place: &Place, compiler: &str, words: &[&str], outputs: &[&str]) {
    let plain = place.compare(&[compiler], words, outputs);
    for turn in 0..2 {
        let ours = place.compare(&[DCCACHE, compiler], words, outputs);
        assert_eq!(plain, ours, "turn {turn}: {compiler} {words:?}: {}", place.explain());
    }
}

/// Compiles, changes something, compiles again: what dccache gives is always what the compiler gives.
pub fn assert_change_is_seen(
    place: &Place,
    compiler: &str,
    words: &[&str],
    outputs: &[&str],
    change: impl FnOnce(&Place),
) {
    assert_equal(place, compiler, words, outputs);
    let before = place.compare(&[compiler], words, outputs);
    change(place);
    assert_equal(place, compiler, words, outputs);
    assert_ne!(before, place.compare(&[compiler], words, outputs), "the change shows: {compiler} {words:?}");
}
