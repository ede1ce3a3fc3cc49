//! Files that only their owner reads: 0600 in a directory of 0700, replaced whole or not at all.

use rustix::fs::Mode;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Largest identity file, in bytes: a chain or a bundle of roots is under a tenth of it.
const FILE_MAX: u64 = 256 << 10;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The directory could not be made or narrowed to its owner.
    #[error("cannot make the private directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else than its name says.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
}

/// Makes a directory that only its owner enters, with its parents; narrows one that exists.
///
/// # Errors
/// [`FileError::Directory`].
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let narrowed = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    narrowed.map_err(|source| FileError::Directory { path: path.to_owned(), source })
}

/// Replaces a file whole: written beside it with mode 0600, synced, renamed over it, directory synced.
///
/// # Errors
/// [`FileError::Write`]; the old content is then still there.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replace = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        rustix::fs::fchmod(file.as_file(), Mode::RUSR | Mode::WUSR)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(directory)?.sync_all()
    };
    replace().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Reads a file of at most 256 KiB.
///
/// # Errors
/// [`FileError::Read`].
pub fn read_private(path: &Path) -> Result<Vec<u8>, FileError> {
    let read = || -> io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > FILE_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any identity file"));
        }
        fs::read(path)
    };
    read().map_err(|source| FileError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_belong_to_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/identity");
        create_private_dir(&directory).unwrap();
        let file = directory.join("key.pem");
        write_private(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&file, b"new").unwrap();
        assert_eq!(read_private(&file).unwrap(), b"new");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = read_private(Path::new("/nonexistent/key.pem")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/key.pem"));
    }
}
