//! The requests of peers: who may ask what, and where it goes. Everything that counts lies behind.

use crate::core::Core;
use crate::shelf::Held;
use crate::{handoff, ingest, peers, read, write};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{Epoch, NodeId};
use dccache_protocol::limits::INLINE_MAX;
use dccache_protocol::manifest::{Manifest, Pusher};
use dccache_protocol::service::{
    Answer, Bytes, Cache, Carried, Fetch, Find, FindManifests, Found, FoundManifests, NodeStatus, Pull,
    Pulled, Put, PutAlias, Refusal, Replicate, Replicated, Stored, Suggest,
};
use dccache_protocol::token::Role;
use dccache_transport::identity::PeerName;
use dccache_transport::peer::Peer;
use std::sync::Arc;
use tarpc::context::Context;

/// One request's view of the node: who asks is part of it.
#[derive(Clone)]
pub(crate) struct Service {
    core: Arc<Core>,
    role: Role,
    name: PeerName,
}

impl Service {
    /// Serves a peer.
    pub(crate) fn new(core: Arc<Core>, peer: &Peer) -> Self {
        Self { core, role: peer.role(), name: peer.name() }
    }

    /// Returns the name of a peer that is a node.
    const fn known(&self) -> Option<NodeId> {
        match self.name {
            PeerName::Node(id) => Some(id),
            PeerName::Client(_) => None,
        }
    }

    /// Returns the name under which suggestions of this peer are counted. Its certificates change, its key does not.
    fn pusher(&self) -> Pusher {
        let digest = match self.name {
            PeerName::Node(id) => Digest::of(&id.0),
            PeerName::Client(key) => *key.digest(),
        };
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        Pusher(u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1))
    }

    fn writer(&self) -> Result<(), Refusal> {
        if matches!(self.role, Role::Writer | Role::Node) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    fn node(&self) -> Result<NodeId, Refusal> {
        self.known().filter(|_| self.role == Role::Node).ok_or(Refusal::NotAllowed)
    }

    async fn put_bundle(self, bundle: Vec<u8>) -> Result<Stored, Refusal> {
        self.writer()?;
        if bundle.len() > INLINE_MAX {
            return Err(Refusal::Malformed);
        }
        put(&self.core, bundle).await
    }

    async fn keep(self, request: Replicate) -> Result<Replicated, Refusal> {
        let from = self.node()?;
        peers::follow(&self.core, Some(from), request.epoch).await;
        let record = ingest::replica(&self.core, Held::of_message(request.record)).await?;
        write::replicate(&self.core, record, request.hint_for).await
    }

    async fn merge(self, request: Suggest) -> Result<Stored, Refusal> {
        self.writer()?;
        if request.manifest.0.len() > INLINE_MAX {
            return Err(Refusal::Malformed);
        }
        let manifest = Manifest::from_bytes(&request.manifest.0).map_err(|_| Refusal::Malformed)?;
        write::suggest(&self.core, &request.namespace, request.key, manifest, self.pusher()).await
    }

    async fn second_name(self, alias: Bytes) -> Result<Stored, Refusal> {
        self.writer()?;
        let admitted = ingest::alias(&self.core, alias.0.into()).await?;
        write::store(&self.core, admitted).await
    }

    async fn control(self, message: Bytes) -> Result<Bytes, Refusal> {
        let from = self.node()?;
        // The engine believes whoever leads: only a voter may, and only in its own name.
        if !self.core.book.now().votes(from) {
            return Err(Refusal::NotAllowed);
        }
        let plane = self.core.control.get().ok_or(Refusal::Unavailable)?;
        plane.answer(from, &message.0).await.map(Bytes).ok_or(Refusal::Unavailable)
    }

    async fn command(self, command: Bytes) -> Result<Bytes, Refusal> {
        let from = self.node()?;
        let plane = self.core.control.get().ok_or(Refusal::Unavailable)?;
        plane.proposed_by(from, command.0).await.map(Bytes)
    }
}

