//! The data directory: what lies where, whose it is, and that one process at a time uses it.
//!
//! ```text
//! DATA/node.json     what this node is; written last, so that a directory without it was never finished
//! DATA/lock          locked while a process uses the directory
//! DATA/boot          counter of starts and random bytes of this one
//! DATA/identity/     key and certificates       DATA/authority/  on an issuer: its key, the administrator's, the root's
//! DATA/voter.key     countersigns layouts       DATA/tokens/     on an issuer: digests of the tokens that it gave out
//! DATA/control.redb  log of the control plane   DATA/founding.bin  on the founder: the first command of that log
//! DATA/layouts, signers, handoff   the data plane's own copies   DATA/store/  the records
//! DATA/admin.sock    local administration       DATA/ready.json  while the node serves
//! ```

use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{ClusterId, Label, NodeId};
use dccache_protocol::signing::SigningKey;
use dccache_transport::identity::{FileError, create_private_dir, read_private, write_private};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Version of the layout of the directory.
const FORMAT: u32 = 1;

/// Why the data directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file could not be read or written.
    #[error("data directory")]
    File(#[from] FileError),
    /// The file system refused.
    #[error("cannot use the data directory {path}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{0} is in use by another dccache-node; stop that one or give another --data")]
    Locked(PathBuf),
    /// It holds something else.
    #[error("{path} holds {name:?} and is no data directory of dccache-node; give an empty one with --data")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        name: String,
    },
    /// It was written by another version.
    #[error(
        "{path} has format {found}, this program reads {FORMAT}; use the program that wrote it, or an empty --data"
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file in it is damaged.
    #[error("{0} is damaged; move the data directory away and join again")]
    Damaged(PathBuf),
}

/// What a node is: the content of `node.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    format: u32,
    node: String,
    cluster: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it stands.
    pub zone: Label,
    /// Its relative share of the keys.
    pub weight: u32,
    /// Bytes that it may store.
    pub capacity_bytes: u64,
}

impl NodeFile {
    /// Describes a node.
    pub(crate) fn new(
        node: NodeId,
        cluster: ClusterId,
        listen: SocketAddr,
        zone: Label,
        weight: u32,
        capacity_bytes: u64,
    ) -> Self {
        let (node, cluster) = (node.to_string(), cluster.to_string());
        Self { format: FORMAT, node, cluster, listen, zone, weight, capacity_bytes }
    }

    /// Returns the node's name.
    pub fn node(&self) -> Option<NodeId> {
        NodeId::from_hex(&self.node)
    }

    /// Returns its cluster.
    pub fn cluster(&self) -> Option<ClusterId> {
        Digest::from_hex(&self.cluster).map(ClusterId::from_digest)
    }
}

