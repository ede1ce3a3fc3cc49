//! The store behind a few asynchronous calls: everything that may touch the disk runs on the threads that are kept for blocking.

use bytes::Bytes as Payload;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::service::{Bytes, RecordKind, RecordMessage, Refusal};
use dccache_protocol::time::ReceiptStamp;
use dccache_storage::{
    Cursor, Durability, Listed, NewRecord, PutOutcome, Record, ScrubReport, Store, StoreStats, WriteError,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Damaged records that are remembered until they come back, about 4 MiB; a disk with more of them is to be replaced.
const LACKING_MAX: usize = 64 << 10;

/// A record as the data plane handles it: never a hint.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Where it is kept.
    pub(crate) id: RecordId,
    /// What it is.
    pub(crate) kind: RecordKind,
    /// When the first accepting node received it.
    pub(crate) stamp: ReceiptStamp,
    /// Its payload.
    pub(crate) payload: Payload,
}

impl Held {
    /// Returns the record as it travels between nodes.
    pub(crate) fn to_message(&self) -> RecordMessage {
        let Self { id, kind, stamp, ref payload } = *self;
        RecordMessage { id, kind, stamp, payload: Bytes(payload.to_vec()) }
    }

    /// Takes a record that travelled.
    pub(crate) fn of_message(message: RecordMessage) -> Self {
        let RecordMessage { id, kind, stamp, payload } = message;
        Self { id, kind, stamp, payload: payload.0.into() }
    }

    fn of_store(record: Record) -> Option<Self> {
        let kind = match record.kind {
            dccache_storage::RecordKind::Bundle => RecordKind::Bundle,
            dccache_storage::RecordKind::Manifest => RecordKind::Manifest,
            dccache_storage::RecordKind::Alias => RecordKind::Alias,
            dccache_storage::RecordKind::Attestation => RecordKind::Attestation,
            dccache_storage::RecordKind::Tombstone => RecordKind::Tombstone,
            dccache_storage::RecordKind::Hint { .. } => return None,
        };
        Some(Self { id: record.id, kind, stamp: record.stamp, payload: record.payload })
    }

