//! What this node asks of other nodes, and what it learns of newer layouts on the way.
//!
//! Every answer carries the other node's epoch. A newer layout in it is taken before the answer is used; when the steps between are
//! missing too, they are fetched.

use crate::core::Core;
use crate::shelf::Held;
use dccache_protocol::ids::Namespace;
use dccache_protocol::ids::{Epoch, NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::limits::{BUNDLE_MAX, INLINE_MAX};
use dccache_protocol::service::{
    Answer, BulkAnswer, BulkRequest, Bytes, CacheClient, Carried, Content, Fetch, NodeStatus, Pull, Pulled,
    RecordKind, Refusal, Replicate, Replicated,
};
use dccache_transport::bulk;
use dccache_transport::pool::{Fault, Pool, PoolError};
use dccache_transport::stream::SecureStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tokio::time::{Instant, timeout_at};

/// How long a small request to another node may take: ten times a slow disk's sync.
const SMALL: Duration = Duration::from_secs(2);

/// How long one step of a hand-off may take: the old owner first lets its writes end.
const STEP: Duration = Duration::from_secs(20);

/// How long a bulk transfer may take in all; half a gigabyte in this time is 4 MiB/s.
const BULK: Duration = Duration::from_secs(120);

/// Why another node did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// It is no member of a layout that this node knows.
    #[error("{0} is no member")]
    Unknown(NodeId),
    /// It could not be asked.
    #[error("another node could not be asked")]
    Away(#[from] PoolError),
    /// A bulk transfer broke off.
    #[error("a transfer with another node broke off")]
    Broken,
    /// It refused.
    #[error("another node refused")]
    Refused(#[from] Refusal),
}

/// The way to the other nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pool: Pool,
}

impl Peers {
    /// Wraps the pool of connections.
    pub(crate) const fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Gives a node a copy, or a hint for `hint_for`.
    pub(crate) async fn replicate(
        &self,
        core: &Arc<Core>,
        to: NodeId,
        record: &Held,
        hint_for: Option<NodeId>,
    ) -> Result<Replicated, PeerError> {
        let epoch = core.book.epoch();
        if record.payload.len() > INLINE_MAX {
            return self.replicate_bulk(core, to, record, hint_for).await;
        }
        let request = Replicate { epoch, record: record.to_message(), hint_for };
        let ask = async |client: CacheClient, context: Context| client.replicate(context, request).await;
        self.ask(core, to, SMALL, ask).await
    }

    async fn replicate_bulk(
        &self,
        core: &Arc<Core>,
        to: NodeId,
        record: &Held,
        hint_for: Option<NodeId>,
    ) -> Result<Replicated, PeerError> {
        let Held { id, kind, stamp, ref payload } = *record;
        let length = payload.len() as u64;
        let request = BulkRequest::Replicate { epoch: core.book.epoch(), id, kind, stamp, hint_for, length };
        match self.transfer(core, to, &request, payload).await? {
            (BulkAnswer::Replicated(replicated), _) => Ok(replicated),
            (BulkAnswer::Refused(refusal), _) => Err(refusal.into()),
            _ => Err(PeerError::Broken),
        }
    }

    /// Reads a record that a node holds.
    pub(crate) async fn fetch(
        &self,
        core: &Arc<Core>,
        from: NodeId,
        id: RecordId,
    ) -> Result<Option<Held>, PeerError> {
        // A record without its kind is judged by what it decodes to; bulk answers name it, and small ones are fetched by the same way.
        let request = Fetch { epoch: core.book.epoch(), id };
        let ask = async |client: CacheClient, context: Context| client.fetch(context, request).await;
        let Some(carried) = self.ask(core, from, SMALL, ask).await? else { return Ok(None) };
        match carried.content {
            Content::Inline(bytes) => {
                let kind = kind_of(&bytes.0);
                Ok(Some(Held { id, kind, stamp: carried.stamp, payload: bytes.0.into() }))
            }
            Content::Bulk { id: named, .. } if named == id => self.get(core, from, id).await,
            Content::Bulk { .. } => Err(PeerError::Broken),
        }
    }

    /// Reads a record that a node holds when it is small, else where it is.
    pub(crate) async fn peek(
        &self,
        core: &Arc<Core>,
        from: NodeId,
        id: RecordId,
    ) -> Result<Option<Carried>, PeerError> {
        let request = Fetch { epoch: core.book.epoch(), id };
        let ask = async |client: CacheClient, context: Context| client.fetch(context, request).await;
        let carried = self.ask(core, from, SMALL, ask).await?;
        Ok(carried.filter(|carried| match carried.content {
            Content::Inline(_) => true,
            Content::Bulk { id: named, length } => named == id && length <= BUNDLE_MAX as u64,
        }))
    }

    /// Reads a record that a node holds over a bulk stream.
    pub(crate) async fn get(
        &self,
        core: &Arc<Core>,
        from: NodeId,
        id: RecordId,
    ) -> Result<Option<Held>, PeerError> {
        let request = BulkRequest::Get { epoch: core.book.epoch(), namespace: Namespace::default(), id };
        match self.transfer(core, from, &request, &[]).await? {
            (BulkAnswer::Record { kind, stamp, .. }, payload) => {
                Ok(Some(Held { id, kind, stamp, payload: payload.into() }))
            }
            (BulkAnswer::Missing, _) => Ok(None),
            (BulkAnswer::Refused(refusal), _) => Err(refusal.into()),
            _ => Err(PeerError::Broken),
        }
    }

    /// Reads the next records of a partition that this node owns now.
    pub(crate) async fn pull(
        &self,
        core: &Arc<Core>,
        from: NodeId,
        partition: Partition,
        after: Option<RecordId>,
    ) -> Result<Pulled, PeerError> {
        let request = Pull { epoch: core.book.epoch(), partition, after };
        let ask = async |client: CacheClient, context: Context| client.pull(context, request).await;
        self.ask(core, from, STEP, ask).await
    }

    /// Takes the layouts that a node knows after the newest known here.
    pub(crate) async fn learn(&self, core: &Arc<Core>, from: NodeId) -> Result<(), PeerError> {
        let known = core.book.epoch();
        let ask = async |client: CacheClient, context: Context| client.layouts(context, known).await;
        let answer = self.raw(core, from, SMALL, ask).await?;
        let layouts = answer.result?;
        take(core, layouts).await;
        Ok(())
    }

    /// Reads a node's counters.
    pub(crate) async fn status(&self, core: &Arc<Core>, of: NodeId) -> Result<NodeStatus, PeerError> {
        let ask = async |client: CacheClient, context: Context| client.status(context).await;
        self.ask(core, of, SMALL, ask).await
    }

    /// Carries a message of the control plane.
    pub(crate) async fn raft(
        &self,
        core: &Arc<Core>,
        to: NodeId,
        message: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let ask = async |client: CacheClient, context: Context| client.raft(context, Bytes(message)).await;
        self.ask(core, to, within, ask).await.map(|bytes| bytes.0)
    }

    /// Proposes an encoded command.
    pub(crate) async fn propose(
        &self,
        core: &Arc<Core>,
        to: NodeId,
        command: Vec<u8>,
    ) -> Result<Vec<u8>, PeerError> {
        let ask = async |client: CacheClient, context: Context| client.propose(context, Bytes(command)).await;
        self.ask(core, to, STEP, ask).await.map(|bytes| bytes.0)
    }

    async fn ask<T>(
        &self,
        core: &Arc<Core>,
        node: NodeId,
        within: Duration,
        request: impl AsyncFnOnce(CacheClient, Context) -> Result<Answer<T>, RpcError>,
    ) -> Result<T, PeerError> {
        let answer = self.raw(core, node, within, request).await?;
        if let Some(newer) = answer.newer {
            take(core, vec![newer]).await;
        }
        if answer.epoch > core.book.epoch() {
            // The step between is missing. The answer itself is good without it.
            let (core, peers) = (Arc::clone(core), self.clone());
            core.tasks.clone().spawn(async move {
                let _ = peers.learn(&core, node).await;
            });
        }
        Ok(answer.result?)
    }

    async fn raw<T>(
        &self,
        core: &Arc<Core>,
        node: NodeId,
        within: Duration,
        request: impl AsyncFnOnce(CacheClient, Context) -> Result<Answer<T>, RpcError>,
    ) -> Result<Answer<T>, PeerError> {
        let addresses = addresses(core, node)?;
        Ok(self.pool.call(node, &addresses, Instant::now() + within, request).await?)
    }

    async fn transfer(
        &self,
        core: &Arc<Core>,
        node: NodeId,
        request: &BulkRequest,
        payload: &[u8],
    ) -> Result<(BulkAnswer, Vec<u8>), PeerError> {
        let addresses = addresses(core, node)?;
        let deadline = Instant::now() + BULK;
        // An idle connection may have been closed by the other end meanwhile; one more try opens a new one.
        for _ in 0..2 {
            let mut stream = self.pool.bulk(node, &addresses, Instant::now() + SMALL).await?;
            match timeout_at(deadline, bulk::transfer(&mut stream, request, payload)).await {
                Ok(Ok(done)) => {
                    self.pool.give_back(node, stream);
                    return Ok(done);
                }
                Ok(Err(error)) => tracing::debug!(%node, %error, "a bulk transfer failed"),
                Err(_) => {
                    self.pool.failed(node, Fault::Slow, "a bulk transfer took too long");
                    return Err(PeerError::Broken);
                }
            }
            drop::<SecureStream>(stream);
        }
        self.pool.failed(node, Fault::Fast, "a bulk transfer broke off");
        Err(PeerError::Broken)
    }
}

/// Returns where a node can be reached, by the newest layout that has it.
fn addresses(core: &Arc<Core>, node: NodeId) -> Result<Vec<SocketAddr>, PeerError> {
    let layouts = core.book.now();
    layouts.addresses(node).ok_or(PeerError::Unknown(node))
}

/// Takes layouts that a peer sent; they are judged before they count.
pub(crate) async fn take(core: &Arc<Core>, encoded: Vec<Bytes>) {
    if encoded.is_empty() {
        return;
    }
    let book = Arc::clone(&core.book);
    let _ = tokio::task::spawn_blocking(move || book.offer_all(&encoded)).await;
}

/// Makes sure that this node knows the layouts of whoever asks: a request under an unknown epoch is answered after learning it.
pub(crate) async fn follow(core: &Arc<Core>, node: Option<NodeId>, epoch: Epoch) {
    if epoch > core.book.epoch()
        && let Some(node) = node
        && let Err(error) = core.peers.learn(core, node).await
    {
        tracing::debug!(%node, %error, "a newer layout could not be fetched");
    }
}

/// Tells what a payload is by what it decodes to. Bundle, alias and manifest cannot be taken for each other: their bodies differ.
fn kind_of(payload: &[u8]) -> RecordKind {
    use dccache_protocol::codec::Format as _;
    if dccache_protocol::bundle::Bundle::parse(payload).is_ok() {
        RecordKind::Bundle
    } else if dccache_protocol::entry::Alias::from_bytes(payload).is_ok() {
        RecordKind::Alias
    } else {
        RecordKind::Manifest
    }
}
