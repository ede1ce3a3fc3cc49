//! What the store counts. Each number has a unit and a meaning here and nowhere else.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) gets: Counter,
    pub(crate) hits: Counter,
    pub(crate) hot_hits: Counter,
    pub(crate) puts: Counter,
    pub(crate) puts_older: Counter,
    pub(crate) put_failures: Counter,
    pub(crate) evictions: Counter,
    pub(crate) evicted_records: Counter,
    pub(crate) evicted_bytes: Counter,
    pub(crate) second_chances: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) index_failures: Counter,
    pub(crate) scrubbed_bytes: Counter,
}

/// A snapshot of the store's state and counters. Counters start at 0 when the store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Records and hints that can be read.
    pub records: u64,
    /// Bytes of segments that those take, headers included.
    pub live_bytes: u64,
    /// Bytes of segments that nothing readable takes: replaced and removed records, footers, the log's own records.
    pub dead_bytes: u64,
    /// Bytes that segments may take.
    pub capacity_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes in the hot set.
    pub hot_bytes: u64,
    /// Reads asked for.
    pub gets: u64,
    /// Reads answered with a record.
    pub hits: u64,
    /// Reads answered from the hot set; part of `hits`.
    pub hot_hits: u64,
    /// Records written.
    pub puts: u64,
    /// Writes ignored because a newer record was there.
    pub puts_older: u64,
    /// Writes that failed.
    pub put_failures: u64,
    /// Segments evicted.
    pub evictions: u64,
    /// Records lost with evicted segments.
    pub evicted_records: u64,
    /// Bytes of those records, headers included.
    pub evicted_bytes: u64,
    /// Records written again because they were read since, or are tombstones or hints.
    pub second_chances: u64,
    /// Records taken out because they could not be read or were damaged.
    pub quarantined: u64,
    /// Times that the index had to be opened again or rebuilt while the store was open.
    pub index_failures: u64,
    /// Bytes whose digests the scrubber checked.
    pub scrubbed_bytes: u64,
}

impl Counters {
    /// Fills in all counters.
    pub(crate) fn snapshot(&self) -> StoreStats {
        StoreStats {
            gets: self.gets.get(),
            hits: self.hits.get(),
            hot_hits: self.hot_hits.get(),
            puts: self.puts.get(),
            puts_older: self.puts_older.get(),
            put_failures: self.put_failures.get(),
            evictions: self.evictions.get(),
            evicted_records: self.evicted_records.get(),
            evicted_bytes: self.evicted_bytes.get(),
            second_chances: self.second_chances.get(),
            quarantined: self.quarantined.get(),
            index_failures: self.index_failures.get(),
            scrubbed_bytes: self.scrubbed_bytes.get(),
            ..StoreStats::default()
        }
    }
}
