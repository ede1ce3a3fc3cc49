//! What a caller can rely on when nothing fails.

use crate::fixtures::{TestClock, bundle, id, id_in, open, payload, put, small, stored};
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::time::ReceiptStamp;
use dccache_storage::{
    Background, Config, Cursor, Durability, IndexState, NewRecord, OpenError, PutOutcome, RecordKind, Store,
    WriteError,
};
use std::fs;

#[test]
fn what_was_put_is_got_and_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let records: Vec<_> = (0..50).map(|n| bundle(n, 1, (n * 331) as usize)).collect();
    let store = open(directory.path(), &small());
    for record in &records {
        assert_eq!(put(&store, record.clone()), PutOutcome::Stored);
    }
    assert!(records.iter().all(|record| store.get(&record.id) == Some(stored(record))));
    assert_eq!(store.get(&id(99)), None);
    drop(store);

    let (store, recovery) = Store::open(directory.path(), small(), TestClock::new()).expect("it opens");
    assert_eq!((recovery.index, recovery.replayed, recovery.torn_bytes), (IndexState::Reused, 0, 0));
    assert!(records.iter().all(|record| store.get(&record.id) == Some(stored(record))));
    assert_eq!(store.stats().records, 50);
}

#[test]
fn a_newer_or_equal_stamp_replaces_and_an_older_one_is_ignored() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    put(&store, bundle(1, 5, 1000));
    let live = store.stats().live_bytes;
    assert_eq!(put(&store, bundle(1, 4, 10)), PutOutcome::Older { kept: ReceiptStamp(5) });
    assert_eq!(store.get(&id(1)), Some(stored(&bundle(1, 5, 1000))));
    let equal = NewRecord { stamp: ReceiptStamp(5), ..bundle(1, 77, 1000) };
    assert_eq!(put(&store, equal.clone()), PutOutcome::Replaced);
    assert_eq!(store.get(&id(1)), Some(stored(&equal)));
    assert_eq!(store.stamp_of(&id(1)), Some(ReceiptStamp(5)));
    let stats = store.stats();
    assert_eq!((stats.records, stats.live_bytes, stats.puts_older), (1, live, 1));
    assert!(stats.dead_bytes >= live, "the replaced record is dead");
}

#[test]
fn removed_records_stay_removed_also_after_the_index_was_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let (gone, kept) = (Partition::new(7).expect("in range"), Partition::new(8).expect("in range"));
    let store = open(directory.path(), &small());
    for number in 0..20 {
        put(&store, NewRecord { id: id_in(gone, number), ..bundle(number, 1, 100) });
        put(&store, NewRecord { id: id_in(kept, number), ..bundle(number, 1, 100) });
    }
    assert!(store.remove(&id_in(kept, 3)).expect("written"));
    assert!(!store.remove(&id_in(kept, 3)).expect("written"));
    assert_eq!(store.drop_partition(gone).expect("written"), 20);
    put(&store, NewRecord { id: id_in(gone, 5), ..bundle(5, 9, 100) });
    drop(store);

    for round in 0..2 {
        let store = open(directory.path(), &small());
        assert_eq!(store.stats().records, 20, "round {round}");
        assert_eq!(store.get(&id_in(kept, 3)), None);
        assert_eq!(store.get(&id_in(gone, 6)), None);
        assert!(store.get(&id_in(gone, 5)).is_some());
        drop(store);
        fs::remove_file(directory.path().join("index.redb")).expect("the index is a file");
    }
}

#[test]
fn a_partition_is_scanned_in_order_in_pages_and_only_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    let partition = Partition::new(4095).expect("in range");
    let mut wanted: Vec<_> = (0..600).map(|n| id_in(partition, n)).collect();
    for (number, id) in wanted.iter().enumerate() {
        put(&store, NewRecord { id: *id, ..bundle(number as u64, 1, 64) });
        put(
            &store,
            NewRecord { id: id_in(Partition::new(0).expect("in range"), number as u64), ..bundle(1, 1, 10) },
        );
        if number == 300 {
            store.sync().expect("synced");
        }
    }
    store.remove(&wanted[10]).expect("removed");
    wanted.remove(10);
    wanted.sort();
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.scan(partition, after, 1000).expect("the index works");
        assert!(page.records.iter().map(|r| r.payload.len()).sum::<usize>() <= 1000);
        found.extend(page.records.iter().map(|record| record.id));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, wanted);
    assert!(pages > 30);
    let listed = store.list(partition, Some(Cursor(wanted[100])), 50).expect("the index works");
    assert_eq!(listed.iter().map(|l| l.id).collect::<Vec<_>>(), wanted[101..151]);
    let one = store.scan(partition, None, 0).expect("the index works");
    assert_eq!(one.records.len(), 1, "a record larger than the page still travels");
}

