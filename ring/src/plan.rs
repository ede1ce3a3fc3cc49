//! Plans the partition table: the first from a consistent-hash ring, every later one from its parent.
//!
//! Shape: weights and zones give exact *shares* ([`shares`]), shares give whole *quotas*, and a table is built or changed until
//! every member holds its quota. A first table walks a `hashring::HashRing` of weighted virtual nodes with bounded
//! loads. A later table keeps every owner that it can: only what the new quotas force is moved.
//!
//! Invariants:
//! 1. Every row has min(R, members) distinct owners in as many distinct zones as there can be.
//! 2. Every member holds floor or ceiling of its share: max / target is at most 1 + 1 / target.
//! 3. The result depends on the set of members alone, not on their order.
//!
//! Cost: a few ms for 64 members with optimisation.

mod fresh;
mod quota;
mod rows;
mod settle;

pub use quota::{Share, shares};

use crate::position::{preference, shuffled};
use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{ClusterId, Epoch, NodeId, Partition};
use dccache_protocol::layout::{Layout, Member, Table};
use rows::Rows;

/// What a layout should have; in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The members.
    pub members: Vec<Member>,
    /// Members that vote in the control plane.
    pub voters: Vec<NodeId>,
    /// Replicas, 1 to [`dccache_protocol::limits::REPLICAS_MAX`].
    pub replicas: u8,
}

impl Wanted {
    /// Returns what `layout` has.
    pub fn of(layout: &Layout) -> Self {
        let Layout { members, voters, replicas, .. } = layout.clone();
        Self { members, voters, replicas }
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two members have one name.
    #[error("{0:?} is named twice")]
    Twice(NodeId),
    /// A count or a field is out of its range; see [`Layout`].
    #[error("what is wanted is no layout")]
    Invalid(#[source] DecodeError),
}

/// Plans the first layout of a cluster, epoch 1.
///
/// # Errors
/// When `wanted` breaks a bound of [`Layout`].
pub fn plan_first(cluster: ClusterId, wanted: Wanted) -> Result<Layout, PlanError> {
    let blank = blank(cluster, Epoch(1), Digest::of(&[]), wanted)?;
    let rows = Rows::empty(&blank, &[]);
    Ok(finish(blank, rows, fresh::walk))
}

/// Plans the layout that follows `parent`, moving no more than the change forces.
///
/// # Errors
/// When `wanted` breaks a bound of [`Layout`].
pub fn plan_next(parent: &Layout, wanted: Wanted) -> Result<Layout, PlanError> {
    let epoch = Epoch(parent.epoch.0.saturating_add(1));
    let blank = blank(parent.cluster, epoch, parent.digest(), wanted)?;
    let held = held(parent, &blank);
    let mut counts = vec![0; blank.members.len()];
    held.iter().flatten().for_each(|&owner| counts[usize::from(owner)] += 1);
    let mut rows = Rows::empty(&blank, &counts);
    for (partition, owners) in Partition::all().zip(held) {
        owners.into_iter().for_each(|owner| rows.push(partition, owner));
    }
    Ok(finish(blank, rows, |_, rows| settle::shrink(rows)))
}

/// Checks everything but the table and puts it in order.
fn blank(cluster: ClusterId, epoch: Epoch, parent: Digest, wanted: Wanted) -> Result<Layout, PlanError> {
    let Wanted { mut members, mut voters, replicas } = wanted;
    members.sort_by_key(|member| member.id);
    if let Some(pair) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(PlanError::Twice(pair[0].id));
    }
    voters.sort_unstable();
    voters.dedup();
    let width = usize::from(replicas).min(members.len()).max(1);
    let row = (0..width as u16).collect::<Vec<_>>();
    let owners = Partition::all().flat_map(|_| row.iter().copied()).collect();
    let table = Table { replicas: width as u8, owners };
    let layout = Layout { cluster, epoch, parent, replicas, members, voters, table };
    layout.validate().map_err(PlanError::Invalid)?;
    Ok(layout)
}

/// Returns the rows of `parent` in the numbering of `child`, without members that left.
fn held(parent: &Layout, child: &Layout) -> Vec<Vec<u16>> {
    let place = |id| child.members.binary_search_by_key(&id, |member| member.id).ok();
    let renumbered: Vec<Option<u16>> =
        parent.members.iter().map(|member| place(member.id).map(|index| index as u16)).collect();
    let row = |partition| parent.table.row(partition);
    Partition::all()
        .map(|partition| row(partition).iter().filter_map(|&old| renumbered[usize::from(old)]).collect())
        .collect()
}

fn finish(mut layout: Layout, mut rows: Rows, start: impl FnOnce(&Layout, &mut Rows)) -> Layout {
    let order = shuffled(layout.epoch);
    start(&layout, &mut rows);
    let rank = |owner: u16, partition| preference(layout.members[usize::from(owner)].id, partition);
    settle::fill(&mut rows, &order, rank);
    settle::level(&mut rows, &order);
    settle::choose_first(&mut rows, &order);
    layout.table.owners = rows.into_owners();
    layout
}

/// Iterates over the members that hold no replica of a partition, best stand-in first: a write that misses an owner goes there.
/// The order is the same for everybody.
pub fn stand_ins(layout: &Layout, partition: Partition) -> impl Iterator<Item = &Member> {
    let owns = |member: &Member| layout.owners(partition).any(|owner| owner.id == member.id);
    let mut others: Vec<&Member> = layout.members.iter().filter(|member| !owns(member)).collect();
    let same_zone = |member: &Member| layout.owners(partition).any(|owner| owner.zone == member.zone);
    others.sort_by_cached_key(|member| (same_zone(member), preference(member.id, partition), member.id));
    others.into_iter()
}

#[cfg(test)]
mod tests;
