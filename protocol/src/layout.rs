//! The layout: the agreed, numbered list of nodes and the partition table itself, with the signatures that make it count.
//!
//! Nobody recomputes a table: it is planned once (crate `dccache-ring`), agreed in the control plane and carried here.

use crate::codec::{DecodeError, Format, ensure};
use crate::digest::Digest;
use crate::ids::{ClusterId, Epoch, Label, NodeId, PARTITIONS, Partition};
use crate::limits;
use crate::signing::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One node of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Where it can be reached, preferred first.
    pub addresses: Vec<SocketAddr>,
    /// Its share of the keys relative to the other members' weights; at least 1.
    pub weight: u32,
    /// Where it stands; replicas prefer distinct zones.
    pub zone: Label,
    /// Key with which it countersigns layouts when it is a voter.
    pub voter_key: PublicKey,
}

/// For each partition the members that own it, by index into [`Layout::members`], preferred owner first.
///
/// Invariant: `owners.len() == PARTITIONS * replicas`; within a row the indexes are distinct and below the number of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Owners per partition: the smaller of R and the number of members.
    pub replicas: u8,
    /// All rows one after the other.
    pub owners: Vec<u16>,
}

impl Table {
    /// Returns the owners of a partition as indexes into [`Layout::members`].
    pub fn row(&self, partition: Partition) -> &[u16] {
        let width = usize::from(self.replicas);
        &self.owners[partition.index() * width..][..width]
    }
}

/// A layout without its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its number; the parent's plus one.
    pub epoch: Epoch,
    /// Digest of the parent's encoding; of nothing for the first.
    pub parent: Digest,
    /// Replicas that are wanted; the table has fewer while there are fewer members.
    pub replicas: u8,
    /// The members, ascending by [`NodeId`].
    pub members: Vec<Member>,
    /// Members that vote in the control plane, ascending.
    pub voters: Vec<NodeId>,
    /// Who owns what.
    pub table: Table,
}

impl Layout {
    /// Returns the name by which a child layout calls this one: the digest of its encoding.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Returns the owners of a partition, preferred first.
    pub fn owners(&self, partition: Partition) -> impl Iterator<Item = &Member> {
        self.table.row(partition).iter().map(|&index| &self.members[usize::from(index)])
    }

    /// Returns a member by name.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().map(|index| &self.members[index])
    }
}

impl Format for Layout {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::LAYOUT_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        let members = self.members.len();
        ensure((1..=limits::MEMBERS_MAX).contains(&members), "number of members")?;
        ensure(self.members.is_sorted_by(|a, b| a.id < b.id), "order of members")?;
        ensure((1..=limits::REPLICAS_MAX).contains(&usize::from(self.replicas)), "replicas")?;
        for member in &self.members {
            ensure((1..=limits::ADDRESSES_MAX).contains(&member.addresses.len()), "number of addresses")?;
            ensure(member.weight > 0, "weight")?;
        }
        ensure((1..=limits::VOTERS_MAX).contains(&self.voters.len()), "number of voters")?;
        ensure(self.voters.is_sorted_by(|a, b| a < b), "order of voters")?;
        ensure(self.voters.iter().all(|&voter| self.member(voter).is_some()), "voter")?;
        let width = usize::from(self.replicas).min(members);
        ensure(usize::from(self.table.replicas) == width, "replicas of the table")?;
        ensure(self.table.owners.len() == PARTITIONS * width, "length of the table")?;
        for row in self.table.owners.chunks_exact(width) {
            ensure(row.iter().all(|&owner| usize::from(owner) < members), "owner")?;
            ensure(row.iter().enumerate().all(|(i, owner)| !row[..i].contains(owner)), "repeated owner")?;
        }
        Ok(())
    }
}

/// A layout with the signatures of voters of its parent (of the root, for the first).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLayout {
    /// The layout.
    pub layout: Layout,
    /// Who countersigned its encoding, ascending by [`NodeId`].
    pub signatures: Vec<(NodeId, Signature)>,
}

impl Format for SignedLayout {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::LAYOUT_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.signatures.len() <= limits::VOTERS_MAX, "number of signatures")?;
        ensure(self.signatures.is_sorted_by(|a, b| a.0 < b.0), "order of signatures")?;
        self.layout.validate()
    }
}
