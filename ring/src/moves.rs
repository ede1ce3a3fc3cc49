//! What a change of layout moves, and where reads look meanwhile.

use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::layout::Layout;
use std::collections::BTreeMap;

/// A partition that a node owns newly, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The partition.
    pub partition: Partition,
    /// Owners in the parent layout, preferred first. They may have left the new one; until the hand-off is acknowledged they serve.
    pub from: Vec<NodeId>,
}

/// Returns, for each member of `child` that gains partitions, what it must pull. Members that gain nothing are absent: they can acknowledge
/// at once.
pub fn moves(parent: &Layout, child: &Layout) -> BTreeMap<NodeId, Vec<Pull>> {
    let mut pulls: BTreeMap<NodeId, Vec<Pull>> = BTreeMap::new();
    for partition in Partition::all() {
        let from: Vec<NodeId> = parent.owners(partition).map(|owner| owner.id).collect();
        for owner in child.owners(partition).filter(|owner| !from.contains(&owner.id)) {
            pulls.entry(owner.id).or_default().push(Pull { partition, from: from.clone() });
        }
    }
    pulls
}

/// Says whether a node owns a partition.
pub fn owns(layout: &Layout, node: NodeId, partition: Partition) -> bool {
    layout.owners(partition).any(|owner| owner.id == node)
}

/// Returns whom a read asks: owners under the newest layout first, then those of older layouts whose hand-offs are unfinished; everybody once.
/// `layouts` is ascending by epoch.
pub fn read_order<'a>(
    layouts: impl DoubleEndedIterator<Item = &'a Layout>,
    partition: Partition,
) -> Vec<NodeId> {
    let mut order = Vec::new();
    for owner in layouts.rev().flat_map(|layout| layout.owners(partition)) {
        if !order.contains(&owner.id) {
            order.push(owner.id);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{cluster, layout_of, member};
    use crate::plan::{Wanted, plan_next};

    #[test]
    fn a_joining_node_pulls_what_it_owns_from_those_who_had_it() {
        let parent = layout_of(3, 2);
        let mut wanted = Wanted::of(&parent);
        wanted.members.push(member(9, 1, "z"));
        let child = plan_next(&parent, wanted).unwrap();
        let plan = moves(&parent, &child);
        let newcomer = member(9, 1, "z").id;
        assert_eq!(plan.keys().copied().collect::<Vec<_>>(), vec![newcomer]);
        for pull in &plan[&newcomer] {
            assert!(owns(&child, newcomer, pull.partition));
            assert!(pull.from.iter().all(|&old| owns(&parent, old, pull.partition)));
            assert_eq!(pull.from.len(), 2);
        }
        let owned = Partition::all().filter(|&partition| owns(&child, newcomer, partition)).count();
        assert_eq!(plan[&newcomer].len(), owned);
        assert_eq!(child.cluster, cluster());
    }

    #[test]
    fn reads_ask_new_owners_first_then_old_ones_and_nobody_twice() {
        let parent = layout_of(4, 2);
        let mut wanted = Wanted::of(&parent);
        let gone = wanted.members.remove(0).id;
        wanted.voters.retain(|&voter| voter != gone);
        let child = plan_next(&parent, wanted).unwrap();
        for partition in Partition::all() {
            let order = read_order([&parent, &child].into_iter(), partition);
            let newest: Vec<NodeId> = child.owners(partition).map(|owner| owner.id).collect();
            assert_eq!(order[..2], newest[..]);
            assert!(parent.owners(partition).all(|owner| order.contains(&owner.id)));
            assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), order.len());
        }
    }
}
