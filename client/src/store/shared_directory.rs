//! A directory that several users share, as a further store: entries and manifests in the form of the local one.
//!
//! Its keyed hashes are made with a key that everybody knows. They tell damage, not who wrote a file: whoever may write to the directory is
//! believed, as the user said by naming it (ADR 0020). Nothing in it is counted or cleaned; `ccache --trim-dir` does that.

use super::{Secret, Store};
use crate::home::Home;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A directory and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Whether nothing is written to it.
    pub read_only: bool,
    /// Permissions that its files are to lack; `None` for the process's.
    pub mask: Option<u16>,
    /// Whether a file that is read gets a new time.
    pub touches: bool,
}

impl SharedDirectory {
    /// Opens it, and makes it where it may be written and is absent.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(&self) -> io::Result<Home> {
        if self.read_only && !self.path.is_dir() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Home::open_shared(&self.path, self.mask)
    }

    /// Uses what [`SharedDirectory::open`] opened.
    pub fn store<'a>(&self, home: &'a Home) -> Store<'a> {
        Store { counts: false, touches: self.touches, secret: Secret::public().into(), ..Store::new(home, 0) }
    }
}

/// By which time a file was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// When it was read.
    Access,
    /// When it was written, or touched.
    Change,
}

/// What a directory held, and what was taken out of it, in bytes and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Bytes before.
    pub before: u64,
    /// Bytes that are left.
    pub after: u64,
    /// Files that were removed.
    pub files: u64,
}

/// Removes what was not used for longest from a shared directory until it holds at most `bytes`, or only counts that.
///
/// # Errors
/// It is the directory of a user's own cache, or none of the kind.
pub fn trim(directory: &Path, bytes: u64, clock: Clock, act: super::Act) -> io::Result<Trimmed> {
    if directory.join("keys").exists() || directory.join("stats").exists() {
        return Err(io::Error::other("this is a user's own cache, which --cleanup trims"));
    }
    let mut files = Vec::new();
    for shard in fs::read_dir(directory.join("objects"))? {
        for entry in fs::read_dir(shard?.path())? {
            let entry = entry?;
            let (name, found) = (entry.file_name(), entry.metadata()?);
            let ours = name
                .to_str()
                .is_some_and(|name| ["p-", "d-", "m-"].iter().any(|kind| name.starts_with(kind)));
            let used = if clock == Clock::Access { found.accessed() } else { found.modified() };
            if ours && found.is_file() {
                files.push((used.unwrap_or(SystemTime::UNIX_EPOCH), found.len(), entry.path()));
            }
        }
    }
    files.sort();
    let before = files.iter().map(|(_, size, _)| size).sum();
    let mut trimmed = Trimmed { before, after: before, files: 0 };
    for (_, size, path) in files {
        if trimmed.after <= bytes {
            break;
        }
        if act == super::Act::OnlyCount || fs::remove_file(path).is_ok() {
            trimmed.after -= size;
            trimmed.files += 1;
        }
    }
    Ok(trimmed)
}
