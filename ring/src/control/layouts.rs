//! Layouts: proposed, countersigned, in force, acknowledged, dropped.
//!
//! ```text
//! propose --> waiting --majority of the parent's voters--> in force --all members acknowledged--> alone
//! ```
//! One layout waits at a time and is never replaced by another of its epoch: a voter that signed it must not have to sign a second.

use super::{Cluster, NodeRecord};
use crate::accept::{is_signed_by_root, majority, votes};
use dccache_protocol::codec::Format;
use dccache_protocol::control::{Outcome, Refusal};
use dccache_protocol::ids::{Epoch, NodeId};
use dccache_protocol::layout::{Layout, SignedLayout};
use dccache_protocol::limits;
use dccache_protocol::signing::{PublicKey, Purpose, Signature};
use std::collections::BTreeMap;

/// A recovered layout's epoch is at least this far ahead: the lost majority may have agreed on epochs that nobody here knows.
const RECOVERY_STEP: u64 = 1024;

/// Whether a proposal takes a node out; that is allowed while hand-offs are unfinished, since the node may be why they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proposal {
    Removal,
    Other,
}

impl Cluster {
    /// Returns the layout in force.
    pub fn in_force(&self) -> &SignedLayout {
        self.layouts.last().expect("founding put one there, and the last one is never dropped")
    }

    /// Returns the smallest epoch that a recovered layout may have.
    pub fn recovery_epoch(&self) -> Epoch {
        let newest = self.waiting.as_ref().unwrap_or(self.in_force());
        Epoch(newest.layout.epoch.0.saturating_add(RECOVERY_STEP))
    }

    /// Returns the layout that waits for countersignatures.
    pub fn waiting(&self) -> Option<&SignedLayout> {
        self.waiting.as_ref()
    }

    /// Returns the layouts that reads walk, oldest first, the one in force included.
    pub fn unfinished(&self) -> &[SignedLayout] {
        &self.layouts
    }

    /// Returns what somebody who trusts the layout of epoch `known` needs to follow, oldest first: changes of voters, then
    /// the layout in force; at most [`limits::LAYOUT_CHAIN_MAX`], the rest on asking again.
    pub fn layouts_after(&self, known: Epoch) -> Vec<&SignedLayout> {
        let last = self.in_force();
        let changes = self.voter_changes.iter().filter(|change| change.layout.epoch < last.layout.epoch);
        let chain = changes.chain([last]).filter(|signed| signed.layout.epoch > known);
        chain.take(limits::LAYOUT_CHAIN_MAX).collect()
    }

    /// Returns the epoch up to which a node has pulled everything.
    pub fn acknowledged(&self, node: NodeId) -> Option<Epoch> {
        self.acknowledged.get(&node).copied()
    }

    pub(super) fn install(&mut self, signed: SignedLayout) -> Result<Outcome, Refusal> {
        self.may_propose(&signed, &self.nodes, self.replicas, Proposal::Other)?;
        Ok(self.propose(signed))
    }

    /// Says whether `signed` may be the next layout when `nodes` and `replicas` are agreed. Changes nothing.
    pub(super) fn may_propose(
        &self,
        signed: &SignedLayout,
        nodes: &BTreeMap<NodeId, NodeRecord>,
        replicas: u8,
        proposal: Proposal,
    ) -> Result<(), Refusal> {
        if self.waiting.is_some() {
            return Err(Refusal::LayoutWaiting);
        }
        if self.layouts.len() >= limits::UNFINISHED_LAYOUTS_MAX && proposal == Proposal::Other {
            return Err(Refusal::HandoffsUnfinished);
        }
        let parent = &self.in_force().layout;
        let next = Epoch(parent.epoch.0.saturating_add(1));
        if signed.layout.epoch != next {
            return Err(Refusal::WrongEpoch { next });
        }
        self.fits(&signed.layout, nodes, replicas)?;
        let bytes = signed.layout.to_bytes();
        let good = votes(parent, Purpose::Layout, &bytes, &signed.signatures);
        if good == signed.signatures.len() { Ok(()) } else { Err(Refusal::BadSignature) }
    }

    /// Checks everything of a layout but its epoch and signatures.
    fn fits(
        &self,
        layout: &Layout,
        nodes: &BTreeMap<NodeId, NodeRecord>,
        replicas: u8,
    ) -> Result<(), Refusal> {
        if layout.cluster != self.id {
            return Err(Refusal::ForeignCluster);
        }
        if layout.parent != self.in_force().layout.digest() {
            return Err(Refusal::WrongParent);
        }
        if layout.replicas != replicas {
            return Err(Refusal::WrongReplicas);
        }
        if !layout.members.iter().map(|member| &member.id).eq(nodes.keys()) {
            return Err(Refusal::WrongMembers);
        }
        let beyond =
            layout.members.iter().zip(nodes.values()).find(|(member, record)| !record.allows(member));
        beyond.map_or(Ok(()), |(member, _)| Err(Refusal::OutsideGrant { node: member.id }))
    }

