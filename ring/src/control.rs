//! The control plane's state machine: what the agreed log of commands makes true.
//!
//! [`ControlState::apply`] is deterministic and total. A command that may not be carried out gives [`Outcome::Refused`] and changes
//! nothing, whoever sent it and whatever is in it. Time is inside of the commands.
//!
//! Invariants:
//! 1. Epochs of layouts grow strictly; every layout is valid and lists exactly the nodes that were admitted when it was proposed.
//! 2. A token is redeemed at most once, an administrator's order is carried out at most once.
//! 3. A signer's standing, the revocation list and boot counters never go back.
//! 4. Every collection has a bound in `protocol::limits`.

mod admission;
mod bounds;
mod directory;
mod layouts;
mod orders;

use crate::accept::is_signed_by_root;
use dccache_protocol::codec::Format;
use dccache_protocol::control::{
    AddressRange, Command, Founding, Issuer, Outcome, ROOT_SIGNER, Refusal, RevocationList, Root, Signed,
};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::{Directory, SignedDirectory};
use dccache_protocol::ids::{ClusterId, Epoch, Label, Namespace, NodeId};
use dccache_protocol::layout::{Member, SignedLayout};
use dccache_protocol::signing::{PublicKey, Signature};
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::TokenId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state; [`Format`] makes a snapshot of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    cluster: Option<Box<Cluster>>,
}

/// Everything that is agreed of a founded cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    id: ClusterId,
    roots: Vec<Root>,
    issuers: Vec<Issuer>,
    administrator: PublicKey,
    last_order: u64,
    last_root_order: u64,
    nodes: BTreeMap<NodeId, NodeRecord>,
    replicas: u8,
    /// Unfinished layouts, oldest first; the last is in force.
    layouts: Vec<SignedLayout>,
    waiting: Option<SignedLayout>,
    /// Layouts that changed the voters, oldest first.
    voter_changes: Vec<SignedLayout>,
    acknowledged: BTreeMap<NodeId, Epoch>,
    tokens: BTreeMap<TokenId, Redemption>,
    /// Tokens that expire up to then may have been forgotten, so none of them is taken.
    tokens_forgotten: UnixMillis,
    namespaces: BTreeSet<Namespace>,
    directory: Directory,
    directory_signatures: Vec<(NodeId, Signature)>,
    published: Option<SignedDirectory>,
    revocations: Option<Signed<RevocationList>>,
}

/// What is agreed of one admitted node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Zone that it was granted.
    pub zone: Label,
    /// Weight in force.
    pub weight: u32,
    /// Largest weight that it was granted.
    pub largest_weight: u32,
    /// Where it may be reached.
    pub ranges: Vec<AddressRange>,
    /// Key with which it countersigns.
    pub voter_key: PublicKey,
    /// Starts so far.
    pub boots: u64,
    /// Random bytes of the last start.
    pub boot_nonce: [u8; 16],
}

impl NodeRecord {
    fn founding(member: &Member) -> Self {
        Self {
            zone: member.zone.clone(),
            weight: member.weight,
            largest_weight: member.weight,
            ranges: member.addresses.iter().map(|address| AddressRange::host(address.ip())).collect(),
            voter_key: member.voter_key,
            boots: 0,
            boot_nonce: [0; 16],
        }
    }

    /// Says whether a member of a layout is what the record grants.
    fn allows(&self, member: &Member) -> bool {
        let within =
            |address: &std::net::SocketAddr| self.ranges.iter().any(|range| range.contains(address.ip()));
        member.zone == self.zone
            && member.weight == self.weight
            && member.weight <= self.largest_weight
            && member.voter_key == self.voter_key
            && member.addresses.iter().all(within)
    }
}

/// A token that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Redemption {
    by: Digest,
    expires: UnixMillis,
    /// Whether a node or signer came of it already.
    spent: bool,
}

impl ControlState {
    /// Carries out one command of the log.
    pub fn apply(&mut self, command: Command) -> Outcome {
        let outcome = match command.validate() {
            Err(_) => Err(Refusal::Malformed),
            Ok(()) => self.carry_out(command),
        };
        outcome.unwrap_or_else(Outcome::Refused)
    }

