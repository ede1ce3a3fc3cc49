//! A bundle: an entry and all its blobs, the unit of placement, replication, transfer and eviction.
//!
//! ```text
//! version u8 | head length u32 LE | head (postcard: entry, blob table) | body: blobs in the order of Outcome::contents
//! ```
//!
//! The blob table says how each blob lies in the body (raw or zstd) and how long it is there. The encoding stands
//! outside the signature: a node may recompress. No blob is shared between bundles.

use crate::codec::{DecodeError, decode_exact, ensure};
use crate::digest::Verified;
use crate::entry::{BlobRef, Entry, Outcome};
use crate::limits;
use serde::{Deserialize, Serialize};

/// Version byte of a bundle.
pub const BUNDLE_VERSION: u8 = 1;

/// Blobs below this size, in bytes, are stored raw: compression saves less than a page and costs a call on each hit.
const COMPRESS_MIN: usize = 1024;

/// Level of compression; the lowest one of zstd decompresses as fast as any and compresses faster than an SSD writes.
const LEVEL: i32 = 1;

/// How contents are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Raw,
    /// Compressed at a level of zstd where that makes them smaller.
    Level(i32),
}

impl Default for Packing {
    fn default() -> Self {
        Self::Level(LEVEL)
    }
}

/// How a blob lies in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// One zstd frame.
    Zstd,
}

/// Place of one blob in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredBlob {
    /// How it is encoded.
    pub encoding: Encoding,
    /// Bytes in the body.
    pub stored: u64,
}

/// Blobs of a compile as they are stored one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// One line per content of the outcome, in its order.
    pub table: Vec<StoredBlob>,
    /// The blobs.
    pub bytes: Vec<u8>,
}

impl Body {
    /// Appends one content, compressed where that pays.
    pub fn push(&mut self, packing: Packing, content: &[u8]) {
        let fits = content.len() >= COMPRESS_MIN && content.len() as u64 <= limits::COMPRESSED_BLOB_MAX;
        let packed = match packing {
            Packing::Level(level) if fits => zstd::bulk::compress(content, level).ok(),
            Packing::Level(_) | Packing::Raw => None,
        };
        let (encoding, bytes) = match &packed {
            Some(packed) if packed.len() < content.len() - content.len() / 8 => {
                (Encoding::Zstd, packed.as_slice())
            }
            _ => (Encoding::Raw, content),
        };
        self.table.push(StoredBlob { encoding, stored: bytes.len() as u64 });
        self.bytes.extend_from_slice(bytes);
    }

    /// Packs all contents of a compile.
    pub fn pack<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::pack_by(Packing::default(), contents)
    }

    /// Packs all contents of a compile in this way.
    pub fn pack_by<'a>(packing: Packing, contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut body = Self::default();
        contents.into_iter().for_each(|content| body.push(packing, content));
        body
    }
}

/// Why a blob could not be taken out of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The table and the body do not fit, or the frame is no zstd.
    #[error("damaged blob")]
    Damaged,
    /// The content is not what the entry names.
    #[error("blob differs from its digest")]
    Digest,
}

/// Takes all contents out of a body and checks each against its name, in the order of [`Outcome::contents`].
///
/// Allocates at most what the outcome declares, in all at most [`limits::OUTCOME_MAX`].
///
/// # Errors
/// Any disagreement between outcome, table and bytes.
pub fn unpack(
    outcome: &Outcome,
    table: &[StoredBlob],
    bytes: &[u8],
) -> Result<Vec<Verified<Vec<u8>>>, BlobError> {
    let mut contents = Vec::with_capacity(outcome.outputs.len() + 2);
    each(outcome, table, bytes, |content, encoding, stored| {
        contents.push(unpack_one(content, encoding, stored)?);
        Ok(())
    })?;
    Ok(contents)
}

/// Checks what [`unpack`] checks and keeps nothing: what is stored raw is not copied, what is compressed is held one content at a time.
///
/// # Errors
/// As [`unpack`].
pub fn verify(outcome: &Outcome, table: &[StoredBlob], bytes: &[u8]) -> Result<(), BlobError> {
    each(outcome, table, bytes, |content, encoding, stored| match encoding {
        Encoding::Raw => {
            sized(content, encoding, stored)?;
            Verified::check(content.blob, stored).map(drop).ok_or(BlobError::Digest)
        }
        Encoding::Zstd => unpack_one(content, encoding, stored).map(drop),
    })
}

