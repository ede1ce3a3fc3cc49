//! Eviction: bounded bytes, second chance, horizons.

use crate::fixtures::{Dice, TestClock, bundle, id, open, payload, put, small, stored};
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::time::ReceiptStamp;
use dccache_storage::{Background, Config, NewRecord, RecordKind, Store};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

fn segment_files(directory: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry"));
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg"));
    segments.map(|file| file.metadata().expect("it is there").len()).sum()
}

#[test]
fn what_is_read_stays_and_what_is_not_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    let favourites: Vec<u64> = (0..5).collect();
    for number in 0..2000 {
        put(&store, bundle(number, number + 1, 4000));
        favourites.iter().for_each(|n| drop(store.get(&id(*n))));
    }
    for number in &favourites {
        assert_eq!(store.get(&id(*number)), Some(stored(&bundle(*number, number + 1, 4000))));
    }
    assert!((5..1500).all(|number| store.get(&id(number)).is_none()));
    assert!((1900..2000).all(|number| store.get(&id(number)).is_some()));
    let stats = store.stats();
    assert!(stats.evictions > 40 && stats.second_chances > 10, "{stats:?}");
    assert_eq!(stats.records, 2000 - stats.evicted_records);
}

#[test]
fn eviction_makes_progress_even_when_everything_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    for number in 0..1000 {
        put(&store, bundle(number, number + 1, 4000));
        assert!(store.get(&id(number)).is_some());
    }
    assert!(store.get(&id(999)).is_some());
    assert!(segment_files(directory.path()) <= (1 << 20) + (128 << 10));
}

#[test]
fn horizons_and_content_survive_a_restart_with_and_without_the_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    for number in 0..1000 {
        put(&store, bundle(number, number + 1, 4000));
    }
    let horizons = |store: &Store| Partition::all().map(|p| store.horizon(p)).collect::<Vec<_>>();
    let found = |store: &Store| (0..1000).filter(|n| store.get(&id(*n)).is_some()).collect::<Vec<_>>();
    let before = (horizons(&store), found(&store), store.stats().records);
    assert!(before.0.iter().any(|horizon| *horizon > ReceiptStamp(0)));
    drop(store);
    for _ in 0..2 {
        let store = open(directory.path(), &small());
        assert_eq!((horizons(&store), found(&store), store.stats().records), before);
        drop(store);
        std::fs::remove_file(directory.path().join("index.redb")).expect("removed");
    }
}

#[test]
fn tombstones_and_hints_outlive_their_segments_until_hints_expire() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = TestClock::new();
    let (store, _) = Store::open(directory.path(), small(), clock.clone()).expect("it opens");
    let target = NodeId([3; 16]);
    let now = ReceiptStamp(1_700_000_000_000 << 16);
    put(&store, NewRecord { kind: RecordKind::Hint { target }, stamp: now, ..bundle(1, 1, 50) });
    put(&store, NewRecord { kind: RecordKind::Tombstone, stamp: now, ..bundle(2, 1, 50) });
    let fill = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            put(&store, bundle(number, number, 4000));
        }
    };
    fill(1000..2000);
    assert_eq!(store.hints(target, None, 10).expect("works").len(), 1);
    assert_eq!(store.tombstones(None, 10).expect("works").len(), 1);
    clock.advance(48 * 3600 * 1000);
    fill(2000..3000);
    assert_eq!(store.hints(target, None, 10).expect("works").len(), 0);
    assert_eq!(store.tombstones(None, 10).expect("works").len(), 1);
    assert!(store.horizon(id(1).partition()) < now, "a lost hint moves no horizon");
}

#[test]
fn many_restarts_leave_no_pile_of_small_segments_over_the_capacity() {
    let directory = tempfile::tempdir().expect("a directory");
    for number in 0..60 {
        let store = open(directory.path(), &small());
        for part in 0..5 {
            put(&store, bundle(number * 5 + part, number + 1, 9000));
        }
        assert!(segment_files(directory.path()) <= (1 << 20) + (128 << 10));
        assert!(store.get(&id(number * 5)).is_some());
    }
}