    /// Puts a layout that [`Cluster::may_propose`] let pass up for countersigning.
    pub(super) fn propose(&mut self, signed: SignedLayout) -> Outcome {
        self.waiting = Some(signed);
        self.settle_waiting()
    }

    pub(super) fn countersign(
        &mut self,
        epoch: Epoch,
        voter: NodeId,
        signature: Signature,
    ) -> Result<Outcome, Refusal> {
        let key = voter_key(&self.in_force().layout, voter);
        let next = Epoch(self.in_force().layout.epoch.0.saturating_add(1));
        let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.layout.epoch == epoch) else {
            let known = epoch < next;
            return if known { Ok(Outcome::Unchanged) } else { Err(Refusal::WrongEpoch { next }) };
        };
        let bytes = waiting.layout.to_bytes();
        if !key.is_some_and(|key| key.verifies(Purpose::Layout, &bytes, &signature)) {
            return Err(Refusal::BadSignature);
        }
        waiting.add_signature(voter, signature);
        Ok(self.settle_waiting())
    }

    /// Puts the waiting layout in force when enough voters signed it.
    fn settle_waiting(&mut self) -> Outcome {
        let parent = &self.in_force().layout;
        let Some(waiting) = &self.waiting else { return Outcome::Unchanged };
        let epoch = waiting.layout.epoch;
        // Invariant: a signature of the waiting layout was checked when it came in, and no two nodes have one key.
        let missing = majority(parent).saturating_sub(waiting.signatures.len()) as u8;
        if missing > 0 {
            return Outcome::LayoutWaiting { epoch, missing };
        }
        if let Some(signed) = self.waiting.take() {
            self.put_in_force(signed);
        }
        Outcome::LayoutInForce { epoch }
    }

    fn put_in_force(&mut self, signed: SignedLayout) {
        let parent = &self.in_force().layout;
        // A voter that left and came back has another key, so names alone do not tell.
        if voter_keys(parent) != voter_keys(&signed.layout) {
            self.voter_changes.push(signed.clone());
            if self.voter_changes.len() > limits::VOTER_CHANGES_MAX {
                self.voter_changes.remove(0);
            }
        }
        self.layouts.push(signed);
        self.acknowledged.retain(|node, _| self.nodes.contains_key(node));
        self.voters_changed();
    }

    pub(super) fn acknowledge(&mut self, epoch: Epoch, node: NodeId) -> Result<Outcome, Refusal> {
        let in_force = &self.in_force().layout;
        if in_force.member(node).is_none() || !self.nodes.contains_key(&node) {
            return Err(Refusal::UnknownNode);
        }
        if epoch > in_force.epoch {
            return Err(Refusal::WrongEpoch { next: in_force.epoch });
        }
        if epoch <= self.acknowledged(node).unwrap_or_default() {
            return Ok(Outcome::Unchanged);
        }
        self.acknowledged.insert(node, epoch);
        self.drop_finished();
        Ok(Outcome::Acknowledged { oldest: self.layouts[0].layout.epoch })
    }

    /// Drops the layouts before the newest that all of its members have acknowledged.
    fn drop_finished(&mut self) {
        let done = |layout: &Layout| {
            let by = |node| self.acknowledged.get(node).is_some_and(|&epoch| epoch >= layout.epoch);
            layout.members.iter().all(|member| by(&member.id))
        };
        if let Some(finished) = self.layouts.iter().rposition(|signed| done(&signed.layout)) {
            self.layouts.drain(..finished);
        }
    }

    pub(super) fn recover(&mut self, signed: SignedLayout) -> Result<Outcome, Refusal> {
        let next = self.recovery_epoch();
        let keys: Vec<PublicKey> = self.roots.iter().map(|root| root.key).collect();
        if !is_signed_by_root(&signed, &keys) {
            return Err(Refusal::BadSignature);
        }
        if signed.layout.epoch < next {
            return Err(Refusal::WrongEpoch { next });
        }
        let mut nodes = self.nodes.clone();
        nodes.retain(|&node, _| signed.layout.member(node).is_some());
        self.fits(&signed.layout, &nodes, self.replicas)?;
        let epoch = signed.layout.epoch;
        self.nodes = nodes;
        self.waiting = None;
        self.put_in_force(signed);
        Ok(Outcome::LayoutInForce { epoch })
    }
}

/// Returns the key of a voter of a layout.
pub(super) fn voter_key(layout: &Layout, voter: NodeId) -> Option<PublicKey> {
    layout.voters.binary_search(&voter).ok()?;
    layout.member(voter).map(|member| member.voter_key)
}

fn voter_keys(layout: &Layout) -> Vec<(NodeId, Option<PublicKey>)> {
    layout.voters.iter().map(|&voter| (voter, voter_key(layout, voter))).collect()
}
