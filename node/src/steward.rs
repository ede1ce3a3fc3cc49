//! The node's part in the control plane: follow what is agreed, countersign as a voter, lead as the leader, acknowledge hand-offs.

use crate::core::Core;
use crate::handoff::let_go;
use crate::home::Boot;
use dccache_protocol::codec::Format as _;
use dccache_protocol::control::{Command, Outcome, Refusal};
use dccache_protocol::ids::Epoch;
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::signing::{Purpose, SigningKey};
use dccache_ring::control::{Cluster, ControlState};
use dccache_transport::trust::Trust;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often duties are looked at when nothing changes: what failed is tried again.
const TICK: Duration = Duration::from_millis(500);

/// What the steward needs beside the node's parts.
pub(crate) struct Steward {
    /// Key with which the node countersigns.
    pub(crate) voter: SigningKey,
    /// Whom the node's connections believe.
    pub(crate) trust: Arc<Trust>,
    /// This start.
    pub(crate) boot: Boot,
    /// Told when the control plane says that this data directory is a stale copy.
    pub(crate) stale: watch::Sender<Option<u64>>,
    /// The founding command, on the node that founded the cluster.
    pub(crate) founding: Option<Command>,
}

impl Steward {
    /// Does the node's duties until it ends.
    pub(crate) async fn run(mut self, core: Arc<Core>) {
        let Some(plane) = core.control.get() else { return };
        let mut state = plane.watch();
        let mut pending = core.handoff.watch();
        let mut layouts = core.book.watch();
        let mut booted = false;
        loop {
            let now = state.borrow_and_update().clone();
            self.follow(&core, &now).await;
            self.sign(&core, &now).await;
            plane.follow_members().await;
            if !booted {
                booted = self.boot(&core).await;
            }
            acknowledge(&core, &now).await;
            tokio::select! {
                () = core.draining.cancelled() => return,
                changed = state.changed() => if changed.is_err() {
                    // Raft goes on with nothing that its disk may have forgotten; the data plane needs none of it.
                    tracing::error!("the control plane of this node has stopped: restart the node once its disk takes writes");
                    return;
                },
                _ = pending.changed() => {}
                _ = layouts.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Takes over what is agreed.
    async fn follow(&mut self, core: &Arc<Core>, state: &ControlState) {
        let Some(cluster) = state.cluster() else {
            self.found(core).await;
            return;
        };
        core.book.set_roots(cluster.roots().iter().map(|root| root.key).collect());
        let known = core.book.epoch();
        if cluster.in_force().layout.epoch > known {
            let unfinished = cluster.unfinished().iter();
            let mut newer: Vec<&SignedLayout> =
                cluster.layouts_after(known).into_iter().chain(unfinished).collect();
            newer.sort_by_key(|signed| signed.layout.epoch);
            newer.dedup_by_key(|signed| signed.layout.epoch);
            let encoded = newer.iter().filter(|signed| signed.layout.epoch > known);
            let encoded = encoded.map(|signed| dccache_protocol::service::Bytes(signed.to_bytes())).collect();
            crate::peers::take(core, encoded).await;
        }
        core.book.backfill(cluster.unfinished());
        let oldest = cluster.unfinished().first().map_or(Epoch(0), |signed| signed.layout.epoch);
        let_go(core, oldest).await;
        if let Some(directory) = cluster.signed_directory() {
            core.signers.take(directory);
        }
        self.follow_authorities(cluster);
    }

    fn follow_authorities(&self, cluster: &Cluster) {
        if let Some(list) = cluster.revocations() {
            let cut = self.trust.revocations().apply(&list.statement);
            if cut > 0 {
                tracing::info!(number = list.statement.number, cut, "connections of revoked peers were cut");
            }
        }
        let roots: Vec<_> = cluster.roots().iter().map(|root| root.certificate.clone().into()).collect();
        if roots != self.trust.roots()
            && let Err(error) = self.trust.set_roots(roots)
        {
            tracing::error!(%error, "the agreed roots cannot be used");
        }
    }

    /// On the founder, before anything is agreed: agrees on the cluster.
    async fn found(&mut self, core: &Arc<Core>) {
        let (Some(plane), Some(founding)) = (core.control.get(), &self.founding) else { return };
        if plane.found().await.is_ok() {
            match plane.propose(core, founding).await {
                Ok(Outcome::Founded | Outcome::Refused(Refusal::AlreadyFounded)) => self.founding = None,
                outcome => tracing::warn!(?outcome, "the cluster is not founded yet"),
            }
        }
    }

    /// Countersigns what waits for this voter.
    async fn sign(&self, core: &Arc<Core>, state: &ControlState) {
        let (Some(plane), Some(cluster)) = (core.control.get(), state.cluster()) else { return };
        let in_force = &cluster.in_force().layout;
        if in_force.voters.binary_search(&core.id).is_err() {
            return;
        }
        if let Some(waiting) = cluster.waiting().filter(|signed| !is_signed(signed, core)) {
            let signature = self.voter.sign(Purpose::Layout, &waiting.layout.to_bytes());
            let epoch = waiting.layout.epoch;
            warn(&plane.propose(core, &Command::Countersign { epoch, voter: core.id, signature }).await);
        }
        let directory = cluster.directory();
        let published = cluster.signed_directory().map_or(0, |signed| signed.directory.number);
        if published < directory.number {
            let signature = self.voter.sign(Purpose::Directory, &directory.to_bytes());
            let number = directory.number;
            let command = Command::CountersignDirectory { number, voter: core.id, signature };
            warn(&plane.propose(core, &command).await);
        }
    }

    /// Counts this start; `true` when nothing is left to do about it.
    async fn boot(&self, core: &Arc<Core>) -> bool {
        let Some(plane) = core.control.get() else { return false };
        if plane.now().cluster().is_none_or(|cluster| cluster.node(core.id).is_none()) {
            return false;
        }
        let command = Command::Boot { node: core.id, counter: self.boot.counter(), nonce: self.boot.nonce() };
        match plane.propose(core, &command).await {
            Ok(Outcome::Booted { counter }) => {
                if let Err(error) = self.boot.counted(counter) {
                    tracing::error!(%error, "the counter of starts cannot be written to the data directory");
                }
                true
            }
            Ok(Outcome::Refused(Refusal::StaleCopy { counter })) => {
                self.stale.send_replace(Some(counter));
                true
            }
            _ => false,
        }
    }
}

fn is_signed(signed: &SignedLayout, core: &Core) -> bool {
    signed.signatures.iter().any(|(voter, _)| *voter == core.id)
}

fn warn(outcome: &Result<Outcome, crate::control::ProposeError>) {
    match outcome {
        Ok(Outcome::Refused(refusal)) => tracing::debug!(%refusal, "a countersignature came too late"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "a countersignature is not agreed yet"),
    }
}

/// Says that this node has pulled everything that it owns.
async fn acknowledge(core: &Arc<Core>, state: &ControlState) {
    let (Some(plane), Some(cluster)) = (core.control.get(), state.cluster()) else { return };
    let epoch = core.book.epoch();
    let known = cluster.acknowledged(core.id).unwrap_or_default();
    let is_member = cluster.in_force().layout.member(core.id).is_some();
    if !is_member || known >= epoch || epoch > cluster.in_force().layout.epoch || core.handoff.pending() > 0 {
        return;
    }
    if core.shelf.sync().await.is_err() {
        return;
    }
    if let Err(error) = plane.propose(core, &Command::Acknowledge { epoch, node: core.id }).await {
        tracing::debug!(%error, "a hand-off is not acknowledged yet");
    }
}
