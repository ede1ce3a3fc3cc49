//! Sums over compiles.

use super::{Event, Looked, Moves, Served, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most different names that are counted apart; they are ours, so only a damaged file has more.
const NAMES_MAX: usize = 256;

/// Sums over some compiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Hits served by the local store.
    pub local_hits: u64,
    /// Hits served by the ring.
    pub ring_hits: u64,
    /// Hits served by a shared directory.
    pub shared_hits: u64,
    /// Hits of any source that were found without a preprocessor.
    pub direct_hits: u64,
    /// Compiles that were stored.
    pub stored: u64,
    /// Compiles that were looked up, not found, and not stored, by reason.
    pub not_stored: BTreeMap<String, u64>,
    /// Calls left to the compiler, by reason.
    pub bypassed: BTreeMap<String, u64>,
    /// Faults on the way, by name.
    pub faults: BTreeMap<String, u64>,
    /// Bytes of outputs served.
    pub served_bytes: u64,
    /// Bytes of outputs stored.
    pub stored_bytes: u64,
    /// Wall-clock time of compiles that hits spared, less what the hits took, in ms.
    pub saved_ms: u64,
    /// Compiles that were looked for by what they read, and not found so.
    pub direct_misses: u64,
    /// Compiles that were looked for by their preprocessed text, and not found so.
    pub preprocessed_misses: u64,
    /// Compiles that were looked for in the local store and compiled, or served by another.
    pub local_misses: u64,
    /// Compiles that were looked for on the ring or in a shared directory, and not found there.
    pub remote_misses: u64,
    /// Compiles that were stored anew although they may have been there.
    pub recached: u64,
    /// Reads and writes of the local store.
    pub local: Moves,
    /// Reads and writes of the ring and of a shared directory.
    pub remote: Moves,
    /// Hits that were compiled as well, and found right. They are among the hits, and spared nothing.
    pub verified: u64,
}

impl Totals {
    /// Returns hits of any source.
    pub fn hits(&self) -> u64 {
        self.local_hits + self.ring_hits + self.shared_hits
    }

    /// Returns compiles that were looked up and not found.
    pub fn misses(&self) -> u64 {
        self.stored + self.not_stored.values().sum::<u64>()
    }

    /// Returns calls left to the compiler.
    pub fn bypasses(&self) -> u64 {
        self.bypassed.values().sum()
    }

    /// Counts one compile.
    pub fn add(&mut self, event: &Event) {
        match &event.verdict {
            Verdict::Hit(served) => {
                self.add_hit(*served);
                self.saved_ms += u64::from(event.compile_ms.saturating_sub(event.own_us / 1000));
            }
            Verdict::Verified(served) => {
                self.add_hit(*served);
                self.verified += 1;
            }
            Verdict::Unverified(served, reason) => {
                self.add_hit(*served);
                count(&mut self.faults, reason, 1);
            }
            Verdict::Miss => self.stored += 1,
            Verdict::NotStored(reason) => count(&mut self.not_stored, reason, 1),
            Verdict::Bypassed(reason) => count(&mut self.bypassed, reason, 1),
        }
        self.add_traffic(event);
        event.faults.iter().for_each(|fault| count(&mut self.faults, fault, 1));
        self.served_bytes += event.served_bytes;
        self.stored_bytes += event.stored_bytes;
    }

    fn add_hit(&mut self, served: Served) {
        match served {
            Served::Local | Served::DirectLocal => self.local_hits += 1,
            Served::Ring | Served::DirectRing => self.ring_hits += 1,
            Served::Shared | Served::DirectShared => self.shared_hits += 1,
        }
        let direct = matches!(served, Served::DirectLocal | Served::DirectRing | Served::DirectShared);
        self.direct_hits += u64::from(direct);
    }

    fn add_traffic(&mut self, event: &Event) {
        let traffic = &event.traffic;
        self.direct_misses += u64::from(traffic.direct == Looked::Missed);
        self.preprocessed_misses += u64::from(traffic.preprocessed == Looked::Missed);
        let served = event.verdict.served();
        let near = matches!(served, Some(Served::Local | Served::DirectLocal));
        let far = served.is_some() && !near;
        let compiled = match &event.verdict {
            Verdict::Bypassed(reason) => reason == "read_only_direct",
            Verdict::NotStored(reason) => reason != "compile_failed",
            _ => true,
        };
        let asked = |moves: &Moves| moves.found + moves.missed > 0;
        self.local_misses += u64::from(asked(&traffic.local) && !near && compiled);
        self.remote_misses += u64::from(asked(&traffic.remote) && !near && !far && compiled);
        self.recached += u64::from(traffic.recached && event.verdict == Verdict::Miss);
        self.local.join(&traffic.local);
        self.remote.join(&traffic.remote);
    }

    /// Joins two sums.
    pub fn join(&mut self, other: &Self) {
        self.local_hits += other.local_hits;
        self.ring_hits += other.ring_hits;
        self.shared_hits += other.shared_hits;
        self.direct_hits += other.direct_hits;
        self.stored += other.stored;
        self.served_bytes += other.served_bytes;
        self.stored_bytes += other.stored_bytes;
        self.saved_ms += other.saved_ms;
        self.direct_misses += other.direct_misses;
        self.preprocessed_misses += other.preprocessed_misses;
        self.local_misses += other.local_misses;
        self.remote_misses += other.remote_misses;
        self.recached += other.recached;
        self.local.join(&other.local);
        self.remote.join(&other.remote);
        self.verified += other.verified;
        let maps = [
            (&mut self.not_stored, &other.not_stored),
            (&mut self.bypassed, &other.bypassed),
            (&mut self.faults, &other.faults),
        ];
        for (into, from) in maps {
            from.iter().for_each(|(name, number)| count(into, name, *number));
        }
    }
}

fn count(map: &mut BTreeMap<String, u64>, name: &str, number: u64) {
    if map.len() < NAMES_MAX || map.contains_key(name) {
        *map.entry(name.to_owned()).or_default() += number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_saves_what_the_compile_took_less_what_the_hit_took_and_never_less_than_nothing() {
        let mut totals = Totals::default();
        let event = |verdict, own_us| Event { verdict, compile_ms: 500, own_us, ..Event::default() };
        totals.add(&event(Verdict::Hit(Served::Local), 20_000));
        totals.add(&event(Verdict::Hit(Served::Ring), 100_000));
        totals.add(&event(Verdict::Hit(Served::Ring), 900_000));
        totals.add(&event(Verdict::Miss, 20_000));
        totals.add(&event(Verdict::NotStored("read_only".to_owned()), 20_000));
        assert_eq!(totals.saved_ms, 480 + 400);
        totals.add(&event(Verdict::Verified(Served::DirectRing), 20_000));
        totals.add(&event(Verdict::Unverified(Served::Local, "output_varies".to_owned()), 20_000));
        assert_eq!(totals.saved_ms, 480 + 400, "what was compiled as well spared nothing");
        let mut twice = totals.clone();
        twice.join(&totals);
        assert_eq!((twice.saved_ms, twice.hits(), twice.misses()), (2 * 880, 10, 4));
        assert_eq!((twice.verified, twice.faults["output_varies"], twice.direct_hits), (2, 2, 2));
    }
}
