//! What lies under the names of inputs: digest, stamp and facts, each file looked at once.
//!
//! Invariant: nothing but a regular file is opened, and nothing below `/dev`, `/proc` and `/sys`, whoever suggests it.

use super::digests::Digests;
use crate::cpp::FileFacts;
use crate::toolchain::Stamp;
use dccache_protocol::digest::Digest;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::path::Arg;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Largest input, in bytes. Above it the compiler runs untouched.
pub const INPUT_MAX: u64 = 512 << 20;

/// Directories whose files are made when they are read, or do something then.
const NO_FILES: [&[u8]; 3] = [b"/dev/", b"/proc/", b"/sys/"];

/// File systems whose stamps change with every change of content, by the magic number of `statfs`.
///
/// Source: `linux/magic.h`; ext2 to ext4, XFS, btrfs, tmpfs, overlay, F2FS, ZFS, bcachefs. On all others (network, FUSE, FAT) contents are read.
pub(super) const RELIABLE: [u64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E];

/// One file as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its stamp.
    pub stamp: Stamp,
    /// Digest of its content.
    pub digest: Digest,
    /// Words in its content that matter.
    pub facts: FileFacts,
    /// Whether the stamp stands for the content from now on.
    pub settled: bool,
}

/// Looks at files from a working directory.
#[derive(Debug)]
pub struct Observer {
    directory: PathBuf,
    digests: Option<Digests>,
    now: SystemTime,
    seen: HashMap<Vec<u8>, Option<Observed>>,
    devices: HashMap<u64, bool>,
    /// Bytes that may still be read.
    left: u64,
    /// Whether a file was left alone for that.
    left_one: bool,
    /// What was read last: one buffer serves all files.
    content: Vec<u8>,
}

impl Observer {
    /// Looks from `directory`; contents whose stamp is known in `digests` are not read again.
    pub fn new(directory: &Path, digests: Option<Digests>, now: SystemTime) -> Self {
        Self {
            directory: directory.to_owned(),
            digests,
            now,
            seen: HashMap::new(),
            devices: HashMap::new(),
            left: u64::MAX,
            left_one: false,
            content: Vec::new(),
        }
    }

    /// Lets at most `bytes` of contents be read from now on; files beyond are not looked at.
    pub fn limit(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Tells whether a file was not looked at because of [`Observer::limit`].
    pub fn met_the_limit(&self) -> bool {
        self.left_one
    }

    /// Looks at a regular file; `None` for anything else.
    pub fn observe(&mut self, path: &[u8]) -> Option<Observed> {
        self.observe_in(None, path)
    }

    /// The same for a file of a directory that is open, so that nobody walks down to it again.
    pub(super) fn observe_in(&mut self, directory: Option<&OwnedFd>, path: &[u8]) -> Option<Observed> {
        if let Some(known) = self.seen.get(path) {
            return *known;
        }
        let found = self.look(directory, path);
        self.seen.insert(path.to_vec(), found);
        found
    }

    /// Opens a directory for looks at its files; `None` where each is better looked at from above.
    pub(super) fn open(&self, directory: &[u8]) -> Option<OwnedFd> {
        if holds_no_files(directory) {
            return None;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.directory.join(OsStr::from_bytes(directory)), flags, Mode::empty()).ok()
    }

    /// Has what was learned so far written, so that others need not learn it.
    pub fn flush(&self) {
        self.digests.iter().for_each(Digests::flush);
    }

    /// Notes what is known of a file already.
    pub fn note(&mut self, path: &[u8], stamp: Stamp, digest: Digest, facts: FileFacts) -> Observed {
        let observed = self.noted(path, stamp, digest, facts);
        self.seen.insert(path.to_vec(), Some(observed));
        observed
    }

    fn noted(&mut self, path: &[u8], stamp: Stamp, digest: Digest, facts: FileFacts) -> Observed {
        let settled = stamp.is_settled(self.now) && self.is_reliable(stamp.device, path);
        if settled && let Some(digests) = &self.digests {
            digests.put(&stamp, &digest, facts);
        }
        Observed { stamp, digest, facts, settled }
    }

    /// Returns the time since which stamps count as old.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Tells whether the stamps of the file system around `path` can be trusted.
    pub fn is_reliable(&mut self, device: u64, path: &[u8]) -> bool {
        let directory = &self.directory;
        *self.devices.entry(device).or_insert_with(|| {
            let found = rustix::fs::statfs(directory.join(OsStr::from_bytes(path)));
            found.is_ok_and(|found| RELIABLE.contains(&(found.f_type as u64)))
        })
    }

    /// Reads a file if it has this stamp.
    fn read(&mut self, directory: BorrowedFd<'_>, name: &[u8], stamp: &Stamp) -> bool {
        self.content.clear();
        read_below(directory, name, &mut self.content) == Some(*stamp)
    }

    fn look(&mut self, near: Option<&OwnedFd>, path: &[u8]) -> Option<Observed> {
        if holds_no_files(path) {
            return None;
        }
        let from_above;
        let (directory, name) = match near {
            Some(directory) => (directory.as_fd(), last_part(path)),
            None => {
                from_above = self.directory.join(OsStr::from_bytes(path));
                (CWD, from_above.as_os_str().as_bytes())
            }
        };
        let found = rustix::fs::statat(directory, name, AtFlags::empty()).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode).is_file();
        let stamp = Some(Stamp::from(&found)).filter(|_| is_file)?;
        if stamp.is_settled(self.now)
            && let Some((digest, facts)) = self.digests.as_ref().and_then(|digests| digests.get(&stamp))
        {
            return Some(Observed { stamp, digest, facts, settled: true });
        }
        let Some(left) = self.left.checked_sub(stamp.size) else {
            self.left_one = true;
            return None;
        };
        self.left = left;
        if !self.read(directory, name, &stamp) {
            return None;
        }
        let (digest, facts) = (Digest::of(&self.content), FileFacts::scan(&self.content));
        Some(self.noted(path, stamp, digest, facts))
    }
}

