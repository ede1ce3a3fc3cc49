//! Both versions of an output that differs, kept for whoever looks into it.

use crate::home::{Home, unique_part};
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

const DIRECTORY: &str = "verify/kept";

/// Most files that are kept; two are one output. Somebody looks into the newest, and the first of a series tells as much as the hundredth.
const FILES_MAX: usize = 128;

/// Most bytes that are kept, beside those of the newest output.
const BYTES_MAX: u64 = 256 << 20;

/// Where the two versions lie; a version that was not there has no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// As found.
    pub cached: Option<PathBuf>,
    /// As compiled.
    pub compiled: Option<PathBuf>,
}

/// Keeps both versions of an output; older ones go where the bounds are passed.
///
/// # Errors
/// Why they could not be written; nothing of them is left then.
pub fn keep(home: &Home, cached: Option<&[u8]>, compiled: Option<&[u8]>) -> io::Result<Kept> {
    let _lock = lock(home)?;
    let id = unique_part();
    let mut written = Vec::new();
    let mut put = |content: Option<&[u8]>, version: &str| -> io::Result<Option<PathBuf>> {
        let Some(content) = content else { return Ok(None) };
        let name = format!("{DIRECTORY}/{id}.{version}");
        home.replace(&name, &[content]).inspect_err(|_| {
            written.iter().for_each(|name: &String| drop(home.remove(name)));
        })?;
        let path = home.path().join(&name);
        written.push(name);
        Ok(Some(path))
    };
    let kept = Kept { cached: put(cached, "cached")?, compiled: put(compiled, "compiled")? };
    prune(home, &id);
    Ok(kept)
}

/// Takes the lock of everything below `verify`.
pub(super) fn lock(home: &Home) -> io::Result<File> {
    let lock = home.open_for_writing("verify/lock", OFlags::RDWR)?;
    lock.lock()?;
    Ok(lock)
}

/// Removes the oldest files until the bounds hold, except those of `newest`.
fn prune(home: &Home, newest: &str) {
    let Ok(entries) = fs::read_dir(home.path().join(DIRECTORY)) else { return };
    let entries = entries.filter_map(Result::ok).filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let name = entry.file_name().into_string().ok()?;
        let age = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (!name.starts_with(newest)).then_some((age, name, metadata.len()))
    });
    let mut files: Vec<_> = entries.collect();
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, _, size)| size).sum();
    // The newest two are not listed.
    let mut count = files.len() + 2;
    for (_, name, size) in files {
        if count <= FILES_MAX && bytes <= BYTES_MAX {
            return;
        }
        if home.remove(&format!("{DIRECTORY}/{name}")).is_ok() {
            count -= 1;
            bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_kept_and_the_oldest_go_where_there_are_too_many() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let first = keep(&home, Some(b"found"), None).unwrap();
        let first = first.cached.clone().filter(|_| first.compiled.is_none()).expect("only one was there");
        assert_eq!(fs::read(&first).unwrap(), b"found");
        for _ in 0..FILES_MAX / 2 {
            let kept = keep(&home, Some(b"found"), Some(b"compiled")).unwrap();
            assert_eq!(fs::read(kept.compiled.unwrap()).unwrap(), b"compiled");
        }
        let left = fs::read_dir(place.path().join(DIRECTORY)).unwrap().count();
        assert_eq!(left, FILES_MAX);
        assert!(!first.exists(), "the oldest");
    }

    #[test]
    fn bytes_are_bounded_and_the_newest_output_stays_however_large() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let old = keep(&home, Some(b"a"), Some(b"b")).unwrap();
        // Sparse: nothing of this is written.
        let large = home.open_for_writing(&format!("{DIRECTORY}/0.cached"), OFlags::WRONLY).unwrap();
        large.set_len(BYTES_MAX + 1).unwrap();
        large.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let new = keep(&home, Some(b"c"), Some(b"d")).unwrap();
        assert!(!place.path().join(DIRECTORY).join("0.cached").exists());
        assert!([old.cached, new.cached, new.compiled].iter().flatten().all(|path| path.exists()));
    }
}