/// A data directory in use by this process.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Takes a data directory, made if there is none; others are kept out until this value is dropped.
    ///
    /// # Errors
    /// Another process uses it, or it holds something else.
    pub fn take(path: &Path) -> Result<Self, HomeError> {
        let failed = |source| HomeError::Io { path: path.to_owned(), source };
        if let Some(name) = foreign(path).map_err(failed)? {
            return Err(HomeError::Foreign { path: path.to_owned(), name });
        }
        create_private_dir(path)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Returns the path of something in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the directory.
    pub(crate) fn root(&self) -> &Path {
        &self.path
    }

    /// Reads what the node is; `None` in a directory that no cluster was founded or joined with.
    ///
    /// # Errors
    /// A damaged file or another version's.
    pub fn node(&self) -> Result<Option<NodeFile>, HomeError> {
        let path = self.path("node.json");
        if !path.exists() {
            return Ok(None);
        }
        let damaged = || HomeError::Damaged(path.clone());
        let value: serde_json::Value =
            serde_json::from_slice(&read_private(&path)?).map_err(|_| damaged())?;
        let found = value.get("format").and_then(serde_json::Value::as_u64).ok_or_else(damaged)?;
        if found != u64::from(FORMAT) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(HomeError::Version { path: self.path.clone(), found });
        }
        let node: NodeFile = serde_json::from_value(value).map_err(|_| damaged())?;
        if node.node().is_none() || node.cluster().is_none() {
            return Err(damaged());
        }
        Ok(Some(node))
    }

    /// Writes what the node is. With this the directory is finished.
    ///
    /// # Errors
    /// The file system refuses.
    pub(crate) fn finish(&self, node: &NodeFile) -> Result<(), HomeError> {
        let text = serde_json::to_vec_pretty(node).map_err(|_| HomeError::Damaged(self.path("node.json")))?;
        Ok(write_private(&self.path("node.json"), &text)?)
    }

    /// Reads the key with which the node countersigns.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub(crate) fn voter_key(&self) -> Result<SigningKey, HomeError> {
        let path = self.path("voter.key");
        let bytes = read_private(&path)?;
        let seed: [u8; 32] = bytes.try_into().map_err(|_| HomeError::Damaged(path))?;
        Ok(SigningKey::from_seed(&seed))
    }

    /// Draws and writes the key with which the node countersigns, unless there is one from an attempt before.
    ///
    /// # Errors
    /// No randomness, or the file system refuses.
    pub(crate) fn make_voter_key(&self) -> Result<SigningKey, HomeError> {
        if self.path("voter.key").exists() {
            return self.voter_key();
        }
        write_private(&self.path("voter.key"), &random::<32>(&self.path)?)?;
        self.voter_key()
    }

    /// Begins a start: draws its random bytes and writes them beside the counter before anybody is asked.
    ///
    /// # Errors
    /// A damaged file, or the file system refuses.
    pub(crate) fn boot(&self) -> Result<Boot, HomeError> {
        let path = self.path("boot");
        let known = match std::fs::read(&path) {
            Ok(bytes) => Some(decode_boot(&bytes).ok_or_else(|| HomeError::Damaged(path.clone()))?),
            Err(_) => None,
        };
        let boot = match known {
            // The answer to the last start never came, so this start asks the same again.
            Some((counter, nonce, Counted::NotYet)) => Boot { path, counter, nonce },
            Some((counter, _, Counted::Yes)) => Boot { path, counter, nonce: random(&self.path)? },
            None => Boot { path, counter: 0, nonce: random(&self.path)? },
        };
        boot.write(boot.counter, Counted::NotYet)?;
        Ok(boot)
    }
}

/// Draws random bytes.
pub(crate) fn random<const N: usize>(path: &Path) -> Result<[u8; N], HomeError> {
    let mut bytes = [0; N];
    let failed = |error: getrandom::Error| HomeError::Io {
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    };
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// One start of a node.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    path: PathBuf,
    counter: u64,
    nonce: [u8; 16],
}

/// Whether the control plane has counted a start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    NotYet,
    Yes,
}

/// Counter, random bytes, and a byte that says whether the start was counted.
fn decode_boot(bytes: &[u8]) -> Option<(u64, [u8; 16], Counted)> {
    let (counter, rest) = bytes.split_first_chunk::<8>()?;
    let (nonce, rest) = rest.split_first_chunk::<16>()?;
    let counted = if *rest == [1] { Counted::Yes } else { Counted::NotYet };
    Some((u64::from_le_bytes(*counter), *nonce, counted))
}

impl Boot {
    /// Returns the counter of starts in the data directory.
    pub(crate) const fn counter(&self) -> u64 {
        self.counter
    }

    /// Returns the random bytes of this start.
    pub(crate) const fn nonce(&self) -> [u8; 16] {
        self.nonce
    }

    /// Writes the counter that the control plane gave.
    pub(crate) fn counted(&self, counter: u64) -> Result<(), FileError> {
        self.write(counter, Counted::Yes)
    }

    fn write(&self, counter: u64, counted: Counted) -> Result<(), FileError> {
        let mut bytes = counter.to_le_bytes().to_vec();
        bytes.extend(self.nonce);
        bytes.push(u8::from(counted == Counted::Yes));
        write_private(&self.path, &bytes)
    }
}

const OURS: [&str; 15] = [
    "node.json",
    "lock",
    "boot",
    "identity",
    "authority",
    "voter.key",
    "tokens",
    "control.redb",
    "founding.bin",
    "layouts",
    "signers",
    "handoff",
    "store",
    "admin.sock",
    "ready.json",
];

/// Returns the name of a file that is none of ours, in a directory that was never finished.
fn foreign(path: &Path) -> io::Result<Option<String>> {
    if !path.exists() || path.join("node.json").exists() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // Temporary names of `write_private` begin with a dot.
        if !OURS.contains(&name.as_str()) && !name.starts_with('.') && name != "joining" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