    /// Returns what is agreed; `None` before the cluster is founded.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    fn carry_out(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            let Command::Found(founding) = command else { return Err(Refusal::NotFounded) };
            self.cluster = Some(Box::new(Cluster::found(*founding)?));
            return Ok(Outcome::Founded);
        };
        match command {
            Command::Found(_) => Err(Refusal::AlreadyFounded),
            Command::Redeem { grant, by, now } => cluster.redeem(&grant, by, now),
            Command::Admit { grant, node, layout } => cluster.admit(&grant, node, *layout),
            Command::RegisterSigner { grant, key } => cluster.register_signer(&grant, key),
            Command::Install(layout) => cluster.install(*layout),
            Command::Countersign { epoch, voter, signature } => cluster.countersign(epoch, voter, signature),
            Command::Acknowledge { epoch, node } => cluster.acknowledge(epoch, node),
            Command::Administer { order, layout } => cluster.administer(order, layout.map(|layout| *layout)),
            Command::ByRoot { order } => cluster.by_root(order),
            Command::Recover(layout) => cluster.recover(*layout),
            Command::Revoke { list } => cluster.revoke(list),
            Command::CountersignDirectory { number, voter, signature } => {
                cluster.countersign_directory(number, voter, signature)
            }
            Command::Boot { node, counter, nonce } => cluster.boot(node, counter, nonce),
        }
    }
}

impl Cluster {
    fn found(founding: Founding) -> Result<Self, Refusal> {
        let Founding { cluster, roots, issuers, administrator, layout } = founding;
        let root = roots.first().ok_or(Refusal::Malformed)?.key;
        if root.cluster_id() != cluster || layout.layout.cluster != cluster {
            return Err(Refusal::ForeignCluster);
        }
        if !is_signed_by_root(&layout, &[root]) {
            return Err(Refusal::BadSignature);
        }
        let first = &layout.layout;
        if first.epoch != Epoch(1) {
            return Err(Refusal::WrongEpoch { next: Epoch(1) });
        }
        if first.parent != Digest::of(&[]) {
            return Err(Refusal::WrongParent);
        }
        let record = |member: &Member| (member.id, NodeRecord::founding(member));
        let nodes: BTreeMap<NodeId, NodeRecord> = first.members.iter().map(record).collect();
        let voter_keys: BTreeSet<PublicKey> = nodes.values().map(|node| node.voter_key).collect();
        if voter_keys.len() != nodes.len() || nodes.contains_key(&ROOT_SIGNER) {
            return Err(Refusal::WrongMembers);
        }
        if issuers.iter().any(|issuer| !nodes.contains_key(&issuer.node)) {
            return Err(Refusal::UnknownNode);
        }
        Ok(Self {
            id: cluster,
            roots,
            issuers,
            administrator,
            last_order: 0,
            last_root_order: 0,
            nodes,
            replicas: first.replicas,
            layouts: vec![layout],
            waiting: None,
            voter_changes: Vec::new(),
            acknowledged: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tokens_forgotten: UnixMillis(0),
            namespaces: BTreeSet::from([Namespace::default()]),
            directory: Directory { cluster, number: 1, signers: Vec::new() },
            directory_signatures: Vec::new(),
            published: None,
            revocations: None,
        })
    }

    fn boot(&mut self, node: NodeId, counter: u64, nonce: [u8; 16]) -> Result<Outcome, Refusal> {
        let record = self.nodes.get_mut(&node).ok_or(Refusal::UnknownNode)?;
        if counter == record.boots {
            record.boots = record.boots.saturating_add(1);
            record.boot_nonce = nonce;
        } else if counter.saturating_add(1) != record.boots || nonce != record.boot_nonce {
            return Err(Refusal::StaleCopy { counter: record.boots });
        }
        Ok(Outcome::Booted { counter: record.boots })
    }

    /// Returns the cluster's name.
    pub fn id(&self) -> ClusterId {
        self.id
    }

    /// Returns the trusted roots.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Returns the issuers of certificates.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Returns the administrator's key.
    pub fn administrator(&self) -> PublicKey {
        self.administrator
    }

    /// Returns the number for the administrator's next order.
    pub fn next_order(&self) -> u64 {
        self.last_order.saturating_add(1)
    }

    /// Returns the number for a root's next order.
    pub fn next_root_order(&self) -> u64 {
        self.last_root_order.saturating_add(1)
    }

    /// Returns what is agreed of a node; `None` when it is not admitted.
    pub fn node(&self, node: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&node)
    }

    /// Iterates over the admitted nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeRecord)> {
        self.nodes.iter().map(|(&id, record)| (id, record))
    }

    /// Returns who redeemed a token, by the digest of the key; `None` when nobody did.
    pub fn redeemed_by(&self, token: TokenId) -> Option<Digest> {
        self.tokens.get(&token).map(|redemption| redemption.by)
    }

    /// Returns the namespaces.
    pub fn namespaces(&self) -> &BTreeSet<Namespace> {
        &self.namespaces
    }

    /// Returns the revocation list in force; `None` while nothing was ever revoked.
    pub fn revocations(&self) -> Option<&Signed<RevocationList>> {
        self.revocations.as_ref()
    }
}

#[cfg(test)]
mod tests;
