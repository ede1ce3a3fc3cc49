//! How much a shard holds, and bringing it down.
//!
//! The count is an estimate: it is written under a kernel lock, but a process can die between a rename and the count, and a replaced
//! file is counted twice. Each clean-up counts anew.

use super::Shard;
use crate::home::{Home, TEMPORARY_MARK};
use rustix::fs::OFlags;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::time::{Duration, SystemTime};

/// A clean-up leaves this share of a shard, in tenths, so that the next one is far away.
const KEEP_TENTHS: u64 = 9;

/// A temporary file of this age has lost its writer.
const ABANDONED: Duration = Duration::from_secs(3600);

/// One stored file.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    name: String,
    pub(super) size: u64,
    used: SystemTime,
}

/// Counts `bytes` more; returns whether the shard is now over its share of `max_size`.
pub(super) fn add(home: &Home, shard: Shard, bytes: u64, max_size: u64) -> io::Result<bool> {
    let mut file = counter(home, shard)?;
    file.lock()?;
    let sum = read_count(&mut file).unwrap_or(0).saturating_add(bytes);
    write_count(&mut file, sum)?;
    Ok(max_size > 0 && sum > max_size / u64::from(Shard::COUNT))
}

/// Removes the files that were not used for longest until the shard holds nine tenths of its share.
pub(super) fn clean(home: &Home, shard: Shard, max_size: u64) -> io::Result<()> {
    let cleaner = home.open_for_writing(&format!("{}/cleaner", shard.directory()), OFlags::RDWR)?;
    if cleaner.try_lock().is_err() || max_size == 0 {
        return Ok(());
    }
    let target = max_size / u64::from(Shard::COUNT) / 10 * KEEP_TENTHS;
    let mut files = files(home, shard);
    files.sort_by_key(|file| file.used);
    let mut held: u64 = files.iter().map(|file| file.size).sum();
    for file in &files {
        if held <= target {
            break;
        }
        if home.remove(&file.name).is_ok() {
            held -= file.size;
        }
    }
    remove_abandoned(home, shard);
    let mut count = counter(home, shard)?;
    count.lock()?;
    write_count(&mut count, held)
}

/// Lists the entries of a shard.
pub(super) fn files(home: &Home, shard: Shard) -> Vec<StoredFile> {
    let kept = |name: &str| ["p-", "d-", "s-", "m-"].iter().any(|kind| name.starts_with(kind));
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
            used,
        })
    });
    entries.collect()
}

fn counter(home: &Home, shard: Shard) -> io::Result<fs::File> {
    home.open_for_writing(&format!("{}/usage", shard.directory()), OFlags::RDWR)
}

fn read_count(file: &mut fs::File) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn write_count(file: &mut fs::File, count: u64) -> io::Result<()> {
    file.rewind()?;
    file.write_all(&count.to_le_bytes())
}
