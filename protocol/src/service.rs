//! The service of a node: every request that travels over tarpc, its answers, and the heads of bulk streams.
//!
//! Version 1 (ALPN `dccache/1`) is frozen by its golden file: methods and variants are only ever added at the end of a new version.
//! Every request carries the epoch that its sender knows; a node that knows a newer layout puts it into the answer.

mod bulk;

pub use bulk::{BulkAnswer, BulkRequest};

use crate::codec::byte_run;
use crate::ids::{Epoch, Namespace, NodeId, Partition};
use crate::keys::{EntryKey, ManifestKey, RecordId};
use crate::time::ReceiptStamp;
use serde::{Deserialize, Serialize};

/// The requests that a node answers. Node-only methods refuse other roles with [`Refusal::NotAllowed`].
#[tarpc::service]
pub trait Cache {
    /// Looks for the first of some keys that has an entry. Any role.
    async fn find(request: Find) -> Answer<Option<Found>>;
    /// Stores a small bundle on all owners of its key. Writers and nodes.
    async fn put(request: Put) -> Answer<Stored>;
    /// Stores an alias on all owners of its key. Writers and nodes.
    async fn put_alias(request: PutAlias) -> Answer<Stored>;
    /// Reads manifests, with the newest bundle that they suggest when that is small and at hand. Any role.
    async fn manifests(request: FindManifests) -> Answer<FoundManifests>;
    /// Merges one suggestion into a manifest. Writers and nodes.
    async fn suggest(request: Suggest) -> Answer<Stored>;
    /// Returns the layouts after the epoch that the caller knows, oldest first, encoded [`crate::layout::SignedLayout`]s. Any role.
    async fn layouts(known: Epoch) -> Answer<Vec<Bytes>>;
    /// Returns the encoded [`crate::directory::SignedDirectory`] when its number is above `known`. Any role.
    async fn directory(known: u64) -> Answer<Option<Bytes>>;
    /// Returns the node's counters. Any role.
    async fn status() -> Answer<NodeStatus>;
    /// Keeps a copy of a record, or a hint for another node. Nodes.
    async fn replicate(request: Replicate) -> Answer<Replicated>;
    /// Reads a record that this node itself holds; asks nobody else. Nodes.
    async fn fetch(request: Fetch) -> Answer<Option<Carried>>;
    /// Reads the next records of a partition for a hand-off. Nodes.
    async fn pull(request: Pull) -> Answer<Pulled>;
    /// Carries a Raft message. Nodes.
    async fn raft(message: Bytes) -> Answer<Bytes>;
    /// Proposes an encoded [`crate::control::Command`] to the leader; the answer is its encoded outcome. Nodes.
    async fn propose(command: Bytes) -> Answer<Bytes>;
}

/// A run of bytes on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(#[serde(with = "byte_run")] pub Vec<u8>);

/// What a node answers: the value or a refusal, and the newer layout when the caller's is stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// Epoch that the node knows.
    pub epoch: Epoch,
    /// Encoded [`crate::layout::SignedLayout`] of that epoch, when the request named an older one.
    pub newer: Option<Bytes>,
    /// The value or why there is none.
    pub result: Result<T, Refusal>,
}

/// Why a node does not do what it was asked. Closed; no inner paths or messages cross the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The caller's role or namespace does not allow it.
    #[error("not allowed for this role")]
    NotAllowed,
    /// The signer is not registered for the namespace, retired or compromised.
    #[error("the signer may not write here")]
    SignerNotAllowed,
    /// The signature or a digest does not hold.
    #[error("signature or digest does not hold")]
    NotAuthentic,
    /// The key belongs to other nodes under the newest layout.
    #[error("not an owner of this key")]
    NotOwner,
    /// The request is malformed or over a bound.
    #[error("malformed or over a bound")]
    Malformed,
    /// The node has as much work as it takes.
    #[error("busy")]
    Busy,
    /// No space, or the disk fails.
    #[error("storage cannot take it")]
    Storage,
    /// The node ends.
    #[error("draining")]
    Draining,
    /// Others that are needed do not answer.
    #[error("unavailable")]
    Unavailable,
}

/// Asks for the first of some keys, for example `Free` and `Bound` of one compile. All lie in the node's partitions or are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Find {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// Namespace of the caller.
    pub namespace: Namespace,
    /// Keys in order of preference, at most [`crate::limits::PROBE_KEYS_MAX`].
    pub keys: Vec<EntryKey>,
}

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Which of the keys.
    pub key: EntryKey,
    /// Encoded [`crate::entry::Alias`] when the key is a second name; `bundle` is then its target's.
    pub alias: Option<Bytes>,
    /// The bundle.
    pub bundle: Carried,
}

