//! Whether preprocessing before compiling pays in a project: it does where results are found by the text.
//!
//! `pays`, below the home: slots of 8 bytes, each a part of the root's digest (u32 LE) and the number of compiles since the text last found
//! something (u32 LE). Nothing is locked: what is torn or lost decides only whether a preprocessor runs.

use super::setting::Setting;
use crate::config::DependUse;
use crate::home::Home;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

/// The file below the home.
const NAME: &str = "pays";

/// Number of slots: more than the projects of a machine; 8 KiB.
const SLOTS: u64 = 1 << 10;

/// Compiles without such a find after which preprocessing is given up: a few per cent of a small project.
const UNPAID_MAX: u32 = 32;

/// It is tried again at each of this many compiles: the rest that it still costs is a sixteenth.
const RETRY: u32 = 16;

/// Where the count of one project is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    offset: u64,
    tag: [u8; 4],
}

impl Slot {
    fn of(root: &[u8]) -> Self {
        let digest = blake3::hash(root);
        let [a, b, c, d, tag0, tag1, tag2, tag3, ..] = *digest.as_bytes();
        let offset = u64::from(u32::from_le_bytes([a, b, c, d])) % SLOTS * 8;
        Self { offset, tag: [tag0, tag1, tag2, tag3] }
    }

    fn unpaid(self, home: &Home) -> u32 {
        let mut slot = [0; 8];
        let file = home.open_file(NAME, OFlags::RDONLY);
        let read = file.and_then(|file| file.read_exact_at(&mut slot, self.offset));
        let [tag @ .., a, b, c, d] = slot;
        if read.is_ok() && tag == self.tag { u32::from_le_bytes([a, b, c, d]) } else { 0 }
    }

    fn note(self, home: &Home, unpaid: u32) {
        let Ok(file) = home.open_for_writing(NAME, OFlags::WRONLY) else { return };
        let mut slot = [0; 8];
        slot[..4].copy_from_slice(&self.tag);
        slot[4..].copy_from_slice(&unpaid.to_le_bytes());
        let _ = file.write_all_at(&slot, self.offset);
    }
}

impl Setting<'_> {
    /// Tells whether to preprocess, and counts a compile for which the answer is no.
    pub(super) fn preprocessing_pays(&self) -> bool {
        let unpaid = Slot::of(&self.root).unpaid(self.home);
        let pays = unpaid < UNPAID_MAX || unpaid.is_multiple_of(RETRY);
        if !pays {
            self.preprocessing_did_not_pay();
        }
        pays
    }

    /// Counts a compile that was not found by its text, or not looked for.
    pub(super) fn preprocessing_did_not_pay(&self) {
        if self.config.depend_mode != DependUse::Auto {
            return;
        }
        let slot = Slot::of(&self.root);
        slot.note(self.home, slot.unpaid(self.home).saturating_add(1));
    }

    /// Notes that the text found something.
    pub(super) fn preprocessing_paid(&self) {
        if self.config.depend_mode == DependUse::Never {
            return;
        }
        let slot = Slot::of(&self.root);
        if slot.unpaid(self.home) != 0 {
            slot.note(self.home, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_has_its_own_count_and_what_is_torn_counts_from_the_start() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let (one, other) = (Slot::of(b"/one"), Slot::of(b"/other"));
        assert_eq!(one.unpaid(&home), 0);
        one.note(&home, 40);
        assert_eq!((one.unpaid(&home), other.unpaid(&home)), (40, 0));
        std::fs::write(place.path().join(NAME), b"cut").unwrap();
        assert_eq!(one.unpaid(&home), 0);
    }
}
