//! Why the store could not be opened, read or written.

use std::io;
use std::path::PathBuf;

/// Why a data directory could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("cannot use the data directory {directory}")]
    Io {
        /// The data directory.
        directory: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process holds the directory.
    #[error(
        "the data directory {directory} is in use by another process; stop that one or give another directory"
    )]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// Another version of the format.
    #[error(
        "the data directory {directory} has format {found:?}, this program reads {expected:?}; use the program that wrote it or an empty directory"
    )]
    Version {
        /// The data directory.
        directory: PathBuf,
        /// What the format file says, cut to 40 characters.
        found: String,
        /// What this build writes.
        expected: &'static str,
    },
    /// The directory holds something else.
    #[error(
        "{directory} is no data directory: it holds {name:?} and no FORMAT file; give an empty directory"
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// One file in it.
        name: String,
    },
    /// A value of the configuration is out of range.
    #[error("storage configuration: {0}")]
    Config(&'static str),
}

/// Why a record was not stored. The store stays readable, and writable once the cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk or the quota is full.
    #[error("no space is left for the store")]
    Full(#[source] io::Error),
    /// The disk refused a write or a sync for another reason.
    #[error("the store could not be written")]
    Io(#[source] io::Error),
    /// The record can never fit.
    #[error("a record of {length} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes of the payload.
        length: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The data was written but could not be synced: it may or may not survive a crash.
    #[error("the record could not be synced")]
    NotSynced,
    /// The index is unavailable and could not be rebuilt yet.
    #[error("the index is unavailable")]
    Index,
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error),
        }
    }
}

/// Why a listing could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The index is unavailable and could not be rebuilt yet.
    #[error("the index is unavailable")]
    Index,
}