/// Takes a body apart: every content of the outcome with its encoding and stored bytes.
fn each(
    outcome: &Outcome,
    table: &[StoredBlob],
    bytes: &[u8],
    mut act: impl FnMut(BlobRef, Encoding, &[u8]) -> Result<(), BlobError>,
) -> Result<(), BlobError> {
    if outcome.total_size() > limits::OUTCOME_MAX {
        return Err(BlobError::Damaged);
    }
    let mut rest = bytes;
    let mut lines = table.iter();
    for content in outcome.contents() {
        let line = lines.next().ok_or(BlobError::Damaged)?;
        let length = usize::try_from(line.stored).map_err(|_| BlobError::Damaged)?;
        let (stored, after) = rest.split_at_checked(length).ok_or(BlobError::Damaged)?;
        rest = after;
        act(content, line.encoding, stored)?;
    }
    if lines.next().is_some() || !rest.is_empty() {
        return Err(BlobError::Damaged);
    }
    Ok(())
}

/// Returns the size of a content that may be stored in this way.
fn sized(content: BlobRef, encoding: Encoding, stored: &[u8]) -> Result<usize, BlobError> {
    let size = usize::try_from(content.size).map_err(|_| BlobError::Damaged)?;
    let limit = match encoding {
        Encoding::Raw => limits::BLOB_MAX,
        Encoding::Zstd => limits::COMPRESSED_BLOB_MAX,
    };
    if content.size > limit || (encoding == Encoding::Raw && stored.len() != size) {
        return Err(BlobError::Damaged);
    }
    Ok(size)
}

/// Takes one content out of its stored bytes and checks it.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_one(
    content: BlobRef,
    encoding: Encoding,
    stored: &[u8],
) -> Result<Verified<Vec<u8>>, BlobError> {
    let size = sized(content, encoding, stored)?;
    let raw = match encoding {
        Encoding::Raw => stored.to_vec(),
        Encoding::Zstd => zstd::bulk::decompress(stored, size).map_err(|_| BlobError::Damaged)?,
    };
    if raw.len() != size {
        return Err(BlobError::Damaged);
    }
    Verified::check(content.blob, raw).ok_or(BlobError::Digest)
}

/// Head of a bundle: the entry and where its blobs lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleHead {
    /// The signed claim.
    pub entry: Entry,
    /// One line per content.
    pub table: Vec<StoredBlob>,
}

/// A bundle whose head is decoded and whose lengths fit; the blobs are not yet checked against their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    /// Entry and blob table.
    pub head: BundleHead,
    /// The blobs as stored.
    pub body: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Decodes a bundle's head and checks that its table fits the body.
    ///
    /// # Errors
    /// Every input that [`encode`] cannot have written, except wrong blob content, which [`Bundle::contents`] finds.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::BUNDLE_MAX {
            return Err(DecodeError::TooLarge { length: bytes.len(), limit: limits::BUNDLE_MAX });
        }
        let (&found, rest) = bytes.split_first().ok_or(DecodeError::Malformed)?;
        if found != BUNDLE_VERSION {
            return Err(DecodeError::Version { found, expected: BUNDLE_VERSION });
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(DecodeError::Malformed)?;
        let length = u32::from_le_bytes(*length) as usize;
        ensure(length <= limits::BUNDLE_HEAD_MAX, "length of the head")?;
        let (head, body) = rest.split_at_checked(length).ok_or(DecodeError::Malformed)?;
        let head: BundleHead = decode_exact(head)?;
        head.entry.claim.outcome.validate()?;
        ensure(head.table.len() == head.entry.claim.outcome.outputs.len() + 2, "length of the blob table")?;
        let stored = head.table.iter().try_fold(0u64, |sum, line| sum.checked_add(line.stored));
        ensure(stored == Some(body.len() as u64), "length of the body")?;
        Ok(Self { head, body })
    }

    /// Takes out all contents, each checked against its digest, in the order of [`Outcome::contents`].
    ///
    /// # Errors
    /// As [`unpack`].
    pub fn contents(&self) -> Result<Vec<Verified<Vec<u8>>>, BlobError> {
        unpack(&self.head.entry.claim.outcome, &self.head.table, self.body)
    }

    /// Checks all contents against their digests.
    ///
    /// # Errors
    /// As [`unpack`].
    pub fn verify(&self) -> Result<(), BlobError> {
        verify(&self.head.entry.claim.outcome, &self.head.table, self.body)
    }
}

/// Writes a bundle.
pub fn encode(entry: &Entry, table: &[StoredBlob], body: &[u8]) -> Vec<u8> {
    let head = BundleHead { entry: entry.clone(), table: table.to_vec() };
    let head = postcard::to_extend(&head, Vec::new()).expect("a head always serializes");
    let mut bytes = Vec::with_capacity(5 + head.len() + body.len());
    bytes.push(BUNDLE_VERSION);
    bytes.extend((head.len() as u32).to_le_bytes());
    bytes.extend(head);
    bytes.extend_from_slice(body);
    bytes
}
