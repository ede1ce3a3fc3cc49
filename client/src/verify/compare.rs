//! Comparing what was found with what the compiler gave. Pure: bytes in, differences out.

use dccache_protocol::entry::OutputRole;
use std::path::PathBuf;

/// What an entry gives where a call wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Files: role, where this call wants it, and content.
    pub files: Vec<(OutputRole, PathBuf, Vec<u8>)>,
    /// What it says on stdout and stderr.
    pub streams: [Vec<u8>; 2],
}

/// What the compiler gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actual {
    /// Content per file of [`Expected`]; `None` for one that is not there.
    pub files: Vec<Option<Vec<u8>>>,
    /// What it said on stdout and stderr.
    pub streams: [Vec<u8>; 2],
}

/// How the bytes of this compile vary by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varies {
    /// Not at all.
    No,
    /// By a stamp that gcc makes for each compile with coverage, in the notes and in the object.
    ByStamp,
    /// Anywhere in its main output or record of optimisations: link-time optimisation, precompiled headers.
    Anywhere,
}

/// One output that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is, in words.
    pub output: String,
    /// As found.
    pub cached: Option<Vec<u8>>,
    /// As compiled; `None` where it is not there.
    pub compiled: Option<Vec<u8>>,
    /// Whether the compiler may have made it by itself.
    pub may_vary: bool,
}

impl Difference {
    /// Returns the first byte that differs, counted from 0; `None` where one side is not there.
    pub fn at(&self) -> Option<usize> {
        let (cached, compiled) = (self.cached.as_ref()?, self.compiled.as_ref()?);
        let same = cached.iter().zip(compiled).take_while(|(cached, compiled)| cached == compiled);
        Some(same.count())
    }
}

/// Lists the outputs that differ.
pub fn compare(expected: &Expected, actual: &Actual, varies: Varies) -> Vec<Difference> {
    let mut stamps = (varies == Varies::ByStamp).then(|| stamps(expected, actual)).flatten();
    let mut differences = Vec::new();
    for ((role, path, cached), compiled) in expected.files.iter().zip(&actual.files) {
        let equal = match (compiled, &mut stamps) {
            (Some(compiled), Some(stamps)) => are_equal_but_for(stamps, *role, cached, compiled),
            (compiled, _) => compiled.as_ref() == Some(cached),
        };
        if !equal {
            differences.push(Difference {
                output: format!("{} {}", name(*role), path.display()),
                cached: Some(cached.clone()),
                compiled: compiled.clone(),
                may_vary: varies == Varies::Anywhere && compiled.is_some() && can_vary(*role),
            });
        }
    }
    let streams = ["stdout", "stderr"].into_iter().zip(expected.streams.iter().zip(&actual.streams));
    for (name, (cached, compiled)) in streams.filter(|(_, (cached, compiled))| cached != compiled) {
        let [cached, compiled] = [cached, compiled].map(|stream| Some(stream.clone()));
        differences.push(Difference { output: name.to_owned(), cached, compiled, may_vary: false });
    }
    differences
}

fn can_vary(role: OutputRole) -> bool {
    use OutputRole::{Assembly, CoverageNotes, Object, OptimizationRecord, PrecompiledHeader};
    matches!(role, Object | Assembly | CoverageNotes | OptimizationRecord | PrecompiledHeader)
}

/// Where coverage notes of gcc hold their stamp, behind magic and version.
const STAMP: std::ops::Range<usize> = 8..12;

/// The stamp of the notes, as found and as compiled.
type Stamps = [[u8; 4]; 2];

/// Reads both stamps; `None` where one is not there, so that nothing may differ.
fn stamps(expected: &Expected, actual: &Actual) -> Option<Stamps> {
    let at = expected.files.iter().position(|(role, ..)| *role == OutputRole::CoverageNotes)?;
    let stamp = |notes: &[u8]| notes.get(STAMP)?.try_into().ok();
    Some([stamp(&expected.files[at].2)?, stamp(actual.files[at].as_ref()?)?])
}

