//! What differs between the commands of two compiles, field by field of their keys.

use super::cause::{Cause, Kind};
use super::record::Record;
use super::toolchains;
use crate::home::Home;
use crate::toolchain::Part;
use std::collections::BTreeMap;
use std::path::Path;

/// Fields that say by which names and how a compiler is called.
const OF_COMMAND: [&str; 7] =
    ["source", "output", "language", "driver", "dependency mode", "colour", "working directory"];

/// How far two commands are apart: the number of items that only one of them has; equals in the same place are nearer.
pub(super) fn distance(was: &Record, now: &Record) -> (usize, bool, bool) {
    let count = now.fields.iter().map(|field| {
        let before = was.fields.iter().find(|other| other.tag == field.tag);
        let before = before.map_or(&[][..], |other| other.items.as_slice());
        // A build of thousands of misses asks this some million times, and most fields are equal.
        if before == field.items {
            return 0;
        }
        let [gone, new] = apart(before, &field.items);
        gone.len() + new.len()
    });
    (count.sum(), was.root != now.root, was.output != now.output)
}

/// Lists what differs.
pub(super) fn differences(home: &Home, was: &Record, now: &Record) -> Vec<Cause> {
    let mut causes = Vec::new();
    let one = |record: &Record, name| record.field(name).first().map(|item| shown(record, name, item));
    if was.field("namespace") != now.field("namespace") {
        let (before, after) = (one(was, "namespace"), one(now, "namespace"));
        causes.push(Cause::new(Kind::Policy, "namespace").changed(before, after));
    }
    causes.extend(arguments(was, now));
    causes.extend(
        ["environment", "include environment"].into_iter().flat_map(|name| variables(was, now, name)),
    );
    if was.field("toolchain") != now.field("toolchain") {
        causes.extend(toolchain(home, was, now));
    }
    for (name, what) in [("extra files", "extra_files_to_hash"), ("native", "-march=native")] {
        if was.field(name) != now.field(name) {
            let kind = if name == "native" { Kind::Toolchain } else { Kind::NamedFile };
            causes.push(Cause::new(kind, what));
        }
    }
    causes.extend(option_files(was, now));
    for name in OF_COMMAND.into_iter().filter(|name| was.field(name) != now.field(name)) {
        causes.push(Cause::new(Kind::Command, name).changed(one(was, name), one(now, name)));
    }
    causes.extend(include_directories(was, now));
    causes
}

/// Shows an item of a field that is no list.
fn shown(record: &Record, name: &str, item: &[u8]) -> String {
    match (name, item) {
        ("working directory", _) => place(&record.root, item),
        ("colour", [0]) => "plain text".to_owned(),
        ("colour", _) => "for a terminal".to_owned(),
        // The number that `DependRequest::key_mode` gives it.
        ("dependency mode", [1]) => "-MD".to_owned(),
        ("dependency mode", [2]) => "-MMD".to_owned(),
        ("dependency mode", [5]) => "-MD -MP".to_owned(),
        ("dependency mode", [6]) => "-MMD -MP".to_owned(),
        ("dependency mode", _) => "none".to_owned(),
        _ => spelled_out(&record.root, item),
    }
}

/// Shows a path that hangs on the root, or does not, as its first byte says.
fn place(root: &[u8], item: &[u8]) -> String {
    let path = match item.split_first() {
        Some((b'r', [])) => root,
        Some((_, rest)) => rest,
        None => item,
    };
    String::from_utf8_lossy(path).into_owned()
}

/// Returns the items that only the first list has, and those that only the second has, in their order.
fn apart<'a>(was: &'a [Vec<u8>], now: &'a [Vec<u8>]) -> [Vec<&'a [u8]>; 2] {
    let only = |of: &'a [Vec<u8>], other: &[Vec<u8>]| {
        let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
        other.iter().for_each(|item| *left.entry(item).or_default() += 1);
        let mut only = Vec::new();
        for item in of {
            match left.get_mut(item.as_slice()) {
                Some(count) if *count > 0 => *count -= 1,
                _ => only.push(item.as_slice()),
            }
        }
        only
    };
    [only(was, now), only(now, was)]
}

fn arguments(was: &Record, now: &Record) -> Vec<Cause> {
    let (before, after) = (was.field("arguments"), now.field("arguments"));
    let [gone, new] = apart(before, after);
    if gone.is_empty() && new.is_empty() && before != after {
        return vec![Cause::new(Kind::Argument, "order").noted("the same arguments in another order")];
    }
    let mut new: Vec<&[u8]> = new;
    let mut causes = Vec::new();
    for word in gone {
        // The same option with another value is one change.
        let at = new.iter().position(|other| option_of(other) == option_of(word));
        let other = at.map(|at| new.remove(at));
        let (was, now) = (spelled_out(&was.root, word), other.map(|other| spelled_out(&now.root, other)));
        causes.push(Cause::new(Kind::Argument, "").changed(Some(was), now));
    }
    let new = new.into_iter().map(|word| spelled_out(&now.root, word));
    causes.extend(new.map(|word| Cause::new(Kind::Argument, "").changed(None, Some(word))));
    causes
}

/// Names what an argument sets: the same name with another value is one change.
fn option_of(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    let name = text.split('=').next().unwrap_or_default();
    for family in ["-O", "-g"] {
        if name.starts_with(family) && !name.starts_with("-gsplit") {
            return family.to_owned();
        }
    }
    match name.get(..5) {
        Some(start @ ("-fno-" | "-Wno-" | "-mno-")) => format!("{}{}", &start[..2], &name[5..]),
        _ => name.to_owned(),
    }
}

