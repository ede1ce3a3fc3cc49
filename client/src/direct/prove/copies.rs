//! Files that a compiler can skip because they equal another one.

use super::{Prover, Unexplained};
use crate::direct::view::Lies;

/// Returns a content that is there twice.
fn twice(mut contents: Vec<&[u8]>) -> Option<&[u8]> {
    contents.sort_unstable();
    contents.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

impl Prover<'_> {
    /// Whether a file that was not read by this name was read by another one, or can be skipped as a copy of one that was.
    pub(super) fn may_be_skipped(&self, name: &[u8], length: u64) -> bool {
        let same = match self.view.lies(name) {
            Lies::File(device, inode, _) => self.inodes.contains(&(device, inode)),
            Lies::Nothing | Lies::Unclear => false,
        };
        same || (self.once && self.equals_one_read(name, length))
    }

    /// Refuses files of equal content where compilers skip copies: which ones they take for copies follows from inodes and times.
    pub(super) fn check_copies(&self) -> Result<(), Unexplained> {
        let several = self.lengths.values().filter(|contents| contents.len() > 1);
        let Some(twice) = several.cloned().find_map(twice) else { return Ok(()) };
        let file = self.reading.files.iter().find(|file| file.content == twice);
        match file.filter(|_| self.once) {
            Some(file) => Err(Unexplained(file.path.to_vec())),
            None => Ok(()),
        }
    }

    fn equals_one_read(&self, name: &[u8], length: u64) -> bool {
        let Some(contents) = self.lengths.get(&length) else { return false };
        // What cannot be read is taken for equal: it becomes an input, and reading that fails.
        std::fs::read(self.view.path(name)).map_or(true, |content| contents.contains(&content.as_slice()))
    }
}
