//! The directory that holds everything of one user: store, toolchain records, statistics, keys, configuration, socket.
//!
//! Invariant: below it no symbolic link is followed, so a planted one reads as a missing file.

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The user's directory, open.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    directory: OwnedFd,
    modes: Modes,
}

/// Permissions of what is made below it.
#[derive(Clone, Copy, Debug)]
struct Modes {
    file: Mode,
    directory: Mode,
    /// Whether they hold whatever the umask says.
    exact: bool,
}

/// All is its owner's alone.
const PRIVATE: Modes = Modes { file: Mode::RUSR.union(Mode::WUSR), directory: Mode::RWXU, exact: false };

impl Home {
    /// Returns where the directory is: `DCCACHE_DIR`, else `$XDG_CACHE_HOME/dccache`, else `~/.cache/dccache`; `None`
    /// where the environment names no home.
    pub fn location(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = set("DCCACHE_DIR")
            .or_else(|| {
                set("XDG_CACHE_HOME").filter(|base| base.is_absolute()).map(|base| base.join("dccache"))
            })
            .or_else(|| set("HOME").map(|home| home.join(".cache/dccache")))?;
        Some(std::path::absolute(&path).unwrap_or(path))
    }

    /// Opens the directory, and makes it where it is absent.
    ///
    /// # Errors
    /// Why it can neither be opened nor made.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, PRIVATE)
    }

    /// Opens a directory of several users, whose files lack the permissions of `mask`; `None` for the process's umask.
    ///
    /// # Errors
    /// As [`Home::open`].
    pub fn open_shared(path: &Path, mask: Option<u16>) -> io::Result<Self> {
        let lacking = Mode::from_raw_mode(mask.unwrap_or(0).into());
        let all = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        let read_write = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let modes = Modes { file: read_write - lacking, directory: all - lacking, exact: mask.is_some() };
        Self::open_with(path, modes)
    }

    fn open_with(path: &Path, modes: Modes) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || rustix::fs::open(path, flags, Mode::empty());
        let directory = match open() {
            Err(Errno::NOENT) => {
                DirBuilder::new().recursive(true).mode(modes.directory.as_raw_mode()).create(path)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { path: path.to_owned(), directory, modes })
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file below the directory.
    ///
    /// # Errors
    /// Those of `openat2`; a symbolic link on the way is `ELOOP`.
    pub fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let mut flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // What is not really opened is refused with them.
        if !flags.contains(OFlags::PATH) {
            flags |= OFlags::NOCTTY | OFlags::NONBLOCK;
        }
        let mode = if flags.contains(OFlags::CREATE) { self.modes.file } else { Mode::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = match rustix::fs::openat2(&self.directory, name, flags, mode, resolve) {
            // Kernels and sandboxes without openat2: only the last component is guarded then.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&self.directory, name, flags, mode),
            other => other,
        };
        Ok(File::from(opened?))
    }

    /// Opens a file for writing and makes the directories above it where they are absent.
    ///
    /// # Errors
    /// As [`Home::open_file`].
    pub fn open_for_writing(&self, name: &str, flags: OFlags) -> io::Result<File> {
        match self.open_file(name, flags | OFlags::CREATE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directories_of(name)?;
                self.open_file(name, flags | OFlags::CREATE)
            }
            other => other,
        }
    }

    /// Reads a whole regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// Those of opening and reading; `InvalidData` for a longer file or one that is not regular.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open_file(name, OFlags::RDONLY)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > limit {
            return Err(io::ErrorKind::InvalidData.into());
        }
        content(&mut file, metadata.len(), limit)
    }

    /// Puts a file in place as a whole: readers see the old or the new one.
    ///
    /// # Errors
    /// Why it could not be written; the old file stays.
    pub fn replace(&self, name: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let temporary = temporary_name(name);
        let mut file = self.open_for_writing(&temporary, OFlags::WRONLY | OFlags::EXCL)?;
        let written = pieces.iter().try_for_each(|piece| file.write_all(piece));
        let written = match self.modes.exact {
            true => written.and_then(|()| Ok(rustix::fs::fchmod(&file, self.modes.file)?)),
            false => written,
        };
        let written = written.and_then(|()| self.rename(&temporary, name));
        if written.is_err() {
            let _ = self.remove(&temporary);
        }
        written
    }

    /// Renames a file below the directory.
    ///
    /// # Errors
    /// Those of `renameat`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    /// Removes a file below the directory.
    ///
    /// # Errors
    /// Those of `unlinkat`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn make_directories_of(&self, name: &str) -> io::Result<()> {
        for (slash, _) in name.match_indices('/') {
            match rustix::fs::mkdirat(&self.directory, &name[..slash], self.modes.directory) {
                Ok(()) if self.modes.exact => {
                    let directory = &name[..slash];
                    rustix::fs::chmodat(&self.directory, directory, self.modes.directory, AtFlags::empty())?;
                }
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Reads a file that had `length` bytes, at most `limit` where it has grown since: with one read for the bytes and one for the end, and without
/// asking again how long it is.
///
/// # Errors
/// Those of reading.
pub(crate) fn content(file: &mut File, length: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; length as usize + 1];
    let mut filled = 0;
    while filled < content.len() {
        match file.read(&mut content[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(filled);
    if filled as u64 > length {
        file.take(limit.saturating_sub(filled as u64)).read_to_end(&mut content)?;
    }
    content.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(content)
}

/// Marks names of files that are not in place yet.
pub const TEMPORARY_MARK: &str = ".tmp-";

/// Returns a name beside `name` that no other process or thread uses.
fn temporary_name(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (directory, _) = name.rsplit_once('/').unwrap_or((".", name));
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{directory}/{TEMPORARY_MARK}{}-{serial}", unique_part())
}

/// Returns a part of a name that no other living process makes. Containers that share a directory number their processes alike,
/// so the number alone does not tell them apart; the time in ns does.
pub(crate) fn unique_part() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), now.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_location_is_the_first_one_that_the_environment_names() {
        let with = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            Home::location(find)
        };
        let all = [("DCCACHE_DIR", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(with(&all), Some("/a".into()));
        assert_eq!(with(&all[1..]), Some("/b/dccache".into()));
        assert_eq!(with(&all[2..]), Some("/c/.cache/dccache".into()));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn directories_and_files_are_for_their_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("deep/home")).unwrap();
        home.replace("a/b/file", &[b"one", b"two"]).unwrap();
        let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("."), mode("a"), mode("a/b"), mode("a/b/file")), (0o700, 0o700, 0o700, 0o600));
        assert_eq!(home.read("a/b/file", 6).unwrap(), b"onetwo");
        assert!(
            home.open_file("a/b/file", OFlags::PATH).is_ok()
                && home.open_file("a/b/none", OFlags::PATH).is_err()
        );
        assert!(home.read("a/b/file", 5).is_err(), "longer than allowed");
    }

    #[test]
    fn two_processes_of_one_number_do_not_share_temporary_names() {
        let names: Vec<String> = (0..100).map(|_| unique_part()).collect();
        assert!(names.windows(2).any(|pair| pair[0] != pair[1]), "the number alone does not make it");
    }

    #[test]
    fn a_temporary_file_of_another_stays_when_a_replacement_fails() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        // The target is a directory, so that the rename fails: what was written goes, and nothing else.
        home.replace("a/target/file", &[b"kept"]).unwrap();
        home.replace("a/.tmp-1-0", &[b"another's"]).unwrap();
        assert!(home.replace("a/target", &[b"new"]).is_err());
        let left = std::fs::read_dir(place.path().join("a")).unwrap().count();
        assert_eq!((left, home.read("a/.tmp-1-0", 100).unwrap()), (2, b"another's".to_vec()));
    }

    #[test]
    fn a_planted_link_is_not_followed_neither_as_file_nor_as_directory() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let outside = place.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), b"secret").unwrap();
        std::os::unix::fs::symlink(outside.join("file"), home.path().join("file")).unwrap();
        std::os::unix::fs::symlink(&outside, home.path().join("directory")).unwrap();
        assert!(home.read("file", 100).is_err());
        assert!(home.read("directory/file", 100).is_err());
        assert!(home.open_for_writing("directory/new", OFlags::WRONLY).is_err());
        assert!(!outside.join("new").exists());
    }
}
