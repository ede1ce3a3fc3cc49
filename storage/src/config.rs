//! Sizes and intervals of a store, and their bounds.

use crate::error::OpenError;
use dccache_protocol::limits;

/// Smallest segment, in bytes: it must hold a full horizon record (40 KiB) and still leave room for what is kept.
pub(crate) const SEGMENT_MIN: u64 = 128 << 10;

/// Segments that the capacity is cut into at least, so that evicting the oldest is never evicting a large share.
const SEGMENTS_MIN: u64 = 4;

/// Largest payload, in bytes.
pub(crate) const PAYLOAD_MAX: u64 = limits::BUNDLE_MAX as u64;

/// Who syncs, flushes the index and retries after faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// A thread of the store.
    Thread,
    /// Nobody: the owner calls [`crate::Store::sync`]. For tests that need every write in a known order.
    Manual,
}

/// Sizes and intervals of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of segments; at least 512 KiB. The files never hold more than this and one segment.
    pub capacity_bytes: u64,
    /// Bytes after which a segment is closed; clamped to 128 KiB and a quarter of the capacity.
    pub segment_bytes: u64,
    /// Bytes of payloads in the hot set; 0 switches it off.
    pub hot_bytes: u64,
    /// Bytes of memory for pages of the index.
    pub index_cache_bytes: usize,
    /// Every page of an index file up to this size, in bytes, is checked when the store is opened; a larger one is
    /// trusted as far as its own header says.
    pub index_check_bytes: u64,
    /// Longest time between a grouped write and the start of its sync, in ms.
    pub sync_interval_ms: u64,
    /// Hints older than this, in ms, go with their segment.
    pub hint_life_ms: u64,
    /// Who does the background work.
    pub background: Background,
    /// Salt of the checksums of a new directory; `None` draws one. Tests set it.
    pub salt: Option<u32>,
}

impl Config {
    /// Returns the defaults for `capacity_bytes`: segments of 1/128 of it between 4 and 256 MiB, 64 MiB hot set, 64 MiB index
    /// cache, full check of an index up to 1 GiB, sync every 500 ms, hints for a day.
    pub fn with_capacity(capacity_bytes: u64) -> Self {
        Self {
            capacity_bytes,
            segment_bytes: (capacity_bytes / 128).clamp(4 << 20, 256 << 20),
            hot_bytes: 64 << 20,
            index_cache_bytes: 64 << 20,
            index_check_bytes: 1 << 30,
            sync_interval_ms: 500,
            hint_life_ms: 24 * 3600 * 1000,
            background: Background::Thread,
            salt: None,
        }
    }

    /// Brings sizes into their ranges.
    pub(crate) fn checked(mut self) -> Result<Self, OpenError> {
        if self.capacity_bytes < SEGMENTS_MIN * SEGMENT_MIN {
            return Err(OpenError::Config("capacity_bytes must be at least 524288"));
        }
        self.segment_bytes = self.segment_bytes.clamp(SEGMENT_MIN, self.capacity_bytes / SEGMENTS_MIN);
        Ok(self)
    }

    /// Largest payload that a store of this capacity takes, in bytes.
    pub(crate) fn payload_max(&self) -> u64 {
        PAYLOAD_MAX.min(self.capacity_bytes / 2)
    }
}
