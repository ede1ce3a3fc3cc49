//! The store as its callers see it: get, put, remove, sync.

use crate::config::{Background, Config};
use crate::disk::Disk;
use crate::error::{OpenError, WriteError};
use crate::format::Kind;
use crate::index::{Commit, IndexError};
use crate::log::{Core, Log};
use crate::open::{Recovery, open_directory, open_disk};
use crate::overlay::{IndexKey, Location};
use crate::record::{Durability, NewRecord, PutOutcome, Record, RecordKind};
use crate::segments::Fault;
use crate::stats::StoreStats;
use crate::sync::Ticket;
use crate::worker::Worker;
use dccache_protocol::ids::NodeId;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::{Clock, ReceiptStamp};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// How often a read follows a record that eviction moves at the same time.
const MOVES_MAX: usize = 8;

/// Ids remembered of records that were taken out: 128 KiB. They are asked for soon; of a whole disk that fails most are forgotten.
const LOST_MAX: usize = 4096;

/// Records of a node, on one disk. All methods block and may be called from any thread.
#[derive(Debug)]
pub struct Store {
    pub(crate) core: Arc<Core>,
    worker: Option<Worker>,
    _lock: Option<File>,
}

impl Store {
    /// Opens or creates the store in `directory` and keeps other processes out of it.
    ///
    /// Cost: with a sound index, reading the tails of the segments that were open; else reading all footers.
    ///
    /// # Errors
    /// [`OpenError`]; nothing in the directory was changed then, except that a damaged index may have been removed.
    pub fn open(
        directory: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovery), OpenError> {
        let (core, lock, recovery) = open_directory(directory, config, clock)?;
        Ok((Self::start(core, Some(lock), directory)?, recovery))
    }

    /// Opens or creates the store on a disk of the caller's. Nothing keeps others out.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovery), OpenError> {
        let name = Path::new("(disk)");
        let (core, recovery) = open_disk(disk, name, config, clock)?;
        Ok((Self::start(core, None, name)?, recovery))
    }

    fn start(core: Core, lock: Option<File>, directory: &Path) -> Result<Self, OpenError> {
        let core = Arc::new(core);
        let worker = match core.config.background {
            Background::Manual => None,
            Background::Thread => Some(
                Worker::start(Arc::clone(&core))
                    .map_err(|source| OpenError::Io { directory: directory.to_owned(), source })?,
            ),
        };
        Ok(Self { core, worker, _lock: lock })
    }

    /// Returns a record, checked against its checksum. One that is damaged or cannot be read is taken out and counted.
    pub fn get(&self, id: &RecordId) -> Option<Record> {
        let core = &self.core;
        core.counters.gets.one();
        let generation = match core.hot.get(id) {
            Ok(record) => {
                core.counters.hits.one();
                core.counters.hot_hits.one();
                return Some(record);
            }
            Err(generation) => generation,
        };
        let (record, place) = core.read(&IndexKey::Record(*id))?;
        core.counters.hits.one();
        core.segments.mark_read(&place);
        core.hot.insert(&record, generation);
        Some(record)
    }

    /// Returns the stamp of a record without reading it.
    pub fn stamp_of(&self, id: &RecordId) -> Option<ReceiptStamp> {
        Some(self.core.find(&IndexKey::Record(*id))?.stamp)
    }

    /// Stores a record. One with an older or equal stamp under the same id is replaced.
    ///
    /// # Errors
    /// [`WriteError`]. The record is not there then, except after [`WriteError::NotSynced`]: it is readable and may be lost.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a record is given away; its payload is shared, not copied"
    )]
    pub fn put(&self, record: NewRecord, durability: Durability) -> Result<PutOutcome, WriteError> {
        let core = &self.core;
        let result = core.put(&record);
        let result = result.and_then(|(outcome, ticket)| {
            match (durability, ticket) {
                // What stays was perhaps not synced yet; who asks for `Now` is told of durable records only.
                (Durability::Now, None) => core.sync.settle(core.sync.newest())?,
                (Durability::Now, Some(ticket)) => core.sync.settle(ticket)?,
                (Durability::Grouped, _) => {}
            }
            Ok(outcome)
        });
        match &result {
            Ok(PutOutcome::Older { .. }) => core.counters.puts_older.one(),
            Ok(_) => core.counters.puts.one(),
            Err(_) => core.counters.put_failures.one(),
        }
        result
    }

    /// Removes a record; says whether there was one. The removal is grouped.
    ///
    /// # Errors
    /// [`WriteError`]; the record stays then.
    pub fn remove(&self, id: &RecordId) -> Result<bool, WriteError> {
        self.core.erase(IndexKey::Record(*id), Kind::Erase, ReceiptStamp(u64::MAX))
    }

    /// Removes a hint whose stamp is at most `delivered`; says whether there was one. A newer one under the same id, which came while
    /// the older was delivered, stays. The removal is grouped.
    ///
    /// # Errors
    /// [`WriteError`]; the hint stays then.
    pub fn remove_hint(
        &self,
        target: NodeId,
        id: &RecordId,
        delivered: ReceiptStamp,
    ) -> Result<bool, WriteError> {
        let key = IndexKey::of(RecordKind::Hint { target }, *id);
        self.core.erase(key, Kind::EraseHint(target), delivered)
    }

    /// Returns the ids of records that were taken out because they could not be read, since this was last asked, and forgets them. Of
    /// very many only the latest are known.
    pub fn take_quarantined(&self) -> Vec<RecordId> {
        self.core.lost().drain(..).collect()
    }

    /// Syncs everything written so far and commits the index durably.
    ///
    /// # Errors
    /// [`WriteError::NotSynced`] or [`WriteError::Index`].
    pub fn sync(&self) -> Result<(), WriteError> {
        self.core.maintain(Commit::Durable)
    }

    /// Returns what the store holds and has done.
    pub fn stats(&self) -> StoreStats {
        let core = &self.core;
        let (records, live_bytes) = {
            let log = core.log();
            (log.meta.records, log.meta.live_bytes)
        };
        StoreStats {
            records,
            live_bytes,
            dead_bytes: core.segments.total_bytes().saturating_sub(live_bytes),
            capacity_bytes: core.config.capacity_bytes,
            segments: core.segments.list().len() as u64,
            hot_bytes: core.hot.bytes(),
            ..core.counters.snapshot()
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.worker.take());
        self.core.close_active(&mut self.core.log());
        if let Err(error) = self.core.maintain(Commit::Durable) {
            tracing::warn!(%error, "store closed without a last commit");
        }
        self.core.index.close();
    }
}

