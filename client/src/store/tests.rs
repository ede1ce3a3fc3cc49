//! The store against damage, strangers, full shards and many at once.

use super::*;
use dccache_protocol::bundle::Body;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{BlobRef, Comparability, Outcome, Output, OutputRole};
use dccache_protocol::ids::ToolchainId;
use dccache_protocol::keys::{DirectKey, PreprocessedKey, SealedName};
use std::os::unix::fs::FileExt;

/// Keys of `shard` when the first nibble says so.
fn key(shard: u8, number: u32) -> EntryKey {
    let mut bytes = *Digest::of(&number.to_le_bytes()).as_bytes();
    bytes[0] = shard << 4;
    EntryKey::Preprocessed(PreprocessedKey::from_digest(Digest::from_bytes(bytes)))
}

fn entry(object: &[u8]) -> LocalEntry {
    let outcome = Outcome {
        outputs: vec![Output { role: OutputRole::Object, content: BlobRef::of(object) }],
        stdout: BlobRef::of(b""),
        stderr: BlobRef::of(b"warning"),
        exit_code: 0,
        toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
        class: Comparability::Reproducible,
        wall_ms: 10,
        cpu_ms: 10,
    };
    LocalEntry::new(Origin::Own, outcome, Body::pack([object, b"", b"warning"]))
}

fn home() -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::open(place.path()).unwrap();
    (place, home)
}

fn object_of(found: Found) -> Option<Vec<u8>> {
    let Found::Entry { entry, .. } = found else { return None };
    Some(entry.contents().ok()?.first()?.as_ref().to_vec())
}

#[test]
fn what_was_put_is_found_under_its_key_only() {
    let (_place, home) = home();
    let store = Store::new(&home, 0);
    store.put(&key(1, 1), &entry(b"object")).unwrap();
    assert_eq!(object_of(store.get(&key(1, 1))), Some(b"object".to_vec()));
    assert!(matches!(store.get(&key(1, 2)), Found::Nothing));
}

#[test]
fn an_entry_keeps_its_bytes() {
    let (_place, home) = home();
    home.replace("keys/local.key", &[&[7; 32]]).unwrap();
    let store = Store::new(&home, 0);
    store.put(&key(1, 1), &entry(b"object")).unwrap();
    let digest = |content: &[u8]| *Digest::of(content).as_bytes();
    let mut head = vec![1];
    head.extend(key(1, 1).digest().as_bytes());
    head.extend([0, 1, 0, 6]);
    head.extend(digest(b"object"));
    head.push(0);
    head.extend(digest(b""));
    head.push(7);
    head.extend(digest(b"warning"));
    head.push(0);
    head.extend(digest(b"toolchain"));
    // Class and times; then per content raw, and its length.
    head.extend([0, 10, 10, 3, 0, 6, 0, 0, 0, 7]);
    let seal = *blake3::keyed_hash(&[7; 32], &head).as_bytes();
    let whole = [&[1], &(head.len() as u32).to_le_bytes()[..], &seal, &head, b"objectwarning"].concat();
    assert_eq!(home.read(&name_of(&key(1, 1)), FILE_MAX).unwrap(), whole);
}

#[test]
fn an_entry_under_another_key_or_of_another_store_is_not_believed() {
    let (_place, home) = home();
    let store = Store::new(&home, 0);
    store.put(&key(1, 1), &entry(b"object")).unwrap();
    home.rename(&name_of(&key(1, 1)), &name_of(&key(1, 2))).unwrap();
    assert!(matches!(store.get(&key(1, 2)), Found::Damaged));

    let (_other_place, other) = self::home();
    Store::new(&other, 0).put(&key(1, 3), &entry(b"evil")).unwrap();
    let bytes = other.read(&name_of(&key(1, 3)), FILE_MAX).unwrap();
    home.replace(&name_of(&key(1, 3)), &[&bytes]).unwrap();
    assert!(matches!(store.get(&key(1, 3)), Found::Damaged));
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let (_place, home) = home();
    let store = Store::new(&home, 0);
    let object = [7u8; 300];
    store.put(&key(1, 1), &entry(&object)).unwrap();
    let bytes = home.read(&name_of(&key(1, 1)), FILE_MAX).unwrap();
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x10;
        home.replace(&name_of(&key(1, 1)), &[&damaged]).unwrap();
        assert_eq!(object_of(store.get(&key(1, 1))), None, "byte {index}");
        home.replace(&name_of(&key(1, 1)), &[&bytes[..index]]).unwrap();
        assert_eq!(object_of(store.get(&key(1, 1))), None, "cut at {index}");
    }
    home.replace(&name_of(&key(1, 1)), &[&bytes]).unwrap();
    assert!(object_of(store.get(&key(1, 1))).is_some());
}

