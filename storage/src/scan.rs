//! Listings: a partition for hand-off and repair, tombstones, hints, horizons.

use crate::error::{ReadError, WriteError};
use crate::format::{Kind, partition_id};
use crate::overlay::{IndexKey, Location};
use crate::record::Record;
use crate::store::Store;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;

/// Keys that are looked up at once.
const BATCH: usize = 256;

/// Where a listing goes on: after this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub RecordId);

/// Some records of a partition in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// A record as a listing without payloads names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is kept.
    pub id: RecordId,
    /// When the first accepting node received it.
    pub stamp: ReceiptStamp,
    /// Bytes of its payload.
    pub length: u32,
}

impl Store {
    /// Returns records of a partition after `after`, up to `max_bytes` of payload but at least one.
    ///
    /// A record that stays throughout all pages is on exactly one of them; one that comes or goes meanwhile may or may not be.
    ///
    /// # Errors
    /// [`ReadError::Index`].
    pub fn scan(
        &self,
        partition: Partition,
        after: Option<Cursor>,
        max_bytes: usize,
    ) -> Result<Page, ReadError> {
        let mut page = Page::default();
        let (mut bytes, mut after) = (0, after);
        loop {
            let keys = self.keys(partition, after, BATCH)?;
            for (key, place) in &keys {
                if !page.records.is_empty() && bytes + place.length as usize > max_bytes {
                    page.next = after;
                    return Ok(page);
                }
                if let Some((record, _)) = self.core.read(key) {
                    bytes += record.payload.len();
                    page.records.push(record);
                }
                after = Some(Cursor(*key.id()));
            }
            if keys.len() < BATCH {
                return Ok(page);
            }
        }
    }

    /// Returns up to `limit` ids of a partition after `after`, in order, with their stamps. Reads no payload.
    ///
    /// # Errors
    /// [`ReadError::Index`].
    pub fn list(
        &self,
        partition: Partition,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Listed>, ReadError> {
        let keys = self.keys(partition, after, limit)?;
        let listed = |(key, place): (IndexKey, Location)| Listed {
            id: *key.id(),
            stamp: place.stamp,
            length: place.length,
        };
        Ok(keys.into_iter().map(listed).collect())
    }

    /// Returns up to `limit` tombstones with ids after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`ReadError::Index`].
    pub fn tombstones(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Record>, ReadError> {
        let (first, last) = IndexKey::tombstones();
        let Some(first) = behind(first, after, IndexKey::Tombstone) else { return Ok(Vec::new()) };
        let keys = self.range(first, last, limit)?;
        Ok(keys.iter().filter_map(|(key, _)| Some(self.core.read(&IndexKey::Record(*key.id()))?.0)).collect())
    }

    /// Returns up to `limit` hints for a node with ids after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`ReadError::Index`].
    pub fn hints(
        &self,
        target: NodeId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let (first, last) = IndexKey::hints(target);
        let Some(first) = behind(first, after, |id| IndexKey::Hint(target, id)) else {
            return Ok(Vec::new());
        };
        let keys = self.range(first, last, limit)?;
        Ok(keys.iter().filter_map(|(key, _)| Some(self.core.read(key)?.0)).collect())
    }

    /// Returns how many hints there are for a node. Reads the index, no payload.
    ///
    /// # Errors
    /// [`ReadError::Index`].
    pub fn count_hints(&self, target: NodeId) -> Result<u64, ReadError> {
        let (first, last) = IndexKey::hints(target);
        let (mut count, mut next) = (0, Some(first));
        while let Some(first) = next {
            let keys = self.range(first, last, BATCH)?;
            count += keys.len() as u64;
            let full = keys.last().filter(|_| keys.len() == BATCH);
            next = full.and_then(|(key, _)| successor(*key.id())).map(|id| IndexKey::Hint(target, id));
        }
        Ok(count)
    }

    /// Removes all records of a partition and returns how many there were. The removal is grouped. Hints stay.
    ///
    /// # Errors
    /// [`WriteError`]; nothing is removed then.
    pub fn drop_partition(&self, partition: Partition) -> Result<u64, WriteError> {
        let core = &self.core;
        let log = &mut *core.log();
        let before = log.meta.records;
        let id = partition_id(partition);
        core.append(log, &core.prepare_kind(Kind::DropPartition, id, ReceiptStamp(0), &[]))?;
        match core.unset_partition(log, partition) {
            Ok(dropped) => Ok(dropped),
            Err(error) => {
                core.reopen_index(log, &error)?;
                Ok(before.saturating_sub(log.meta.records))
            }
        }
    }

    /// Returns the newest stamp that was ever evicted from a partition; zero if nothing was.
    pub fn horizon(&self, partition: Partition) -> ReceiptStamp {
        self.core.log().meta.horizons[partition.index()]
    }

    fn keys(
        &self,
        partition: Partition,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(IndexKey, Location)>, ReadError> {
        let (first, last) = IndexKey::partition(partition);
        match behind(first, after, IndexKey::Record) {
            Some(first) => self.range(first, last, limit),
            None => Ok(Vec::new()),
        }
    }

    fn range(
        &self,
        first: IndexKey,
        last: IndexKey,
        limit: usize,
    ) -> Result<Vec<(IndexKey, Location)>, ReadError> {
        let core = &self.core;
        let range = || core.index.range(first, last, limit);
        range().or_else(|error| core.after_index_failure(error, range)).map_err(|_| ReadError::Index)
    }
}

/// Returns the first key of the rest of a listing; `None` when nothing can follow.
fn behind(first: IndexKey, after: Option<Cursor>, key: impl Fn(RecordId) -> IndexKey) -> Option<IndexKey> {
    match after {
        None => Some(first),
        Some(Cursor(id)) => Some(first.max(key(successor(id)?))),
    }
}

fn successor(id: RecordId) -> Option<RecordId> {
    let mut bytes = *id.digest().as_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(RecordId::from_digest(Digest::from_bytes(bytes)));
        }
    }
    None
}
