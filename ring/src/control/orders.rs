//! Orders of the administrator and of the root, and revocation lists: each signed, numbered, and carried out once.

use super::Cluster;
use super::layouts::Proposal;
use dccache_protocol::control::{
    Action, Issuer, Order, Outcome, Refusal, RevocationList, Root, RootAction, RootOrder, Signed,
};
use dccache_protocol::ids::NodeId;
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::limits;
use dccache_protocol::signing::PublicKey;

impl Cluster {
    pub(super) fn administer(
        &mut self,
        order: Signed<Order>,
        layout: Option<SignedLayout>,
    ) -> Result<Outcome, Refusal> {
        if order.statement.cluster != self.id {
            return Err(Refusal::ForeignCluster);
        }
        if !order.is_signed_by(&self.administrator) {
            return Err(Refusal::BadSignature);
        }
        let Order { number, action, .. } = order.statement;
        if number <= self.last_order {
            return Err(Refusal::OrderUsed { next: self.next_order() });
        }
        let outcome = match (action.changes_layout(), layout) {
            (true, Some(layout)) => self.order_layout(action, layout),
            (false, None) => self.order_registry(action),
            _ => Err(Refusal::LayoutMismatch),
        }?;
        self.last_order = number;
        Ok(outcome)
    }

    fn order_layout(&mut self, action: Action, layout: SignedLayout) -> Result<Outcome, Refusal> {
        let mut nodes = self.nodes.clone();
        let (mut replicas, mut proposal) = (self.replicas, Proposal::Other);
        match action {
            Action::RemoveNode(node) => {
                nodes.remove(&node).ok_or(Refusal::UnknownNode)?;
                proposal = Proposal::Removal;
            }
            Action::SetWeight(node, weight) => {
                let record = nodes.get_mut(&node).ok_or(Refusal::UnknownNode)?;
                record.weight = weight;
                record.largest_weight = record.largest_weight.max(weight);
            }
            Action::SetZone(node, zone) => nodes.get_mut(&node).ok_or(Refusal::UnknownNode)?.zone = zone,
            Action::SetReplicas(wanted) => replicas = wanted,
            _ => return Err(Refusal::LayoutMismatch),
        }
        if nodes.is_empty() {
            return Err(Refusal::LastNode);
        }
        self.may_propose(&layout, &nodes, replicas, proposal)?;
        (self.nodes, self.replicas) = (nodes, replicas);
        Ok(self.propose(layout))
    }

    fn order_registry(&mut self, action: Action) -> Result<Outcome, Refusal> {
        match action {
            Action::SetRanges(node, ranges) => {
                self.nodes.get_mut(&node).ok_or(Refusal::UnknownNode)?.ranges = ranges;
            }
            Action::RegisterSigner(record) => return self.add_signer(record),
            Action::SetStanding(signer, standing) => self.set_standing(signer, standing)?,
            Action::AddNamespace(namespace) => {
                if self.namespaces.len() >= limits::NAMESPACES_MAX {
                    return Err(Refusal::Full);
                }
                if !self.namespaces.insert(namespace) {
                    return Err(Refusal::Namespace);
                }
            }
            Action::RemoveNamespace(namespace) => {
                if self.namespaces.len() == 1 || !self.namespaces.remove(&namespace) {
                    return Err(Refusal::Namespace);
                }
            }
            _ => return Err(Refusal::LayoutMismatch),
        }
        Ok(Outcome::Done)
    }

    pub(super) fn by_root(&mut self, order: Signed<RootOrder>) -> Result<Outcome, Refusal> {
        if order.statement.cluster != self.id {
            return Err(Refusal::ForeignCluster);
        }
        if !self.roots.iter().any(|root| order.is_signed_by(&root.key)) {
            return Err(Refusal::BadSignature);
        }
        let RootOrder { number, action, .. } = order.statement;
        if number <= self.last_root_order {
            return Err(Refusal::OrderUsed { next: self.next_root_order() });
        }
        match action {
            RootAction::AddRoot(root) => self.add_root(root),
            RootAction::RetireRoot(key) => self.retire_root(key),
            RootAction::AddIssuer(issuer) => self.add_issuer(issuer),
            RootAction::RetireIssuer(key) => self.retire_issuer(key),
            RootAction::SetAdministrator(key) => {
                self.administrator = key;
                Ok(())
            }
        }?;
        self.last_root_order = number;
        Ok(Outcome::Done)
    }

    fn add_root(&mut self, root: Root) -> Result<(), Refusal> {
        if self.roots.iter().any(|known| known.key == root.key) {
            return Err(Refusal::Authority);
        }
        if self.roots.len() >= limits::ROOTS_MAX {
            return Err(Refusal::Full);
        }
        self.roots.push(root);
        Ok(())
    }

    fn retire_root(&mut self, key: PublicKey) -> Result<(), Refusal> {
        let place = self.roots.iter().position(|root| root.key == key).ok_or(Refusal::Authority)?;
        if self.roots.len() == 1 {
            return Err(Refusal::Authority);
        }
        self.roots.remove(place);
        Ok(())
    }

    fn add_issuer(&mut self, issuer: Issuer) -> Result<(), Refusal> {
        if !self.nodes.contains_key(&issuer.node) {
            return Err(Refusal::UnknownNode);
        }
        if self.issuers.iter().any(|known| known.key == issuer.key) {
            return Err(Refusal::Authority);
        }
        if self.issuers.len() >= limits::ISSUERS_MAX {
            return Err(Refusal::Full);
        }
        self.issuers.push(issuer);
        Ok(())
    }

    fn retire_issuer(&mut self, key: PublicKey) -> Result<(), Refusal> {
        let place = self.issuers.iter().position(|issuer| issuer.key == key).ok_or(Refusal::Authority)?;
        self.issuers.remove(place);
        Ok(())
    }

    pub(super) fn revoke(&mut self, list: Signed<RevocationList>) -> Result<Outcome, Refusal> {
        let new = &list.statement;
        if new.cluster != self.id {
            return Err(Refusal::ForeignCluster);
        }
        let mut signers = self.issuers.iter().map(|issuer| issuer.key).chain([self.administrator]);
        if !signers.any(|key| list.is_signed_by(&key)) {
            return Err(Refusal::BadSignature);
        }
        if let Some(old) = self.revocations.as_ref().map(|old| &old.statement) {
            let keeps_all = old.revoked.iter().all(|&revoked| new.contains(revoked));
            if new.number <= old.number || !keeps_all {
                return Err(Refusal::NoWayBack);
            }
        }
        let number = new.number;
        self.revocations = Some(list);
        Ok(Outcome::Revoked { number })
    }

    /// Says whether a node's certificates are revoked.
    pub fn is_revoked(&self, node: NodeId) -> bool {
        let revoked = dccache_protocol::control::Revoked::Node(node);
        self.revocations.as_ref().is_some_and(|list| list.statement.contains(revoked))
    }
}
