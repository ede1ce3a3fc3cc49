//! The index: a redb database with an overlay of changes that it does not hold yet.
//!
//! The database is never believed: its places are checked by reading, its file by its checksums when it is opened, and its
//! age by the log position in each commit. Every error, and every panic inside it, is one [`IndexError`]; the answer
//! to it is always the same: open it again, and build it anew from the segments if that fails.

use crate::disk::{Disk, DiskFile};
use crate::format::Salt;
use crate::meta::Meta;
use crate::overlay::{Changes, IndexKey, KEY_MAX, LOCATION, Location, Overlay};
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Name of the index file.
pub(crate) const INDEX_FILE: &str = "index.redb";

const PLACES: TableDefinition<'_, &[u8], &[u8; LOCATION]> = TableDefinition::new("places");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The index failed; it can be opened again or rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct IndexError(String);

impl IndexError {
    /// More changes than memory may hold.
    pub(crate) fn too_large() -> Self {
        Self("too large for memory".to_owned())
    }

    /// The index knows of a log that is not there.
    pub(crate) fn behind() -> Self {
        Self("the log ends before the position of the index".to_owned())
    }
}

/// How much a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Visible to readers only.
    Visible,
    /// On the disk, and quick to open after a crash.
    Durable,
}

/// Where what the overlay does not hold is looked up.
#[derive(Debug)]
enum Backing {
    /// Nowhere: every look-up fails.
    Closed,
    /// There is no room for a file: the overlay holds everything, and commits fail.
    Memory,
    File(Database),
}

/// Places of all records.
#[derive(Debug)]
pub(crate) struct Index {
    disk: Arc<dyn Disk>,
    salt: Salt,
    cache_bytes: usize,
    check_bytes: u64,
    overlay: RwLock<Overlay>,
    backing: RwLock<Backing>,
    flush: Mutex<()>,
}

impl Index {
    /// Makes an index without a database; [`Index::open`] or [`Index::create`] follows.
    pub(crate) fn new(disk: Arc<dyn Disk>, salt: Salt, cache_bytes: usize, check_bytes: u64) -> Self {
        let overlay = RwLock::default();
        Self {
            disk,
            salt,
            cache_bytes,
            check_bytes,
            overlay,
            backing: RwLock::new(Backing::Closed),
            flush: Mutex::new(()),
        }
    }

    /// Opens the database that is there, checks all of it unless it is too large, and forgets all changes that it does not hold.
    pub(crate) fn open(&self) -> Result<Meta, IndexError> {
        self.open_file(self.check_bytes)
    }

    /// Opens the database that this process wrote and that failed, and forgets all changes that it does not hold.
    pub(crate) fn reopen(&self) -> Result<Meta, IndexError> {
        self.open_file(0)
    }

    /// Keeps everything in the overlay from here on.
    pub(crate) fn stay_in_memory(&self) {
        self.close();
        *self.backing_mut() = Backing::Memory;
    }

    fn open_file(&self, check_bytes: u64) -> Result<Meta, IndexError> {
        self.close();
        let file = self.disk.open(INDEX_FILE).map_err(failed)?;
        let check = file.length().map_err(failed)? <= check_bytes;
        let database = guarded(|| Ok(self.builder(check).create_with_backend(Backend(file))?))?;
        let meta = guarded(|| {
            let table = database.begin_read()?.open_table(META)?;
            Ok(table.get("log")?.and_then(|bytes| Meta::decode(bytes.value(), self.salt)))
        })?;
        *self.backing_mut() = Backing::File(database);
        meta.ok_or_else(|| IndexError("no log position of this version".to_owned()))
    }