/// A record in an answer: inside when small, else to be fetched over a bulk stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// When the first accepting node received it.
    pub stamp: ReceiptStamp,
    /// The bytes or where they are.
    pub content: Content,
}

/// Bytes, or the promise of a bulk stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// At most [`crate::limits::INLINE_MAX`] bytes.
    Inline(Bytes),
    /// Ask for the record with [`BulkRequest::Get`]; its length in bytes.
    Bulk {
        /// The record.
        id: RecordId,
        /// Its length in bytes.
        length: u64,
    },
}

/// Stores a small bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// Encoded [`crate::bundle::Bundle`], at most [`crate::limits::INLINE_MAX`] bytes; its claim names namespace and key.
    pub bundle: Bytes,
}

/// Stores an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAlias {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// Encoded [`crate::entry::Alias`].
    pub alias: Bytes,
}

/// How well a write is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Nodes that hold it, stand-ins with a hint included.
    pub copies: u8,
    /// Copies that make it acknowledged: the effective R.
    pub wanted: u8,
    /// Its receipt stamp.
    pub stamp: ReceiptStamp,
}

impl Stored {
    /// Tells whether the write survives any single loss.
    pub const fn is_acknowledged(&self) -> bool {
        self.copies >= self.wanted
    }
}

/// Asks for the manifests of one command, `Free` and `Bound`. All lie in the node's partitions or are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindManifests {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// Namespace of the caller.
    pub namespace: Namespace,
    /// The command's keys, at most [`crate::limits::PROBE_KEYS_MAX`].
    pub keys: Vec<ManifestKey>,
}

/// The manifests that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundManifests {
    /// Encoded [`crate::manifest::Manifest`]s in the order of the keys that were asked for, together at most
    /// [`crate::limits::SUGGESTED_MAX`] bytes.
    pub manifests: Vec<(ManifestKey, Bytes)>,
    /// The newest suggestion's bundle, when small and at hand.
    pub newest: Option<Found>,
}

/// Adds to a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggest {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// Namespace of the caller.
    pub namespace: Namespace,
    /// The command's key.
    pub key: ManifestKey,
    /// Encoded [`crate::manifest::Manifest`] with one suggestion; its receipt stamp and pusher are overwritten by the node.
    pub manifest: Bytes,
}

/// What a record is; decides how its payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// Encoded bundle.
    Bundle,
    /// Encoded manifest.
    Manifest,
    /// Encoded alias.
    Alias,
    /// Encoded further entry for a key that has a bundle.
    Attestation,
    /// Encoded tombstone.
    Tombstone,
}

/// A record on its way between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordMessage {
    /// Where it is kept.
    pub id: RecordId,
    /// What it is.
    pub kind: RecordKind,
    /// Its receipt stamp, which no copy changes.
    pub stamp: ReceiptStamp,
    /// Its payload.
    pub payload: Bytes,
}

/// Asks a node to keep a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// Epoch under which the sender is an owner.
    pub epoch: Epoch,
    /// The record.
    pub record: RecordMessage,
    /// The owner for which a stand-in keeps it; `None` when the receiver is an owner itself.
    pub hint_for: Option<NodeId>,
}

/// A node keeps a copy, or already has a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicated {
    /// Stamp of the copy that the node holds now.
    pub stamp: ReceiptStamp,
}

/// Reads one record of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Epoch that the caller knows.
    pub epoch: Epoch,
    /// The record.
    pub id: RecordId,
}

/// Reads the next records of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Epoch under which the caller owns the partition; the old owner seals it from then on.
    pub epoch: Epoch,
    /// The partition.
    pub partition: Partition,
    /// Last record received; `None` at the beginning.
    pub after: Option<RecordId>,
}

/// A part of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// Records, ascending by id, together at most [`crate::limits::PULL_BYTES_MAX`] bytes.
    pub records: Vec<RecordMessage>,
    /// Larger records, to be fetched over bulk streams: id and length in bytes.
    pub large: Vec<(RecordId, u64)>,
    /// Where to go on; `None` at the end.
    pub next: Option<RecordId>,
}

/// Counters of a node since its start, and what it holds now. Sizes in bytes, counts in requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name as 32 hexadecimal digits.
    pub node: String,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Records held.
    pub records: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Capacity.
    pub capacity_bytes: u64,
    /// Look-ups.
    pub finds: u64,
    /// Look-ups with an answer.
    pub hits: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
    /// Bundles stored for clients.
    pub puts: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Copies stored for other nodes.
    pub replicas: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Records evicted.
    pub evicted: u64,
    /// Hints waiting for nodes that were away.
    pub hints: u64,
    /// Partitions that are still being handed over to this node.
    pub pending_partitions: u64,
}
