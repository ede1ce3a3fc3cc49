//! The engine's messages as bytes, and their way to another node.
//!
//! Shape: one [`Message`] in postcard each way. A node answers only to nodes; the transport has checked the role before.

use super::{Raft, Types, node_id};
use dccache_protocol::ids::NodeId;
use dccache_protocol::limits::CONTROL_MESSAGE_MAX;
use futures::future::BoxFuture;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Takes a message to another node and brings back its answer.
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Sends `message` to `to`; the answer must come within `within`.
    fn carry(
        &self,
        to: NodeId,
        message: Vec<u8>,
        within: Duration,
    ) -> BoxFuture<'_, Result<Vec<u8>, io::Error>>;
}

#[derive(Serialize, Deserialize)]
enum Message {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u128>),
    Snapshot(InstallSnapshotRequest<Types>),
}

type Reply<T, E = openraft::error::Infallible> = Result<T, RaftError<u128, E>>;

/// Answers an encoded message; `None` when it does not decode or the engine has stopped.
pub(crate) async fn answer(raft: &Raft, message: &[u8]) -> Option<Vec<u8>> {
    if message.len() > CONTROL_MESSAGE_MAX {
        return None;
    }
    match postcard::from_bytes(message).ok()? {
        Message::Append(request) => encode(&raft.append_entries(request).await),
        Message::Vote(request) => encode(&raft.vote(request).await),
        Message::Snapshot(request) => encode(&raft.install_snapshot(request).await),
    }
}

fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_extend(value, Vec::new()).ok()
}

/// Makes one line per member.
#[derive(Clone)]
pub(crate) struct Carriers(pub(crate) Arc<dyn Carrier>);

impl RaftNetworkFactory<Types> for Carriers {
    type Network = Line;

    async fn new_client(&mut self, target: u128, (): &()) -> Line {
        Line { to: target, carrier: Arc::clone(&self.0) }
    }
}

/// The way to one member.
pub(crate) struct Line {
    to: u128,
    carrier: Arc<dyn Carrier>,
}

impl Line {
    async fn send<T: DeserializeOwned, E: Error + DeserializeOwned>(
        &self,
        message: Message,
        option: &RPCOption,
    ) -> Result<T, RPCError<u128, (), RaftError<u128, E>>> {
        let bytes = encode(&message).ok_or_else(|| network("a message does not encode"))?;
        let answer = self.carrier.carry(node_id(self.to), bytes, option.hard_ttl()).await;
        let answer = answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        let reply: Reply<T, E> =
            postcard::from_bytes(&answer).map_err(|_| network("an answer does not decode"))?;
        reply.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }
}

fn network<E: Error>(what: &'static str) -> RPCError<u128, (), E> {
    RPCError::Network(NetworkError::new(&io::Error::other(what)))
}

impl RaftNetwork<Types> for Line {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u128>, RPCError<u128, (), RaftError<u128>>> {
        self.send(Message::Append(rpc), &option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u128>, RPCError<u128, (), RaftError<u128, InstallSnapshotError>>>
    {
        self.send(Message::Snapshot(rpc), &option).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u128>,
        option: RPCOption,
    ) -> Result<VoteResponse<u128>, RPCError<u128, (), RaftError<u128>>> {
        self.send(Message::Vote(rpc), &option).await
    }
}
