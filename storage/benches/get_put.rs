//! Measures what one record costs the store: reads from segments and from the hot set, writes, and durable writes.

use dccache_protocol::digest::Digest;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::{Clock, ReceiptStamp, UnixMillis};
use dccache_storage::{Config, Durability, NewRecord, RecordKind, Store};
use divan::counter::BytesCount;
use std::sync::Arc;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }
}

const RECORDS: u64 = 2_000;

fn id(number: u64) -> RecordId {
    RecordId::from_digest(Digest::of(&number.to_le_bytes()))
}

fn record(number: u64, size: usize) -> NewRecord {
    let payload = vec![number as u8; size].into();
    NewRecord { id: id(number), kind: RecordKind::Bundle, stamp: ReceiptStamp(number), payload }
}

fn filled(size: usize, hot_bytes: u64) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config { hot_bytes, ..Config::with_capacity(8 << 30) };
    let (store, _) = Store::open(directory.path(), config, Arc::new(Still)).expect("a new store opens");
    for number in 0..RECORDS.min((64 << 20) / size as u64) {
        store.put(record(number, size), Durability::Grouped).expect("the disk has room");
    }
    store.sync().expect("the disk works");
    (directory, store)
}

#[divan::bench(args = [4 << 10, 64 << 10, 1 << 20])]
fn get_from_segments(bencher: divan::Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size, 0);
    let records = store.stats().records;
    let mut number = 0;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        number = (number + 7919) % records;
        store.get(&id(number)).expect("it was stored")
    });
}

#[divan::bench(args = [4 << 10, 64 << 10])]
fn get_from_the_hot_set(bencher: divan::Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size, 256 << 20);
    bencher.counter(BytesCount::new(size)).bench_local(|| store.get(&id(1)).expect("it was stored"));
}

#[divan::bench(args = [4 << 10, 64 << 10, 1 << 20])]
fn put_grouped(bencher: divan::Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(4 << 10, 0);
    let mut number = RECORDS;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        number += 1;
        store.put(record(number, size), Durability::Grouped).expect("the disk has room")
    });
}

#[divan::bench]
fn put_now(bencher: divan::Bencher<'_, '_>) {
    let (_directory, store) = filled(4 << 10, 0);
    let mut number = RECORDS;
    bencher.bench_local(|| {
        number += 1;
        store.put(record(number, 4 << 10), Durability::Now).expect("the disk has room")
    });
}

fn main() {
    divan::main();
}
