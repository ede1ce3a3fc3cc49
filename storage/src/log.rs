//! What all parts of a store share, and the state of the log behind its one lock.

use crate::config::Config;
use crate::disk::{Disk, DiskFile};
use crate::format::{Entry, Kind, Salt};
use crate::hot::HotSet;
use crate::index::{Index, IndexError};
use crate::meta::{Meta, Position};
use crate::overlay::{IndexKey, Location};
use crate::record::RecordKind;
use crate::segments::Segments;
use crate::stats::Counters;
use crate::sync::GroupSync;
use crate::worker::Wake;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::Clock;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes of the index that are committed, without durability, before the next sync is due.
pub(crate) const FLUSH_CHANGES: usize = 8192;

/// Changes that may wait for an index that cannot be written; more writes are refused (about 100 MiB of memory).
pub(crate) const CHANGES_MAX: usize = 1 << 20;

/// The segment that takes appends.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) end: u64,
    pub(crate) entries: Vec<Entry>,
}

/// State of the log. Whoever holds it is the only writer.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) active: Option<Active>,
    /// Number of the next segment.
    pub(crate) next: u32,
    /// Counters and horizons of everything appended; its position is filled in by [`Log::meta_now`].
    pub(crate) meta: Meta,
}

impl Log {
    /// Returns the meta data with the position of the log's end.
    pub(crate) fn meta_now(&self) -> Meta {
        let position = match &self.active {
            Some(active) => Position { segment: active.number, offset: active.end },
            None => Position { segment: self.next, offset: 0 },
        };
        Meta { position, ..self.meta.clone() }
    }
}

impl Log {
    /// Returns the records of segment `number` if it is the one that takes appends.
    pub(crate) fn active_entries(&self, number: u32) -> Option<Vec<Entry>> {
        self.active.as_ref().filter(|active| active.number == number).map(|active| active.entries.clone())
    }
}

/// A store without its thread.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) salt: Salt,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) segments: Segments,
    pub(crate) index: Index,
    pub(crate) sync: GroupSync,
    pub(crate) hot: HotSet,
    pub(crate) counters: Counters,
    pub(crate) wake: Wake,
    pub(crate) scrub: Mutex<Position>,
    lost: Mutex<VecDeque<RecordId>>,
    log: Mutex<Log>,
}

impl Core {
    /// Puts the parts together; the log is empty.
    pub(crate) fn new(config: Config, disk: Arc<dyn Disk>, salt: Salt, clock: Arc<dyn Clock>) -> Self {
        let index = Index::new(Arc::clone(&disk), salt, config.index_cache_bytes, config.index_check_bytes);
        Self {
            segments: Segments::new(Arc::clone(&disk), salt, config.segment_bytes),
            index,
            sync: GroupSync::default(),
            hot: HotSet::new(config.hot_bytes),
            counters: Counters::default(),
            wake: Wake::default(),
            scrub: Mutex::default(),
            lost: Mutex::default(),
            log: Mutex::new(Log { active: None, next: 1, meta: Meta::empty() }),
            config,
            disk,
            salt,
            clock,
        }
    }

    /// Ids of records that were taken out and not yet asked for. Last in the lock order.
    pub(crate) fn lost(&self) -> MutexGuard<'_, VecDeque<RecordId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes the only writer. First in the lock order.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the records of a segment, the active one included.
    pub(crate) fn entries(&self, log: &Log, number: u32) -> io::Result<Vec<Entry>> {
        match log.active_entries(number) {
            Some(entries) => Ok(entries),
            None => self.segments.entries(number),
        }
    }

    /// Makes `place` the place of a key.
    pub(crate) fn set(&self, log: &mut Log, key: IndexKey, place: Location) -> Result<(), IndexError> {
        let old = self.index.lookup(&key)?;
        self.forget(log, old);
        log.meta.records += 1;
        log.meta.live_bytes += place.bytes();
        self.change(key, Some(place));
        self.list_tombstone(key, old, Some(place));
        Ok(())
    }

    /// Makes a key unknown and returns where it was.
    pub(crate) fn unset(&self, log: &mut Log, key: IndexKey) -> Result<Option<Location>, IndexError> {
        let old = self.index.lookup(&key)?;
        if old.is_some() {
            self.forget(log, old);
            self.change(key, None);
            self.list_tombstone(key, old, None);
        }
        Ok(old)
    }

    /// Says whether a key is at `place` now.
    pub(crate) fn is_at(&self, key: &IndexKey, place: &Location) -> Result<bool, IndexError> {
        let now = self.index.lookup(key)?;
        Ok(now.is_some_and(|now| (now.segment, now.offset) == (place.segment, place.offset)))
    }

    fn forget(&self, log: &mut Log, old: Option<Location>) {
        if let Some(old) = old {
            log.meta.records = log.meta.records.saturating_sub(1);
            log.meta.live_bytes = log.meta.live_bytes.saturating_sub(old.bytes());
        }
    }

    fn change(&self, key: IndexKey, place: Option<Location>) {
        self.hot.invalidate(key.id());
        if self.index.change(key, place) >= FLUSH_CHANGES {
            self.wake.many_changes();
        }
    }

    fn list_tombstone(&self, key: IndexKey, old: Option<Location>, new: Option<Location>) {
        let IndexKey::Record(id) = key else { return };
        let is = |place: Option<Location>| place.filter(Location::is_tombstone);
        if is(old).is_some() || is(new).is_some() {
            self.index.change(IndexKey::Tombstone(id), is(new));
        }
    }
}

/// Returns the place of a record that a footer or a scan names.
pub(crate) fn place_of(segment: u32, entry: &Entry) -> Location {
    let Entry { kind, length, offset, stamp, .. } = *entry;
    Location { segment, offset, length, stamp, kind: kind.code() }
}

/// Returns the key of a caller's record; `None` for the log's own.
pub(crate) fn key_of(kind: Kind, id: RecordId) -> Option<IndexKey> {
    match kind {
        Kind::Stored(kind) => Some(IndexKey::of(kind, id)),
        Kind::EraseHint(target) => Some(IndexKey::of(RecordKind::Hint { target }, id)),
        Kind::Erase => Some(IndexKey::Record(id)),
        Kind::DropPartition | Kind::Evicted => None,
    }
}