    /// Throws away what is there and begins with nothing.
    pub(crate) fn create(&self) -> Result<(), IndexError> {
        self.close();
        match self.disk.remove(INDEX_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = self.disk.create(INDEX_FILE).map_err(failed)?;
        let database = guarded(|| Ok(self.builder(false).create_with_backend(Backend(file))?))?;
        guarded(|| {
            let transaction = database.begin_write()?;
            transaction.open_table(PLACES)?;
            transaction.open_table(META)?;
            Ok(transaction.commit()?)
        })?;
        *self.backing_mut() = Backing::File(database);
        Ok(())
    }

    /// Closes the database and forgets all changes that it does not hold.
    pub(crate) fn close(&self) {
        *self.overlay_mut() = Overlay::default();
        let backing = std::mem::replace(&mut *self.backing_mut(), Backing::Closed);
        let _closed = guarded(|| {
            drop(backing);
            Ok(())
        });
    }

    /// Looks a key up.
    pub(crate) fn lookup(&self, key: &IndexKey) -> Result<Option<Location>, IndexError> {
        if let Some(change) = self.overlay().get(key) {
            return Ok(change);
        }
        let mut bytes = [0; KEY_MAX];
        let length = key.encode(&mut bytes);
        self.with_database(None, |database| {
            let table = database.begin_read()?.open_table(PLACES)?;
            Ok(table.get(&bytes[..length])?.and_then(|place| Location::decode(place.value())))
        })
    }

    /// Returns up to `limit` keys from `first` to `last` with their places, in order.
    pub(crate) fn range(
        &self,
        first: IndexKey,
        last: IndexKey,
        limit: usize,
    ) -> Result<Vec<(IndexKey, Location)>, IndexError> {
        if first > last {
            return Ok(Vec::new());
        }
        // Changes first: what moves into the database after this is found there as well.
        let mut found = self.overlay().range(first, last);
        let (mut low, mut high) = ([0; KEY_MAX], [0; KEY_MAX]);
        let (low_length, high_length) = (first.encode(&mut low), last.encode(&mut high));
        let wanted = limit.saturating_add(found.len());
        let stored = self.with_database(Vec::new(), |database| {
            let table = database.begin_read()?.open_table(PLACES)?;
            let mut stored = Vec::new();
            for item in table.range::<&[u8]>(&low[..low_length]..=&high[..high_length])?.take(wanted) {
                let (key, place) = item?;
                stored.extend(IndexKey::decode(key.value()).zip(Location::decode(place.value())));
            }
            Ok(stored)
        })?;
        // Invariant: with `wanted` keys taken, those beyond the last one taken cannot be among the first `limit`.
        for (key, place) in stored {
            found.entry(key).or_insert(Some(place));
        }
        let present = found.into_iter().filter_map(|(key, place)| Some((key, place?)));
        Ok(present.take(limit).collect())
    }

    /// Notes a change and returns the number of changes that wait.
    pub(crate) fn change(&self, key: IndexKey, place: Option<Location>) -> usize {
        let mut overlay = self.overlay_mut();
        overlay.pending.insert(key, place);
        overlay.pending.len()
    }

    /// Returns the number of changes that wait for a flush.
    pub(crate) fn waiting(&self) -> usize {
        self.overlay().pending.len()
    }

    /// Takes the right to flush. Lock order: after the log, before the group sync.
    pub(crate) fn begin_flush(&self) -> Flush<'_> {
        let guard = self.flush.lock().unwrap_or_else(PoisonError::into_inner);
        Flush { index: self, _guard: guard, changes: Arc::default(), meta: Meta::empty() }
    }

    fn builder(&self, check: bool) -> redb::Builder {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes).set_check_integrity_on_open(check);
        builder
    }

    /// Runs `work` on the database; `empty` is the answer when everything is in the overlay.
    fn with_database<T>(
        &self,
        empty: T,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, IndexError> {
        match &*self.backing.read().unwrap_or_else(PoisonError::into_inner) {
            Backing::File(database) => guarded(|| work(database)),
            Backing::Memory => Ok(empty),
            Backing::Closed => Err(IndexError("closed".to_owned())),
        }
    }

    fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn overlay_mut(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn backing_mut(&self) -> RwLockWriteGuard<'_, Backing> {
        self.backing.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flush in progress: changes are collected under the log's lock, committed without it.
pub(crate) struct Flush<'a> {
    index: &'a Index,
    _guard: MutexGuard<'a, ()>,
    changes: Arc<Changes>,
    meta: Meta,
}

impl Flush<'_> {
    /// Takes all changes that wait; `meta` describes the log at this moment.
    pub(crate) fn collect(&mut self, meta: Meta) {
        let mut overlay = self.index.overlay_mut();
        self.changes = Arc::new(std::mem::take(&mut overlay.pending));
        overlay.flushing = Arc::clone(&self.changes);
        self.meta = meta;
    }

    /// Commits what was collected. After an error the index must be opened again.
    pub(crate) fn commit(self, commit: Commit) -> Result<(), IndexError> {
        let committed = self.index.with_database(false, |database| {
            self.write(database, commit)?;
            Ok(true)
        })?;
        if !committed {
            return Err(IndexError("there is no index file".to_owned()));
        }
        self.index.overlay_mut().flushing = Arc::default();
        Ok(())
    }

    fn write(&self, database: &Database, commit: Commit) -> Result<(), redb::Error> {
        let meta = self.meta.encode(self.index.salt);
        let mut transaction = database.begin_write()?;
        match commit {
            Commit::Visible => transaction.set_durability(redb::Durability::None)?,
            Commit::Durable => transaction.set_quick_repair(true),
        }
        let mut places = transaction.open_table(PLACES)?;
        let mut bytes = [0; KEY_MAX];
        for (key, place) in self.changes.iter() {
            let length = key.encode(&mut bytes);
            match place {
                Some(place) => drop(places.insert(&bytes[..length], &place.encode())?),
                None => drop(places.remove(&bytes[..length])?),
            }
        }
        drop(places);
        transaction.open_table(META)?.insert("log", meta.as_slice())?;
        Ok(transaction.commit()?)
    }
}

/// Runs redb, turning every failure into one error. redb says that it may panic on a damaged file; nothing of ours is
/// left half-changed by that, because a failed index is closed.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(IndexError("panic on a damaged file".to_owned())),
    }
}

fn failed(error: impl std::fmt::Display) -> IndexError {
    IndexError(error.to_string())
}

/// The index file as redb wants it.
#[derive(Debug)]
struct Backend(Arc<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}
