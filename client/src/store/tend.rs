//! Looking after the store as a whole: what it holds, and taking out of it.

use super::Inspected;
use super::side::ALIAS_SIZE_MAX;
use super::usage::{self, StoredFile};
use super::{Shard, Store, namespaces};
use dccache_protocol::ids::Namespace;
use std::io;
use std::time::SystemTime;

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Entries; second names are none.
    pub entries: u64,
    /// Manifests.
    pub manifests: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that they take on the disk.
    pub on_disk: u64,
}

/// Which files are taken out; by default all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which<'a> {
    /// Those that were not used since.
    pub unused_since: Option<SystemTime>,
    /// Those that were stored in this namespace.
    pub namespace: Option<&'a Namespace>,
}

/// Whether files are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// They are.
    Remove,
    /// They are counted.
    OnlyCount,
}

/// What was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Files.
    pub files: u64,
    /// Bytes on the disk.
    pub on_disk: u64,
}

/// How far the store is compressed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// On the disk.
    pub total: u64,
    /// Of outputs as they are stored.
    pub stored: u64,
    /// Of the same outputs as compilers wrote them.
    pub original: u64,
    /// Of outputs that are kept as plain files.
    pub raw: u64,
}

impl Store<'_> {
    /// Counts what is there now; costs one stat a file.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for file in Shard::all().flat_map(|shard| usage::files(self.home, shard)) {
            let name = file.name.rsplit('/').next().unwrap_or_default();
            let result = name.starts_with("p-") || name.starts_with("d-");
            census.entries += u64::from(result && file.size > ALIAS_SIZE_MAX);
            census.manifests += u64::from(name.starts_with("m-"));
            census.bytes += file.size;
            census.on_disk += file.on_disk;
        }
        census
    }

    /// Brings every shard below its share.
    pub fn clean_all(&self) {
        Shard::all().for_each(|shard| self.clean(shard));
    }

    /// Measures compression; reads every entry.
    pub fn compression(&self) -> Compression {
        let mut compression = Compression::default();
        for file in Shard::all().flat_map(|shard| usage::files(self.home, shard)) {
            let name = file.name.rsplit('/').next().unwrap_or_default();
            compression.total += file.on_disk;
            compression.raw += if name.starts_with("r-") { file.size } else { 0 };
            if let Some(Inspected::Entry(_, entry)) = self.inspect(name) {
                compression.stored += entry.table().iter().map(|blob| blob.stored).sum::<u64>();
                compression.original += entry.outcome.contents().map(|content| content.size).sum::<u64>();
            }
        }
        compression
    }

    /// Removes files, or only counts those that it would remove.
    pub fn evict(&self, which: &Which<'_>, act: Act) -> Evicted {
        let mut evicted = Evicted::default();
        for shard in Shard::all() {
            for file in self.chosen(shard, which) {
                if act == Act::OnlyCount || self.home.remove(&file.name).is_ok() {
                    evicted.files += 1;
                    evicted.on_disk += file.on_disk;
                }
            }
            if act == Act::Remove {
                // What is left is counted anew.
                self.clean(shard);
            }
        }
        evicted
    }

    fn chosen(&self, shard: Shard, which: &Which<'_>) -> Vec<StoredFile> {
        let listed = which.namespace.map(|namespace| namespaces::files(self.home, shard, namespace));
        let mut files = usage::files(self.home, shard);
        files.retain(|file| {
            let name = file.name.rsplit('/').next().unwrap_or_default();
            which.unused_since.is_none_or(|time| file.used < time)
                && listed.as_ref().is_none_or(|listed| listed.contains(name))
        });
        files
    }

    /// Returns how often parts of the store were cleaned since that was forgotten.
    pub fn cleanups(&self) -> u64 {
        Shard::all().map(|shard| usage::cleanups(self.home, shard)).sum()
    }

    /// Forgets how often parts of the store were cleaned.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn forget_cleanups(&self) -> io::Result<()> {
        Shard::all().try_for_each(|shard| usage::forget_cleanups(self.home, shard))
    }
}
