//! Hits that are held against a compile, and wrong entries to be found so.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use super::{DCCACHE, Place};
use dccache::home::Home;
use dccache::store::{Inspected, Store};
use std::path::{Path, PathBuf};

/// Holds each hit against a compile.
pub const VERIFY: (&str, &str) = ("DCCACHE_VERIFY", "always");

/// A source.
pub const RIGHT: &str = "int a(void) { return 1; }\n";
/// Another one, of the same name.
pub const WRONG: &str = "int a(void) { return 2; }\n";

/// Puts what `words` gave with a wrong source under the key of what they give with the right one, by this machine's own store: a valid entry, of another
/// compile.
pub fn plant(place: &Place, source: &str, right: &str, wrong: &str, words: &[&str]) {
    let run = |text: &str| {
        place.write(source, text);
        let before = place.entries();
        let output = place.command(DCCACHE).arg("gcc").args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let new: Vec<PathBuf> = place.entries().into_iter().filter(|entry| !before.contains(entry)).collect();
        assert_eq!(new.len(), 1, "{}", place.explain());
        new[0].clone()
    };
    let (wrong, right) = (run(wrong), run(right));
    let home = Home::open(&place.home()).unwrap();
    let store = Store::new(&home, 0);
    let entry = |path: &Path| match store.inspect(path.file_name().unwrap().to_str().unwrap()) {
        Some(Inspected::Entry(key, entry)) => (key, entry),
        other => panic!("{other:?}"),
    };
    store.put(&entry(&right).0, &entry(&wrong).1).unwrap();
}
