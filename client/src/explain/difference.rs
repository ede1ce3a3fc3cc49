//! What two compiles of one command read that differs.

use dccache_protocol::digest::Digest;
use dccache_protocol::keys::RootPath;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Most differences that are kept one by one: nobody reads more of them, and the first ones tell the cause.
pub(super) const CHANGED_MAX: usize = 16;

/// In which way one file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum How {
    /// Its content.
    Content,
    /// It was absent, and what is looked for would have been found there.
    Appeared,
    /// It was read, and is absent now.
    Vanished,
    /// It is read now, and was not.
    New,
    /// It was read, and is not any more.
    Gone,
    /// The search passes its name now without finding it, and did not before, or the other way round.
    Probed,
}

/// One file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The file.
    pub path: RootPath,
    /// In which way.
    pub how: How,
    /// Digest of what was read before.
    pub was: Option<Digest>,
    /// Digest of what is read now.
    pub now: Option<Digest>,
}

/// What differs, the most telling first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// At most 16.
    pub changed: Vec<Changed>,
    /// How many more there are.
    pub more: u32,
}

/// What a compile read, ascending by path: files with their digests, and names that are absent, where those are known.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Files.
    pub inputs: &'a [(RootPath, Digest)],
    /// Absent names.
    pub absent: Option<&'a [RootPath]>,
}

impl Read<'_> {
    fn misses(&self, path: &RootPath) -> bool {
        self.absent.is_some_and(|absent| absent.binary_search(path).is_ok())
    }
}

impl Differences {
    /// Compares what a compile reads now with what it read before.
    pub fn between(was: Read<'_>, now: Read<'_>) -> Self {
        let mut changed = Vec::new();
        merge(
            was.inputs,
            now.inputs,
            |(path, _)| path,
            |before, after| {
                let (before, after) = (
                    before.map(|(path, digest)| (path, *digest)),
                    after.map(|(path, digest)| (path, *digest)),
                );
                let (path, how) = match (before, after) {
                    (Some((_, was)), Some((_, now))) if was == now => return,
                    (Some((path, _)), Some(_)) => (path, How::Content),
                    (None, Some((path, _))) if was.misses(path) => (path, How::Appeared),
                    (None, Some((path, _))) => (path, How::New),
                    (Some((path, _)), None) if now.misses(path) => (path, How::Vanished),
                    (Some((path, _)), None) => (path, How::Gone),
                    (None, None) => return,
                };
                let digest = |side: Option<(&RootPath, Digest)>| side.map(|(_, digest)| digest);
                changed.push(Changed { path: path.clone(), how, was: digest(before), now: digest(after) });
            },
        );
        if changed.is_empty()
            && let (Some(was), Some(now)) = (was.absent, now.absent)
        {
            merge(
                was,
                now,
                |path| path,
                |before, after| match (before, after) {
                    (Some(path), None) | (None, Some(path)) => {
                        changed.push(Changed { path: path.clone(), how: How::Probed, was: None, now: None });
                    }
                    _ => {}
                },
            );
        }
        // A header that would be found earlier is why another one is not read any more.
        changed.sort_by_key(|changed| match changed.how {
            How::Appeared | How::Vanished => 0,
            How::Content => 1,
            How::New | How::Gone | How::Probed => 2,
        });
        let more = changed.len().saturating_sub(CHANGED_MAX) as u32;
        changed.truncate(CHANGED_MAX);
        Self { changed, more }
    }

    /// Returns how much differs.
    pub fn count(&self) -> usize {
        self.changed.len() + self.more as usize
    }
}

/// Walks two ascending lists at once.
fn merge<'a, T>(
    left: &'a [T],
    right: &'a [T],
    key: impl Fn(&T) -> &RootPath,
    mut each: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(before), Some(after)) => key(before).cmp(key(after)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let before = if order.is_le() { left.next() } else { None };
        let after = if order.is_ge() { right.next() } else { None };
        each(before, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> RootPath {
        RootPath::Root(name.as_bytes().to_vec())
    }

    fn read(inputs: &[(&str, &str)], absent: &[&str]) -> (Vec<(RootPath, Digest)>, Vec<RootPath>) {
        let inputs = inputs.iter().map(|(name, text)| (path(name), Digest::of(text.as_bytes()))).collect();
        (inputs, absent.iter().map(|name| path(name)).collect())
    }

    fn between(
        was: &(Vec<(RootPath, Digest)>, Vec<RootPath>),
        now: &(Vec<(RootPath, Digest)>, Vec<RootPath>),
    ) -> Vec<(RootPath, How)> {
        let side = |side| {
            let (inputs, absent): &(Vec<(RootPath, Digest)>, Vec<RootPath>) = side;
            Read { inputs, absent: Some(absent) }
        };
        let found = Differences::between(side(was), side(now));
        found.changed.into_iter().map(|changed| (changed.path, changed.how)).collect()
    }

    #[test]
    fn each_way_to_differ_is_told_apart_and_the_most_telling_comes_first() {
        let was = read(&[("a.c", "1"), ("b/x.h", "1"), ("c.h", "1"), ("d.h", "1")], &["a/x.h"]);
        let now = read(&[("a.c", "2"), ("a/x.h", "1"), ("c.h", "1"), ("e.h", "1")], &["b/x.h"]);
        let found = between(&was, &now);
        let expected = [
            (path("a/x.h"), How::Appeared),
            (path("b/x.h"), How::Vanished),
            (path("a.c"), How::Content),
            (path("d.h"), How::Gone),
            (path("e.h"), How::New),
        ];
        assert_eq!(found, expected);
        assert!(between(&was, &was).is_empty());
        let probed = read(&[("a.c", "1"), ("b/x.h", "1"), ("c.h", "1"), ("d.h", "1")], &["a/x.h", "y/x.h"]);
        assert_eq!(between(&was, &probed), [(path("y/x.h"), How::Probed)]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_counted() {
        let inputs: Vec<_> =
            (0..100u32).map(|n| (path(&format!("{n:03}.h")), Digest::of(&n.to_le_bytes()))).collect();
        let found =
            Differences::between(Read { inputs: &[], absent: None }, Read { inputs: &inputs, absent: None });
        assert_eq!((found.changed.len(), found.count()), (CHANGED_MAX, 100));
    }
}
