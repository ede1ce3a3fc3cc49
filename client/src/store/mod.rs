//! The local store: one file per compile, readable without any daemon.
//!
//! ```text
//! objects/S/KIND-KEY      S: first hexadecimal digit of the key, one of 16 shards; KIND: d(irect) or p(reprocessed), or what `side.rs` and
//!                         `raw.rs` say
//! objects/S/usage         bytes and files in the shard, an estimate that each clean-up corrects, and the number of clean-ups
//! locks/KEY               kernel lock of the process that compiles KEY now
//! keys/local.key          secret of the keyed hash over entry heads
//! ```
//!
//! Files come in by rename and go by unlink, so readers need no lock. A file that does not hold what it must is a miss
//! and is replaced by the next compile. An entry's head is bound to this store by a keyed hash: a file that was put there by
//! another program, or copied from another store or key, is not believed.

mod entry;
mod flight;
mod inspect;
mod namespaces;
mod raw;
mod recompress;
mod secret;
mod shared_directory;
mod side;
mod tend;
mod usage;

pub use entry::{LocalEntry, Origin, STORE_VERSION};
pub use flight::{Flight, take_off};
pub use inspect::Inspected;
pub use raw::Transfer;
pub use recompress::Recompressed;
pub use secret::Secret;
pub use shared_directory::{Clock, SharedDirectory, Trimmed, trim};
pub use side::{Beside, Side};
pub use tend::{Act, Census, Compression, Evicted, Which};

use crate::home::{Home, content};
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::EntryKey;
use dccache_protocol::limits;
use rustix::fs::{OFlags, Timestamps, UTIME_NOW, UTIME_OMIT};

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use usage::Bounds;

/// Largest file of the store, in bytes.
pub const FILE_MAX: u64 = (limits::BUNDLE_MAX + limits::BUNDLE_HEAD_MAX) as u64 + 64;

/// Time of last use is kept to this resolution: most hits then write nothing.
const USE_RESOLUTION: Duration = Duration::from_secs(600);

/// Result of a look-up.
#[derive(Debug)]
pub enum Found {
    /// An entry whose head holds; its blobs are checked when they are taken out.
    Entry {
        /// Key under which it lies: the one asked for, or the one that this is a second name of.
        key: EntryKey,
        /// The entry.
        entry: Box<LocalEntry>,
    },
    /// Nothing.
    Nothing,
    /// A file that is damaged, foreign or of another version; the next compile replaces it.
    Damaged,
}

/// The store of one user.
#[derive(Debug)]
pub struct Store<'a> {
    home: &'a Home,
    max_size: u64,
    max_files: u64,
    /// In which files are stored; `None` for the one that nobody names.
    namespace: Option<&'a Namespace>,
    /// Whether it counts what it holds.
    counts: bool,
    /// Whether what is read is marked as used.
    touches: bool,
    /// Once it was read.
    secret: OnceLock<Secret>,
}

impl<'a> Store<'a> {
    /// Uses the store below `home`, bounded to `max_size` bytes; 0 means no bound.
    pub fn new(home: &'a Home, max_size: u64) -> Self {
        Self {
            home,
            max_size,
            max_files: 0,
            namespace: None,
            counts: true,
            touches: true,
            secret: OnceLock::new(),
        }
    }

    /// Bounds it to `max_files` files as well; 0 means no bound.
    #[must_use]
    pub fn with_files(self, max_files: u64) -> Self {
        Self { max_files, ..self }
    }