impl Core {
    /// Looks a key up, opening the index again if it fails.
    pub(crate) fn find(&self, key: &IndexKey) -> Option<Location> {
        self.index
            .lookup(key)
            .or_else(|error| self.after_index_failure(error, || self.index.lookup(key)))
            .ok()?
    }

    /// Repeats what failed, after opening the index again unless another thread did so meanwhile.
    pub(crate) fn after_index_failure<T>(
        &self,
        error: IndexError,
        again: impl Fn() -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut log = self.log();
        if let Ok(found) = again() {
            return Ok(found);
        }
        if self.reopen_index(&mut log, &error).is_err() {
            return Err(error);
        }
        again()
    }

    /// Reads what a key names.
    pub(crate) fn read(&self, key: &IndexKey) -> Option<(Record, Location)> {
        for _ in 0..MOVES_MAX {
            let place = self.find(key)?;
            match self.fetch(key, &place) {
                Ok(record) => return Some((record, place)),
                Err(Fault::Closed(error)) => {
                    tracing::warn!(segment = place.segment, %error, "segment not opened");
                    return None;
                }
                Err(Fault::Gone) if !self.is_at(key, &place).unwrap_or(false) => {}
                Err(fault) => {
                    self.quarantine(key, &place, &fault);
                    return None;
                }
            }
        }
        None
    }

    /// Reads a record from a place and checks that it is what the key names.
    pub(crate) fn fetch(&self, key: &IndexKey, place: &Location) -> Result<Record, Fault> {
        let (header, payload) = self.segments.read(place)?;
        match header.kind {
            Kind::Stored(kind) if IndexKey::of(kind, header.id) == *key => {
                Ok(Record { id: header.id, kind, stamp: header.stamp, payload })
            }
            _ => Err(Fault::Damaged),
        }
    }

    /// Takes a record out that cannot be read, unless it was replaced meanwhile.
    pub(crate) fn quarantine(&self, key: &IndexKey, place: &Location, fault: &Fault) {
        let mut log = self.log();
        if self.is_at(key, place).unwrap_or(false) && self.unset(&mut log, *key).is_ok() {
            tracing::warn!(segment = place.segment, offset = place.offset, error = %fault, "record quarantined");
            self.note_quarantined(key);
        }
    }

    /// Counts a record that was taken out, and remembers it for whoever can bring it back.
    pub(crate) fn note_quarantined(&self, key: &IndexKey) {
        self.counters.quarantined.one();
        let IndexKey::Record(id) = key else { return };
        let mut lost = self.lost();
        if lost.len() >= LOST_MAX {
            lost.pop_front();
        }
        lost.push_back(*id);
    }

    fn put(&self, record: &NewRecord) -> Result<(PutOutcome, Option<Ticket>), WriteError> {
        let (length, limit) = (record.payload.len() as u64, self.config.payload_max());
        if length > limit {
            return Err(WriteError::TooLarge { length, limit });
        }
        let prepared = self.prepare(record.kind, record.id, record.stamp, &record.payload);
        let key = IndexKey::of(record.kind, record.id);
        let log = &mut *self.log();
        let old = self.lookup_to_write(log, &key)?;
        if let Some(old) = old.filter(|old| old.stamp > record.stamp) {
            return Ok((PutOutcome::Older { kept: old.stamp }, None));
        }
        let (place, ticket) = self.append(log, &prepared)?;
        if let Err(error) = self.set(log, key, place) {
            // The record is in the log, so the index that is opened again has it.
            self.reopen_index(log, &error)?;
        }
        let outcome = if old.is_some() { PutOutcome::Replaced } else { PutOutcome::Stored };
        Ok((outcome, Some(ticket)))
    }

    fn erase(&self, key: IndexKey, kind: Kind, until: ReceiptStamp) -> Result<bool, WriteError> {
        let log = &mut *self.log();
        if self.lookup_to_write(log, &key)?.is_none_or(|place| place.stamp > until) {
            return Ok(false);
        }
        self.append(log, &self.prepare_kind(kind, *key.id(), ReceiptStamp(0), &[]))?;
        if let Err(error) = self.unset(log, key) {
            self.reopen_index(log, &error)?;
        }
        Ok(true)
    }

    fn lookup_to_write(&self, log: &mut Log, key: &IndexKey) -> Result<Option<Location>, WriteError> {
        match self.index.lookup(key) {
            Ok(place) => Ok(place),
            Err(error) => {
                self.reopen_index(log, &error)?;
                Ok(self.index.lookup(key)?)
            }
        }
    }
}
