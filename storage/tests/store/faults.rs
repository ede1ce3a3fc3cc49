//! Full disks, failing reads and failing syncs: an error or a miss, and the store goes on.

use crate::fixtures::{TestClock, bundle, id, open, put, small, stored};
use crate::recording::MemoryDisk;
use dccache_storage::{Config, Durability, Store, WriteError};
use std::process::Command;
use std::sync::Arc;

fn roomy() -> Config {
    Config { capacity_bytes: 64 << 20, segment_bytes: 256 << 10, ..small() }
}

fn open_on(disk: &MemoryDisk) -> Store {
    Store::open_on(Arc::new(disk.clone()), roomy(), TestClock::new()).expect("it opens").0
}

/// Puts until the disk is full and returns how many records were taken.
fn fill(store: &Store, first: u64) -> u64 {
    for number in first.. {
        match store.put(bundle(number, 1, 3000), Durability::Grouped) {
            Ok(_) => {}
            Err(WriteError::Full(_)) => return number,
            Err(other) => panic!("a full disk is named: {other:?}"),
        }
    }
    unreachable!("the disk is finite")
}

fn assert_readable(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(store.get(&id(number)), Some(stored(&bundle(number, 1, 3000))), "{number}");
    }
}

#[test]
fn a_full_disk_fails_writes_only_until_there_is_space() {
    for space in (0..60).map(|n| 400_000 + n * 1777) {
        let disk = MemoryDisk::default();
        let store = open_on(&disk);
        disk.set_space(Some(space));
        let taken = fill(&store, 0);
        assert_readable(&store, 0..taken);
        let _maybe_no_space_for_the_index = store.sync();
        assert_readable(&store, 0..taken);
        assert!(store.put(bundle(9999, 1, 200_000), Durability::Now).is_err());
        disk.set_space(None);
        store.put(bundle(taken, 1, 3000), Durability::Now).expect("there is space again");
        store.sync().expect("there is space again");
        assert_readable(&store, 0..taken + 1);
        drop(store);
        let store = open_on(&disk);
        assert_readable(&store, 0..taken + 1);
        assert_eq!(store.stats().records, taken + 1);
    }
}

#[test]
fn a_store_on_a_full_disk_can_be_opened_and_read_again() {
    let disk = MemoryDisk::default();
    let store = open_on(&disk);
    disk.set_space(Some(1_000_000));
    let taken = fill(&store, 0);
    drop(store);
    disk.set_space(Some(0));
    let image = disk.snapshot();
    image.set_space(Some(0));
    assert_readable(&open_on(&image), 0..taken);
}

#[test]
fn a_read_error_is_a_miss_and_is_counted() {
    let disk = MemoryDisk::default();
    let store = open_on(&disk);
    put(&store, bundle(1, 1, 3000));
    put(&store, bundle(2, 1, 3000));
    disk.set_failing_reads(Some(".seg"));
    assert_eq!(store.get(&id(1)), None);
    disk.set_failing_reads(None);
    assert_eq!(store.stats().quarantined, 1);
    assert_readable(&store, 2..3);
    put(&store, bundle(1, 1, 3000));
    assert_readable(&store, 1..2);
}

#[test]
fn an_index_that_cannot_be_read_for_a_while_loses_nothing() {
    let disk = MemoryDisk::default();
    let config = Config { index_cache_bytes: 0, ..roomy() };
    let (store, _) = Store::open_on(Arc::new(disk.clone()), config, TestClock::new()).expect("it opens");
    for number in 0..500 {
        put(&store, bundle(number, 1, 3000));
    }
    store.sync().expect("the disk works");
    disk.set_failing_reads(Some(".redb"));
    (0..500).for_each(|number| drop(store.get(&id(number))));
    disk.set_failing_reads(None);
    store.put(bundle(500, 1, 3000), Durability::Now).expect("the index is back");
    assert_readable(&store, 0..501);
    let stats = store.stats();
    assert_eq!(stats.quarantined, 0);
    assert!(stats.index_failures > 0, "the fault must have been met");
}

#[test]
fn a_failed_sync_is_told_to_who_waited_and_the_file_takes_no_more() {
    let disk = MemoryDisk::default();
    let store = open_on(&disk);
    put(&store, bundle(0, 1, 3000));
    store.sync().expect("the disk works");
    disk.set_failing_syncs(true);
    assert!(matches!(store.put(bundle(1, 1, 3000), Durability::Now), Err(WriteError::NotSynced)));
    assert!(store.sync().is_err());
    disk.set_failing_syncs(false);
    let segments = store.stats().segments;
    store.put(bundle(2, 1, 3000), Durability::Now).expect("the disk works again");
    assert_eq!(store.stats().segments, segments + 1);
    assert_readable(&store, 0..3);
}

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory.path())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_really_full_file_system_fails_writes_only_until_there_is_space() {
    let Some(tmpfs) = Tmpfs::mount("6m") else {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs (root)");
        eprintln!("NOT TESTED: mounting a tmpfs needs root; the full disk was only simulated");
        return;
    };
    let root = tmpfs.0.path();
    let ballast = root.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).expect("there is space");
    let data = root.join("data");
    let store = open(&data, &roomy());
    let taken = fill(&store, 0);
    assert!(taken > 500, "{taken}");
    let _maybe_no_space_for_the_index = store.sync();
    assert!(fill(&store, taken) < taken + 300, "only what the index gave back fits");
    assert_readable(&store, 0..taken);
    drop(store);
    let store = open(&data, &roomy());
    assert_readable(&store, 0..taken);
    std::fs::remove_file(&ballast).expect("removed");
    let more = 10_000..10_200;
    for number in more.clone() {
        store.put(bundle(number, 1, 3000), Durability::Now).expect("space again");
    }
    store.sync().expect("space again");
    assert_readable(&store, more.clone());
    drop(store);
    let store = open(&data, &roomy());
    assert_readable(&store, 0..taken);
    assert_readable(&store, more);
}
