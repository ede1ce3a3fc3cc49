//! One redb file that holds the vote, the log and the newest snapshot of the control plane.
//!
//! Shape: table `log` maps index to the postcard of an entry; table `facts` holds single values by name. Every write is one
//! durable transaction, because Raft counts on a vote and an appended entry being on disk.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

/// Bytes of pages that redb may keep in memory; the whole file is usually smaller.
const CACHE_BYTES: usize = 8 << 20;

/// A value that the file holds once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The last vote.
    Vote,
    /// The last log id known to be committed.
    Committed,
    /// The last log id that was purged.
    Purged,
    /// The newest snapshot.
    Snapshot,
}

impl Fact {
    const fn name(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::Purged => "purged",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Why the control plane's file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    /// The database refuses.
    #[error("control plane's database")]
    Database(#[from] Box<redb::Error>),
    /// A value is no encoding of its type.
    #[error("damaged value in the control plane's database")]
    Damaged,
    /// The task that did the work was cancelled.
    #[error("the write was abandoned")]
    Abandoned,
}

/// Maps the many error types of redb to one.
fn database(error: impl Into<redb::Error>) -> DiskError {
    DiskError::Database(Box::new(error.into()))
}

/// The control plane's file. Cheap to clone; all methods block.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    database: Arc<Database>,
}

impl Disk {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// Those of redb, for example when another process has the file open.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let disk = Self { database: Arc::new(builder.create(path).map_err(database)?) };
        disk.write(|_, _| Ok(()))?;
        Ok(disk)
    }

    fn write(
        &self,
        act: impl FnOnce(
            &mut redb::Table<'_, u64, &'static [u8]>,
            &mut redb::Table<'_, &'static str, &'static [u8]>,
        ) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let mut transaction = self.database.begin_write().map_err(database)?;
        transaction.set_durability(Durability::Immediate).map_err(database)?;
        {
            let mut log = transaction.open_table(LOG).map_err(database)?;
            let mut facts = transaction.open_table(FACTS).map_err(database)?;
            act(&mut log, &mut facts)?;
        }
        transaction.commit().map_err(database)
    }

    /// Reads a fact; `None` if it was never written.
    pub(super) fn fact<T: DeserializeOwned>(&self, fact: Fact) -> Result<Option<T>, DiskError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let facts = transaction.open_table(FACTS).map_err(database)?;
        let value = facts.get(fact.name()).map_err(database)?;
        value.map(|value| decode(value.value())).transpose()
    }

    /// Writes a fact.
    pub(super) fn set_fact<T: Serialize>(&self, fact: Fact, value: &T) -> Result<(), DiskError> {
        let bytes = encode(value)?;
        self.write(|_, facts| {
            facts.insert(fact.name(), bytes.as_slice()).map_err(database)?;
            Ok(())
        })
    }

    /// Appends entries, each under its index.
    pub(super) fn append<T: Serialize>(&self, entries: &[(u64, T)]) -> Result<(), DiskError> {
        self.write(|log, _| {
            for (index, entry) in entries {
                log.insert(index, encode(entry)?.as_slice()).map_err(database)?;
            }
            Ok(())
        })
    }

    /// Removes the entries from `first` on.
    pub(super) fn truncate(&self, first: u64) -> Result<(), DiskError> {
        self.write(|log, _| log.retain_in(first.., |_, _| false).map_err(database))
    }

    /// Removes the entries up to and with `last`, and notes the log id `purged`.
    pub(super) fn purge<T: Serialize>(&self, last: u64, purged: &T) -> Result<(), DiskError> {
        let bytes = encode(purged)?;
        self.write(|log, facts| {
            facts.insert(Fact::Purged.name(), bytes.as_slice()).map_err(database)?;
            log.retain_in(..=last, |_, _| false).map_err(database)
        })
    }

    /// Reads entries in order until their encodings exceed `bytes_max`; at least one if there is one.
    pub(super) fn entries<T: DeserializeOwned>(
        &self,
        range: impl RangeBounds<u64>,
        bytes_max: usize,
    ) -> Result<Vec<T>, DiskError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let log = transaction.open_table(LOG).map_err(database)?;
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let mut entries = Vec::new();
        let mut bytes = 0;
        for row in log.range::<u64>(bounds).map_err(database)? {
            let (_, value) = row.map_err(database)?;
            bytes += value.value().len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(decode(value.value())?);
        }
        Ok(entries)
    }

    /// Reads the last entry.
    pub(super) fn last_entry<T: DeserializeOwned>(&self) -> Result<Option<T>, DiskError> {
        let transaction = self.database.begin_read().map_err(database)?;
        let log = transaction.open_table(LOG).map_err(database)?;
        let last = log.last().map_err(database)?;
        last.map(|(_, value)| decode(value.value())).transpose()
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, DiskError> {
    postcard::to_extend(value, Vec::new()).map_err(|_| DiskError::Damaged)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DiskError> {
    postcard::from_bytes(bytes).map_err(|_| DiskError::Damaged)
}