    fn into_store(self) -> NewRecord {
        let kind = match self.kind {
            RecordKind::Bundle => dccache_storage::RecordKind::Bundle,
            RecordKind::Manifest => dccache_storage::RecordKind::Manifest,
            RecordKind::Alias => dccache_storage::RecordKind::Alias,
            RecordKind::Attestation => dccache_storage::RecordKind::Attestation,
            RecordKind::Tombstone => dccache_storage::RecordKind::Tombstone,
        };
        NewRecord { id: self.id, kind, stamp: self.stamp, payload: self.payload }
    }
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shelf {
    store: Arc<Store>,
    lacking: Arc<Mutex<BTreeSet<RecordId>>>,
}

impl Shelf {
    /// Wraps the store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store: Arc::new(store), lacking: Arc::default() }
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || act(&store)).await.map_err(|_| Refusal::Storage)
    }

    /// Reads a record.
    pub(crate) async fn get(&self, id: RecordId) -> Option<Held> {
        self.run(move |store| store.get(&id)).await.ok().flatten().and_then(Held::of_store)
    }

    /// Tells whether a record was here and was damaged; a miss is then worth asking another owner for.
    pub(crate) fn lacks(&self, id: &RecordId) -> bool {
        self.damaged().contains(id)
    }

    /// Returns up to `limit` records that were damaged and have not come back.
    pub(crate) fn lacking(&self, limit: usize) -> Vec<RecordId> {
        self.damaged().iter().copied().take(limit).collect()
    }

    /// Notes that a damaged record came back, or that nobody has it.
    pub(crate) fn settle(&self, id: &RecordId) {
        self.damaged().remove(id);
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<RecordId>> {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        for id in self.store.take_quarantined() {
            if lacking.len() < LACKING_MAX {
                lacking.insert(id);
            }
        }
        lacking
    }

    /// Checks records against their digests where the last call stopped, up to about so many bytes.
    pub(crate) async fn scrub(&self, budget_bytes: u64) -> Option<ScrubReport> {
        self.run(move |store| store.scrub(budget_bytes)).await.ok()
    }

    /// Returns the stamp of a record that is held.
    pub(crate) async fn stamp_of(&self, id: RecordId) -> Option<ReceiptStamp> {
        self.run(move |store| store.stamp_of(&id)).await.ok().flatten()
    }

    /// Stores a record; one with a newer stamp under its id stays.
    pub(crate) async fn put(&self, record: Held) -> Result<PutOutcome, Refusal> {
        self.write(record.into_store(), Durability::Grouped).await
    }

    /// Keeps a record for a node that does not answer.
    pub(crate) async fn put_hint(&self, target: NodeId, record: Held) -> Result<(), Refusal> {
        // What the record is goes in front of its payload: the store knows it as a hint only.
        let (id, stamp) = (record.id, record.stamp);
        let mut payload = vec![kind_to_byte(record.kind)];
        payload.extend_from_slice(&record.payload);
        let kind = dccache_storage::RecordKind::Hint { target };
        self.write(NewRecord { id, kind, stamp, payload: payload.into() }, Durability::Grouped)
            .await
            .map(drop)
    }

    async fn write(&self, record: NewRecord, durability: Durability) -> Result<PutOutcome, Refusal> {
        let stored = self.run(move |store| store.put(record, durability)).await?;
        stored.map_err(|error| refused(&error))
    }

    /// Returns some records that are kept for a node.
    pub(crate) async fn hints(&self, target: NodeId, limit: usize) -> Vec<Held> {
        let records = self.run(move |store| store.hints(target, None, limit)).await;
        let records = records.ok().and_then(Result::ok).unwrap_or_default();
        records.iter().filter_map(unwrap_hint).collect()
    }

    /// Counts the records that are kept for a node.
    pub(crate) async fn count_hints(&self, target: NodeId) -> u64 {
        let count = self.run(move |store| store.count_hints(target)).await;
        count.ok().and_then(Result::ok).unwrap_or(0)
    }

    /// Forgets a record that was kept for a node and is delivered; one that came meanwhile, with a newer stamp, stays.
    pub(crate) async fn remove_hint(&self, target: NodeId, delivered: &Held) {
        let (id, stamp) = (delivered.id, delivered.stamp);
        let removed = self.run(move |store| store.remove_hint(target, &id, stamp)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "a delivered hint cannot be removed and will be delivered again");
        }
    }

    /// Lists records of a partition in order, without payloads.
    pub(crate) async fn list(
        &self,
        partition: Partition,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<Listed>, Refusal> {
        let listed = self.run(move |store| store.list(partition, after.map(Cursor), limit)).await?;
        listed.map_err(|_| Refusal::Storage)
    }

    /// Drops all records of a partition.
    pub(crate) async fn drop_partition(&self, partition: Partition) -> Result<u64, Refusal> {
        self.run(move |store| store.drop_partition(partition)).await?.map_err(|error| refused(&error))
    }

    /// Waits until everything written so far is on the disk.
    pub(crate) async fn sync(&self) -> Result<(), Refusal> {
        self.run(Store::sync).await?.map_err(|error| refused(&error))
    }

    /// Returns what the store counts.
    pub(crate) fn stats(&self) -> StoreStats {
        self.store.stats()
    }
}

fn refused(error: &WriteError) -> Refusal {
    match error {
        WriteError::TooLarge { .. } => Refusal::Malformed,
        _ => {
            tracing::warn!(%error, "the store does not take a record");
            Refusal::Storage
        }
    }
}

const KINDS: [RecordKind; 5] = [
    RecordKind::Bundle,
    RecordKind::Manifest,
    RecordKind::Alias,
    RecordKind::Attestation,
    RecordKind::Tombstone,
];

fn kind_to_byte(kind: RecordKind) -> u8 {
    KINDS.iter().position(|&known| known == kind).map_or(0, |at| at as u8)
}

fn unwrap_hint(record: &Record) -> Option<Held> {
    let kind = *KINDS.get(usize::from(*record.payload.first()?))?;
    Some(Held { id: record.id, kind, stamp: record.stamp, payload: record.payload.slice(1..) })
}
