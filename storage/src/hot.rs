//! The hot set: records that were read lately, bounded by bytes.
//!
//! Invariant: a record is put in only if nothing happened to its id since the reader looked it up. Each change of an id moves
//! the generation of the id's stripe; a reader notes it first and hands it back with the record.

use crate::record::Record;
use dccache_protocol::keys::RecordId;
use lru::LruCache;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Stripes of generations: more than threads, so that a busy writer seldom keeps a reader's record out.
const STRIPES: usize = 1024;

/// A record above this share of the hot set bypasses it: one large object must not push out many small ones.
const SHARE_MAX: u64 = 16;

/// Bytes that a record takes beside its payload: map and list entry.
const OVERHEAD: u64 = 160;

/// Generation of an id's stripe when a reader looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(u64);

#[derive(Debug)]
struct State {
    records: LruCache<RecordId, Record>,
    bytes: u64,
    generations: Box<[u64]>,
}

/// Records that were read lately.
#[derive(Debug)]
pub(crate) struct HotSet {
    capacity: u64,
    state: Mutex<State>,
}

impl HotSet {
    /// Makes an empty set of `capacity` bytes; 0 switches it off.
    pub(crate) fn new(capacity: u64) -> Self {
        let records = LruCache::unbounded();
        let generations = vec![0; STRIPES].into_boxed_slice();
        Self { capacity, state: Mutex::new(State { records, bytes: 0, generations }) }
    }

    /// Returns a hot record, or the generation with which [`HotSet::insert`] takes it later.
    pub(crate) fn get(&self, id: &RecordId) -> Result<Record, Generation> {
        if self.capacity == 0 {
            return Err(Generation(0));
        }
        let mut state = self.lock();
        let generation = Generation(state.generations[stripe(id)]);
        state.records.get(id).cloned().ok_or(generation)
    }

    /// Keeps a record that was just read, unless its id changed since or it is too large.
    pub(crate) fn insert(&self, record: &Record, generation: Generation) {
        let size = size(record);
        if size > self.capacity / SHARE_MAX {
            return;
        }
        let mut state = self.lock();
        if state.generations[stripe(&record.id)] != generation.0 {
            return;
        }
        state.bytes += size;
        if let Some((_, old)) = state.records.push(record.id, record.clone()) {
            state.bytes -= self::size(&old);
        }
        while state.bytes > self.capacity {
            let Some((_, old)) = state.records.pop_lru() else { break };
            state.bytes -= self::size(&old);
        }
    }

    /// Forgets a record whose id changes.
    pub(crate) fn invalidate(&self, id: &RecordId) {
        if self.capacity == 0 {
            return;
        }
        let mut state = self.lock();
        state.generations[stripe(id)] += 1;
        if let Some(old) = state.records.pop(id) {
            state.bytes -= size(&old);
        }
    }

    /// Returns the bytes held, overhead included.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(record: &Record) -> u64 {
    record.payload.len() as u64 + OVERHEAD
}

fn stripe(id: &RecordId) -> usize {
    let bytes = id.digest().as_bytes();
    usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) % STRIPES
}