fn holds_no_files(path: &[u8]) -> bool {
    NO_FILES.iter().any(|directory| path.starts_with(directory))
}

fn last_part(path: &[u8]) -> &[u8] {
    &path[memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1)..]
}

/// Reads a regular file of at most [`INPUT_MAX`] bytes to the end of `content`; returns its stamp. One call reads it all.
pub fn read_regular(path: &Path, content: &mut Vec<u8>) -> Option<Stamp> {
    read_below(CWD, path, content)
}

fn read_below(directory: BorrowedFd<'_>, name: impl Arg, content: &mut Vec<u8>) -> Option<Stamp> {
    // Non-blocking: the name can lead to a FIFO by now.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
    let found = rustix::fs::fstat(&file).ok()?;
    if !FileType::from_raw_mode(found.st_mode).is_file() || found.st_size as u64 > INPUT_MAX {
        return None;
    }
    let (start, size) = (content.len(), found.st_size as usize);
    // One byte more: a file that grew shows, and the end of one that did not is seen at once.
    content.reserve(size + 1);
    while content.len() - start <= size {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, spare_capacity(content))).ok()? {
            0 => break,
            _ if content.len() - start == size => break,
            _ => {}
        }
    }
    (content.len() - start == size).then(|| Stamp::from(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::digests::Access;
    use crate::home::Home;
    use std::time::Duration;

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn nothing_but_regular_files_is_opened() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", place.path().join("device")).unwrap();
        let mut observer = Observer::new(place.path(), None, later());
        for name in ["fifo", "device", ".", "absent", "/dev/null", "/proc/self/maps", "a\0b"] {
            assert_eq!(observer.observe(name.as_bytes()), None, "{name}");
        }
        // A regular file all the same.
        let devices = tempfile::tempdir_in("/dev/shm").unwrap();
        let file = devices.path().join("a.h");
        std::fs::write(&file, "").unwrap();
        assert_eq!(observer.observe(file.as_os_str().as_bytes()), None);
    }

    #[test]
    fn a_known_stamp_spares_the_read_and_a_young_one_does_not() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let digests = || Digests::open(&home, Access::Write);
        std::fs::write(place.path().join("a.h"), "one").unwrap();
        let young = Observer::new(place.path(), digests(), SystemTime::now()).observe(b"a.h").unwrap();
        assert!(!young.settled);
        assert_eq!(digests().unwrap().get(&young.stamp), None, "its stamp proves nothing yet");
        let old = Observer::new(place.path(), digests(), later()).observe(b"a.h").unwrap();
        assert!(old.settled);
        // What the table says is believed, without a look at the content.
        digests().unwrap().put(&old.stamp, &Digest::of(b"another"), FileFacts::default());
        let known = Observer::new(place.path(), digests(), later()).observe(b"a.h").unwrap();
        assert_eq!(known.digest, Digest::of(b"another"));
        let young = Observer::new(place.path(), digests(), SystemTime::now()).observe(b"a.h").unwrap();
        assert_eq!(young.digest, Digest::of(b"one"));
    }

    #[test]
    fn a_stamp_of_a_file_system_that_makes_them_up_is_never_trusted() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.h"), "").unwrap();
        for (name, trusted) in [("a.h".to_owned(), true), ("/proc/version".to_owned(), false)] {
            let stamp = Stamp::of(&place.path().join(&name)).unwrap();
            let mut observer = Observer::new(place.path(), None, later());
            let noted = observer.note(name.as_bytes(), stamp, Digest::of(b""), FileFacts::default());
            assert_eq!(noted.settled, trusted, "{name}");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_looked_at_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.h");
        std::fs::write(&file, "one").unwrap();
        let stamp = Stamp::of(&file).unwrap();
        let mut observer = Observer::new(place.path(), None, later());
        let name = file.as_os_str().as_bytes();
        assert!(observer.read(CWD, name, &stamp));
        assert_eq!(observer.content, b"one");
        std::fs::write(&file, "three").unwrap();
        assert!(!observer.read(CWD, name, &stamp));
        assert!(observer.read(CWD, name, &Stamp::of(&file).unwrap()));
        assert_eq!(observer.content, b"three");
    }
}