fn variables(was: &Record, now: &Record, field: &str) -> Vec<Cause> {
    let pairs = |record: &Record| -> BTreeMap<String, String> {
        let pairs = record.field(field).iter();
        let pairs = pairs.filter_map(|pair| {
            let text = String::from_utf8_lossy(pair);
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    };
    let (before, after) = (pairs(was), pairs(now));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let cause = |name: &String| {
        let value = |side: &BTreeMap<String, String>, record: &Record| {
            side.get(name).map(|value| spelled_out(&record.root, value.as_bytes()))
        };
        let (kind, what) = match name.strip_prefix("dccache:") {
            Some(own) => (Kind::Policy, own),
            None => (Kind::Environment, name.as_str()),
        };
        Cause::new(kind, what).changed(value(&before, was), value(&after, now))
    };
    differing.map(cause).collect()
}

fn toolchain(home: &Home, was: &Record, now: &Record) -> Vec<Cause> {
    let parts = |record: &Record| toolchains::get(home, record.field("toolchain").first()?);
    let (Some(before), Some(after)) = (parts(was), parts(now)) else {
        return vec![Cause::new(Kind::Toolchain, "").noted("its files are not recorded any more")];
    };
    let place = |part: &Part| String::from_utf8_lossy(&part.path).into_owned();
    let same = |a: &Part, b: &Part| a.role == b.role && a.digest == b.digest;
    let new: Vec<&Part> = after.iter().filter(|part| !before.iter().any(|other| same(part, other))).collect();
    let gone: Vec<&Part> =
        before.iter().filter(|part| !after.iter().any(|other| same(part, other))).collect();
    let base = |part: &Part| Path::new(&place(part)).file_name().map(|name| name.to_owned());
    let mut causes = Vec::new();
    for part in &new {
        let before = gone.iter().find(|other| other.role == part.role && base(other) == base(part));
        let before =
            before.or_else(|| gone.iter().find(|other| other.role == part.role && part.role != "library"));
        let cause = Cause::new(Kind::Toolchain, part.role.clone());
        causes.push(match before {
            Some(before) if before.path == part.path => {
                Cause { what: format!("{} {}", part.role, place(part)), ..cause }.noted("its content changed")
            }
            before => cause.changed(before.map(|before| place(before)), Some(place(part))),
        });
    }
    for part in gone
        .iter()
        .filter(|part| !new.iter().any(|other| other.role == part.role && base(other) == base(part)))
    {
        if part.role == "library" || !new.iter().any(|other| other.role == part.role) {
            causes.push(Cause::new(Kind::Toolchain, part.role.clone()).changed(Some(place(part)), None));
        }
    }
    if causes.is_empty() {
        causes.push(Cause::new(Kind::Toolchain, "compiler_check").noted("what it gives is another"));
    }
    causes
}

/// Files that options name, by the argument that does.
fn option_files(was: &Record, now: &Record) -> Vec<Cause> {
    let named = |record: &Record| -> Vec<(String, Vec<u8>)> {
        let files = record.field("option files").iter().filter_map(|item| {
            let (index, digest) = item.split_first_chunk::<4>()?;
            let word = record.field("arguments").get(u32::from_le_bytes(*index) as usize)?;
            Some((spelled_out(&record.root, word), digest.to_vec()))
        });
        files.collect()
    };
    let (before, after) = (named(was), named(now));
    let other = |(word, digest): &&(String, Vec<u8>)| {
        before.iter().any(|(known, old)| known == word && old != digest)
    };
    let cause = |(word, _): &(String, Vec<u8>)| {
        Cause::new(Kind::NamedFile, word.as_str()).noted("the content of its file changed")
    };
    after.iter().filter(other).map(cause).collect()
}

fn include_directories(was: &Record, now: &Record) -> Vec<Cause> {
    let (before, after) = (was.field("include directories"), now.field("include directories"));
    let [gone, new] = apart(before, after);
    let cause = |root: &[u8], item: &[u8]| Cause::new(Kind::IncludeDirectories, place(root, item));
    let gone = gone.into_iter().map(|item| cause(&was.root, item));
    let mut causes: Vec<Cause> =
        gone.map(|cause| cause.noted("it was searched, and is not any more")).collect();
    let new = new.into_iter().map(|item| cause(&now.root, item));
    causes.extend(new.map(|cause| cause.noted("it is searched, and was not")));
    if causes.is_empty() && before != after {
        causes.push(Cause::new(Kind::IncludeDirectories, "").noted("they are searched in another order"));
    }
    causes
}

/// Spells an item of a key as it was typed: what hangs on the root stands there with it.
pub(crate) fn spelled_out(root: &[u8], item: &[u8]) -> String {
    let root = String::from_utf8_lossy(root);
    let text = String::from_utf8_lossy(item);
    let mut pieces = text.split('\0');
    let mut spelled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        spelled.push_str(&root);
        if !piece.is_empty() && !piece.starts_with(['=', ':', ',']) {
            spelled.push('/');
        }
        spelled.push_str(piece);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_shown_as_they_were_typed_and_not_as_a_key_holds_them() {
        let spelled = |item: &str| spelled_out(b"/r", item.as_bytes());
        for (item, typed) in [
            ("-O2", "-O2"),
            ("-I\0", "-I/r"),
            ("-I\0include", "-I/r/include"),
            ("-ffile-prefix-map=\0=\0out", "-ffile-prefix-map=/r=/r/out"),
            ("CPATH=\0one:\0", "CPATH=/r/one:/r"),
        ] {
            assert_eq!(spelled(item), typed);
        }
        for (item, path) in [("r", "/r"), ("rsub/one", "sub/one"), ("a/usr/include", "/usr/include")] {
            assert_eq!(place(b"/r", item.as_bytes()), path);
        }
    }
}
