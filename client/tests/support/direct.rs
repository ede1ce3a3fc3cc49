//! Compiles that are found by what they read, and changes that must show.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use super::{DCCACHE, LATER, Place};

/// Warms manifest and sealed record, and asserts that the latter serves.
pub fn warm(place: &Place, compiler: &str, words: &[&str], outputs: &[&str]) {
    place.assert_differential(compiler, words, outputs);
    let before = place.stat("/hits/direct");
    place.compare_under(&[LATER], &[DCCACHE, compiler], words, outputs);
    assert_eq!(place.stat("/hits/direct"), before + 1, "{compiler} {words:?}: {}", place.explain());
}

/// Asserts that the next call, judged by the clock of a minute later and by now's, gives what the plain compiler gives.
pub fn assert_right(place: &Place, compiler: &str, words: &[&str], outputs: &[&str], what: &str) {
    let plain = place.compare(&[compiler], words, outputs);
    for variables in [[LATER].as_slice(), &[]] {
        let ours = place.compare_under(variables, &[DCCACHE, compiler], words, outputs);
        assert_eq!(plain, ours, "{compiler}: {what}, {variables:?}");
    }
}
