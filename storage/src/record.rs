//! Records as callers see them.

use bytes::Bytes;
use dccache_protocol::ids::NodeId;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;

/// What a record holds. The store looks at no payload; the kind decides how a record is listed and evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// An entry and its blobs.
    Bundle,
    /// Suggestions.
    Manifest,
    /// A second name of a bundle.
    Alias,
    /// Further signed claims about a key.
    Attestation,
    /// A signed removal by signer or namespace; listed by [`crate::Store::tombstones`], kept when its segment is evicted.
    Tombstone,
    /// Something kept for a node that did not answer. It has a name space of its own: the same id can be a record and
    /// a hint for each of several nodes. Read and listed by [`crate::Store::hints`] only.
    Hint {
        /// Node that is to get it.
        target: NodeId,
    },
}

/// A record to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Where it is kept.
    pub id: RecordId,
    /// What it holds.
    pub kind: RecordKind,
    /// When the first accepting node received it.
    pub stamp: ReceiptStamp,
    /// The bytes, at most [`dccache_protocol::limits::BUNDLE_MAX`].
    pub payload: Bytes,
}

/// A stored record whose checksum was right when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is kept.
    pub id: RecordId,
    /// What it holds.
    pub kind: RecordKind,
    /// When the first accepting node received it.
    pub stamp: ReceiptStamp,
    /// The bytes.
    pub payload: Bytes,
}

/// When a write must have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Within [`crate::Config::sync_interval_ms`] and the time of one sync.
    Grouped,
    /// Before the call returns; concurrent calls share one sync.
    Now,
}

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The id was free.
    Stored,
    /// A record with an older or the same stamp was replaced.
    Replaced,
    /// A record with a newer stamp is there and stays; nothing was written.
    Older {
        /// Stamp of the record that stays.
        kept: ReceiptStamp,
    },
}
