//! Which files of a shard were stored in which namespace, so that those of one can be removed.
//!
//! ```text
//! objects/S/n-NAMESPACE   names of files, one a line; of the namespace that nobody names there is no list
//! ```
//!
//! Lists are written under the lock of the shard's count. Names in them can be gone; each clean-up leaves those out.

use super::Shard;
use crate::home::Home;
use dccache_protocol::ids::Namespace;
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Longest list that is read, in bytes: a shard of a million files.
const LIST_MAX: u64 = 128 << 20;

/// Notes a file of a namespace.
pub(super) fn note(home: &Home, shard: Shard, namespace: &Namespace, file: &str) -> io::Result<()> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let mut list = home.open_for_writing(&list_of(shard, namespace), OFlags::WRONLY | OFlags::APPEND)?;
    list.write_all(format!("{name}\n").as_bytes())
}

/// Lists the files of a namespace.
pub(super) fn files(home: &Home, shard: Shard, namespace: &Namespace) -> BTreeSet<String> {
    read(home, &list_of(shard, namespace))
}

/// Leaves out of all lists what is gone.
pub(super) fn prune(home: &Home, shard: Shard) {
    let directory = shard.directory();
    let Ok(found) = std::fs::read_dir(home.path().join(&directory)) else { return };
    let lists = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for list in lists.filter(|name| name.starts_with("n-")).map(|name| format!("{directory}/{name}")) {
        let there = |name: &String| home.open_file(&format!("{directory}/{name}"), OFlags::PATH).is_ok();
        let kept: Vec<String> = read(home, &list).into_iter().filter(there).collect();
        let text: String = kept.iter().map(|name| format!("{name}\n")).collect();
        let _ = if kept.is_empty() { home.remove(&list) } else { home.replace(&list, &[text.as_bytes()]) };
    }
}

fn read(home: &Home, list: &str) -> BTreeSet<String> {
    let bytes = home.read(list, LIST_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn list_of(shard: Shard, namespace: &Namespace) -> String {
    format!("{}/n-{}", shard.directory(), namespace.0)
}
