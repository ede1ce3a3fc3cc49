//! Members, keys and layouts for the tests of this crate.

use crate::plan::{Wanted, plan_first};
use dccache_protocol::ids::{ClusterId, NodeId};
use dccache_protocol::layout::{Layout, Member};
use dccache_protocol::signing::SigningKey;

/// Returns the key of the cluster's root.
pub(crate) fn root() -> SigningKey {
    SigningKey::from_seed(&[0xEE; 32])
}

/// Returns the cluster of [`root`].
pub(crate) fn cluster() -> ClusterId {
    root().public().cluster_id()
}

/// Returns the voter key of node `n`.
pub(crate) fn voter_key(n: u16) -> SigningKey {
    let [low, high] = n.to_le_bytes();
    SigningKey::from_seed(&std::array::from_fn(|i| if i == 0 { low } else { high }))
}

/// Returns the name of node `n`: scattered, and never that of the root.
pub(crate) fn node_id(n: u16) -> NodeId {
    let digest = dccache_protocol::digest::Digest::of(&n.to_le_bytes());
    NodeId(std::array::from_fn(|i| digest.as_bytes()[i]))
}

/// Returns node `n` with a weight and a zone.
pub(crate) fn member(n: u16, weight: u32, zone: &str) -> Member {
    let [low, high] = n.to_le_bytes();
    Member {
        id: node_id(n),
        addresses: vec![([10, 0, high, low], 7000).into()],
        weight,
        zone: zone.parse().unwrap(),
        voter_key: voter_key(n).public(),
    }
}

/// Returns what to ask for to get these members; the first three vote.
pub(crate) fn wanted(members: Vec<Member>, replicas: u8) -> Wanted {
    let voters = members.iter().take(3).map(|member| member.id).collect();
    Wanted { members, voters, replicas }
}

/// Returns a first layout of `count` equal nodes, 1 to `count`, in one zone.
pub(crate) fn layout_of(count: u16, replicas: u8) -> Layout {
    let members = (1..=count).map(|n| member(n, 1, "z")).collect();
    plan_first(cluster(), wanted(members, replicas)).unwrap()
}
