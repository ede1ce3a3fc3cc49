//! What the node counts since its start. Counters are not logs: each has a unit and shows in the status.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns it.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of a node; units as in [`dccache_protocol::service::NodeStatus`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Look-ups.
    pub(crate) finds: Counter,
    /// Look-ups with an answer.
    pub(crate) hits: Counter,
    /// Bytes of records sent to clients.
    pub(crate) bytes_out: Counter,
    /// Bundles stored for clients.
    pub(crate) puts: Counter,
    /// Bytes of them.
    pub(crate) bytes_in: Counter,
    /// Copies stored for other nodes.
    pub(crate) replicas: Counter,
    /// Requests refused.
    pub(crate) refusals: Counter,
    /// Records that were damaged or missing here and came back from another owner.
    pub(crate) healed: Counter,
    /// Hints delivered to the node that was away.
    pub(crate) hints_delivered: Counter,
}
