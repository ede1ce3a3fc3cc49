//! Whether preprocessing before compiling pays in a project: it does where results are found by the text, and where a command cannot be stored without it.
//!
//! Two files below the home, of slots of 8 bytes: a part of a digest (u32 LE), and a count (u32 LE). `pays`: of a root, and the number of compiles since
//! the text last found something. `needs`: of a command that could not be stored by lists. Nothing is locked: what is torn or lost decides only
//! whether a preprocessor runs.

use super::direct::Direct;
use super::setting::Setting;
use crate::config::DependUse;
use crate::home::Home;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

/// The file of projects.
const PAYS: Table = Table { name: "pays", slots: 1 << 10 };

/// The file of commands: more than one project has; 128 KiB.
const NEEDS: Table = Table { name: "needs", slots: 1 << 14 };

/// Compiles without such a find after which preprocessing is given up: where others were served by their text, so is one of the first.
const UNPAID_MAX: u32 = 16;

/// It is tried again at each of this many compiles: the rest that it still costs is a sixteenth.
const RETRY: u32 = 16;

/// A file of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    name: &'static str,
    /// More than there are projects, or commands of one; who shares a slot takes it from the other.
    slots: u64,
}

/// Where one count is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    table: Table,
    offset: u64,
    tag: [u8; 4],
}

impl Slot {
    fn of(table: Table, digest: &[u8; 32]) -> Self {
        let [.., a, b, c, d, tag0, tag1, tag2, tag3] = *digest;
        let offset = u64::from(u32::from_le_bytes([a, b, c, d])) % table.slots * 8;
        Self { table, offset, tag: [tag0, tag1, tag2, tag3] }
    }

    fn of_root(root: &[u8]) -> Self {
        Self::of(PAYS, blake3::hash(root).as_bytes())
    }

    fn of_command(direct: &Direct) -> Self {
        Self::of(NEEDS, direct.keys.bound.digest().as_bytes())
    }

    fn read(self, home: &Home) -> u32 {
        let mut slot = [0; 8];
        let file = home.open_file(self.table.name, OFlags::RDONLY);
        let read = file.and_then(|file| file.read_exact_at(&mut slot, self.offset));
        let [tag @ .., a, b, c, d] = slot;
        if read.is_ok() && tag == self.tag { u32::from_le_bytes([a, b, c, d]) } else { 0 }
    }

    fn note(self, home: &Home, count: u32) {
        let Ok(file) = home.open_for_writing(self.table.name, OFlags::WRONLY) else { return };
        let mut slot = [0; 8];
        slot[..4].copy_from_slice(&self.tag);
        slot[4..].copy_from_slice(&count.to_le_bytes());
        let _ = file.write_all_at(&slot, self.offset);
    }
}

impl Setting<'_> {
    /// Tells whether to preprocess, and counts a compile for which the answer is no.
    pub(super) fn preprocessing_pays(&self) -> bool {
        let unpaid = Slot::of_root(&self.root).read(self.home);
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
        let slot = Slot::of_root(&self.root);
        slot.note(self.home, slot.read(self.home).saturating_add(1));
    }

    /// Notes that the text found something.
    pub(super) fn preprocessing_paid(&self) {
        if self.config.depend_mode == DependUse::Never {
            return;
        }
        let slot = Slot::of_root(&self.root);
        if slot.read(self.home) != 0 {
            slot.note(self.home, 0);
        }
    }
}

impl Setting<'_> {
    /// Whether this command could not be stored without its text.
    pub(super) fn needs_the_text(&self, direct: &Direct) -> bool {
        Slot::of_command(direct).read(self.home) != 0
    }

    /// Notes that it could not, so that it is preprocessed from now on.
    pub(super) fn note_need(&self, direct: &Direct) {
        Slot::of_command(direct).note(self.home, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_has_its_own_count_and_what_is_torn_counts_from_the_start() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let (one, other) = (Slot::of_root(b"/one"), Slot::of_root(b"/other"));
        assert_eq!(one.read(&home), 0);
        one.note(&home, 40);
        assert_eq!((one.read(&home), other.read(&home)), (40, 0));
        std::fs::write(place.path().join(PAYS.name), b"cut").unwrap();
        assert_eq!(one.read(&home), 0);
    }
}
