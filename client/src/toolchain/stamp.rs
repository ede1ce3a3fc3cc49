//! Stamps of files: what `stat` says that changes whenever the content can have changed.

use rustix::fs::{AtFlags, CWD, Stat};
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::fd::AsFd;
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
        Self::below(CWD, path)
    }

    /// As [`Stamp::of`], for a path that is seen from an open directory.
    pub fn below(directory: impl AsFd, path: impl rustix::path::Arg) -> Option<Self> {
        rustix::fs::statat(directory, path, AtFlags::empty()).ok().map(|stat| Self::from(&stat))
    }

    /// Returns the newer of both times, in ns since the Unix epoch.
    pub fn newest(&self) -> i64 {
        self.mtime.max(self.ctime)
    }

    /// Tells whether the file did not change since `start`, in ns since the Unix epoch by the clock of file times. A time without a part of a second
    /// can be any within it: some file systems keep no finer ones.
    pub fn is_before(&self, start: i64) -> bool {
        [self.mtime, self.ctime].into_iter().all(|time| is_before(time, start))
    }

    /// Tells whether the stamp can stand for the content that is read at `now`.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        now - i128::from(self.newest()) >= SETTLED_NS
    }
}

/// Tells whether a file time lies before `start`, wherever in its second it lies if it has no finer part.
pub fn is_before(time: i64, start: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    match time % SECOND {
        0 => time.saturating_add(SECOND) <= start,
        _ => time < start,
    }
}

/// Puts seconds and the nanoseconds of the last one together, low 64 bits.
fn ns(seconds: i64, part: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(part)
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            mtime: ns(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: ns(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_same_whichever_way_it_is_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.h");
        std::fs::write(&file, "text").unwrap();
        let opened =
            rustix::fs::open(place.path(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        for path in [file.as_path(), place.path(), Path::new("/dev/null"), Path::new("/proc/self/stat")] {
            let metadata = path.metadata().unwrap();
            let stamp = Stamp::of(path).unwrap();
            // What /proc says about itself has the time of the question.
            let same_times = path.starts_with("/proc") || stamp == Stamp::from(&metadata);
            assert!(same_times && stamp.device == Stamp::from(&metadata).device, "{}", path.display());
        }
        assert_eq!(Stamp::below(&opened, "a.h"), Stamp::of(&file));
        assert_eq!(Stamp::of(Path::new("/no/such/file")), None);
    }

    #[test]
    fn a_time_without_a_part_of_a_second_can_be_any_within_it() {
        const SECOND: i64 = 1_000_000_000;
        let start = 7 * SECOND + 500;
        for (time, before) in [
            (7 * SECOND + 499, true),
            (7 * SECOND + 500, false),
            (7 * SECOND, false),
            (6 * SECOND, true),
            (8 * SECOND, false),
            (i64::MIN, true),
            (i64::MAX, false),
        ] {
            assert_eq!(is_before(time, start), before, "{time}");
        }
    }
}
