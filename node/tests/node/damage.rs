//! Damage on a node's own disk: misses that heal, copies that are refused.

use crate::process::Process;
use crate::support::*;
use std::path::Path;

/// Flips a byte in the middle of every occurrence of `pattern` in the files below a directory; returns how many there were.
fn damage(directory: &Path, pattern: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += damage(&path, pattern);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let places: Vec<usize> = bytes
            .windows(pattern.len())
            .enumerate()
            .filter(|(_, window)| *window == pattern)
            .map(|(at, _)| at)
            .collect();
        for &at in &places {
            bytes[at + pattern.len() / 2] ^= 0x40;
        }
        if !places.is_empty() {
            found += places.len();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_healed_from_the_other_owner() {
    let dir = tempfile::tempdir().unwrap();
    let founder = Process::found(dir.path(), 1);
    let mut second = Process::join(dir.path(), 2, &founder.token("--node"));
    for process in [&founder, &second] {
        process.wait_for("members", |members| members == 2);
        process.wait_for("pending_partitions", |pending| pending == 0);
    }
    let mut client = Client::join(&founder.token("--client").parse().unwrap(), 1).await.unwrap();
    client.warm().await;
    let content: Vec<u8> =
        (0..20u32).flat_map(|i| *dccache_protocol::digest::Digest::of(&i.to_le_bytes()).as_bytes()).collect();
    let bundle = client.bundle(1, &content);
    let (epoch, first) = (client.layout().epoch, founder.node());
    let stored = client.put_at(first, epoch, bundle.clone()).await.unwrap().result.unwrap();
    assert_eq!(stored.copies, 2);
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(damage(&dir.path().join("2/store"), &content), 1);
    second.restart();
    let found = client.find_at(second.node(), key(1)).await.unwrap().result.unwrap().expect("healed");
    assert_eq!(inline(&found), bundle);
    assert_eq!((second.status("quarantined"), second.status("healed")), (1, 1));
    // It has its own copy again.
    drop(founder);
    assert_eq!(client.find(1).await, Some(bundle));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_that_nobody_reads_is_found_and_healed() {
    let dir = tempfile::tempdir().unwrap();
    let founder = Process::found(dir.path(), 1);
    let mut second = Process::join(dir.path(), 2, &founder.token("--node"));
    for process in [&founder, &second] {
        process.wait_for("members", |members| members == 2);
        process.wait_for("pending_partitions", |pending| pending == 0);
    }
    let mut client = Client::join(&founder.token("--client").parse().unwrap(), 1).await.unwrap();
    client.warm().await;
    let content: Vec<u8> =
        (0..20u32).flat_map(|i| *dccache_protocol::digest::Digest::of(&i.to_le_bytes()).as_bytes()).collect();
    let bundle = client.bundle(1, &content);
    let (epoch, first) = (client.layout().epoch, founder.node());
    let stored = client.put_at(first, epoch, bundle.clone()).await.unwrap().result.unwrap();
    assert_eq!(stored.copies, 2);
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(damage(&dir.path().join("2/store"), &content), 1);
    second.restart();
    second.wait_for("healed", |healed| healed == 1);
    assert_eq!(second.status("quarantined"), 1);
    drop(founder);
    assert_eq!(client.find(1).await, Some(bundle));
}

#[test]
fn a_stale_copy_of_a_data_directory_is_refused_when_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let founder = Process::found(dir.path(), 1);
    let mut second = Process::join(dir.path(), 2, &founder.token("--node"));
    second.wait_until_counted();
    assert_eq!(second.terminate(), Some(0));
    let (data, copy) = (dir.path().join("2"), dir.path().join("copy"));
    assert!(std::process::Command::new("cp").arg("-a").arg(&data).arg(&copy).status().unwrap().success());
    // The node starts again, and so the copy is stale.
    second.restart();
    second.wait_until_counted();
    assert_eq!(second.terminate(), Some(0));
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    assert_eq!(second.ends_by_itself(), Some(16));
}
