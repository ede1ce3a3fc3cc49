//! What the agent has done since its start, in counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the count.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counts of one agent; each in requests or entries.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Look-ups.
    pub(super) finds: Counter,
    /// Look-ups answered with an entry.
    pub(super) hits: Counter,
    /// Look-ups of suggestions.
    pub(super) manifests: Counter,
    /// Look-ups of suggestions answered with some.
    pub(super) suggested: Counter,
    /// Entries acknowledged by the ring.
    pub(super) pushed: Counter,
    /// Entries dropped: the journal was full or torn, or the ring refused them for good.
    pub(super) dropped: Counter,
}
