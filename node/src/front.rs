//! The fronts: accepted connections become requests of the one path behind them.

use crate::core::Core;
use crate::service::{self, Service};
use crate::shelf::Held;
use crate::{ingest, peers, read, write};
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Cache as _, Refusal};
use dccache_protocol::token::Role;
use dccache_transport::bulk::{self, BulkCall, BulkReply};
use dccache_transport::endpoint::Channel;
use dccache_transport::listener::Connection;
use dccache_transport::rpc::{self, Call};
use dccache_transport::work::Work;
use std::sync::Arc;

/// Serves one connection of a peer until it ends.
pub(crate) async fn serve(core: Arc<Core>, connection: Connection, work: Work) {
    let Connection { peer, channel, stream } = connection;
    match channel {
        Channel::Rpc => {
            let answer = move |call: Call| {
                let service = Service::new(Arc::clone(&core), &call.peer);
                async move { tarpc::server::Serve::serve(service.serve(), call.context, call.request).await }
            };
            rpc::serve(stream, peer, work, answer).await;
        }
        Channel::Bulk => {
            let answer = move |call: BulkCall| {
                let core = Arc::clone(&core);
                async move { answer_bulk(&core, call).await }
            };
            if let Err(error) = bulk::serve(stream, peer, work, answer).await {
                tracing::debug!(%error, "a bulk connection ended");
            }
        }
        // Liveness has no messages yet: the connection is dropped, which its opener sees at once.
        Channel::Control => {}
    }
}

async fn answer_bulk(core: &Arc<Core>, call: BulkCall) -> BulkReply {
    let (role, node) = (call.peer.role(), call.peer.node());
    let answered = match call.request {
        BulkRequest::Get { epoch, namespace, id } => {
            peers::follow(core, node, epoch).await;
            let record = match role {
                Role::Node => core.shelf.get(id).await,
                _ => read::bundle(core, &namespace, id).await,
            };
            return match record {
                Some(record) => record_reply(core, role, &record, &call.budget).await,
                None => BulkAnswer::Missing.into(),
            };
        }
        BulkRequest::Put { .. } if matches!(role, Role::Writer | Role::Node) => {
            service::put(core, call.payload).await.map(BulkAnswer::Stored)
        }
        BulkRequest::Replicate { epoch, id, kind, stamp, hint_for, .. } => match node {
            Some(from) if role == Role::Node => {
                let record = Held { id, kind, stamp, payload: call.payload.into() };
                copy(core, from, epoch, record, hint_for).await
            }
            _ => Err(Refusal::NotAllowed),
        },
        BulkRequest::Put { .. } => Err(Refusal::NotAllowed),
    };
    let refused = |refusal| {
        core.counters.refusals.add(1);
        BulkAnswer::Refused(refusal)
    };
    answered.unwrap_or_else(refused).into()
}

async fn copy(
    core: &Arc<Core>,
    from: NodeId,
    epoch: dccache_protocol::ids::Epoch,
    record: Held,
    hint_for: Option<NodeId>,
) -> Result<BulkAnswer, Refusal> {
    peers::follow(core, Some(from), epoch).await;
    let record = ingest::replica(core, record).await?;
    write::replicate(core, record, hint_for).await.map(BulkAnswer::Replicated)
}

async fn record_reply(
    core: &Arc<Core>,
    role: Role,
    record: &Held,
    budget: &dccache_transport::work::Budget,
) -> BulkReply {
    let length = record.payload.len() as u64;
    if role != Role::Node {
        core.counters.bytes_out.add(length);
    }
    let held = Some(budget.reserve(record.payload.len()).await);
    let answer = BulkAnswer::Record { kind: record.kind, stamp: record.stamp, length };
    BulkReply { answer, payload: Arc::from(&record.payload[..]), held }
}
