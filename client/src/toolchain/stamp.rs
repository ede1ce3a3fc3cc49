//! Stamps of files: what `stat` says that changes whenever the content can have changed.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file younger than this when its digest was read, in ns, can change again without its stamp showing it: clocks of file
/// systems tick in steps, and 2 s is FAT's, the coarsest in use.
const SETTLED_NS: i128 = 2_000_000_000;

/// Device, inode, size and times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of content, in ns since the Unix epoch, low 64 bits.
    pub mtime: i64,
    /// Time of the last change of content or inode, which nobody can set, in ns since the Unix epoch, low 64 bits.
    pub ctime: i64,
}

impl Stamp {
    /// Reads the stamp of what `path` leads to; `None` where that is absent.
    pub fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self::from(&metadata))
    }

    /// Returns the newer of both times, in ns since the Unix epoch.
    pub fn newest(&self) -> i64 {
        self.mtime.max(self.ctime)
    }

    /// Tells whether the stamp can stand for the content that is read at `now`.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        now - i128::from(self.newest()) >= SETTLED_NS
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, part: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(part);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
