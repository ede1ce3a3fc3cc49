//! The agent's view of its cluster: the layout and directory in force, connections to nodes, and one way to ask a node anything.
//!
//! Invariant: every answer's newer layout is judged before it counts; what was accepted is on disk before it is used again
//! after a restart, and never goes back.

use crate::cluster::{self, ClusterError, Member, Membership, Signers};
use dccache_protocol::codec::Format;
use dccache_protocol::directory::SignedDirectory;
use dccache_protocol::ids::{Epoch, NodeId, Partition, SignerId};
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::local::Unavailable;
use dccache_protocol::service::{Answer, Bytes, CacheClient, Refusal};
use dccache_protocol::signing::{PublicKey, SigningKey};
use dccache_protocol::time::Clock;
use dccache_ring::accept::{Rejection, Trusted};
use dccache_ring::balance::Balance;
use dccache_transport::dial::{DialFault, Dialer};
use dccache_transport::endpoint::Endpoint;
use dccache_transport::pool::{Pool, PoolError};
use dccache_transport::trust::{Trust, TrustError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tokio::time::Instant;

/// How long catching up with layouts or the directory may take, beside all requests.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Why a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RingError {
    /// The state on disk.
    #[error(transparent)]
    State(#[from] ClusterError),
    /// The roots.
    #[error("the cluster's root certificates cannot be used")]
    Trust(#[from] TrustError),
}

/// A node that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) addresses: Vec<SocketAddr>,
}

/// Why a node gave no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It could not be asked.
    Unavailable(Unavailable),
    /// It refused.
    Refused(Refusal),
}

/// The agent's view of its cluster.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) member: Member,
    pub(super) signer: Option<SigningKey>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) pool: Pool,
    directory: PathBuf,
    roots: Vec<PublicKey>,
    layout: RwLock<Arc<Trusted>>,
    signers: RwLock<Arc<Signers>>,
    balance: Mutex<Balance>,
    /// Nodes that did not take the last push sent to them, and why; at most one per member that ever was.
    unwilling: Mutex<BTreeMap<NodeId, Refusal>>,
    origin: Instant,
    /// Serialises judging, so that two answers cannot overtake each other on their way to the disk.
    learning: tokio::sync::Mutex<()>,
}

