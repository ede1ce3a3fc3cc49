//! Eviction: the oldest segments go; what was read since gets a second chance.
//!
//! Order, so that a crash at any point loses nothing but what was evicted: write what is kept, sync, write the *evicted* record,
//! sync, commit the index without the old places, then remove the files. A crash before the removal is finished at the next
//! open, because the *evicted* record says which segments no longer count.
//!
//! Invariant: a round frees at least half a segment if it can, and writes at most a quarter of what it frees and one *evicted*
//! record, so eviction always makes progress.

use crate::config::SEGMENT_MIN;
use crate::error::WriteError;
use crate::format::{ENTRY, Entry, Evicted, Kind};
use crate::index::IndexError;
use crate::log::{Core, Log, key_of, place_of};
use crate::overlay::{IndexKey, Location};
use crate::segments::Fault;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{PARTITIONS, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;

/// Share of the freed bytes that may be written again.
const KEPT_SHARE: u64 = 4;

/// Largest record that an eviction writes about itself, in bytes: a horizon of every partition.
const EVICTED_MAX: u64 = 4 + 10 * PARTITIONS as u64 + 256;
const _: () = assert!(EVICTED_MAX < SEGMENT_MIN / 2);

/// What happens to the records of the segments that go.
#[derive(Debug, Default)]
struct Plan {
    keep: Vec<(IndexKey, Location)>,
    lose: Vec<(IndexKey, Location)>,
}

impl Core {
    /// Evicts segments until `excess` bytes and at least half a segment are free; `false` when there is none to evict.
    pub(crate) fn evict(&self, log: &mut Log, excess: u64) -> Result<bool, WriteError> {
        if self.room(log) < EVICTED_MAX {
            self.close_active(log);
        }
        let (victims, freed) = self.victims(log, excess);
        if victims.is_empty() {
            return Ok(false);
        }
        let plan = self.plan(log, &victims, freed)?;
        for (key, place) in plan.keep {
            self.give_second_chance(log, key, &place)?;
        }
        // Alone behind a sync: it must not arrive where what was kept, or replaced what goes, did not.
        self.sync.settle(self.sync.newest())?;
        let evicted = self.evicted(log, &victims, &plan.lose);
        let payload = evicted.encode();
        let nowhere = RecordId::from_digest(Digest::from_bytes([0; 32]));
        let record = self.prepare_kind(Kind::Evicted, nowhere, ReceiptStamp(0), &payload);
        let (_, ticket) = self.append_here(log, &record)?;
        self.sync.settle(ticket)?;
        for (key, place) in &plan.lose {
            self.unset(log, *key)?;
            self.counters.evicted_records.one();
            self.counters.evicted_bytes.add(place.bytes());
        }
        self.note_evicted(log, &evicted);
        self.flush(log)?;
        self.remove_segments(&victims);
        Ok(true)
    }

    /// Does what an *evicted* record of the log says, when the log is replayed.
    pub(crate) fn replay_evicted(&self, log: &mut Log, evicted: &Evicted) -> Result<(), IndexError> {
        let numbers = self.segments.list().into_iter().map(|(number, _)| number);
        let victims: Vec<u32> = numbers.filter(|number| *number < evicted.oldest).collect();
        for &number in &victims {
            let entries = self.entries(log, number).unwrap_or_default();
            for (key, _) in self.living(number, &entries)? {
                self.unset(log, key)?;
            }
        }
        self.note_evicted(log, evicted);
        Ok(())
    }

    /// Removes segment files. One that cannot be removed no longer counts; the next open tries again.
    pub(crate) fn remove_segments(&self, numbers: &[u32]) {
        for &number in numbers {
            self.counters.evictions.one();
            if let Err(error) = self.segments.remove(number) {
                tracing::warn!(segment = number, %error, "evicted segment not removed");
            }
        }
    }

    fn victims(&self, log: &Log, excess: u64) -> (Vec<u32>, u64) {
        let active = log.active.as_ref().map(|active| active.number);
        let wanted = excess.max(self.config.segment_bytes / 2);
        let (mut victims, mut freed) = (Vec::new(), 0);
        for (number, length) in self.segments.list() {
            if freed >= wanted || Some(number) == active {
                break;
            }
            victims.push(number);
            freed += length;
        }
        (victims, freed)
    }

    fn plan(&self, log: &Log, victims: &[u32], freed: u64) -> Result<Plan, WriteError> {
        let mut plan = Plan::default();
        let (mut wanted, mut read) = (Vec::new(), Vec::new());
        for &number in victims {
            // A segment that cannot be read at all holds nothing that could be kept.
            let entries = self.entries(log, number).unwrap_or_default();
            for (key, place) in self.living(number, &entries)? {
                if self.must_stay(&key, &place) {
                    wanted.push((key, place));
                } else if self.segments.was_read(&place) {
                    read.push((key, place));
                } else {
                    plan.lose.push((key, place));
                }
            }
        }
        let mut budget = (freed / KEPT_SHARE).min(self.room(log).saturating_sub(EVICTED_MAX));
        for (key, place) in wanted.into_iter().chain(read) {
            match budget.checked_sub(place.bytes() + ENTRY as u64) {
                Some(rest) => {
                    budget = rest;
                    plan.keep.push((key, place));
                }
                None => plan.lose.push((key, place)),
            }
        }
        Ok(plan)
    }

    /// Returns what a segment holds that is still reached through the index.
    fn living(&self, number: u32, entries: &[Entry]) -> Result<Vec<(IndexKey, Location)>, IndexError> {
        let mut living = Vec::new();
        for entry in entries.iter().filter(|entry| matches!(entry.kind, Kind::Stored(_))) {
            let place = place_of(number, entry);
            if let Some(key) = key_of(entry.kind, entry.id)
                && self.is_at(&key, &place)?
            {
                living.push((key, place));
            }
        }
        Ok(living)
    }

    fn must_stay(&self, key: &IndexKey, place: &Location) -> bool {
        let is_hint = matches!(key, IndexKey::Hint(..));
        let age = self.clock.now().since(place.stamp.millis());
        place.is_tombstone() || is_hint && age < self.config.hint_life_ms
    }

    fn give_second_chance(&self, log: &mut Log, key: IndexKey, place: &Location) -> Result<(), WriteError> {
        let record = match self.fetch(&key, place) {
            Ok(record) => record,
            // The eviction is tried again at the next write.
            Err(Fault::Closed(error)) => return Err(error.into()),
            Err(_) => {
                self.note_quarantined(&key);
                self.unset(log, key)?;
                return Ok(());
            }
        };
        let prepared = self.prepare(record.kind, record.id, record.stamp, &record.payload);
        let (place, _) = self.append_here(log, &prepared)?;
        self.set(log, key, place)?;
        self.counters.second_chances.one();
        Ok(())
    }

    fn evicted(&self, log: &Log, victims: &[u32], lost: &[(IndexKey, Location)]) -> Evicted {
        let mut horizons = log.meta.horizons.clone();
        for (key, place) in lost {
            let IndexKey::Record(id) = key else { continue };
            let horizon = &mut horizons[id.partition().index()];
            *horizon = place.stamp.max(*horizon);
        }
        let horizons = Partition::all().zip(horizons).filter(|(_, stamp)| *stamp > ReceiptStamp(0)).collect();
        let stays = self.segments.list().into_iter().map(|(number, _)| number);
        let oldest = stays.filter(|number| !victims.contains(number)).min().unwrap_or(log.next);
        Evicted { oldest, horizons }
    }

    fn note_evicted(&self, log: &mut Log, evicted: &Evicted) {
        log.meta.oldest = evicted.oldest.max(log.meta.oldest);
        for (partition, stamp) in &evicted.horizons {
            let horizon = &mut log.meta.horizons[partition.index()];
            *horizon = (*stamp).max(*horizon);
        }
    }
}
