//! The control plane as the node sees it: propose a command, watch the agreed state.
//!
//! Nothing in the data plane waits here. A node that is not the leader forwards what it proposes; who may propose what is judged by
//! the state machine, from signatures inside the commands, and here for the few that speak for one node.

use crate::core::Core;
use crate::raft::{self, Carrier, Carriers, Disk, DiskError, Log, Machine, Raft, Replica, node_id, raft_id};
use dccache_protocol::codec::{DecodeError, Format as _};
use dccache_protocol::control::{Command, Outcome};
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::{Bytes, Refusal};
use dccache_protocol::time::Clock;
use dccache_ring::control::ControlState;
use futures::future::BoxFuture;
use openraft::error::{ClientWriteError, RaftError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a proposal may take until the proposer hears that the cluster cannot agree now.
const PROPOSAL: Duration = Duration::from_secs(10);

/// Pause before a proposal is tried again while no leader is known.
const NO_LEADER: Duration = Duration::from_millis(100);

/// Why a command was not agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProposeError {
    /// No leader answered in time.
    #[error("the cluster cannot agree now: no majority of its voters answers")]
    NoLeader,
    /// The engine of this node has stopped.
    #[error("the control plane of this node has stopped")]
    Stopped,
}

/// The agreed state and who watches it.
struct Agreed {
    state: ControlState,
    shown: watch::Sender<Arc<ControlState>>,
}

impl Machine for Agreed {
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let outcome = match Command::from_bytes(command) {
            Ok(command) => self.state.apply(command),
            Err(_) => Outcome::Refused(dccache_protocol::control::Refusal::Malformed),
        };
        outcome.to_bytes()
    }

    fn save(&self) -> Vec<u8> {
        self.state.to_bytes()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError> {
        self.state = ControlState::from_bytes(state)?;
        Ok(())
    }

    fn publish(&self) {
        self.shown.send_replace(Arc::new(self.state.clone()));
    }
}

/// Carries the engine's messages over the pool of connections.
struct OverPeers(Weak<Core>);

impl Carrier for OverPeers {
    fn carry(&self, to: NodeId, message: Vec<u8>, within: Duration) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let core = self.0.upgrade();
        Box::pin(async move {
            let core = core.ok_or_else(|| io::Error::other("the node has ended"))?;
            core.peers.raft(&core, to, message, within).await.map_err(io::Error::other)
        })
    }
}

/// The control plane of this node.
#[derive(Clone)]
pub(crate) struct Plane {
    me: NodeId,
    raft: Raft,
    state: watch::Receiver<Arc<ControlState>>,
    clock: Arc<dyn Clock>,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaneError {
    /// Its file.
    #[error("control.redb cannot be used; move the data directory away and join again")]
    Disk(#[from] DiskError),
    /// The engine.
    #[error("the control plane does not start: {0}")]
    Engine(String),
}

impl Plane {
    /// Starts the replica of this node on its file.
    ///
    /// # Errors
    /// An unreadable file.
    pub(crate) async fn start(path: &Path, core: &Arc<Core>) -> Result<Self, PlaneError> {
        let disk = Disk::open(path)?;
        let (shown, state) = watch::channel(Arc::default());
        let replica = Replica::open(disk.clone(), Agreed { state: ControlState::default(), shown })?;
        let config = raft::config().validate().map_err(|error| PlaneError::Engine(error.to_string()))?;
        let carriers = Carriers(Arc::new(OverPeers(Arc::downgrade(core))));
        let raft = Raft::new(raft_id(core.id), Arc::new(config), carriers, Log::new(disk), replica).await;
        let raft = raft.map_err(|error| PlaneError::Engine(error.to_string()))?;
        Ok(Self { me: core.id, raft, state, clock: Arc::clone(&core.clock) })
    }

    /// Makes this node the only voter, if the log is empty.
    pub(crate) async fn found(&self) -> Result<(), ProposeError> {
        match self.raft.is_initialized().await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let founded = self.raft.initialize(BTreeMap::from([(raft_id(self.me), ())])).await;
                founded.map_err(|_| ProposeError::Stopped)
            }
            Err(_) => Err(ProposeError::Stopped),
        }
    }

    /// Returns the state of this moment, as far as this replica has applied the log.
    pub(crate) fn now(&self) -> Arc<ControlState> {
        self.state.borrow().clone()
    }