impl Ring {
    pub(super) fn new(
        membership: Membership,
        directory: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RingError> {
        let roots = membership.root_keys()?;
        let trust = Trust::new(membership.member.cluster, membership.roots, clock)?;
        let endpoint = Endpoint::new(membership.identity, trust);
        Ok(Self {
            pool: Pool::new(Dialer::new(Arc::clone(&endpoint))),
            endpoint,
            member: membership.member,
            signer: membership.signer,
            directory,
            roots,
            layout: RwLock::new(Arc::new(membership.layout)),
            signers: RwLock::new(Arc::new(membership.signers)),
            balance: Mutex::default(),
            unwilling: Mutex::default(),
            origin: Instant::now(),
            learning: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the layout in force.
    pub(super) fn layout(&self) -> Arc<Trusted> {
        Arc::clone(&self.layout.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the directory in force.
    pub(super) fn signers(&self) -> Arc<Signers> {
        Arc::clone(&self.signers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the epoch in force.
    pub(super) fn epoch(&self) -> Epoch {
        self.layout().layout().epoch
    }

    /// Returns this machine's signer.
    pub(super) fn own(&self) -> Option<SignerId> {
        self.signer.as_ref().map(|key| key.public().signer_id())
    }

    /// Returns the owners of a partition, the one expected to answer first in front.
    pub(super) fn owners(&self, partition: Partition) -> Vec<Node> {
        let layout = self.layout();
        let ids: Vec<NodeId> = layout.layout().owners(partition).map(|member| member.id).collect();
        let random = getrandom::u64().unwrap_or_default();
        let ordered = self.balance().order(&ids, random, self.origin.elapsed());
        let found = ordered.into_iter().filter_map(|id| layout.layout().member(id));
        found.map(|member| Node { id: member.id, addresses: member.addresses.clone() }).collect()
    }

    /// Returns all nodes.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let layout = self.layout();
        let members = layout.layout().members.iter();
        members.map(|member| Node { id: member.id, addresses: member.addresses.clone() }).collect()
    }

    /// Asks a node, and learns from its answer how fast it is and whether there is a newer layout.
    ///
    /// Cancel safety: a request that is dropped after [`LOST`] counts against the node, else it says nothing of it.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        node: &Node,
        deadline: Instant,
        request: impl AsyncFnOnce(CacheClient, Context) -> Result<Answer<T>, RpcError>,
    ) -> Result<T, NoAnswer> {
        let measured = Unmeasured::begin(self, node.id);
        let answer = self.pool.call(node.id, &node.addresses, deadline, request).await;
        let answer = match answer {
            Ok(answer) => {
                measured.answered();
                answer
            }
            Err(error) => {
                measured.failed(&error);
                return Err(NoAnswer::Unavailable(reason(&error)));
            }
        };
        if let Some(newer) = answer.newer {
            self.learn_layout(node, &newer).await;
        }
        answer.result.map_err(NoAnswer::Refused)
    }

    /// Judges a layout that a node sent; fetches those in between where it does not follow the one in force.
    async fn learn_layout(self: &Arc<Self>, node: &Node, encoded: &Bytes) {
        let judged = match SignedLayout::from_bytes(&encoded.0) {
            Ok(candidate) => self.accept([candidate]).await,
            Err(error) => Err(Rejection::Malformed(error)),
        };
        match judged {
            Ok(()) => {}
            Err(Rejection::TooFewSignatures { .. } | Rejection::WrongParent) => {
                let (ring, node) = (Arc::clone(self), node.clone());
                tokio::spawn(async move { ring.catch_up(&node).await });
            }
            Err(error) => tracing::warn!(node = %node.id, %error, "a layout is refused"),
        }
    }

    /// Asks a node for the layouts after the one in force.
    pub(super) async fn catch_up(self: &Arc<Self>, node: &Node) {
        let (known, deadline) = (self.epoch(), Instant::now() + CATCH_UP);
        let asked = self.pool.call(node.id, &node.addresses, deadline, async move |cache, context| {
            cache.layouts(context, known).await
        });
        let Ok(Answer { result: Ok(chain), .. }) = asked.await else { return };
        let chain = chain.iter().map_while(|layout| SignedLayout::from_bytes(&layout.0).ok());
        if let Err(error) = self.accept(chain.collect::<Vec<_>>()).await {
            tracing::warn!(node = %node.id, %error, "a chain of layouts is refused");
        }
    }

    async fn accept(&self, chain: impl IntoIterator<Item = SignedLayout>) -> Result<(), Rejection> {
        let _learning = self.learning.lock().await;
        let known = self.layout();
        let next = Trusted::clone(&known).accept_chain(chain, &self.roots)?;
        if next.layout().epoch == known.layout().epoch {
            return Ok(());
        }
        if let Err(error) = cluster::save_layout(&self.directory, &next) {
            tracing::warn!(%error, "a layout could not be kept");
        }
        tracing::info!(epoch = next.layout().epoch.0, "a new layout is in force");
        let layout = next.layout().clone();
        *self.layout.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.pool.retain(|node| layout.member(node).is_some());
        self.balance().retain(|node| layout.member(node).is_some());
        self.unwilling().retain(|node, _| layout.member(*node).is_some());
        Ok(())
    }

    /// Asks a node for a newer directory of signers; tells whether one was accepted.
    pub(super) async fn refresh_signers(self: &Arc<Self>, node: &Node, deadline: Instant) -> bool {
        let known = self.signers().number();
        let asked =
            self.ask(node, deadline, async move |cache, context| cache.directory(context, known).await);
        match asked.await {
            Ok(Some(newer)) => self.learn_signers(&newer.0).await,
            _ => false,
        }
    }

    /// Judges an encoded directory; tells whether it was accepted.
    pub(super) async fn learn_signers(&self, encoded: &[u8]) -> bool {
        let Ok(candidate) = SignedDirectory::from_bytes(encoded) else { return false };
        let _learning = self.learning.lock().await;
        match self.signers().accept(candidate, self.layout().layout()) {
            Ok(next) => {
                if let Err(error) = cluster::save_signers(&self.directory, &next) {
                    tracing::warn!(%error, "a directory could not be kept");
                }
                *self.signers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a directory is refused");
                false
            }
        }
    }

    /// Judges an encoded layout that came another way than with an answer.
    pub(super) async fn learn_encoded_layout(&self, encoded: &[u8]) {
        if let Ok(candidate) = SignedLayout::from_bytes(encoded) {
            let _ = self.accept([candidate]).await;
        }
    }

    /// Returns per node of the layout: name, preferred address, breaker state, last failure in words.
    pub(super) fn health(&self) -> Vec<(String, String, String, String)> {
        let known = self.pool.snapshot();
        let describe = |node: Node| {
            let health = known.iter().find(|health| health.node == node.id);
            let state = match health {
                Some(health) if health.retry_in_ms.is_some() => "open",
                Some(health) if health.failures > 0 => "half-open",
                _ => "closed",
            };
            let address = node.addresses.first().map(ToString::to_string).unwrap_or_default();
            let failure = health.and_then(|health| health.last_error.clone());
            let failure =
                failure.or_else(|| Some(format!("takes no pushes: {}", self.unwilling().get(&node.id)?)));
            let failure = failure.unwrap_or_default();
            (node.id.to_string(), address, state.to_owned(), failure)
        };
        self.nodes().into_iter().map(describe).collect()
    }

    /// Returns where the state of the cluster lies.
    pub(super) fn state(&self) -> &std::path::Path {
        &self.directory
    }

    /// Remembers whether a node took the last push sent to it.
    pub(super) fn took_a_push(&self, node: NodeId, answer: Result<(), Refusal>) {
        match answer {
            Ok(()) => self.unwilling().remove(&node),
            Err(refusal) => self.unwilling().insert(node, refusal),
        };
    }

    fn unwilling(&self) -> MutexGuard<'_, BTreeMap<NodeId, Refusal>> {
        self.unwilling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose end is not noted yet.
struct Unmeasured<'a> {
    ring: &'a Ring,
    node: NodeId,
    begun: Instant,
    is_noted: bool,
}

/// A request that was given up after this long counts against its node: another one answered in the meantime.
const LOST: Duration = Duration::from_millis(20);

impl<'a> Unmeasured<'a> {
    fn begin(ring: &'a Ring, node: NodeId) -> Self {
        ring.balance().begun(node, ring.origin.elapsed());
        Self { ring, node, begun: Instant::now(), is_noted: false }
    }

    fn answered(mut self) {
        self.is_noted = true;
        self.ring.balance().answered(self.node, self.begun.elapsed(), self.ring.origin.elapsed());
    }

    fn failed(mut self, error: &PoolError) {
        self.is_noted = true;
        let mut balance = self.ring.balance();
        match error {
            // Nothing was sent, so nothing was measured.
            PoolError::Open { .. } | PoolError::NoAddress(_) => balance.cancelled(self.node),
            _ => balance.failed(self.node, self.begun.elapsed(), self.ring.origin.elapsed()),
        }
    }
}

impl Drop for Unmeasured<'_> {
    fn drop(&mut self) {
        if self.is_noted {
            return;
        }
        let (took, now) = (self.begun.elapsed(), self.ring.origin.elapsed());
        let mut balance = self.ring.balance();
        if took >= LOST { balance.failed(self.node, took, now) } else { balance.cancelled(self.node) }
    }
}

/// Says in the wrapper's words why a node could not be asked.
pub(super) fn reason(error: &PoolError) -> Unavailable {
    match error {
        PoolError::Open { .. } => Unavailable::BreakerOpen,
        PoolError::Deadline(_) => Unavailable::TimedOut,
        PoolError::NoAddress(_) | PoolError::Broken(_) => Unavailable::Unreachable,
        PoolError::Busy(_) | PoolError::Failed(_) => Unavailable::Refused,
        PoolError::Dial { source, .. } => match source.fault() {
            DialFault::TimedOut => Unavailable::TimedOut,
            DialFault::Refused | DialFault::Unreachable => Unavailable::Unreachable,
            DialFault::Busy => Unavailable::Refused,
            _ => Unavailable::NotTrusted,
        },
    }
}
