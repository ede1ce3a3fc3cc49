//! What lies under names, each looked at once.

use super::listing::Directories;
use crate::toolchain::Stamp;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a compiler that looks for a header finds under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// A file: device, inode and size in bytes.
    File(u64, u64, u64),
    /// Nothing that it would open: no such name, or a directory.
    Nothing,
    /// Something that it could stumble over, or that cannot be looked at.
    Unclear,
}

/// Identity of a directory.
pub type DirectoryId = (u64, u64);

/// The file system as seen from a working directory, remembered for the length of one compile.
#[derive(Debug)]
pub struct View {
    directories: Directories,
    names: RefCell<HashMap<Vec<u8>, Lies>>,
    youngest: Cell<Times>,
}

/// Times in ns since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Of a change of the content, as far as anybody can say.
    pub mtime: i64,
    /// Of a change of the file.
    pub ctime: i64,
}

impl View {
    /// Looks from `directory`.
    pub fn new(directory: &Path) -> Self {
        let youngest = Cell::new(Times { mtime: i64::MIN, ctime: i64::MIN });
        Self { directories: Directories::new(directory), names: RefCell::default(), youngest }
    }

    /// Returns the place of a name.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        self.directories.place(name)
    }

    /// Says what lies under a name, links followed.
    pub fn lies(&self, name: &[u8]) -> Lies {
        if let Some(known) = self.names.borrow().get(name) {
            return *known;
        }
        if self.directories.lack(name) {
            return Lies::Nothing;
        }
        let metadata = std::fs::metadata(self.path(name));
        if let Ok(metadata) = &metadata
            && metadata.is_file()
        {
            let (Stamp { mtime, ctime, .. }, youngest) = (Stamp::from(metadata), self.youngest.get());
            self.youngest.set(Times { mtime: mtime.max(youngest.mtime), ctime: ctime.max(youngest.ctime) });
        }
        let found = judge(metadata);
        self.names.borrow_mut().insert(name.to_vec(), found);
        found
    }

    /// Returns the directories as they were seen.
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Keeps only the directories.
    pub fn into_directories(self) -> Directories {
        self.directories
    }

    /// Returns when the youngest of all files that were seen changed, by either time.
    pub fn youngest(&self) -> Times {
        self.youngest.get()
    }

    /// Returns the identity of a directory; `None` where there is none.
    pub fn directory(&self, name: &[u8]) -> Option<DirectoryId> {
        let found = std::fs::metadata(self.path(name)).ok()?;
        found.is_dir().then(|| (found.dev(), found.ino()))
    }
}

/// Tells whether a compiler that looks for a header at `path` finds nothing there.
pub(super) fn is_nothing(path: &Path) -> bool {
    judge(std::fs::metadata(path)) == Lies::Nothing
}

fn judge(metadata: std::io::Result<Metadata>) -> Lies {
    match metadata {
        Ok(found) if found.is_file() => Lies::File(found.dev(), found.ino(), found.len()),
        Ok(found) if found.is_dir() => Lies::Nothing,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Lies::Nothing,
        Ok(_) | Err(_) => Lies::Unclear,
    }
}