#[test]
fn hints_are_listed_per_node_and_tombstones_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let (a, b) = (NodeId([1; 16]), NodeId([2; 16]));
    let store = open(directory.path(), &small());
    for number in 0..10 {
        let target = if number % 2 == 0 { a } else { b };
        put(&store, NewRecord { kind: RecordKind::Hint { target }, ..bundle(number, 1, 8) });
    }
    put(&store, NewRecord { kind: RecordKind::Tombstone, ..bundle(100, 1, 8) });
    put(&store, NewRecord { kind: RecordKind::Tombstone, ..bundle(101, 1, 8) });
    put(&store, bundle(101, 2, 8));
    assert!(store.remove_hint(a, &id(2), ReceiptStamp(1)).expect("removed"));
    for _ in 0..2 {
        assert_eq!(store.hints(a, None, 100).expect("works").len(), 4);
        assert_eq!(store.hints(b, None, 3).expect("works").len(), 3);
        assert_eq!((store.count_hints(a), store.count_hints(b)), (Ok(4), Ok(5)));
        assert_eq!(store.get(&id(0)), None, "a hint is no record");
        let tombstones = store.tombstones(None, 100).expect("works");
        assert_eq!(tombstones.iter().map(|t| t.id).collect::<Vec<_>>(), [id(100)]);
        assert!(store.get(&id(100)).is_some());
        store.sync().expect("synced");
    }
}

#[test]
fn a_directory_is_opened_by_one_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &small());
    let second = Store::open(directory.path(), small(), TestClock::new());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    drop(store);
    drop(open(directory.path(), &small()));
}

#[test]
fn foreign_directories_and_other_versions_are_refused_untouched() {
    for (name, content) in [
        ("holiday.jpg", "x"),
        ("FORMAT", "dccache-storage 2 00000000\n"),
        ("FORMAT", "dccache-storage 1 zzzzzzzz\n"),
        ("FORMAT", "something else that is long enough"),
        ("00000001.seg", "garbage"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(name);
        fs::write(&file, content).expect("written");
        let error = Store::open(directory.path(), small(), TestClock::new()).expect_err("refused");
        assert!(matches!(error, OpenError::Foreign { .. } | OpenError::Version { .. }), "{name}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert_eq!(fs::read_to_string(&file).expect("still there"), content);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "nothing was added");
    }
}

#[test]
fn an_incomplete_creation_is_completed() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("FORMAT"), "dccache-stor").expect("written");
    fs::write(directory.path().join("lock"), "").expect("written");
    put(&open(directory.path(), &small()), bundle(1, 1, 1));
}

#[test]
fn sizes_out_of_range_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config { capacity_bytes: 1000, ..small() };
    assert!(matches!(Store::open(directory.path(), config, TestClock::new()), Err(OpenError::Config(_))));
    let store = open(directory.path(), &small());
    let large = store.put(bundle(1, 1, (512 << 10) + 1), Durability::Grouped);
    assert!(matches!(large, Err(WriteError::TooLarge { .. })));
    put(&store, bundle(1, 1, 512 << 10));
    assert_eq!(store.get(&id(1)).expect("stored").payload, payload(1, 1, 512 << 10));
}

#[test]
fn the_hot_set_answers_repeats_and_never_with_what_was_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), &Config { hot_bytes: 64 << 10, ..small() });
    for version in 1..4 {
        put(&store, bundle(1, version, 500));
        for _ in 0..3 {
            assert_eq!(store.get(&id(1)), Some(stored(&bundle(1, version, 500))));
        }
    }
    assert_eq!(store.stats().hot_hits, 6);
    store.remove(&id(1)).expect("removed");
    assert_eq!(store.get(&id(1)), None);
    for number in 0..500 {
        put(&store, bundle(number, 1, 1000));
        store.get(&id(number));
        assert!(store.stats().hot_bytes <= 64 << 10);
    }
    put(&store, bundle(1000, 1, 60 << 10));
    store.get(&id(1000));
    store.get(&id(1000));
    assert_eq!(store.stats().hot_hits, 6, "a large record bypasses the hot set");
}

#[test]
fn the_background_thread_commits_without_being_asked_and_ends_with_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let store =
        open(directory.path(), &Config { background: Background::Thread, sync_interval_ms: 1, ..small() });
    let writers: Vec<_> = (0..4).map(|thread: u64| thread * 100..thread * 100 + 50).collect();
    std::thread::scope(|scope| {
        for numbers in writers.clone() {
            let store = &store;
            scope.spawn(move || {
                for number in numbers {
                    store.put(bundle(number, 1, 300), Durability::Now).expect("synced");
                    assert!(store.get(&id(number)).is_some());
                }
            });
        }
    });
    drop(store);
    let store = open(directory.path(), &small());
    assert!(writers.into_iter().flatten().all(|n| store.get(&id(n)) == Some(stored(&bundle(n, 1, 300)))));
}

#[test]
fn a_hint_that_came_while_an_older_one_was_delivered_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let target = NodeId([1; 16]);
    let store = open(directory.path(), &small());
    let hint = |version| NewRecord { kind: RecordKind::Hint { target }, ..bundle(1, version, 8) };
    put(&store, hint(1));
    let delivered = store.hints(target, None, 1).expect("works")[0].stamp;
    put(&store, hint(2));
    assert!(!store.remove_hint(target, &id(1), delivered).expect("works"));
    assert_eq!(store.hints(target, None, 9).expect("works"), [stored(&hint(2))]);
    assert!(store.remove_hint(target, &id(1), ReceiptStamp(2)).expect("works"));
    assert_eq!(store.count_hints(target), Ok(0));
}

#[test]
fn many_hints_are_counted_beyond_one_batch() {
    let directory = tempfile::tempdir().expect("a directory");
    let target = NodeId([1; 16]);
    let store = open(directory.path(), &small());
    for number in 0..700 {
        put(&store, NewRecord { kind: RecordKind::Hint { target }, ..bundle(number, 1, 8) });
    }
    store.sync().expect("synced");
    assert_eq!(store.count_hints(target), Ok(700));
}
