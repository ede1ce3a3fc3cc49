//! One entry of the local store: what a compile gave and where its blobs lie.
//!
//! ```text
//! version u8 | head length u32 LE | keyed hash of the head, 32 bytes | head (postcard) | body: blobs in the order of Outcome::contents
//! ```

use super::secret::Secret;
use dccache_protocol::bundle::{BlobError, Body, StoredBlob, unpack};
use dccache_protocol::codec::decode_exact;
use dccache_protocol::digest::Verified;
use dccache_protocol::entry::Outcome;
use dccache_protocol::ids::SignerId;
use dccache_protocol::keys::EntryKey;
use dccache_protocol::limits;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Version of the store's records; also said in the greeting to the agent.
pub const STORE_VERSION: u16 = 1;

/// Bytes before the head.
const PREFIX: usize = 1 + 4 + 32;

/// Where an entry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// This machine compiled it.
    Own,
    /// The ring had it; it was verified against policy when it came in.
    Imported {
        /// Who signed it.
        signer: SignerId,
        /// Number of the directory under which it was accepted.
        trust_epoch: u64,
    },
    /// A shared directory had it; nobody vouches for it.
    Shared,
}

impl Origin {
    /// Returns who signed it; `None` for this machine's own, and for what nobody signed.
    pub fn signer(&self) -> Option<SignerId> {
        match self {
            Self::Imported { signer, .. } => Some(*signer),
            Self::Own | Self::Shared => None,
        }
    }
}

/// What the keyed hash covers.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    key: EntryKey,
    origin: Origin,
    outcome: Outcome,
    table: Vec<StoredBlob>,
}

/// An entry in memory.
#[derive(Clone, Debug)]
pub struct LocalEntry {
    /// Where it came from.
    pub origin: Origin,
    /// What the compile gave.
    pub outcome: Outcome,
    table: Vec<StoredBlob>,
    bytes: Vec<u8>,
    body_start: usize,
    /// Once they were taken out.
    contents: OnceLock<Vec<Verified<Vec<u8>>>>,
}

impl LocalEntry {
    /// Makes an entry of an outcome and its packed blobs.
    pub fn new(origin: Origin, outcome: Outcome, body: Body) -> Self {
        let contents = OnceLock::new();
        Self { origin, outcome, table: body.table, bytes: body.bytes, body_start: 0, contents }
    }

    /// Takes out all contents, each checked against its digest, in the order of [`Outcome::contents`]. The first call does it for all.
    ///
    /// # Errors
    /// Damage after the head.
    pub fn contents(&self) -> Result<&[Verified<Vec<u8>>], BlobError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let contents = unpack(&self.outcome, &self.table, self.body())?;
        Ok(self.contents.get_or_init(|| contents))
    }

    /// Returns it with the same contents as they are packed in `body`.
    pub(super) fn packed_anew(&self, body: Body) -> Self {
        Self::new(self.origin, self.outcome.clone(), body)
    }

    /// Returns the blob table.
    pub fn table(&self) -> &[StoredBlob] {
        &self.table
    }

    /// Returns the blobs as stored.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start..]
    }

    /// Writes everything before the body, and lends the body.
    pub(super) fn encode(&self, key: &EntryKey, secret: &Secret) -> (Vec<u8>, &[u8]) {
        let head =
            Head { key: *key, origin: self.origin, outcome: self.outcome.clone(), table: self.table.clone() };
        let head = postcard::to_extend(&head, Vec::new()).expect("a head always serializes");
        let mut start = Vec::with_capacity(PREFIX + head.len());
        start.push(STORE_VERSION as u8);
        start.extend((head.len() as u32).to_le_bytes());
        start.extend(secret.seal(&head));
        start.extend(head);
        (start, self.body())
    }

    /// Reads a file of the store; `None` unless this store wrote it for `key`.
    pub(super) fn parse(bytes: Vec<u8>, key: &EntryKey, secret: &Secret) -> Option<Self> {
        let (found, entry) = Self::parse_if(bytes, |head, seal| secret.seal(head) == *seal)?;
        (found == *key).then_some(entry)
    }

    /// Reads a file of any store, and under which key that had it.
    pub(super) fn parse_unsealed(bytes: Vec<u8>) -> Option<(EntryKey, Self)> {
        Self::parse_if(bytes, |_, _| true)
    }

    fn parse_if(bytes: Vec<u8>, believed: impl FnOnce(&[u8], &[u8; 32]) -> bool) -> Option<(EntryKey, Self)> {
        let (&version, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (seal, rest) = rest.split_first_chunk::<32>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if u16::from(version) != STORE_VERSION || length > limits::BUNDLE_HEAD_MAX {
            return None;
        }
        let head = rest.get(..length)?;
        if !believed(head, seal) {
            return None;
        }
        let head: Head = decode_exact(head).ok()?;
        head.outcome.validate().ok()?;
        let body_start = PREFIX + length;
        let Head { key, origin, outcome, table } = head;
        Some((key, Self { origin, outcome, table, bytes, body_start, contents: OnceLock::new() }))
    }
}