#[test]
fn readers_beside_an_evicting_writer_see_right_bytes_or_a_miss() {
    let directory = tempfile::tempdir().expect("a directory");
    let store =
        open(directory.path(), &Config { hot_bytes: 256 << 10, background: Background::Thread, ..small() });
    let newest = AtomicU64::new(0);
    let mut hits = 0;
    std::thread::scope(|scope| {
        let readers = [1, 2, 3].map(|seed| {
            let (store, newest) = (&store, &newest);
            scope.spawn(move || {
                let (mut dice, mut hits) = (Dice(seed), 0);
                while newest.load(Ordering::Acquire) < 3000 {
                    let back = dice.roll(400);
                    let number = newest.load(Ordering::Acquire).saturating_sub(back);
                    if let Some(found) = store.get(&id(number)) {
                        assert_eq!(found, stored(&bundle(number, number + 1, 4000)));
                        hits += 1;
                    }
                    let page = store.scan(id(number).partition(), None, 10_000).expect("the index works");
                    assert!(page.records.iter().all(|r| r.id.partition() == id(number).partition()));
                }
                hits
            })
        });
        for number in 0..=3000 {
            put(&store, bundle(number, number + 1, 4000));
            newest.store(number, Ordering::Release);
        }
        hits += readers.map(|reader| reader.join().expect("no reader panics")).iter().sum::<u64>();
    });
    let stats = store.stats();
    assert_eq!((stats.quarantined, stats.index_failures), (0, 0));
    assert!(hits > 1000 && stats.evictions > 50, "{hits} hits, {stats:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Put { number: u64, size: usize },
    Get { number: u64 },
    Remove { number: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0..60u64, prop_oneof![4 => 0..20_000usize, 1 => 100_000..300_000usize])
            .prop_map(|(number, size)| Step::Put { number, size }),
        30 => (0..60u64).prop_map(|number| Step::Get { number }),
        4 => (0..60u64).prop_map(|number| Step::Remove { number }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_stay_bounded_horizons_only_grow_and_reads_are_right(steps in prop::collection::vec(step(), 100..250)) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = open(directory.path(), &small());
        let mut model: Vec<Option<(u64, usize)>> = vec![None; 60];
        let mut horizons = vec![ReceiptStamp(0); 60];
        for (version, step) in steps.into_iter().enumerate() {
            let version = version as u64 + 1;
            match step {
                Step::Put { number, size } => {
                    put(&store, bundle(number, version, size));
                    model[number as usize] = Some((version, size));
                    prop_assert!(store.get(&id(number)).is_some(), "what was just put is there");
                }
                Step::Remove { number } => {
                    store.remove(&id(number)).expect("removed");
                    model[number as usize] = None;
                }
                Step::Reopen => {
                    drop(store);
                    store = open(directory.path(), &small());
                }
                Step::Get { number } => {
                    let horizon = store.horizon(id(number).partition());
                    let (found, wanted) = (store.get(&id(number)), model[number as usize]);
                    match (found, wanted) {
                        (Some(found), Some((version, size))) => {
                            prop_assert_eq!(found.payload, payload(number, version, size));
                        }
                        (Some(_), None) => prop_assert!(false, "a removed record came back"),
                        (None, Some((version, _))) => {
                            prop_assert!(ReceiptStamp(version) <= horizon, "lost without being evicted");
                        }
                        (None, None) => {}
                    }
                }
            }
            for number in 0..60 {
                let horizon = store.horizon(id(number).partition());
                prop_assert!(horizon >= horizons[number as usize]);
                horizons[number as usize] = horizon;
            }
            let bytes = segment_files(directory.path());
            prop_assert!(bytes <= (1 << 20) + (300 << 10), "{} bytes", bytes);
        }
        let readable = (0..60).filter(|number| store.get(&id(*number)).is_some()).count() as u64;
        prop_assert_eq!(store.stats().records, readable);
        prop_assert_eq!(store.stats().quarantined, 0);
    }
}