/// Checks and stores a bundle for a client.
///
/// # Errors
/// What does not hold of it, or why it is not kept.
pub(crate) async fn put(core: &Arc<Core>, bundle: Vec<u8>) -> Result<Stored, Refusal> {
    let length = bundle.len() as u64;
    let admitted = ingest::bundle(core, bundle.into()).await?;
    let stored = write::store(core, admitted).await?;
    core.counters.puts.add(1);
    core.counters.bytes_in.add(length);
    Ok(stored)
}

impl Cache for Service {
    async fn find(self, _: Context, request: Find) -> Answer<Option<Found>> {
        peers::follow(&self.core, self.known(), request.epoch).await;
        self.core.answer(request.epoch, read::find(&self.core, &request).await)
    }

    async fn put(self, _: Context, request: Put) -> Answer<Stored> {
        let core = Arc::clone(&self.core);
        let stored = self.put_bundle(request.bundle.0).await;
        core.answer(request.epoch, stored)
    }

    async fn put_alias(self, _: Context, request: PutAlias) -> Answer<Stored> {
        let core = Arc::clone(&self.core);
        let stored = self.second_name(request.alias).await;
        core.answer(request.epoch, stored)
    }

    async fn manifests(self, _: Context, request: FindManifests) -> Answer<FoundManifests> {
        peers::follow(&self.core, self.known(), request.epoch).await;
        self.core.answer(request.epoch, read::manifests(&self.core, &request).await)
    }

    async fn suggest(self, _: Context, request: Suggest) -> Answer<Stored> {
        let (core, epoch) = (Arc::clone(&self.core), request.epoch);
        let stored = self.merge(request).await;
        core.answer(epoch, stored)
    }

    async fn layouts(self, _: Context, known: Epoch) -> Answer<Vec<Bytes>> {
        let layouts = self.core.book.now().after(known);
        let fitting = fitting(layouts);
        Answer { epoch: self.core.book.epoch(), newer: None, result: Ok(fitting) }
    }

    async fn directory(self, _: Context, known: u64) -> Answer<Option<Bytes>> {
        let signers = self.core.signers.now();
        let newer = (signers.number() > known).then(|| signers.encoded().clone());
        self.core.answer(self.core.book.epoch(), Ok(newer))
    }

    async fn status(self, _: Context) -> Answer<NodeStatus> {
        let status = self.core.status().await;
        self.core.answer(self.core.book.epoch(), Ok(status))
    }

    async fn replicate(self, _: Context, request: Replicate) -> Answer<Replicated> {
        let (core, epoch) = (Arc::clone(&self.core), request.epoch);
        let replicated = self.keep(request).await;
        core.answer(epoch, replicated)
    }

    async fn fetch(self, _: Context, request: Fetch) -> Answer<Option<Carried>> {
        let held = match self.node() {
            Ok(_) => Ok(self.core.shelf.get(request.id).await.map(|record| read::carried(&record))),
            Err(refusal) => Err(refusal),
        };
        self.core.answer(request.epoch, held)
    }

    async fn pull(self, _: Context, request: Pull) -> Answer<Pulled> {
        let pulled = match self.node() {
            Ok(from) => handoff::give(&self.core, from, &request).await,
            Err(refusal) => Err(refusal),
        };
        self.core.answer(request.epoch, pulled)
    }

    async fn raft(self, _: Context, message: Bytes) -> Answer<Bytes> {
        let core = Arc::clone(&self.core);
        let answer = self.control(message).await;
        core.answer(core.book.epoch(), answer)
    }

    async fn propose(self, _: Context, command: Bytes) -> Answer<Bytes> {
        let core = Arc::clone(&self.core);
        let outcome = self.command(command).await;
        core.answer(core.book.epoch(), outcome)
    }
}

/// Keeps the newest layouts that fit into one frame; members accept a later one without those between while the voters are the same.
fn fitting(layouts: Vec<Bytes>) -> Vec<Bytes> {
    let mut left = dccache_protocol::limits::FRAME_MAX * 3 / 4;
    let mut kept: Vec<Bytes> = layouts
        .into_iter()
        .rev()
        .take_while(|layout| {
            let fits = layout.0.len() <= left;
            left = left.saturating_sub(layout.0.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}
