//! What every part of a running node shares.

use crate::catchup::Catchup;
use crate::control::Plane;
use crate::counters::Counters;
use crate::gate::Gate;
use crate::handoff::Handoff;
use crate::layouts::Book;
use crate::peers::Peers;
use crate::shelf::Shelf;
use crate::signers::Register;
use crate::stamps::Stamps;
use dccache_protocol::ids::{ClusterId, Epoch, NodeId};
use dccache_protocol::service::{Answer, NodeStatus, Refusal};
use dccache_protocol::time::Clock;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Locks over manifests; two that share one only wait for each other.
const STRIPES: usize = 64;

/// The parts of a node.
pub(crate) struct Core {
    /// The node's name.
    pub(crate) id: NodeId,
    /// Its cluster.
    pub(crate) cluster: ClusterId,
    /// Its clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where it keeps records.
    pub(crate) shelf: Shelf,
    /// Its receipt stamps.
    pub(crate) stamps: Stamps,
    /// The layouts that it believes.
    pub(crate) book: Arc<Book>,
    /// Who may sign.
    pub(crate) signers: Register,
    /// The way to the other nodes.
    pub(crate) peers: Peers,
    /// What it counts.
    pub(crate) counters: Counters,
    /// Writes in progress.
    pub(crate) gate: Arc<Gate>,
    /// Partitions that it has yet to pull.
    pub(crate) handoff: Arc<Handoff>,
    /// Whether it may lack what was written while it was away.
    pub(crate) catchup: Catchup,
    /// The control plane; the data plane never waits for it.
    pub(crate) control: OnceLock<Plane>,
    /// Work that outlives the request that began it.
    pub(crate) tasks: TaskTracker,
    /// Set when the node ends.
    pub(crate) draining: CancellationToken,
    /// Serialises merges of one manifest.
    pub(crate) merging: [Mutex<()>; STRIPES],
    /// When the node started.
    pub(crate) started: Instant,
    /// Bytes that the store may take.
    pub(crate) capacity_bytes: u64,
}

impl Core {
    /// Makes the array of locks.
    pub(crate) fn stripes() -> [Mutex<()>; STRIPES] {
        std::array::from_fn(|_| Mutex::default())
    }

    /// Returns the lock of a manifest.
    pub(crate) fn stripe(&self, id: &dccache_protocol::keys::RecordId) -> &Mutex<()> {
        &self.merging[usize::from(id.digest().as_bytes()[31]) % STRIPES]
    }

    /// Wraps a result for a caller that knows `known`: a stale one gets the newer layout along.
    pub(crate) fn answer<T>(&self, known: Epoch, result: Result<T, Refusal>) -> Answer<T> {
        let layouts = self.book.now();
        let newer = (known < layouts.epoch()).then(|| layouts.encoded());
        if result.is_err() {
            self.counters.refusals.add(1);
        }
        Answer { epoch: layouts.epoch(), newer, result }
    }

    /// Returns the counters and what the node holds now.
    pub(crate) async fn status(&self) -> NodeStatus {
        let stats = self.shelf.stats();
        NodeStatus {
            node: self.id.to_string(),
            uptime_s: self.started.elapsed().as_secs(),
            records: stats.records,
            bytes: stats.live_bytes,
            capacity_bytes: self.capacity_bytes,
            finds: self.counters.finds.get(),
            hits: self.counters.hits.get(),
            bytes_out: self.counters.bytes_out.get(),
            puts: self.counters.puts.get(),
            bytes_in: self.counters.bytes_in.get(),
            replicas: self.counters.replicas.get(),
            refusals: self.counters.refusals.get(),
            quarantined: stats.quarantined,
            evicted: stats.evicted_records,
            hints: crate::hints::waiting(self).await,
            pending_partitions: self.handoff.pending() as u64,
        }
    }
}
