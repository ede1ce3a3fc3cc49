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

impl Message {
    /// Returns in whose name it leads, or asks to.
    fn leader(&self) -> Option<NodeId> {
        let vote = match self {
            Self::Append(request) => &request.vote,
            Self::Vote(request) => &request.vote,
            Self::Snapshot(request) => &request.vote,
        };
        vote.leader_id().voted_for().map(node_id)
    }
}

/// Answers an encoded message; `None` when it does not decode, is in another node's name than its sender's, or the engine has stopped.
pub(crate) async fn answer(raft: &Raft, from: NodeId, message: &[u8]) -> Option<Vec<u8>> {
    if message.len() > CONTROL_MESSAGE_MAX {
        return None;
    }
    let message: Message = postcard::from_bytes(message).ok()?;
    if message.leader() != Some(from) {
        return None;
    }
    match message {
        Message::Append(request) => encode(&raft.append_entries(request).await),
        Message::Vote(request) => encode(&raft.vote(request).await),
        Message::Snapshot(request) => encode(&raft.install_snapshot(request).await),
    }
}

/// Encodes a candidate's message.
#[cfg(test)]
pub(super) fn encoded_vote(request: VoteRequest<u128>) -> Vec<u8> {
    encode(&Message::Vote(request)).expect("a vote encodes")
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