    /// Notes of what is stored that it belongs to a namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &'a Namespace) -> Self {
        Self { namespace: Some(namespace).filter(|named| **named != Namespace::default()), ..self }
    }

    /// Counts a file that was just stored; returns whether its shard is now over its share.
    fn count(&self, shard: Shard, file: &str, bytes: u64) -> io::Result<bool> {
        if !self.counts {
            return Ok(false);
        }
        usage::add(self.home, shard, bytes, &self.bounds(), || match self.namespace {
            Some(namespace) => namespaces::note(self.home, shard, namespace, file),
            None => Ok(()),
        })
    }

    /// Returns the secret of the store; `None` where it has none yet.
    fn secret(&self) -> Option<&Secret> {
        if let Some(secret) = self.secret.get() {
            return Some(secret);
        }
        let secret = Secret::read(self.home)?;
        Some(self.secret.get_or_init(|| secret))
    }

    /// Returns the secret of the store, and makes one where it has none.
    fn secret_or_make(&self) -> io::Result<&Secret> {
        if let Some(secret) = self.secret() {
            return Ok(secret);
        }
        let secret = Secret::read_or_make(self.home)?;
        Ok(self.secret.get_or_init(|| secret))
    }

    /// Looks a key up, and what it is a second name of.
    pub fn get(&self, key: &EntryKey) -> Found {
        match self.look(key) {
            Look::Found(found) => found,
            // A second name leads to an entry, never to another name.
            Look::Alias(target) => match self.look(&target) {
                Look::Found(found) => found,
                Look::Alias(_) => Found::Damaged,
            },
        }
    }

    fn look(&self, key: &EntryKey) -> Look {
        self.read(key).unwrap_or_else(Look::Found)
    }

    fn read(&self, key: &EntryKey) -> Result<Look, Found> {
        let Ok(mut file) = self.home.open_file(&name_of(key), OFlags::RDONLY) else {
            return Err(Found::Nothing);
        };
        let metadata = file.metadata().map_err(|_| Found::Damaged)?;
        if !metadata.is_file() || metadata.len() > FILE_MAX {
            return Err(Found::Damaged);
        }
        let bytes = content(&mut file, metadata.len(), FILE_MAX).map_err(|_| Found::Damaged)?;
        let secret = self.secret().ok_or(Found::Nothing)?;
        let look = if bytes.first() == Some(&side::ALIAS_VERSION) {
            Look::Alias(side::alias_target(&bytes, key, secret).ok_or(Found::Damaged)?)
        } else {
            let entry = LocalEntry::parse(bytes, key, secret).ok_or(Found::Damaged)?;
            Look::Found(Found::Entry { key: *key, entry: Box::new(entry) })
        };
        if self.touches && metadata.modified().is_ok_and(is_old) {
            let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let keep = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            let _ = rustix::fs::futimens(&file, &Timestamps { last_access: keep, last_modification: now });
        }
        Ok(look)
    }

    /// Puts an entry in place, and returns which shard is over its share and wants [`Store::clean`] once nobody waits.
    ///
    /// # Errors
    /// Why it could not be written: full disk, read-only mount. Nothing changes then.
    pub fn put(&self, key: &EntryKey, entry: &LocalEntry) -> io::Result<Option<Shard>> {
        let (head, body) = entry.encode(key, self.secret_or_make()?);
        let shard = Shard::of(key);
        self.home.replace(&name_of(key), &[&head, body])?;
        let over = self.count(shard, &name_of(key), (head.len() + body.len()) as u64)?;
        Ok(over.then_some(shard))
    }

    /// Takes out what lies under a key: an entry, or a second name. Names that lead to it lead nowhere from then on.
    ///
    /// # Errors
    /// Why it is still there.
    pub fn remove(&self, key: &EntryKey) -> io::Result<()> {
        match self.home.remove(&name_of(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Brings a shard below its share: what was not used for longest goes first.
    ///
    /// Costs one stat per file of the shard. Another process that cleans it makes this call return at once.
    pub fn clean(&self, shard: Shard) {
        let _ = usage::clean(self.home, shard, &self.bounds());
    }

    fn bounds(&self) -> Bounds {
        Bounds { bytes: self.max_size, files: self.max_files }
    }

    /// Returns files and bytes in the store, counted now.
    pub fn measure(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        for shard in Shard::all() {
            for file in usage::files(self.home, shard) {
                sum = (sum.0 + 1, sum.1 + file.size);
            }
        }
        sum
    }
}

/// What one file holds.
enum Look {
    Found(Found),
    /// A second name of this key.
    Alias(EntryKey),
}

fn is_old(used: SystemTime) -> bool {
    SystemTime::now().duration_since(used).is_ok_and(|age| age > USE_RESOLUTION)
}

/// One of 16 parts of the store that are counted and cleaned on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(u8);

impl Shard {
    /// Number of shards.
    pub const COUNT: u8 = 16;

    fn of(key: &EntryKey) -> Self {
        Self(key.digest().as_bytes()[0] >> 4)
    }

    /// Iterates over all shards.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    fn directory(self) -> String {
        format!("objects/{:x}", self.0)
    }
}

/// Returns the file of a key, below the home.
fn name_of(key: &EntryKey) -> String {
    let kind = match key {
        EntryKey::Direct(_) => 'd',
        EntryKey::Preprocessed(_) => 'p',
    };
    format!("{}/{kind}-{}", Shard::of(key).directory(), key.digest())
}

#[cfg(test)]
mod tests;
