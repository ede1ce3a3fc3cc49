//! Brings a table to its quotas: drops what cannot stay, fills what is open, and levels surpluses with as few moves as possible.
//!
//! Levelling is a flow from members with a surplus to members with a deficit, where a member can hand a slot to another if some row
//! allows the exchange. Direct exchanges come first; what they leave goes along shortest paths. A shortest path uses no
//! row in two ways that exclude each other (there would be a shorter one), so the hops can be carried out one by one.
//! Source: Ford and Fulkerson (1956); Edmonds and Karp (1972).

use super::rows::Rows;
use dccache_protocol::ids::Partition;
use std::collections::VecDeque;

/// Takes owners out of rows that have too many, or too many in one zone; those with the largest surplus go first.
pub(super) fn shrink(rows: &mut Rows) {
    for partition in Partition::all() {
        while !rows.is_sound(partition) {
            let row = rows.row(partition);
            let fits = row.len() <= rows.width();
            let leaves = (0..row.len())
                .filter(|&place| !fits || rows.shares_zone(partition, place))
                .max_by_key(|&place| (rows.shares_zone(partition, place), rows.surplus(row[place]), place));
            let Some(place) = leaves else { break };
            rows.remove(partition, place);
        }
    }
}

/// Fills open places, each with the allowed member that lacks most; `rank` decides between equals.
pub(super) fn fill(rows: &mut Rows, order: &[Partition], rank: impl Fn(u16, Partition) -> u64) {
    for &partition in order {
        while rows.row(partition).len() < rows.width() {
            let candidates = (0..rows.members() as u16).filter(|&owner| rows.allows(partition, None, owner));
            let lacks_most = candidates.map(|owner| (rows.surplus(owner), owner));
            let Some(least) = lacks_most.clone().map(|(surplus, _)| surplus).min() else { break };
            let equals = lacks_most.filter(|&(surplus, _)| surplus == least).map(|(_, owner)| owner);
            let Some(owner) = equals.min_by_key(|&owner| (rank(owner, partition), owner)) else { break };
            rows.push(partition, owner);
        }
    }
}

/// Exchanges owners until every member holds its quota.
pub(super) fn level(rows: &mut Rows, order: &[Partition]) {
    exchange_directly(rows, order);
    let is_level = |rows: &Rows| (0..rows.members() as u16).all(|member| rows.surplus(member) == 0);
    if is_level(rows) {
        return;
    }
    let mut exchanges = Exchanges::count(rows);
    while let Some(path) = exchanges.shortest_path(rows) {
        for hop in path.windows(2).rev() {
            let Some((partition, place)) = find_exchange(rows, order, hop[0], hop[1]) else { return };
            exchanges.forget(rows, partition);
            rows.replace(partition, place, hop[1]);
            exchanges.learn(rows, partition);
        }
    }
}

fn exchange_directly(rows: &mut Rows, order: &[Partition]) {
    for &partition in order {
        for place in 0..rows.row(partition).len() {
            if rows.surplus(rows.row(partition)[place]) <= 0 {
                continue;
            }
            let lacking = (0..rows.members() as u16).filter(|&member| rows.surplus(member) < 0);
            let allowed = lacking.filter(|&member| rows.allows(partition, Some(place), member));
            if let Some(member) = allowed.min_by_key(|&member| (rows.surplus(member), member)) {
                rows.replace(partition, place, member);
            }
        }
    }
}

fn find_exchange(rows: &Rows, order: &[Partition], from: u16, to: u16) -> Option<(Partition, usize)> {
    order.iter().find_map(|&partition| {
        let place = rows.row(partition).iter().position(|&owner| owner == from)?;
        rows.allows(partition, Some(place), to).then_some((partition, place))
    })
}

/// For each ordered pair of members the number of rows in which the second could take the first's place.
struct Exchanges {
    members: usize,
    rows: Vec<u32>,
}

impl Exchanges {
    fn count(rows: &Rows) -> Self {
        let members = rows.members();
        let mut exchanges = Self { members, rows: vec![0; members * members] };
        Partition::all().for_each(|partition| exchanges.learn(rows, partition));
        exchanges
    }

    fn learn(&mut self, rows: &Rows, partition: Partition) {
        self.each(rows, partition, |count| *count += 1);
    }

    fn forget(&mut self, rows: &Rows, partition: Partition) {
        self.each(rows, partition, |count| *count -= 1);
    }

    fn each(&mut self, rows: &Rows, partition: Partition, change: impl Fn(&mut u32)) {
        for (place, &from) in rows.row(partition).iter().enumerate() {
            for to in 0..self.members {
                if rows.allows(partition, Some(place), to as u16) {
                    change(&mut self.rows[usize::from(from) * self.members + to]);
                }
            }
        }
    }

    /// Returns the shortest chain of members from one with a surplus to one with a deficit.
    fn shortest_path(&self, rows: &Rows) -> Option<Vec<u16>> {
        const UNSEEN: usize = usize::MAX;
        let mut before = vec![UNSEEN; self.members];
        let mut queue = VecDeque::new();
        for start in (0..self.members).filter(|&member| rows.surplus(member as u16) > 0) {
            before[start] = start;
            queue.push_back(start);
        }
        while let Some(at) = queue.pop_front() {
            if rows.surplus(at as u16) < 0 {
                let mut path = vec![at as u16];
                let mut step = at;
                while before[step] != step {
                    step = before[step];
                    path.push(step as u16);
                }
                path.reverse();
                return Some(path);
            }
            let possible = &self.rows[at * self.members..][..self.members];
            for (next, (came_from, &count)) in before.iter_mut().zip(possible).enumerate() {
                if *came_from == UNSEEN && count > 0 {
                    *came_from = at;
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// Passes over the table in which preferences are evened out; each passes some on, and a few suffice.
const PREFERENCE_PASSES: usize = 8;

/// Chooses the preferred owner of each row so that members are preferred in proportion to their quotas. Rows whose preferred owner is not
/// preferred too often keep it.
pub(super) fn choose_first(rows: &mut Rows, order: &[Partition]) {
    let mut first = vec![0_u64; rows.members()];
    for &partition in order {
        first[usize::from(rows.row(partition)[0])] += 1;
    }
    // How full a member is after `more` further preferences, in parts of its quota.
    let full = |first: &[u64], rows: &Rows, owner: u16, more: u64| {
        ((first[usize::from(owner)] + more) << 32) / rows.quota(owner).max(1) as u64
    };
    for _ in 0..PREFERENCE_PASSES {
        let mut changed = false;
        for &partition in order {
            let row = rows.row(partition);
            let filled = |place: &usize| (full(&first, rows, row[*place], 1), *place);
            let Some(place) = (1..row.len()).min_by_key(filled) else { continue };
            let (now, then) = (row[0], row[place]);
            if full(&first, rows, then, 1) < full(&first, rows, now, 0) {
                first[usize::from(now)] -= 1;
                first[usize::from(then)] += 1;
                rows.prefer(partition, place);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
}