/// Compares bytes that may differ where one holds the one stamp and the other the other: once in the notes, anywhere in an object.
fn are_equal_but_for(stamps: &Stamps, role: OutputRole, cached: &[u8], compiled: &[u8]) -> bool {
    let [old, new] = stamps;
    if cached.len() != compiled.len() {
        return false;
    }
    let mut at = 0;
    while at < cached.len() {
        let stamped = |bytes: &[u8], stamp: &[u8; 4]| bytes[at..].starts_with(stamp);
        let here = match role {
            OutputRole::CoverageNotes => at == STAMP.start,
            OutputRole::Object => true,
            _ => false,
        };
        if here && stamped(cached, old) && stamped(compiled, new) {
            at += STAMP.len();
        } else if cached[at] == compiled[at] {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// Names what an output is.
fn name(role: OutputRole) -> &'static str {
    match role {
        OutputRole::Object => "object",
        OutputRole::Assembly => "assembly",
        OutputRole::Depend => "dependency file",
        OutputRole::CoverageNotes => "coverage notes",
        OutputRole::SplitDwarf => "split debug information",
        OutputRole::StackUsage => "stack usage",
        OutputRole::CallGraph => "call graph",
        OutputRole::Diagnostics => "diagnostics",
        OutputRole::Listing => "listing",
        OutputRole::PrecompiledHeader => "precompiled header",
        OutputRole::OptimizationRecord => "record of optimisations",
        OutputRole::OptimizationInfo => "notes on optimisations",
        OutputRole::Prototypes => "prototypes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Role, content as found, content as compiled.
    type File<'a> = (OutputRole, &'a [u8], Option<&'a [u8]>);

    fn compared(files: &[File<'_>], stderr: [&[u8]; 2], varies: Varies) -> Vec<Difference> {
        let expected = files.iter().map(|(role, cached, _)| (*role, PathBuf::from("x"), cached.to_vec()));
        let expected = Expected { files: expected.collect(), streams: [Vec::new(), stderr[0].to_vec()] };
        let compiled = files.iter().map(|(.., compiled)| compiled.map(<[u8]>::to_vec));
        let actual = Actual { files: compiled.collect(), streams: [Vec::new(), stderr[1].to_vec()] };
        compare(&expected, &actual, varies)
    }

    #[test]
    fn every_output_and_stream_counts_and_the_first_byte_that_differs_is_told() {
        use OutputRole::{Depend, Object, StackUsage};
        let files = [
            (Object, &b"abcd"[..], Some(&b"abXd"[..])),
            (Depend, b"same", Some(b"same")),
            (StackUsage, b"was there", None),
        ];
        let found = compared(&files, [b"warning", b"warning: more"], Varies::No);
        let told: Vec<_> =
            found.iter().map(|difference| (difference.output.as_str(), difference.at())).collect();
        assert_eq!(told, [("object x", Some(2)), ("stack usage x", None), ("stderr", Some(7))]);
        assert!(compared(&files[1..2], [b"w", b"w"], Varies::No).is_empty());
    }

    #[test]
    fn only_the_stamp_of_coverage_may_differ_and_only_where_the_notes_say_so() {
        use OutputRole::{CoverageNotes, Object};
        let notes = |stamp: &[u8], rest: &[u8]| [b"oncgB24*", stamp, rest].concat();
        let check = |old: &[u8], new: &[u8], rest: &[u8]| {
            let (cached, compiled) = (notes(b"AAAA", b"f"), notes(b"BBBB", rest));
            let files = [(CoverageNotes, &cached[..], Some(&compiled[..])), (Object, old, Some(new))];
            compared(&files, [b"", b""], Varies::ByStamp).len()
        };
        assert_eq!(check(b"codeAAAAcode", b"codeBBBBcode", b"f"), 0);
        assert_eq!(check(b"codeAAAAcode", b"codeBBBBCode", b"f"), 1, "code");
        assert_eq!(check(b"codeAAAA", b"codeCCCC", b"f"), 1, "another stamp");
        assert_eq!(check(b"code", b"code", b"g"), 1, "the rest of the notes");
        assert_eq!(check(b"code", b"codeBBBB", b"f"), 1, "length");
    }

    #[test]
    fn what_varies_anywhere_is_told_apart_from_what_does_not() {
        use OutputRole::{Depend, Object};
        let files = [(Object, &b"a"[..], Some(&b"b"[..])), (Depend, b"a", Some(b"b"))];
        let found = compared(&files, [b"", b""], Varies::Anywhere);
        assert_eq!(found.iter().map(|difference| difference.may_vary).collect::<Vec<_>>(), [true, false]);
        let gone = [(Object, &b"a"[..], None)];
        assert!(!compared(&gone, [b"", b""], Varies::Anywhere)[0].may_vary);
    }
}
