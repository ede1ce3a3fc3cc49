//! Clocks, records and configurations of the tests.

use dccache_protocol::digest::Digest;
use dccache_protocol::ids::Partition;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::{Clock, ReceiptStamp, UnixMillis};
use dccache_storage::{Background, Config, Durability, NewRecord, PutOutcome, Record, RecordKind, Store};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that tests set.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// Small segments, no thread, no hot set.
pub(crate) fn small() -> Config {
    Config {
        segment_bytes: 128 << 10,
        hot_bytes: 0,
        index_cache_bytes: 4 << 20,
        background: Background::Manual,
        salt: Some(0x5EED),
        ..Config::with_capacity(1 << 20)
    }
}

pub(crate) fn open(directory: &Path, config: &Config) -> Store {
    Store::open(directory, config.clone(), TestClock::new()).expect("the store opens").0
}

pub(crate) fn id(number: u64) -> RecordId {
    RecordId::from_digest(Digest::of(&number.to_le_bytes()))
}

/// An id in a partition of the caller's choice.
pub(crate) fn id_in(partition: Partition, number: u64) -> RecordId {
    let mut bytes = *id(number).digest().as_bytes();
    let top = (partition.index() as u16) << 4;
    let first = top | u16::from(bytes[1] & 0xF);
    bytes[..2].copy_from_slice(&first.to_be_bytes());
    RecordId::from_digest(Digest::from_bytes(bytes))
}

/// Bytes that only this number and version have.
pub(crate) fn payload(number: u64, version: u64, size: usize) -> Vec<u8> {
    let mut seed = blake3_of(number, version).into_iter().cycle();
    (0..size).map(|_| seed.next().expect("a cycle never ends")).collect()
}

fn blake3_of(number: u64, version: u64) -> [u8; 32] {
    let bytes = [number.to_le_bytes(), version.to_le_bytes()].concat();
    *Digest::of(&bytes).as_bytes()
}

pub(crate) fn bundle(number: u64, version: u64, size: usize) -> NewRecord {
    let payload = payload(number, version, size).into();
    NewRecord { id: id(number), kind: RecordKind::Bundle, stamp: ReceiptStamp(version), payload }
}

pub(crate) fn put(store: &Store, record: NewRecord) -> PutOutcome {
    store.put(record, Durability::Grouped).expect("the disk has room")
}

pub(crate) fn stored(record: &NewRecord) -> Record {
    let NewRecord { id, kind, stamp, payload } = record.clone();
    Record { id, kind, stamp, payload }
}

/// A small generator of seeded decisions (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}
