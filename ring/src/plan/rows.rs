//! The table while it is being planned: rows that may have room, and how many slots each member holds and should hold.

use super::quota::quotas;
use dccache_protocol::ids::{PARTITIONS, Partition};
use dccache_protocol::layout::Layout;

/// Rows under construction.
pub(super) struct Rows {
    width: usize,
    distinct: usize,
    zones: Vec<u16>,
    rows: Vec<Vec<u16>>,
    counts: Vec<usize>,
    quotas: Vec<usize>,
}

impl Rows {
    /// Starts without owners. `now` is what members hold in the parent's table; empty for none.
    pub(super) fn empty(layout: &Layout, now: &[usize]) -> Self {
        let members = &layout.members;
        let mut names: Vec<_> = members.iter().map(|member| &member.zone).collect();
        names.sort_unstable();
        names.dedup();
        let zone =
            |member: &dccache_protocol::layout::Member| names.partition_point(|name| **name < member.zone);
        let width = usize::from(layout.table.replicas);
        Self {
            width,
            distinct: width.min(names.len()),
            zones: members.iter().map(|member| zone(member) as u16).collect(),
            rows: vec![Vec::new(); PARTITIONS],
            counts: vec![0; members.len()],
            quotas: quotas(members, layout.replicas, now),
        }
    }

    pub(super) fn members(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn row(&self, partition: Partition) -> &[u16] {
        &self.rows[partition.index()]
    }

    pub(super) fn quota(&self, member: u16) -> usize {
        self.quotas[usize::from(member)]
    }

    /// Returns how many slots a member holds beyond its quota; negative when it should get more.
    pub(super) fn surplus(&self, member: u16) -> isize {
        self.counts[usize::from(member)] as isize - self.quotas[usize::from(member)] as isize
    }

    /// Appends an owner without any check.
    pub(super) fn push(&mut self, partition: Partition, owner: u16) {
        self.rows[partition.index()].push(owner);
        self.counts[usize::from(owner)] += 1;
    }

    /// Takes the owner at `place` out of a row.
    pub(super) fn remove(&mut self, partition: Partition, place: usize) {
        let owner = self.rows[partition.index()].remove(place);
        self.counts[usize::from(owner)] -= 1;
    }

    /// Puts another owner at `place` of a row.
    pub(super) fn replace(&mut self, partition: Partition, place: usize, owner: u16) {
        let old = std::mem::replace(&mut self.rows[partition.index()][place], owner);
        self.counts[usize::from(old)] -= 1;
        self.counts[usize::from(owner)] += 1;
    }

    /// Makes the owner at `place` the preferred one.
    pub(super) fn prefer(&mut self, partition: Partition, place: usize) {
        self.rows[partition.index()][..=place].rotate_right(1);
    }

    /// Says whether a row would be good, or could become good, with `owner` in place of the one at `place` (appended when `None`).
    pub(super) fn allows(&self, partition: Partition, place: Option<usize>, owner: u16) -> bool {
        let row = self.row(partition);
        if row.contains(&owner) {
            return false;
        }
        let kept = row.iter().enumerate().filter(|(i, _)| Some(*i) != place).map(|(_, &kept)| kept);
        let length = row.len() + usize::from(place.is_none());
        length <= self.width && self.reachable(kept.chain([owner]), length)
    }

    /// Says whether a row has no more owners than wanted and could still reach the number of zones that is wanted.
    pub(super) fn is_sound(&self, partition: Partition) -> bool {
        let row = self.row(partition);
        row.len() <= self.width && self.reachable(row.iter().copied(), row.len())
    }

    fn reachable(&self, owners: impl Iterator<Item = u16>, length: usize) -> bool {
        let mut seen = [u16::MAX; dccache_protocol::limits::REPLICAS_MAX + 1];
        let mut zones = 0;
        for owner in owners {
            let zone = self.zones[usize::from(owner)];
            if !seen[..zones].contains(&zone) {
                seen[zones] = zone;
                zones += 1;
            }
        }
        zones + (self.width - length) >= self.distinct
    }

    /// Says whether the owner at `place` shares its zone with another owner of the row.
    pub(super) fn shares_zone(&self, partition: Partition, place: usize) -> bool {
        let row = self.row(partition);
        let zone = self.zones[usize::from(row[place])];
        row.iter().enumerate().any(|(i, &other)| i != place && self.zones[usize::from(other)] == zone)
    }

    /// Returns all owners, row by row.
    pub(super) fn into_owners(self) -> Vec<u16> {
        self.rows.concat()
    }
}
