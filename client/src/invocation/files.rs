//! What the parser may ask of the file system; tests answer in its place.
//!
//! Invariant: nothing but a regular file is ever opened. Reading a pipe takes the bytes away from the compiler.

use super::reason::{Bypass, Reason};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link; only where links are not followed.
    Link,
    /// `/dev/null` or another name of it.
    Null,
    /// A FIFO, socket, terminal or another device.
    Special,
    /// Nothing that can be reached.
    Absent,
}

/// The file system as the parser sees it. Paths are absolute or relative to the working directory.
pub trait Files {
    /// Says what `path` leads to, links followed.
    fn kind(&self, path: &[u8]) -> FileKind;

    /// Says what `path` itself is, links not followed.
    fn kind_of_name(&self, path: &[u8]) -> FileKind;

    /// Reads the first `limit` bytes of a regular file; `None` when it is none or cannot be read.
    fn read(&self, path: &[u8], limit: usize) -> Option<Vec<u8>>;

    /// Whether both names lead to one directory.
    fn same_directory(&self, a: &[u8], b: &[u8]) -> bool;

    /// Whether both names lead to one regular file.
    fn same_file(&self, a: &[u8], b: &[u8]) -> bool;
}

/// The real file system, seen from a working directory.
#[derive(Clone, Debug)]
pub struct Disk {
    working_directory: PathBuf,
}

impl Disk {
    /// Looks from `working_directory`.
    pub fn new(working_directory: &Path) -> Self {
        Self { working_directory: working_directory.to_owned() }
    }

    fn same(&self, a: &[u8], b: &[u8], kind: fn(&std::fs::Metadata) -> bool) -> bool {
        let identity = |path| {
            let found = std::fs::metadata(self.path(path)).ok()?;
            kind(&found).then(|| (found.dev(), found.ino()))
        };
        identity(a).is_some_and(|a| identity(b) == Some(a))
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        self.working_directory.join(OsStr::from_bytes(path))
    }
}

/// Device number of `/dev/null` on Linux: major 1, minor 3.
const NULL_DEVICE: u64 = 0x103;

fn kind(metadata: std::io::Result<std::fs::Metadata>) -> FileKind {
    match metadata {
        Err(_) => FileKind::Absent,
        Ok(found) if found.is_file() => FileKind::Regular,
        Ok(found) if found.is_dir() => FileKind::Directory,
        Ok(found) if found.is_symlink() => FileKind::Link,
        Ok(found) if found.file_type().is_char_device() && found.rdev() == NULL_DEVICE => FileKind::Null,
        Ok(_) => FileKind::Special,
    }
}

impl Files for Disk {
    fn kind(&self, path: &[u8]) -> FileKind {
        kind(std::fs::metadata(self.path(path)))
    }

    fn kind_of_name(&self, path: &[u8]) -> FileKind {
        kind(std::fs::symlink_metadata(self.path(path)))
    }

    fn read(&self, path: &[u8], limit: usize) -> Option<Vec<u8>> {
        if self.kind(path) != FileKind::Regular {
            return None;
        }
        // Non-blocking: the name can become a FIFO between the check and the open.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(self.path(path)).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut content = Vec::new();
        file.take(limit as u64).read_to_end(&mut content).ok()?;
        Some(content)
    }

    fn same_directory(&self, a: &[u8], b: &[u8]) -> bool {
        self.same(a, b, std::fs::Metadata::is_dir)
    }

    fn same_file(&self, a: &[u8], b: &[u8]) -> bool {
        self.same(a, b, std::fs::Metadata::is_file)
    }
}

/// Where `dccache:disable` is looked for: the first bytes of the source, as ccache does.
const DISABLE_WINDOW: usize = 4096;

/// Refuses a source that says so itself.
pub(super) fn check_disabled(source: &[u8], files: &dyn Files) -> Result<(), Bypass> {
    let head = files.read(source, DISABLE_WINDOW).ok_or_else(|| Bypass::new(Reason::BadInputFile, source))?;
    let words: [&[u8]; 2] = [b"dccache:disable", b"ccache:disable"];
    match words.into_iter().find(|word| memchr::memmem::find(&head, word).is_some()) {
        Some(word) => Err(Bypass::new(Reason::Disabled, word)),
        None => Ok(()),
    }
}
