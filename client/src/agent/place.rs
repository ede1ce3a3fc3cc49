//! Where the agent of one user and configuration lives: its directory, socket, lock, log and journal.
//!
//! Wrapper and agent both ask [`Place`], and nothing in it depends on the environment, so they cannot disagree.
//! Invariant: the socket lies in a directory that only its owner can enter.

use dccache_protocol::digest::Digest;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest path of a Unix socket in bytes: `sun_path` holds 108 with the closing NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// Permission bits that nobody but the owner may have on a private directory.
const FOREIGN_BITS: u32 = 0o077;

/// Files of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    home: PathBuf,
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It cannot be made or looked at.
    #[error("cannot use the directory {path}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another user owns it or may enter it.
    #[error(
        "{0} is not a directory that only this user can enter; remove it or correct its owner and mode (0700)"
    )]
    NotPrivate(PathBuf),
}

impl Place {
    /// Names the files below `home`, the value of `DCCACHE_DIR`. A relative path counts from the working directory.
    pub fn new(home: &Path) -> Self {
        Self { home: std::path::absolute(home).unwrap_or_else(|_| home.to_owned()) }
    }

    /// Returns the directory that holds everything of this configuration.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the agent's own directory, mode 0700.
    pub fn directory(&self) -> PathBuf {
        self.home.join("agent")
    }

    /// Returns the file that the running agent holds locked.
    pub fn lock(&self) -> PathBuf {
        self.directory().join("lock")
    }

    /// Returns the file that a wrapper holds locked while it starts the agent; it says until when not to try again.
    pub fn starting(&self) -> PathBuf {
        self.directory().join("starting")
    }

    /// Returns the directory of pushes that wait.
    pub fn journal(&self) -> PathBuf {
        self.directory().join("journal")
    }

    /// Returns the agent's log.
    pub fn log(&self) -> PathBuf {
        self.home.join("agent.log")
    }

    /// Returns the directory of what this machine knows about its cluster.
    pub fn cluster(&self) -> PathBuf {
        self.home.join("cluster")
    }

    /// Returns the socket: in the agent's directory, or, where that path is too long for a socket, under a short name made
    /// from it in `/run/user/UID` (when that is private) or `/tmp/dccache-UID`.
    pub fn socket(&self) -> PathBuf {
        let near = self.directory().join("socket");
        if near.as_os_str().len() <= SOCKET_PATH_MAX {
            return near;
        }
        let name = Digest::of(near.as_os_str().as_bytes()).to_string();
        short_directory().join(format!("dccache-{}", &name[..24]))
    }

    /// Makes the directories of agent and socket where they are missing, and checks that only this user can enter them.
    ///
    /// # Errors
    /// [`PlaceError`] names the directory that cannot be used.
    pub fn prepare(&self) -> Result<(), PlaceError> {
        let failed = |source| PlaceError::Io { path: self.home.clone(), source };
        DirBuilder::new().mode(0o700).recursive(true).create(&self.home).map_err(failed)?;
        make_private(&self.directory())?;
        match self.socket().parent() {
            Some(parent) if parent != self.directory() => make_private(parent),
            _ => Ok(()),
        }
    }
}

/// Returns a directory with a short name that only this user can enter.
fn short_directory() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    let runtime = PathBuf::from(format!("/run/user/{uid}"));
    if is_private(&runtime).unwrap_or(false) { runtime } else { PathBuf::from(format!("/tmp/dccache-{uid}")) }
}

fn is_private(path: &Path) -> io::Result<bool> {
    let found = std::fs::symlink_metadata(path)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    Ok(found.is_dir() && own && found.permissions().mode() & FOREIGN_BITS == 0)
}

/// Makes a directory with mode 0700; one that is there already must have this owner and mode.
pub(crate) fn make_private(path: &Path) -> Result<(), PlaceError> {
    let failed = |source| PlaceError::Io { path: path.to_owned(), source };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    if is_private(path).map_err(failed)? { Ok(()) } else { Err(PlaceError::NotPrivate(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_too_long_for_a_socket_gets_a_short_one_that_depends_on_it_alone() {
        let short = Place::new(Path::new("/home/user/.cache/dccache"));
        assert_eq!(short.socket(), Path::new("/home/user/.cache/dccache/agent/socket"));
        let deep = format!("/{}", "deep/".repeat(40));
        let (one, two) = (Place::new(Path::new(&deep)), Place::new(&Path::new(&deep).join("x")));
        assert!(one.socket().as_os_str().len() <= SOCKET_PATH_MAX);
        assert_eq!(one.socket(), Place::new(Path::new(&deep)).socket());
        assert_ne!(one.socket(), two.socket());
    }

    #[test]
    fn the_limit_is_exact() {
        for (length, near) in [(SOCKET_PATH_MAX, true), (SOCKET_PATH_MAX + 1, false)] {
            let home = format!("/{}", "x".repeat(length - "/".len() - "/agent/socket".len()));
            let place = Place::new(Path::new(&home));
            assert_eq!(place.socket().starts_with(&home), near, "{length}");
        }
    }

    #[test]
    fn a_directory_that_others_can_enter_or_a_planted_link_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let home = scratch.path().join("home");
        let place = Place::new(&home);
        place.prepare().unwrap();
        assert!(is_private(&place.directory()).unwrap());
        std::fs::set_permissions(place.directory(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(matches!(place.prepare(), Err(PlaceError::NotPrivate(_))));
        std::fs::remove_dir(place.directory()).unwrap();
        std::os::unix::fs::symlink(scratch.path(), place.directory()).unwrap();
        assert!(matches!(place.prepare(), Err(PlaceError::NotPrivate(_))));
    }
}
