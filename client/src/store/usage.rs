//! How much a shard holds, in bytes and files, and bringing it down.
//!
//! The count is an estimate: it is written under a kernel lock, but a process can die between a rename and the count, and a replaced
//! file is counted twice. Each clean-up counts anew.

use super::{Shard, namespaces};
use crate::home::{Home, TEMPORARY_MARK};
use rustix::fs::OFlags;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A clean-up leaves this share of a shard, in tenths, so that the next one is far away.
const KEEP_TENTHS: u64 = 9;

/// A temporary file of this age has lost its writer.
const ABANDONED: Duration = Duration::from_secs(3600);

/// One stored file.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub(super) name: String,
    pub(super) size: u64,
    /// Bytes that it takes on the disk.
    pub(super) on_disk: u64,
    pub(super) used: SystemTime,
}

/// How much the whole store may hold; 0 for no bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Bounds {
    /// Whether a shard with these bytes and files is over its share of `tenths` tenths.
    fn are_passed(&self, held: [u64; 2], tenths: u64) -> bool {
        let shards = u64::from(Shard::COUNT);
        // Few files over many shards: a share below one would keep nothing.
        let shares = [self.bytes / shards / 10 * tenths, (self.files / shards * tenths / 10).max(1)];
        let passed = |bound: u64, held: u64, share: u64| bound > 0 && held > share;
        passed(self.bytes, held[0], shares[0]) || passed(self.files, held[1], shares[1])
    }
}

/// Counts one file of `bytes` more, and takes `note` of it under the same lock; returns whether the shard is now over its share.
pub(super) fn add(
    home: &Home,
    shard: Shard,
    bytes: u64,
    bounds: &Bounds,
    note: impl FnOnce() -> io::Result<()>,
) -> io::Result<bool> {
    let mut file = counter(home, shard)?;
    file.lock()?;
    let [held, files, cleanups] = read_count(&mut file).unwrap_or_default();
    let sum = [held.saturating_add(bytes), files.saturating_add(1)];
    write_count(&mut file, [sum[0], sum[1], cleanups])?;
    note()?;
    Ok(bounds.are_passed(sum, 10))
}

/// Removes the files that were not used for longest until the shard holds nine tenths of its share.
pub(super) fn clean(home: &Home, shard: Shard, bounds: &Bounds) -> io::Result<()> {
    let cleaner = home.open_for_writing(&format!("{}/cleaner", shard.directory()), OFlags::RDWR)?;
    if cleaner.try_lock().is_err() {
        return Ok(());
    }
    let mut files = files(home, shard);
    files.sort_by_key(|file| file.used);
    let mut held = [files.iter().map(|file| file.size).sum(), files.len() as u64];
    for file in &files {
        if !bounds.are_passed(held, KEEP_TENTHS) {
            break;
        }
        if home.remove(&file.name).is_ok() {
            held = [held[0] - file.size, held[1] - 1];
        }
    }
    remove_abandoned(home, shard);
    let mut count = counter(home, shard)?;
    count.lock()?;
    namespaces::prune(home, shard);
    let [.., cleanups] = read_count(&mut count).unwrap_or_default();
    write_count(&mut count, [held[0], held[1], cleanups.saturating_add(1)])
}

/// Returns how often a shard was cleaned since that was forgotten.
pub(super) fn cleanups(home: &Home, shard: Shard) -> u64 {
    let read =
        home.open_file(&count_of(shard), OFlags::RDONLY).ok().and_then(|mut file| read_count(&mut file));
    read.map_or(0, |[.., cleanups]| cleanups)
}

/// Forgets how often a shard was cleaned.
pub(super) fn forget_cleanups(home: &Home, shard: Shard) -> io::Result<()> {
    let mut count = counter(home, shard)?;
    count.lock()?;
    let [bytes, files, _] = read_count(&mut count).unwrap_or_default();
    write_count(&mut count, [bytes, files, 0])
}

/// Lists the entries of a shard.
pub(super) fn files(home: &Home, shard: Shard) -> Vec<StoredFile> {
    let kept = |name: &str| ["p-", "d-", "s-", "m-", "r-"].iter().any(|kind| name.starts_with(kind));
    list(home, shard, kept)
}

fn remove_abandoned(home: &Home, shard: Shard) {
    for file in list(home, shard, |name| name.starts_with(TEMPORARY_MARK)) {
        if SystemTime::now().duration_since(file.used).is_ok_and(|age| age > ABANDONED) {
            let _ = home.remove(&file.name);
        }
    }
}

fn list(home: &Home, shard: Shard, wanted: impl Fn(&str) -> bool) -> Vec<StoredFile> {
    let directory = shard.directory();
    let Ok(entries) = fs::read_dir(home.path().join(&directory)) else { return Vec::new() };
    let entries = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = wanted(&name).then(|| entry.metadata().ok())??;
        let used = metadata.modified().ok()?;
        metadata.is_file().then(|| StoredFile {
            name: format!("{directory}/{name}"),
            size: metadata.len(),
            on_disk: metadata.blocks() * 512,
            used,
        })
    });
    entries.collect()
}

fn counter(home: &Home, shard: Shard) -> io::Result<fs::File> {
    home.open_for_writing(&count_of(shard), OFlags::RDWR)
}

fn count_of(shard: Shard) -> String {
    format!("{}/usage", shard.directory())
}

/// Reads bytes, files and clean-ups; a count of an older version ends earlier.
fn read_count(file: &mut fs::File) -> Option<[u64; 3]> {
    let mut bytes = Vec::new();
    file.take(24).read_to_end(&mut bytes).ok()?;
    let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some([number(0)?, number(8).unwrap_or(0), number(16).unwrap_or(0)])
}

fn write_count(file: &mut fs::File, count: [u64; 3]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(&count.map(u64::to_le_bytes).concat())
}