#[test]
fn a_full_shard_loses_what_was_not_used_for_longest() {
    let (_place, home) = home();
    let max_size = 16 * 10_000;
    let store = Store::new(&home, max_size);
    let incompressible: Vec<u8> =
        (0..125u32).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes()).collect();
    let day = Duration::from_secs(86_400);
    let mut over = None;
    for number in 0..3 {
        over = store.put(&key(2, number), &entry(&incompressible)).unwrap();
        let file = home.open_file(&name_of(&key(2, number)), OFlags::WRONLY).unwrap();
        file.set_modified(SystemTime::now() - day * (3 - number)).unwrap();
    }
    assert_eq!(over, Some(Shard(2)), "three of 4 kB are more than 10 kB");
    // A hit makes the oldest the newest.
    assert!(object_of(store.get(&key(2, 0))).is_some());
    store.clean(Shard(2));
    let left: Vec<bool> = (0..3).map(|number| object_of(store.get(&key(2, number))).is_some()).collect();
    assert_eq!(left, [true, false, true]);
    assert!(store.measure().1 <= max_size / 16);
}

#[test]
fn a_shard_with_more_files_than_its_share_loses_what_was_not_used_for_longest() {
    let (_place, home) = home();
    let store = Store::new(&home, 0).with_files(16 * 2);
    let day = Duration::from_secs(86_400);
    let over = [0, 1, 2].map(|number| {
        let over = store.put(&key(2, number), &entry(b"object")).unwrap();
        let file = home.open_file(&name_of(&key(2, number)), OFlags::WRONLY).unwrap();
        file.set_modified(SystemTime::now() - day * (3 - number)).unwrap();
        over
    });
    assert_eq!(over, [None, None, Some(Shard(2))], "three are more than two");
    store.clean(Shard(2));
    let left = [0, 1, 2].map(|number| object_of(store.get(&key(2, number))).is_some());
    assert_eq!(left, [false, false, true], "nine tenths of two is one");
    assert_eq!(store.put(&key(2, 3), &entry(b"object")).unwrap(), None, "the count is right again");
}

#[test]
fn a_damaged_count_is_corrected_by_the_next_clean_up() {
    let (_place, home) = home();
    let store = Store::new(&home, 16 * 100_000);
    store.put(&key(3, 1), &entry(b"object")).unwrap();
    home.open_file("objects/3/usage", OFlags::WRONLY).unwrap().write_at(&[0xFF; 8], 0).unwrap();
    let over = store.put(&key(3, 2), &entry(b"object")).unwrap();
    assert_eq!(over, Some(Shard(3)));
    store.clean(Shard(3));
    assert!(object_of(store.get(&key(3, 1))).is_some(), "nothing had to go");
    assert_eq!(store.put(&key(3, 3), &entry(b"object")).unwrap(), None);
}

#[test]
fn many_threads_make_one_secret_and_read_each_other() {
    let (_place, home) = home();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let home = &home;
            scope.spawn(move || Store::new(home, 0).put(&key(4, number), &entry(b"object")).unwrap());
        }
    });
    let store = Store::new(&home, 0);
    assert!((0..16).all(|number| object_of(store.get(&key(4, number))).is_some()));
}

#[test]
fn a_freed_flight_leaves_no_file_and_the_next_one_takes_off_at_once() {
    let (_place, home) = home();
    let Flight::First(held) = take_off(&home, &key(5, 1)) else { panic!("nobody holds it") };
    let name = home.path().join(format!("locks/{}", key(5, 1).digest()));
    assert!(name.exists());
    drop(held);
    assert!(!name.exists());
    assert!(matches!(take_off(&home, &key(5, 1)), Flight::First(_)));
}

