//! The first table: a walk over a consistent-hash ring of weighted virtual nodes with bounded loads.
//!
//! Source: Karger et al., "Consistent Hashing and Random Trees" (1997); Mirrokni, Thorup and Zadimoghaddam, "Consistent
//! Hashing with Bounded Loads" (2018), here with the quota itself as the bound.

use super::rows::Rows;
use crate::position::{PartitionPoint, Pinned, VirtualNode};
use dccache_protocol::ids::Partition;
use dccache_protocol::layout::Layout;
use hashring::HashRing;
use std::collections::BTreeMap;

/// Slots of a quota for each virtual node: enough points to mix members well, few enough to walk quickly.
const SLOTS_PER_POINT: usize = 8;

/// Gives each partition the first members from its point on that have room. What finds none stays open.
pub(super) fn walk(layout: &Layout, rows: &mut Rows) {
    let mut points = Vec::new();
    for (index, member) in layout.members.iter().enumerate() {
        let count = rows.quota(index as u16).div_ceil(SLOTS_PER_POINT).max(1);
        points.extend((0..count as u32).map(|number| VirtualNode { id: member.id, number, index }));
    }
    let mut ring = HashRing::with_hasher(Pinned::new());
    ring.batch_add(points);
    // Asked for more replicas than there are points, the crate gives the whole circle. It clones the ring for that, so it is
    // asked once and not per partition.
    let circle = ring.get_with_replicas(&0_u8, usize::MAX).unwrap_or_default();
    let places: BTreeMap<_, _> =
        circle.iter().enumerate().map(|(at, node)| ((node.index, node.number), at)).collect();
    for partition in Partition::all() {
        let Some(start) = ring.get(&PartitionPoint(partition)) else { return };
        let start = places[&(start.index, start.number)];
        for node in circle[start..].iter().chain(&circle[..start]) {
            if rows.row(partition).len() == rows.width() {
                break;
            }
            let owner = node.index as u16;
            if rows.surplus(owner) < 0 && rows.allows(partition, None, owner) {
                rows.push(partition, owner);
            }
        }
    }
}
