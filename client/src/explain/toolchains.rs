//! Which files each toolchain consisted of, by its id, so that a later one can be held against it.
//!
//! `explain/toolchains/ID`: version u8 = 1 | postcard list of (role, path, digest).

use crate::home::Home;
use crate::toolchain::{Part, Toolchain};
use dccache_protocol::codec::decode_exact;
use rustix::fs::OFlags;
use std::fs;
use std::time::SystemTime;

const DIRECTORY: &str = "explain/toolchains";

const VERSION: u8 = 1;

/// Largest list in bytes: a few hundred paths.
const LIST_MAX: u64 = 1 << 20;

/// Most lists: few machines see more toolchains within a month. The oldest go first.
const LISTS_MAX: usize = 64;

/// Keeps the list of a toolchain, unless it is there.
pub(crate) fn keep(home: &Home, toolchain: &Toolchain) {
    let name = format!("{DIRECTORY}/{}", toolchain.id);
    if home.open_file(&name, OFlags::PATH).is_err() {
        put(home, &name, &toolchain.parts());
    }
}

fn put(home: &Home, name: &str, parts: &[Part]) {
    let Ok(body) = postcard::to_extend(parts, vec![VERSION]) else { return };
    if home.replace(name, &[&body]).is_ok() {
        clean(home);
    }
}

/// Returns the list of a toolchain, as its id is written in a key.
pub(crate) fn get(home: &Home, id: &[u8]) -> Option<Vec<Part>> {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = home.read(&format!("{DIRECTORY}/{id}"), LIST_MAX).ok()?;
    let (&version, body) = bytes.split_first()?;
    (version == VERSION).then(|| decode_exact(body).ok())?
}

fn clean(home: &Home) {
    let Ok(entries) = fs::read_dir(home.path().join(DIRECTORY)) else { return };
    let mut lists: Vec<(SystemTime, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.file_name().into_string().ok()?))
        })
        .collect();
    lists.sort();
    for (_, name) in lists.iter().take(lists.len().saturating_sub(LISTS_MAX)) {
        let _ = home.remove(&format!("{DIRECTORY}/{name}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::digest::Digest;

    #[test]
    fn a_list_is_given_back_and_any_other_bytes_are_none() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let id = |number: u32| Digest::of(&number.to_le_bytes());
        let keep = |id: Digest, parts: &[Part]| put(&home, &format!("{DIRECTORY}/{id}"), parts);
        let part = Part { role: "as".into(), path: b"/usr/bin/as".to_vec(), digest: Digest::of(b"as") };
        keep(id(0), std::slice::from_ref(&part));
        assert_eq!(get(&home, id(0).as_bytes()).unwrap(), [part]);
        let file = place.path().join(format!("{DIRECTORY}/{}", id(0)));
        let whole = fs::read(&file).unwrap();
        let expected = [b"\x01\x01\x02as\x0b/usr/bin/as".as_slice(), Digest::of(b"as").as_bytes()].concat();
        assert_eq!(whole, expected);
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            assert_eq!(get(&home, id(0).as_bytes()), None, "cut at {cut}");
        }
        (1..200).for_each(|number| keep(id(number), &[]));
        assert!(fs::read_dir(place.path().join(DIRECTORY)).unwrap().count() <= LISTS_MAX);
    }
}