    /// Watches the state.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ControlState>> {
        self.state.clone()
    }

    /// Tells whether this node leads.
    pub(crate) fn leads(&self) -> bool {
        self.raft.metrics().borrow().current_leader == Some(raft_id(self.me))
    }

    /// Answers a message of another node's engine.
    pub(crate) async fn answer(&self, from: NodeId, message: &[u8]) -> Option<Vec<u8>> {
        raft::answer(&self.raft, from, message).await
    }

    /// Adds admitted nodes that do not follow the log yet, and drops removed ones; only the leader does anything.
    pub(crate) async fn follow_members(&self) {
        if !self.leads() {
            return;
        }
        let wanted: BTreeSet<u128> = match self.now().cluster() {
            Some(cluster) => cluster.nodes().map(|(node, _)| raft_id(node)).collect(),
            None => return,
        };
        let known: BTreeSet<u128> = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow();
            metrics.membership_config.membership().nodes().map(|(&id, ())| id).collect()
        };
        for &node in wanted.difference(&known) {
            if let Err(error) = self.raft.add_learner(node, (), false).await {
                tracing::warn!(%error, "a new member cannot follow the control plane yet");
            }
        }
        let gone: BTreeSet<u128> = known.difference(&wanted).copied().collect();
        if !gone.is_empty() {
            let removed =
                self.raft.change_membership(openraft::ChangeMembers::RemoveNodes(gone), false).await;
            if let Err(error) = removed {
                tracing::warn!(%error, "a removed member still follows the control plane");
            }
        }
    }

    /// Has a command agreed, whoever leads.
    ///
    /// # Errors
    /// No leader within ten seconds, or the engine has stopped. A command may then still come to be agreed later.
    pub(crate) async fn propose(&self, core: &Arc<Core>, command: &Command) -> Result<Outcome, ProposeError> {
        let bytes = command.to_bytes();
        let deadline = Instant::now() + PROPOSAL;
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.write(bytes.clone())).await {
                Ok(Ok(outcome)) => return decode(&outcome),
                Ok(Err(Elsewhere::Stopped)) => return Err(ProposeError::Stopped),
                Ok(Err(Elsewhere::Leader(leader))) => {
                    if let Some(outcome) = self.forward(core, leader, &bytes).await {
                        return Ok(outcome);
                    }
                }
                Err(_) => break,
            }
            tokio::time::sleep(NO_LEADER).await;
        }
        Err(ProposeError::NoLeader)
    }

    async fn forward(&self, core: &Arc<Core>, leader: Option<NodeId>, command: &[u8]) -> Option<Outcome> {
        // Before it follows the log a node does not know the leader; the layout names the voters, and one of them leads.
        let candidates = match leader {
            Some(leader) => vec![leader],
            None => core.book.now().newest().voters.clone(),
        };
        for candidate in candidates.into_iter().filter(|&candidate| candidate != self.me) {
            if let Ok(outcome) = core.peers.propose(core, candidate, command.to_vec()).await {
                return Outcome::from_bytes(&outcome).ok();
            }
        }
        None
    }

    /// Agrees on what another node proposes; only the leader does.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] for a statement in another node's name, [`Refusal::Unavailable`] elsewhere than at the leader.
    pub(crate) async fn proposed_by(&self, from: NodeId, command: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let mut command = Command::from_bytes(&command).map_err(|_| Refusal::Malformed)?;
        match &mut command {
            Command::Acknowledge { node, .. } | Command::Boot { node, .. } if *node != from => {
                return Err(Refusal::NotAllowed);
            }
            // The cluster is founded by its first node alone.
            Command::Found(_) => return Err(Refusal::NotAllowed),
            Command::Redeem { now, .. } => *now = self.clock.now(),
            _ => {}
        }
        let agreed = timeout(PROPOSAL, self.write(command.to_bytes())).await;
        agreed.map_err(|_| Refusal::Unavailable)?.map_err(|_| Refusal::Unavailable)
    }

    async fn write(&self, command: Vec<u8>) -> Result<Vec<u8>, Elsewhere> {
        match self.raft.client_write(Bytes(command)).await {
            Ok(written) => Ok(written.data.0),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                let leader = forward.leader_id.filter(|&leader| leader != raft_id(self.me));
                Err(Elsewhere::Leader(leader.map(node_id)))
            }
            Err(RaftError::APIError(_)) => Err(Elsewhere::Leader(None)),
            Err(RaftError::Fatal(_)) => Err(Elsewhere::Stopped),
        }
    }

    /// Stops the engine. The data plane goes on.
    pub(crate) async fn stop(&self) {
        let _ = self.raft.shutdown().await;
    }
}

enum Elsewhere {
    Leader(Option<NodeId>),
    Stopped,
}

fn decode(outcome: &[u8]) -> Result<Outcome, ProposeError> {
    Outcome::from_bytes(outcome).map_err(|_| ProposeError::NoLeader)
}
