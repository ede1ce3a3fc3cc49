//! What the index knows: keys, places, and the changes that are not yet in the database.

use crate::format::{Kind, record_bytes};
use crate::record::RecordKind;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of an encoded key.
pub(crate) const KEY_MAX: usize = 49;

/// Bytes of an encoded place.
pub(crate) const LOCATION: usize = 25;

/// A key of the index. The derived order is the order of the encodings, so both can be scanned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IndexKey {
    /// A record.
    Record(RecordId),
    /// Lists a record that is a tombstone once more.
    Tombstone(RecordId),
    /// A hint for a node.
    Hint(NodeId, RecordId),
}

impl IndexKey {
    /// Returns the key under which a stored record is found.
    pub(crate) fn of(kind: RecordKind, id: RecordId) -> Self {
        match kind {
            RecordKind::Hint { target } => Self::Hint(target, id),
            _ => Self::Record(id),
        }
    }

    /// Writes the key and returns its length.
    pub(crate) fn encode(&self, into: &mut [u8; KEY_MAX]) -> usize {
        let (class, node, id) = match self {
            Self::Record(id) => (0, None, id),
            Self::Tombstone(id) => (1, None, id),
            Self::Hint(node, id) => (2, Some(node), id),
        };
        into[0] = class;
        let mut at = 1;
        for part in [node.map_or(&[][..], |node| &node.0), id.digest().as_bytes()] {
            into[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        at
    }

    /// Reads a key; `None` for bytes that [`IndexKey::encode`] cannot have written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&class, rest) = bytes.split_first()?;
        let (node, id) = if class == 2 { rest.split_at_checked(16)? } else { (&[][..], rest) };
        let id = RecordId::from_digest(Digest::from_bytes(id.try_into().ok()?));
        match class {
            0 => Some(Self::Record(id)),
            1 => Some(Self::Tombstone(id)),
            2 => Some(Self::Hint(NodeId(node.try_into().ok()?), id)),
            _ => None,
        }
    }

    /// Returns the id of the record.
    pub(crate) fn id(&self) -> &RecordId {
        match self {
            Self::Record(id) | Self::Tombstone(id) | Self::Hint(_, id) => id,
        }
    }

    /// Returns the first and the last key of the records of a partition.
    pub(crate) fn partition(partition: Partition) -> (Self, Self) {
        let start = (partition.index() as u16) << 4;
        let edge = |first: u16, rest: u8| {
            let mut bytes = [rest; 32];
            bytes[..2].copy_from_slice(&first.to_be_bytes());
            Self::Record(RecordId::from_digest(Digest::from_bytes(bytes)))
        };
        (edge(start, 0), edge(start | 0xF, 0xFF))
    }

    /// Returns the first and the last key of all tombstones.
    pub(crate) fn tombstones() -> (Self, Self) {
        (Self::Tombstone(lowest()), Self::Tombstone(highest()))
    }

    /// Returns the first and the last key of a node's hints.
    pub(crate) fn hints(node: NodeId) -> (Self, Self) {
        (Self::Hint(node, lowest()), Self::Hint(node, highest()))
    }
}

fn lowest() -> RecordId {
    RecordId::from_digest(Digest::from_bytes([0; 32]))
}

fn highest() -> RecordId {
    RecordId::from_digest(Digest::from_bytes([0xFF; 32]))
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) stamp: ReceiptStamp,
    pub(crate) kind: u8,
}

impl Location {
    /// Returns the bytes that the record takes in its segment.
    pub(crate) fn bytes(&self) -> u64 {
        record_bytes(self.length)
    }

    /// Says whether the record there is a tombstone.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.kind == Kind::Stored(RecordKind::Tombstone).code()
    }

    /// Writes the place.
    pub(crate) fn encode(&self) -> [u8; LOCATION] {
        let mut bytes = [0; LOCATION];
        bytes[..4].copy_from_slice(&self.segment.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.offset.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.0.to_le_bytes());
        bytes[24] = self.kind;
        bytes
    }

    /// Reads a place; whether a record really lies there shows when it is read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LOCATION] = bytes.try_into().ok()?;
        let (segment, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (stamp, rest) = rest.split_first_chunk()?;
        Some(Self {
            segment: u32::from_le_bytes(*segment),
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            stamp: ReceiptStamp(u64::from_le_bytes(*stamp)),
            kind: rest[0],
        })
    }
}

/// Changes of the index, newest per key; `None` is a removal.
pub(crate) type Changes = BTreeMap<IndexKey, Option<Location>>;

/// Changes that are not yet in the database.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Made since the last flush began.
    pub(crate) pending: Changes,
    /// Being flushed.
    pub(crate) flushing: Arc<Changes>,
}

impl Overlay {
    /// Returns the change of a key; the outer `None` says that the database knows.
    pub(crate) fn get(&self, key: &IndexKey) -> Option<Option<Location>> {
        self.pending.get(key).or_else(|| self.flushing.get(key)).copied()
    }

    /// Returns the changes of a range, newest per key.
    pub(crate) fn range(&self, first: IndexKey, last: IndexKey) -> Changes {
        let mut changes: Changes = self.flushing.range(first..=last).map(|(k, v)| (*k, *v)).collect();
        changes.extend(self.pending.range(first..=last).map(|(k, v)| (*k, *v)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = IndexKey> {
        (0..3u8, any::<[u8; 16]>(), any::<[u8; 32]>()).prop_map(|(class, node, id)| {
            let id = RecordId::from_digest(Digest::from_bytes(id));
            match class {
                0 => IndexKey::Record(id),
                1 => IndexKey::Tombstone(id),
                _ => IndexKey::Hint(NodeId(node), id),
            }
        })
    }

    fn encoded(key: &IndexKey) -> Vec<u8> {
        let mut bytes = [0; KEY_MAX];
        let length = key.encode(&mut bytes);
        bytes[..length].to_vec()
    }

    proptest! {
        #[test]
        fn keys_and_their_encodings_have_one_order(a in key(), b in key()) {
            prop_assert_eq!(a.cmp(&b), encoded(&a).cmp(&encoded(&b)));
            prop_assert_eq!(IndexKey::decode(&encoded(&a)), Some(a));
        }

        #[test]
        fn arbitrary_bytes_are_a_key_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(key) = IndexKey::decode(&bytes) {
                prop_assert_eq!(encoded(&key), bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_are_a_place_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            match Location::decode(&bytes) {
                Some(place) => prop_assert_eq!(place.encode().to_vec(), bytes),
                None => prop_assert_ne!(bytes.len(), LOCATION),
            }
        }
    }

    #[test]
    fn a_partition_holds_exactly_the_ids_with_its_twelve_bits() {
        for partition in Partition::all() {
            let (first, last) = IndexKey::partition(partition);
            assert_eq!((first.id().partition(), last.id().partition()), (partition, partition));
            assert_eq!(first.id().digest().as_bytes()[2..], [0; 30]);
            assert_eq!(last.id().digest().as_bytes()[2..], [0xFF; 30]);
        }
    }
}
