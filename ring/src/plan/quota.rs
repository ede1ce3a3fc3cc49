//! How many slots of the table each member should hold: exact shares, then whole quotas.
//!
//! Weights are water-filled: all members rise in proportion to their weight until a member, or a zone, can hold no more. A
//! member holds a partition at most once (so at most 1 / R of all slots), and a zone at most as many replicas of a
//! partition as leave every other zone its own. Arithmetic is in whole numbers, so every machine gets the same.
//!
//! Source: progressive filling, Bertsekas and Gallager, "Data Networks" (1992), section 6.5, with nested caps.

use dccache_protocol::ids::{Label, PARTITIONS};
use dccache_protocol::layout::Member;
use std::collections::BTreeMap;

/// Part of the table that a member should hold, in slots of [`Share::SCALE`] parts; a slot is one replica of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    /// Parts of one slot.
    pub const SCALE: u64 = 1 << 20;

    /// Returns the share in slots.
    pub fn slots(self) -> f64 {
        self.0 as f64 / Self::SCALE as f64
    }

    const fn whole(self) -> usize {
        (self.0 / Self::SCALE) as usize
    }

    const fn rest(self) -> u64 {
        self.0 % Self::SCALE
    }
}

/// The most that a member can hold: every partition once.
const MEMBER_CAP: u64 = PARTITIONS as u64 * Share::SCALE;

/// The water level is in parts of 2^-40 share per unit of weight: fine enough for the largest weight.
const LEVEL_BITS: u32 = 40;

/// A level at which a member of weight 1 is full.
const LEVEL_MAX: u128 = (MEMBER_CAP as u128) << LEVEL_BITS;

/// Members of one zone, by index, and what the zone must and can hold.
struct Zone {
    members: Vec<usize>,
    least: u64,
    most: u64,
}

/// Returns the exact share of each member, in the order given, for effective R = min(`replicas`, members).
///
/// Where no cap binds a member's share is its part of all weights. A member's share is at most one slot per partition; while
/// there are at least R zones a zone's is, too; with fewer zones than R each zone has at least one replica of everything.
pub fn shares(members: &[Member], replicas: u8) -> Vec<Share> {
    let zones = zones(members, replicas);
    zone_and_member_shares(members, &zones, replicas).1
}

fn zones(members: &[Member], replicas: u8) -> Vec<Zone> {
    let mut by_name: BTreeMap<&Label, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        by_name.entry(&member.zone).or_default().push(index);
    }
    let width = usize::from(replicas).min(members.len());
    let spare = width.saturating_sub(by_name.len());
    let least = if spare > 0 { MEMBER_CAP } else { 0 };
    let most = |held: usize| held.min(spare + 1) as u64 * MEMBER_CAP;
    by_name.into_values().map(|members| Zone { least, most: most(members.len()), members }).collect()
}

fn zone_and_member_shares(members: &[Member], zones: &[Zone], replicas: u8) -> (Vec<Share>, Vec<Share>) {
    let all = usize::from(replicas).min(members.len()) as u64 * MEMBER_CAP;
    let at = |index: usize, level: u128| {
        let filled = u128::from(members[index].weight).saturating_mul(level) >> LEVEL_BITS;
        filled.min(u128::from(MEMBER_CAP)) as u64
    };
    let sum = |zone: &Zone, level| zone.members.iter().map(|&index| at(index, level)).sum::<u64>();
    let held = |zone: &Zone, level| sum(zone, level).clamp(zone.least, zone.most);
    let level = highest(|level| zones.iter().map(|zone| held(zone, level)).sum::<u64>() <= all);
    let mut shares = vec![Share(0); members.len()];
    let mut zone_shares = Vec::with_capacity(zones.len());
    for zone in zones {
        let total = held(zone, level);
        let inside = highest(|level| sum(zone, level) <= total);
        zone.members.iter().for_each(|&index| shares[index] = Share(at(index, inside)));
        zone_shares.push(Share(total));
    }
    (zone_shares, shares)
}

/// Returns the highest level at which a monotone condition still holds.
fn highest(holds: impl Fn(u128) -> bool) -> u128 {
    let (mut low, mut high) = (0, LEVEL_MAX);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if holds(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

/// Rounds shares to whole slots so that all slots are given. Members that hold more than the floor now keep it first, so that rounding
/// alone moves as little as possible.
///
/// Invariant: the quotas are attainable, with distinct owners and zones as [`shares`] describes.
pub(super) fn quotas(members: &[Member], replicas: u8, counts: &[usize]) -> Vec<usize> {
    let zones = zones(members, replicas);
    let (zone_shares, shares) = zone_and_member_shares(members, &zones, replicas);
    let now = |index: usize| counts.get(index).copied().unwrap_or(0);
    let all = usize::from(replicas).min(members.len()) * PARTITIONS;
    let zone_now = |zone: &Zone| zone.members.iter().map(|&index| now(index)).sum::<usize>();
    let zone_seats: Vec<Seat> = zones
        .iter()
        .zip(&zone_shares)
        .map(|(zone, share)| Seat::new(*share, zone_now(zone), zone.most))
        .collect();
    let totals = round(&zone_seats, all);
    let mut quotas = vec![0; members.len()];
    for (zone, total) in zones.iter().zip(totals) {
        let seats: Vec<Seat> =
            zone.members.iter().map(|&index| Seat::new(shares[index], now(index), MEMBER_CAP)).collect();
        for (&index, quota) in zone.members.iter().zip(round(&seats, total)) {
            quotas[index] = quota;
        }
    }
    quotas
}

/// One share that is to be rounded.
struct Seat {
    share: Share,
    keeps: bool,
    most: usize,
}

impl Seat {
    fn new(share: Share, now: usize, most: u64) -> Self {
        Self { share, keeps: now > share.whole(), most: (most / Share::SCALE) as usize }
    }
}

/// Rounds to whole numbers whose sum is `total`: floors, then one more each in order of claim.
fn round(seats: &[Seat], total: usize) -> Vec<usize> {
    let mut rounded: Vec<usize> = seats.iter().map(|seat| seat.share.whole()).collect();
    let mut claims: Vec<usize> = (0..seats.len()).collect();
    claims.sort_by_key(|&place| {
        let seat = &seats[place];
        (seat.share.rest() == 0, !seat.keeps, std::cmp::Reverse(seat.share.rest()), place)
    });
    let mut open = total.saturating_sub(rounded.iter().sum());
    while open > 0 {
        let before = open;
        for &place in &claims {
            if open > 0 && rounded[place] < seats[place].most {
                rounded[place] += 1;
                open -= 1;
            }
        }
        if open == before {
            break;
        }
    }
    rounded
}
