//! Crash images: every prefix of the recorded writes and syncs of segments and index, and torn subsets of each.
//!
//! Asserted for each image: it opens; an id reads as what it was after the last operation that was acknowledged as durable, or as
//! what a later operation made of it; nothing is quarantined, so the index points only at sound records; the store works on.

use crate::fixtures::{Dice, TestClock, bundle, id, small, stored};
use crate::recording::{Event, Luck, MemoryDisk, crash_image};
use dccache_storage::{Config, Disk, Durability, NewRecord, RecordKind, Store};
use std::sync::Arc;

const IDS: u64 = 24;

/// What an operation made of an id: `None` is a removal.
type Change = (u64, Option<NewRecord>);

fn open(disk: &MemoryDisk, config: &Config) -> Store {
    let opened = Store::open_on(Arc::new(disk.clone()), config.clone(), TestClock::new());
    opened.expect("every image opens").0
}

/// Runs a seeded workload and returns what each operation did.
fn run(disk: &MemoryDisk, config: &Config, seed: u64, operations: usize, largest: u64) -> Vec<Change> {
    let mut dice = Dice(seed);
    let mut store = open(disk, config);
    let mut changes = Vec::new();
    for operation in 0..operations {
        disk.note(Event::Begun(operation));
        let number = dice.roll(IDS);
        let kind = if dice.roll(6) == 0 { RecordKind::Tombstone } else { RecordKind::Bundle };
        match dice.roll(12) {
            0 => {
                store.remove(&id(number)).expect("the disk works");
                changes.push((number, None));
            }
            choice => {
                let size = dice.roll(largest) as usize;
                let record = NewRecord { kind, ..bundle(number, operation as u64 + 1, size) };
                let durability = if choice < 4 { Durability::Now } else { Durability::Grouped };
                store.put(record.clone(), durability).expect("the disk works");
                changes.push((number, Some(record)));
                if durability == Durability::Now {
                    disk.note(Event::Durable(operation));
                }
            }
        }
        store.get(&id(dice.roll(IDS)));
        if dice.roll(8) == 0 {
            store.sync().expect("the disk works");
            disk.note(Event::Durable(operation));
        }
        if dice.roll(40) == 0 {
            drop(store);
            disk.note(Event::Durable(operation));
            store = open(disk, config);
        }
    }
    changes
}

/// Checks one image and returns how many ids could be read.
fn check(events: &[Event], luck: Luck, config: &Config, changes: &[Change]) -> usize {
    check_image(&crash_image(events, luck), events, luck, config, changes)
}

fn check_image(
    image: &MemoryDisk,
    events: &[Event],
    luck: Luck,
    config: &Config,
    changes: &[Change],
) -> usize {
    let durable =
        events.iter().rev().find_map(|e| if let Event::Durable(n) = e { Some(*n + 1) } else { None });
    let begun = events.iter().rev().find_map(|e| if let Event::Begun(n) = e { Some(*n + 1) } else { None });
    let (durable, begun) = (durable.unwrap_or(0), begun.unwrap_or(0));
    let store = open(image, config);
    let mut readable = 0;
    for number in 0..IDS {
        let found = store.get(&id(number));
        readable += usize::from(found.is_some());
        let of_id =
            |range: &[Change]| range.iter().filter(|(n, _)| *n == number).cloned().collect::<Vec<_>>();
        let kept = of_id(&changes[..durable]).pop().and_then(|(_, record)| record);
        let mut allowed = vec![kept];
        allowed.extend(of_id(&changes[durable..begun]).into_iter().map(|(_, record)| record));
        let horizon = store.horizon(id(number).partition());
        let evicted = allowed.iter().flatten().any(|record| record.stamp <= horizon);
        let fits = allowed.iter().any(|record| record.as_ref().map(stored) == found);
        assert!(
            fits || found.is_none() && evicted,
            "id {number} after {} events, {luck:?}: found {:?}, allowed {:?}, horizon {horizon:?}",
            events.len(),
            found.map(|record| record.stamp),
            allowed.iter().map(|record| record.as_ref().map(|record| record.stamp)).collect::<Vec<_>>(),
        );
    }
    let stats = store.stats();
    assert_eq!(stats.quarantined, 0, "after {} events, {luck:?}", events.len());
    assert_eq!(stats.records, readable as u64, "after {} events, {luck:?}", events.len());
    let next = bundle(5, 1_000_000, 777);
    store.put(next.clone(), Durability::Now).expect("the store works on");
    drop(store);
    assert_eq!(open(image, config).get(&id(5)), Some(stored(&next)));
    readable
}

/// Returns the seed of a test, moved by `STORE_CRASH_SEED` for long runs over many.
fn seed(own: u64) -> u64 {
    own + std::env::var("STORE_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

/// The prefixes of one test: those whose length leaves this remainder. The tests of a workload share all of them, so that
/// they run side by side.
#[derive(Clone, Copy)]
struct Part {
    remainder: usize,
    of: usize,
}

fn check_all(config: &Config, seed: u64, operations: usize, largest: u64, part: Part) {
    let disk = MemoryDisk::default();
    let changes = run(&disk, config, seed, operations, largest);
    let events = disk.journal();
    let (mut images, mut readable) = (0, 0);
    for end in (part.remainder..=events.len()).step_by(part.of) {
        let torn = Luck::Torn(seed ^ end as u64);
        for luck in [Luck::AllArrive, Luck::NoneArrive, torn] {
            readable += check(&events[..end], luck, config, &changes);
            images += 1;
        }
    }
    println!(
        "seed {seed}: {images} crash images of {} events (part {} of {}: every prefix is in one), {readable} records read",
        events.len(),
        part.remainder + 1,
        part.of,
    );
    assert!(images > 100 && readable > images, "the workload must leave something to lose");
}

mod every_crash_image_without_eviction_holds_what_was_synced {
    use super::*;

    fn check_part(remainder: usize) {
        let config = Config { capacity_bytes: 16 << 20, ..small() };
        check_all(&config, seed(1), 120, 6000, Part { remainder, of: 2 });
    }

    #[test]
    fn after_an_even_number_of_events() {
        check_part(0);
    }

    #[test]
    fn after_an_odd_number_of_events() {
        check_part(1);
    }
}

mod every_crash_image_in_the_middle_of_evictions_holds_what_was_synced_and_not_evicted {
    use super::*;

    fn check_part(remainder: usize) {
        check_all(&small(), seed(2), 160, 60_000, Part { remainder, of: 4 });
    }

    #[test]
    fn after_every_fourth_event() {
        check_part(0);
    }

    #[test]
    fn one_event_later() {
        check_part(1);
    }

    #[test]
    fn two_events_later() {
        check_part(2);
    }

    #[test]
    fn three_events_later() {
        check_part(3);
    }
}

#[test]
fn a_crash_without_an_index_holds_what_was_synced() {
    let config = Config { capacity_bytes: 16 << 20, ..small() };
    let disk = MemoryDisk::default();
    let changes = run(&disk, &config, 3, 80, 3000);
    let events = disk.journal();
    for end in 0..=events.len() {
        let luck = Luck::Torn(end as u64);
        let image = crash_image(&events[..end], luck);
        let _was_there = image.remove("index.redb");
        check_image(&image, &events[..end], luck, &config, &changes);
    }
}