#[test]
fn who_waited_for_a_flight_is_told_so() {
    let (_place, home) = home();
    let held = take_off(&home, &key(6, 1));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| matches!(take_off(&home, &key(6, 1)), Flight::AfterAnother(_)));
        // The other thread may come before or after this line: both ways it must end, and not as first while we hold the lock.
        while std::fs::read_dir("/proc/self/task").unwrap().count() < 2 {
            std::thread::yield_now();
        }
        let name = home.path().join(format!("locks/{}", key(6, 1).digest()));
        let holder = std::fs::File::open(name).unwrap();
        assert!(holder.try_lock().is_err(), "held");
        drop(held);
        waiter.join().unwrap();
    });
}

#[test]
fn nobody_waits_for_a_holder_that_is_stopped() {
    let (place, home) = home();
    let _held = take_off(&home, &key(7, 1));
    let mut stopped = std::process::Command::new("sh").args(["-c", "kill -STOP $$"]).spawn().unwrap();
    let lock = place.path().join(format!("locks/{}", key(7, 1).digest()));
    std::fs::write(lock, stopped.id().to_string()).unwrap();
    assert!(matches!(take_off(&home, &key(7, 1)), Flight::Unlocked));
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}

#[test]
fn a_second_name_leads_to_its_entry_and_is_bound_to_store_and_name() {
    let (_place, home) = home();
    let store = Store::new(&home, 0);
    let direct = EntryKey::Direct(DirectKey::from_digest(Digest::of(b"direct")));
    store.put(&direct, &entry(b"object")).unwrap();
    store.put_alias(&key(1, 1), &direct).unwrap();
    let Found::Entry { key: found, .. } = store.get(&key(1, 1)) else { panic!("an entry") };
    assert_eq!(found, direct);
    home.rename(&name_of(&key(1, 1)), &name_of(&key(1, 2))).unwrap();
    assert!(matches!(store.get(&key(1, 2)), Found::Damaged));
    store.put_alias(&key(1, 3), &key(1, 4)).unwrap();
    store.put_alias(&key(1, 4), &key(1, 3)).unwrap();
    assert!(matches!(store.get(&key(1, 3)), Found::Damaged), "names of names lead nowhere");
    store.put_alias(&key(1, 5), &key(1, 6)).unwrap();
    assert!(matches!(store.get(&key(1, 5)), Found::Nothing), "its entry is gone");
}

#[test]
fn what_lies_beside_entries_is_bound_to_store_and_name() {
    let (_place, home) = home();
    let store = Store::new(&home, 0);
    let name = |text: &[u8]| Side::Sealed(SealedName::from_digest(Digest::of(text)));
    store.put_side(name(b"one"), b"body").unwrap();
    assert_eq!(store.side(name(b"one")), Beside::Body(b"body".to_vec()));
    assert_eq!(store.side(name(b"two")), Beside::Nothing);
    let other = self::home();
    Store::new(&other.1, 0).put_side(name(b"one"), b"evil").unwrap();
    let file = std::fs::read_dir(other.0.path().join("objects")).unwrap().next().unwrap().unwrap().path();
    let shard = file.file_name().unwrap().to_string_lossy().into_owned();
    let record = std::fs::read_dir(&file).unwrap().map(|file| file.unwrap().path());
    let record = record
        .into_iter()
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("s-"))
        .unwrap();
    let target = format!("objects/{shard}/{}", record.file_name().unwrap().to_string_lossy());
    home.replace(&target, &[&std::fs::read(record).unwrap()]).unwrap();
    assert_eq!(store.side(name(b"one")), Beside::Damaged);
    store.remove_side(name(b"one"));
    assert_eq!(store.side(name(b"one")), Beside::Nothing);
    home.replace(&target, &[b""]).unwrap();
    assert_eq!(store.side(name(b"one")), Beside::Damaged);
    home.replace(&target, &[b"another version"]).unwrap();
    assert_eq!(store.side(name(b"one")), Beside::Nothing);
}
