//! How much a node does at once: permits that belong to the work, not to the call that asked for it.
//!
//! A permit is held by the task that does the work until the work is done, so that a caller who cancels, or goes away, frees nothing early.
//! Bytes are counted in all and per peer; what no longer fits waits or is refused, never allocated.

use crate::identity::PeerName;
use dccache_protocol::limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// Bytes per permit of a byte semaphore: keeps the counts of the largest bundles within what one call can ask for.
const UNIT: usize = 1024;

/// All that a node does for others. Cheap to clone; clones share the bounds.
#[derive(Clone, Debug)]
pub struct Work {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    per_peer: usize,
    peers: Arc<Mutex<BTreeMap<PeerName, Weak<Semaphore>>>>,
    tasks: TaskTracker,
}

impl Default for Work {
    fn default() -> Self {
        let bytes = limits::BYTES_IN_FLIGHT_MAX;
        Self::with_bounds(limits::REQUESTS_MAX, bytes, limits::BYTES_IN_FLIGHT_PER_PEER_MAX)
    }
}

impl Work {
    /// Sets bounds: requests in all, bytes in all, bytes per peer.
    pub fn with_bounds(requests: usize, bytes: usize, bytes_per_peer: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            bytes: Arc::new(Semaphore::new(bytes.div_ceil(UNIT))),
            per_peer: bytes_per_peer.div_ceil(UNIT),
            peers: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Returns the budget of a peer, shared by all of its connections.
    pub fn budget(&self, peer: PeerName) -> Budget {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = peers.get(&peer).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            peers.retain(|_, budget| budget.strong_count() > 0);
            let own = Arc::new(Semaphore::new(self.per_peer));
            peers.insert(peer, Arc::downgrade(&own));
            own
        });
        Budget { own, all: self.bytes.clone() }
    }

    /// Returns how many requests are being worked on.
    pub fn in_progress(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until all work that was begun is done. More work can begin meanwhile; stop accepting first.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn try_begin(&self) -> Option<OwnedSemaphorePermit> {
        self.requests.clone().try_acquire_owned().ok()
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }
}

/// The bytes that one peer may have in flight.
#[derive(Clone, Debug)]
pub struct Budget {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Budget {
    /// Waits until `bytes` fit and takes them; reserve before allocating.
    ///
    /// Cancel safety: a cancelled call takes nothing.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // The peer's own first: whoever waits for its own share must not hold a part of everybody's.
        let own = self.own.clone().acquire_many_owned(units).await;
        let all = self.all.clone().acquire_many_owned(units).await;
        Reservation { _held: [own.ok(), all.ok()] }
    }
}

/// Bytes in flight; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    _held: [Option<OwnedSemaphorePermit>; 2],
}
