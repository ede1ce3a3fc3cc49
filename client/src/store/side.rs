//! What the store keeps beside entries: sealed records, manifests, and second names of entries.
//!
//! ```text
//! objects/S/s-NAME   sealed record of one command     objects/S/m-KEY   manifest
//! objects/S/KIND-KEY, where it begins with ALIAS_VERSION: a second name; its body is the key that holds the entry
//!
//! version u8 | keyed hash over name and body, 32 bytes | body
//! ```
//!
//! The keyed hash binds each to this store and to its name, as it does for entries.

use super::secret::Secret;
use super::{Shard, Store, name_of};
use dccache_protocol::codec::decode_exact;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{EntryKey, ManifestKey, SealedName};
use dccache_protocol::limits;
use std::io;

/// First byte of a second name; entries begin with another one.
pub(super) const ALIAS_VERSION: u8 = 0xA1;

/// Version of sealed records.
const SEALED_VERSION: u8 = 1;

/// Version of manifests.
const MANIFEST_VERSION: u8 = 1;

/// A second name has fewer bytes than this, an entry has more: its head alone holds a key, an outcome and a keyed hash.
pub(super) const ALIAS_SIZE_MAX: u64 = 80;

/// Bytes before the body.
const PREFIX: usize = 1 + 32;

/// Largest file beside entries, in bytes: a manifest of its largest size.
const SIDE_MAX: u64 = (limits::MANIFEST_MAX + PREFIX) as u64;

/// What lies under the name of a file beside the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Its body.
    Body(Vec<u8>),
    /// Nothing, or what another version wrote.
    Nothing,
    /// What this store did not write there: torn, changed, or copied from elsewhere.
    Damaged,
}

impl Beside {
    /// Returns the body, if it is whole.
    pub fn body(self) -> Option<Vec<u8>> {
        match self {
            Self::Body(body) => Some(body),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

/// Which file beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This machine's fast answer for one command.
    Sealed(SealedName),
    /// What earlier compiles of one command read.
    Manifest(ManifestKey),
}

impl Side {
    fn version(self) -> u8 {
        match self {
            Self::Sealed(_) => SEALED_VERSION,
            Self::Manifest(_) => MANIFEST_VERSION,
        }
    }

    fn file(self) -> (Shard, String) {
        let (kind, digest): (char, Digest) = match self {
            Self::Sealed(name) => ('s', *name.digest()),
            Self::Manifest(key) => ('m', *key.digest()),
        };
        let shard = Shard(digest.as_bytes()[0] >> 4);
        (shard, format!("{}/{kind}-{digest}", shard.directory()))
    }
}

impl Store<'_> {
    /// Reads a file beside the entries.
    pub fn side(&self, side: Side) -> Beside {
        let (_, file) = side.file();
        let Ok(mut bytes) = self.home.read(&file, SIDE_MAX) else { return Beside::Nothing };
        let Some(secret) = self.secret() else { return Beside::Nothing };
        if bytes.first().is_some_and(|version| *version != side.version()) {
            return Beside::Nothing;
        }
        if open(&bytes, side.version(), &file, secret).is_none() {
            return Beside::Damaged;
        }
        bytes.drain(..PREFIX);
        Beside::Body(bytes)
    }

    /// Puts a file beside the entries in place.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn put_side(&self, side: Side, body: &[u8]) -> io::Result<()> {
        let (shard, file) = side.file();
        self.write(&file, side.version(), body)?;
        self.count(shard, &file, (PREFIX + body.len()) as u64).map(|_| ())
    }

    /// Removes a file beside the entries.
    pub fn remove_side(&self, side: Side) {
        let _ = self.home.remove(&side.file().1);
    }

    fn write(&self, file: &str, version: u8, body: &[u8]) -> io::Result<()> {
        let seal = self.secret_or_make()?.seal_named(file, body);
        self.home.replace(file, &[&[version], &seal, body])
    }

    /// Gives the entry under `target` a second name.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn put_alias(&self, key: &EntryKey, target: &EntryKey) -> io::Result<()> {
        let Ok(body) = postcard::to_extend(target, Vec::new()) else { return Ok(()) };
        self.write(&name_of(key), ALIAS_VERSION, &body)?;
        self.count(Shard::of(key), &name_of(key), (PREFIX + body.len()) as u64).map(|_| ())
    }
}

/// Reads a second name; `None` unless this store wrote it for `key`.
pub(super) fn alias_target(bytes: &[u8], key: &EntryKey, secret: &Secret) -> Option<EntryKey> {
    decode_exact(open(bytes, ALIAS_VERSION, &name_of(key), secret)?).ok()
}

/// Returns what follows the keyed hash of a file beside the entries, whoever wrote it.
pub(super) fn body_of(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(PREFIX..)
}

fn open<'a>(bytes: &'a [u8], version: u8, file: &str, secret: &Secret) -> Option<&'a [u8]> {
    let (&found, rest) = bytes.split_first()?;
    let (seal, body) = rest.split_first_chunk::<32>()?;
    (found == version && secret.seal_named(file, body) == *seal).then_some(body)
}
