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
    /// By a name that gcc makes for each compile with link-time optimisation, and gives to the sections of the object.
    ByName,
    /// Anywhere in its main output: precompiled headers.
    Anywhere,
}

/// One output that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is, in words.
    pub output: String,
    /// Which output it is; `None` for a stream.
    pub role: Option<OutputRole>,
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
    let stamps = match varies {
        Varies::ByStamp => stamps_of_coverage(expected, actual),
        Varies::ByName => names_of_sections(expected, actual),
        Varies::No | Varies::Anywhere => None,
    };
    let mut differences = Vec::new();
    for ((role, path, cached), compiled) in expected.files.iter().zip(&actual.files) {
        let equal = match (compiled, &stamps) {
            (Some(compiled), Some(stamps)) => are_equal_but_for(stamps, *role, cached, compiled),
            (compiled, _) => compiled.as_ref() == Some(cached),
        };
        if !equal {
            differences.push(Difference {
                output: format!("{} {}", name(*role), path.display()),
                role: Some(*role),
                cached: Some(cached.clone()),
                compiled: compiled.clone(),
                may_vary: compiled.is_some() && can_vary(*role, varies),
            });
        }
    }
    let streams = ["stdout", "stderr"].into_iter().zip(expected.streams.iter().zip(&actual.streams));
    for (name, (cached, compiled)) in streams.filter(|(_, (cached, compiled))| cached != compiled) {
        let [cached, compiled] = [cached, compiled].map(|stream| Some(stream.clone()));
        let output = name.to_owned();
        differences.push(Difference { output, role: None, cached, compiled, may_vary: false });
    }
    differences
}

/// Whether the compiler may give other bytes each time: a record of optimisations holds addresses, and a name can be longer than another one.
fn can_vary(role: OutputRole, varies: Varies) -> bool {
    use OutputRole::{Assembly, CoverageNotes, Object, OptimizationRecord, PrecompiledHeader};
    match role {
        OptimizationRecord => true,
        Object | Assembly | CoverageNotes => varies == Varies::ByName,
        PrecompiledHeader => varies == Varies::Anywhere,
        _ => false,
    }
}

/// Where coverage notes of gcc hold their stamp, behind magic and version.
const STAMP: std::ops::Range<usize> = 8..12;

/// What names the sections of link-time optimisation: this, a name, a dot, and up to 16 digits that are made for each compile.
const SECTION: &[u8] = b".gnu.lto_";

/// Fewest digits that are taken for such a name; one in 2^32 has fewer, and is not compared.
const DIGITS_MIN: usize = 8;

/// What each compile makes anew, as found and as compiled, both of one length.
struct Stamps<'a> {
    old: &'a [u8],
    new: &'a [u8],
    /// Where the notes of coverage hold it, and whether assembly does.
    notes_at: Option<usize>,
    in_assembly: bool,
}

/// Reads both stamps of coverage; `None` where one is not there, so that nothing may differ.
fn stamps_of_coverage<'a>(expected: &'a Expected, actual: &'a Actual) -> Option<Stamps<'a>> {
    let at = expected.files.iter().position(|(role, ..)| *role == OutputRole::CoverageNotes)?;
    let [old, new] = [expected.files[at].2.get(STAMP)?, actual.files[at].as_ref()?.get(STAMP)?];
    Some(Stamps { old, new, notes_at: Some(STAMP.start), in_assembly: false })
}

/// Finds both names of sections; `None` where one is not there, or they differ in length.
fn names_of_sections<'a>(expected: &'a Expected, actual: &'a Actual) -> Option<Stamps<'a>> {
    let main = |role: &OutputRole| matches!(role, OutputRole::Object | OutputRole::Assembly);
    let at = expected.files.iter().position(|(role, ..)| main(role))?;
    let [old, new] =
        [name_of_sections(&expected.files[at].2)?, name_of_sections(actual.files[at].as_ref()?)?];
    (old.len() == new.len()).then_some(Stamps { old, new, notes_at: None, in_assembly: true })
}

fn name_of_sections(bytes: &[u8]) -> Option<&[u8]> {
    let digits = |name: &[u8]| name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    memchr::memmem::find_iter(bytes, SECTION).find_map(|at| {
        let name = &bytes[at + SECTION.len()..];
        // In an object a zero ends it, in assembly a comma.
        let name = &name[..name.iter().position(|&byte| !byte.is_ascii_graphic() || byte == b',')?];
        let last = name.rsplit(|&byte| byte == b'.').next()?;
        ((DIGITS_MIN..=16).contains(&last.len()) && digits(last)).then_some(last)
    })
}

/// Compares bytes that may differ where one holds the one stamp and the other the other: once in the notes, anywhere in an object.
fn are_equal_but_for(stamps: &Stamps<'_>, role: OutputRole, cached: &[u8], compiled: &[u8]) -> bool {
    let Stamps { old, new, .. } = stamps;
    if cached.len() != compiled.len() {
        return false;
    }
    let mut at = 0;
    while at < cached.len() {
        let stamped = |bytes: &[u8], stamp: &[u8]| bytes[at..].starts_with(stamp);
        let here = match role {
            OutputRole::CoverageNotes => stamps.notes_at == Some(at),
            OutputRole::Object => true,
            OutputRole::Assembly => stamps.in_assembly,
            _ => false,
        };
        if here && stamped(cached, old) && stamped(compiled, new) {
            at += old.len();
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
    fn what_varies_by_itself_is_told_apart_from_what_does_not() {
        use OutputRole::{Depend, Object, OptimizationRecord, PrecompiledHeader};
        let differing = |role| (role, &b"a"[..], Some(&b"b"[..]));
        let files = [Object, PrecompiledHeader, OptimizationRecord, Depend].map(differing);
        let may_vary = |varies| {
            let found = compared(&files, [b"", b""], varies);
            found.iter().map(|difference| difference.may_vary).collect::<Vec<_>>()
        };
        assert_eq!(may_vary(Varies::No), [false, false, true, false]);
        assert_eq!(may_vary(Varies::ByStamp), [false, false, true, false]);
        assert_eq!(may_vary(Varies::ByName), [true, false, true, false]);
        assert_eq!(may_vary(Varies::Anywhere), [false, true, true, false]);
        let gone = [(Object, &b"a"[..], None)];
        assert!(!compared(&gone, [b"", b""], Varies::ByName)[0].may_vary);
    }

    #[test]
    fn only_the_name_of_the_sections_of_link_time_optimisation_may_differ() {
        use OutputRole::{Assembly, Object};
        let check = |role, old: &[u8], new: &[u8]| {
            let files = [(role, old, Some(new))];
            compared(&files, [b"", b""], Varies::ByName).len()
        };
        let object = |name: &str, code: &str| {
            format!("{code}\0.gnu.lto_.opts\0.gnu.lto_f.3.{name}\0.gnu.lto_.refs.{name}\0")
        };
        let [one, other] = ["0123456789abcdef", "fedcba9876543210"];
        let pair =
            |new: &str, code: &str| check(Object, object(one, "f").as_bytes(), object(new, code).as_bytes());
        assert_eq!((pair(one, "f"), pair(other, "f")), (0, 0));
        assert_eq!(pair(other, "g"), 1, "code");
        assert_eq!(pair(&other[1..], "f"), 1, "length");
        let text = |name: &str| format!("\t.section\t.gnu.lto_.inline.{name},\"e\"\n.string \"x\"\n");
        assert_eq!(check(Assembly, text(one).as_bytes(), text(other).as_bytes()), 0);
        assert_eq!(check(Object, b"BC\xc0\xde one", b"BC\xc0\xde two"), 1, "no name at all");
    }
}
