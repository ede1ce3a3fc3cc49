//! The secret that binds entries to this store.

use crate::home::Home;
use rustix::fs::OFlags;
use std::io::{self, Read};

/// Where it lies, below the home; its directory and itself are for the owner only.
const NAME: &str = "keys/local.key";

/// 32 random bytes, made once per store.
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Returns the one that everybody knows: with it a keyed hash tells damage and nothing else.
    pub(super) fn public() -> Self {
        Self(blake3::derive_key("dccache shared directory v1", b""))
    }

    /// Reads it; `None` where there is none.
    pub fn read(home: &Home) -> Option<Self> {
        let mut bytes = [0; 32];
        home.open_file(NAME, OFlags::RDONLY).ok()?.read_exact(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Reads it, and makes it where it is absent or cut short. Of several that make it at once one wins, and all use that one.
    pub fn read_or_make(home: &Home) -> io::Result<Self> {
        if let Some(secret) = Self::read(home) {
            return Ok(secret);
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
        let lock = home.open_for_writing("keys/lock", OFlags::RDWR)?;
        lock.lock()?;
        if let Some(secret) = Self::read(home) {
            return Ok(secret);
        }
        home.replace(NAME, &[&bytes])?;
        Ok(Self(bytes))
    }

    /// Returns the keyed hash of an entry's head.
    pub fn seal(&self, head: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, head).as_bytes()
    }

    /// Returns the keyed hash of a name with what it stands for behind it.
    pub fn seal_named(&self, name: &str, body: &[u8]) -> [u8; 32] {
        *blake3::Hasher::new_keyed(&self.0).update(name.as_bytes()).update(body).finalize().as_bytes()
    }
}
