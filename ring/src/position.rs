//! Positions on the ring: explicit bytes through one pinned hash function.
//!
//! A position is the first 8 bytes, little-endian, of keyed-by-context BLAKE3 over the bytes that name a thing. A
//! `std::hash::Hash` implementation decides nothing here: it only hands those bytes to [`PinnedHasher`].
//!
//! Invariant: the contexts and encodings below never change; tests pin tables that were made with them.

use dccache_protocol::ids::{Epoch, NodeId, Partition};
use std::hash::{BuildHasher, Hash, Hasher};

const RING: &str = "dccache v1 ring position";
const PREFERENCE: &str = "dccache v1 ring preference";
const ORDER: &str = "dccache v1 ring order";

/// Makes [`PinnedHasher`]s for a `hashring::HashRing`.
#[derive(Clone, Debug)]
pub(crate) struct Pinned(blake3::Hasher);

impl Pinned {
    /// Prepares the hash function.
    pub(crate) fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(RING))
    }
}

impl BuildHasher for Pinned {
    type Hasher = PinnedHasher;

    fn build_hasher(&self) -> PinnedHasher {
        PinnedHasher(self.0.clone())
    }
}

/// BLAKE3 as a [`Hasher`]. Only `write` is ever called, by the types below.
pub(crate) struct PinnedHasher(blake3::Hasher);

impl Hasher for PinnedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        first_eight(&self.0.finalize())
    }
}

fn first_eight(hash: &blake3::Hash) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

/// One of a member's points on the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VirtualNode {
    /// Name of the member.
    pub(crate) id: NodeId,
    /// Number of the point.
    pub(crate) number: u32,
    /// Index of the member in the plan; not part of the position.
    pub(crate) index: usize,
}

impl Hash for VirtualNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 21];
        bytes[0] = b'v';
        bytes[1..17].copy_from_slice(&self.id.0);
        bytes[17..].copy_from_slice(&self.number.to_le_bytes());
        state.write(&bytes);
    }
}

/// A partition's point on the ring: from here a walk begins.
pub(crate) struct PartitionPoint(pub(crate) Partition);

impl Hash for PartitionPoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let index = self.0.index() as u16;
        let [low, high] = index.to_le_bytes();
        state.write(&[b'p', low, high]);
    }
}

/// Ranks members for a partition, the same for everybody (rendezvous hashing). A smaller rank comes first.
pub(crate) fn preference(id: NodeId, partition: Partition) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(PREFERENCE);
    hasher.update(&id.0).update(&(partition.index() as u16).to_le_bytes());
    first_eight(&hasher.finalize())
}

/// Returns all partitions in an order that differs from epoch to epoch, so that moves do not gather in a few of them.
pub(crate) fn shuffled(epoch: Epoch) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = Partition::all().collect();
    partitions.sort_by_cached_key(|partition| {
        let mut hasher = blake3::Hasher::new_derive_key(ORDER);
        hasher.update(&epoch.0.to_le_bytes()).update(&(partition.index() as u16).to_le_bytes());
        (first_eight(&hasher.finalize()), *partition)
    });
    partitions
}
