//! Texts of sources and headers that were compiled, by digest, so that the line in which one differs later can be named.
//!
//! `explain/texts/S/DIGEST`: one zstd frame; S is the first hexadecimal digit of the digest. A file that shows the date has another digest in keys:
//! under that lies what it was made of, which names the content's own.
//!
//! Invariant: what is there under a digest is shown only if it has that digest.

use crate::home::{Home, TEMPORARY_MARK};
use dccache_protocol::digest::Digest;
use rustix::fs::OFlags;
use std::fs;
use std::time::SystemTime;

/// Largest text that is kept, in bytes: nearly all sources and headers that people write are smaller.
pub(crate) const TEXT_MAX: usize = 256 << 10;

/// Most bytes of one of the 16 shards; 32 MiB in all, about 10,000 texts.
const SHARD_BYTES_MAX: u64 = 2 << 20;

/// Most texts of a shard: each takes an inode and a block.
const SHARD_FILES_MAX: usize = 1024;

/// The shard is looked at after one in this many new texts, told by the last byte of the digest.
const LOOK_EVERY: u8 = 32;

/// Level of compression: a text is compressed while a compile waits for its exit, in some 50 µs.
const LEVEL: i32 = 1;

fn name_of(digest: &Digest) -> String {
    let text = digest.to_string();
    format!("explain/texts/{}/{text}", &text[..1])
}

/// Tells whether something is kept under a digest.
pub(crate) fn is_kept(home: &Home, digest: &Digest) -> bool {
    home.open_file(&name_of(digest), OFlags::PATH).is_ok()
}

/// Keeps a text under its digest, unless it is there. What cannot be written is not there.
pub(crate) fn keep(home: &Home, digest: &Digest, text: &[u8]) {
    let name = name_of(digest);
    if text.len() > TEXT_MAX || is_kept(home, digest) {
        return;
    }
    let Ok(packed) = zstd::bulk::compress(text, LEVEL) else { return };
    if home.replace(&name, &[&packed]).is_ok() && digest.as_bytes()[31].is_multiple_of(LOOK_EVERY) {
        clean(home, &name[..name.len() - digest.to_string().len()]);
    }
}

/// Returns the text of a digest.
pub(crate) fn get(home: &Home, digest: &Digest) -> Option<Vec<u8>> {
    let packed = home.read(&name_of(digest), TEXT_MAX as u64 * 2).ok()?;
    let text = zstd::bulk::decompress(&packed, TEXT_MAX).ok()?;
    (Digest::of(&text) == *digest).then_some(text)
}

/// Removes the oldest texts of a shard until three quarters of its bounds are left.
fn clean(home: &Home, shard: &str) {
    let Ok(entries) = fs::read_dir(home.path().join(shard)) else { return };
    let mut files: Vec<(SystemTime, u64, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((found.modified().ok()?, found.len(), entry.file_name().into_string().ok()?))
        })
        .collect();
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, size, _)| size).sum();
    if bytes <= SHARD_BYTES_MAX && files.len() <= SHARD_FILES_MAX {
        return;
    }
    let mut left = files.len();
    for (_, size, name) in files.iter().filter(|(.., name)| !name.starts_with(TEMPORARY_MARK)) {
        if bytes <= SHARD_BYTES_MAX / 4 * 3 && left <= SHARD_FILES_MAX / 4 * 3 {
            break;
        }
        if home.remove(&format!("{shard}{name}")).is_ok() {
            (bytes, left) = (bytes - size, left - 1);
        }
    }
}

/// The first line in which two texts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// What it was; `None` behind the last line.
    pub(crate) was: Option<String>,
    /// What it is; `None` behind the last line.
    pub(crate) now: Option<String>,
}

/// Longest part of a line that is shown, in characters.
const SHOWN_MAX: usize = 160;

/// Finds the first line in which two texts differ; `None` where they are equal.
pub(crate) fn first_difference(was: &[u8], now: &[u8]) -> Option<Line> {
    if was == now {
        return None;
    }
    let same = was.iter().zip(now).take_while(|(a, b)| a == b).count();
    let start = was[..same].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let number = 1 + memchr::memchr_iter(b'\n', &was[..start]).count();
    let line = |text: &[u8]| {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Some(String::from_utf8_lossy(line).chars().take(SHOWN_MAX).collect())
    };
    Some(Line { number: u32::try_from(number).unwrap_or(u32::MAX), was: line(was), now: line(now) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_found() {
        let line = |number, was: Option<&str>, now: Option<&str>| {
            let [was, now] = [was, now].map(|text| text.map(str::to_owned));
            Some(Line { number, was, now })
        };
        let find = |was: &str, now: &str| first_difference(was.as_bytes(), now.as_bytes());
        assert_eq!(find("a\nb\nc\n", "a\nx\nc\n"), line(2, Some("b"), Some("x")));
        assert_eq!(find("a\n", "a\nb\n"), line(2, None, Some("b")));
        assert_eq!(find("a\nb", "a\n"), line(2, Some("b"), None));
        assert_eq!(find("", "a"), line(1, None, Some("a")));
        assert_eq!(find("ab\n", "ac\n"), line(1, Some("ab"), Some("ac")));
        assert_eq!(find("a\n", "a\n"), None);
    }

    #[test]
    fn a_text_is_given_back_only_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let digest = Digest::of(b"text");
        assert_eq!(get(&home, &digest), None);
        keep(&home, &digest, b"text");
        assert_eq!(get(&home, &digest).unwrap(), b"text");
        let file = place.path().join(name_of(&digest));
        let whole = fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            fs::write(&file, &damaged).unwrap();
            assert!(get(&home, &digest).is_none_or(|text| text == b"text"), "byte {byte}");
            fs::write(&file, &whole[..byte]).unwrap();
            assert_eq!(get(&home, &digest), None, "cut at {byte}");
        }
        let bomb = zstd::bulk::compress(&vec![0; TEXT_MAX + 1], LEVEL).unwrap();
        fs::write(&file, bomb).unwrap();
        assert_eq!(get(&home, &digest), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let mut kept = 0;
        // All in one shard.
        for number in 0..40_000u32 {
            let text = number.to_le_bytes();
            let digest = Digest::of(&text);
            if digest.as_bytes()[0] >> 4 == 0 {
                keep(&home, &digest, &text);
                kept += 1;
            }
        }
        let left = fs::read_dir(place.path().join("explain/texts/0")).unwrap().count();
        let slack = usize::from(LOOK_EVERY) * 8;
        assert!(kept > SHARD_FILES_MAX + slack && left <= SHARD_FILES_MAX + slack, "{left} of {kept}");
        let long = vec![b'x'; TEXT_MAX + 1];
        keep(&home, &Digest::of(&long), &long);
        assert_eq!(get(&home, &Digest::of(&long)), None);
    }
}
