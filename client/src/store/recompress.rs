//! Packing what is stored anew.

use super::usage;
use super::{FILE_MAX, Inspected, Shard, Store};
use dccache_protocol::bundle::{Body, Packing};
use rustix::fs::{OFlags, Timespec, Timestamps};
use std::io;
use std::os::unix::fs::MetadataExt;

/// What packing the store anew changed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recompressed {
    /// Of all outputs as compilers wrote them.
    pub original: u64,
    /// Of the same outputs as they were stored.
    pub before: u64,
    /// As they are stored now.
    pub after: u64,
}

impl Store<'_> {
    /// Packs every entry anew. What is damaged, or would become too large, stays as it is; so do the times of last use.
    pub fn recompress(&self, packing: Packing) -> Recompressed {
        let mut sum = Recompressed::default();
        for shard in Shard::all() {
            for file in usage::files(self.home, shard) {
                if let Some(one) = self.recompress_file(&file.name, packing) {
                    sum.original += one.original;
                    sum.before += one.before;
                    sum.after += one.after;
                }
            }
            // What is there now is counted anew.
            self.clean(shard);
        }
        sum
    }

    /// Packs one file anew; `None` where it is no entry.
    fn recompress_file(&self, file: &str, packing: Packing) -> Option<Recompressed> {
        // Reading an entry marks it as used.
        let times = self.times(file)?;
        let name = file.rsplit('/').next().unwrap_or_default();
        let Some(Inspected::Entry(key, entry)) = self.inspect(name) else { return None };
        let contents = entry.contents().ok()?;
        let original = entry.outcome.contents().map(|content| content.size).sum();
        let before = entry.body().len() as u64;
        let body = Body::pack_by(packing, contents.iter().map(AsRef::<[u8]>::as_ref));
        let unchanged = Recompressed { original, before, after: before };
        if body.bytes.as_slice() == entry.body() {
            let _ = self.set_times(file, &times);
            return Some(unchanged);
        }
        let after = body.bytes.len() as u64;
        let packed = entry.packed_anew(body);
        let (head, body) = packed.encode(&key, self.secret()?);
        let fits = (head.len() + body.len()) as u64 <= FILE_MAX;
        let replaced = fits && self.home.replace(file, &[&head, body]).is_ok();
        let _ = self.set_times(file, &times);
        Some(if replaced { Recompressed { original, before, after } } else { unchanged })
    }

    fn times(&self, file: &str) -> Option<Timestamps> {
        let found = self.home.open_file(file, OFlags::RDONLY).ok()?.metadata().ok()?;
        let time = |tv_sec, nanoseconds: i64| Timespec { tv_sec, tv_nsec: nanoseconds };
        Some(Timestamps {
            last_access: time(found.atime(), found.atime_nsec()),
            last_modification: time(found.mtime(), found.mtime_nsec()),
        })
    }

    fn set_times(&self, file: &str, times: &Timestamps) -> io::Result<()> {
        let file = self.home.open_file(file, OFlags::RDONLY)?;
        Ok(rustix::fs::futimens(&file, times)?)
    }
}
