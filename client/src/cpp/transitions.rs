//! Which file included which, as line markers tell it.

use super::marker;
use super::text::NO_FILES;
use std::borrow::Cow;
use std::collections::HashSet;

/// A file that was entered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    /// The file as the marker spells it, escapes undone.
    pub entered: Vec<u8>,
    /// The file whose directive did it; `None` for what the command line or the compiler itself includes.
    pub includer: Option<Vec<u8>>,
}

/// A name, with its escapes undone.
type Name<'a> = Cow<'a, [u8]>;

/// Lists all files that were entered from another one, in order, repetitions left out.
///
/// `source` is the source as spelled. A `#line` directive changes names, never the nesting, so files are told by their place in it.
pub fn transitions(text: &[u8], source: &[u8]) -> Vec<Transition> {
    let mut found: Vec<Transition> = Vec::new();
    let mut seen: HashSet<(Name<'_>, Option<Name<'_>>)> = HashSet::new();
    // Files that are open below the source; pseudo files are `None`.
    let mut open: Vec<Option<Name<'_>>> = Vec::new();
    let mut in_source = true;
    for start in memchr::memchr_iter(b'#', text).filter(|&at| at == 0 || text[at - 1] == b'\n') {
        let line = &text[start..];
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        let Some(marker) = marker::parse(line) else { continue };
        let name = marker::unescape(&line[marker.name.clone()]);
        let pseudo = NO_FILES.contains(&name.as_ref());
        if marker.enters {
            let includer = match open.last() {
                Some(top) => top.clone(),
                None => in_source.then_some(Cow::Borrowed(source)),
            };
            if !pseudo && seen.insert((name.clone(), includer.clone())) {
                found.push(Transition { entered: name.to_vec(), includer: includer.map(Cow::into_owned) });
            }
            open.push((!pseudo).then_some(name));
        } else if marker.returns {
            open.pop();
            in_source = !open.is_empty() || !pseudo;
        } else if open.is_empty() {
            in_source = !pseudo;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::oracle::{Tree, compilers, words};

    #[test]
    fn both_compilers_tell_who_included_whom() {
        for (_, compiler) in compilers() {
            let tree = Tree::new();
            tree.write(b"forced.h", b"#include \"inner.h\"\n");
            tree.write(b"inner.h", b"int inner;\n");
            tree.write(b"sub/a.h", b"#line 7 \"grammar.y\"\n#include \"b.h\"\n#include \"../other.h\"\n");
            tree.write(b"other.h", b"int other;\n");
            tree.write(b"sub/b.h", b"int b;\n");
            tree.write(b"x.c", b"#line 3 \"y.y\"\n#include \"sub/a.h\"\nint x;\n");
            let text = tree.run(&words(&[compiler, "-E", "-include", "forced.h", "x.c"])).stdout;
            let plain =
                |path: &[u8]| String::from_utf8_lossy(path.strip_prefix(b"./").unwrap_or(path)).into_owned();
            let pairs: Vec<(String, Option<String>)> = transitions(&text, b"x.c")
                .iter()
                .map(|found| (plain(&found.entered), found.includer.as_deref().map(plain)))
                .filter(|(entered, _)| !entered.starts_with('/'))
                .collect();
            let pair =
                |entered: &str, includer: Option<&str>| (entered.to_owned(), includer.map(str::to_owned));
            let expected = [
                pair("forced.h", None),
                pair("inner.h", Some("forced.h")),
                pair("sub/a.h", Some("x.c")),
                pair("sub/b.h", Some("sub/a.h")),
                pair("sub/../other.h", Some("sub/a.h")),
            ];
            assert_eq!(pairs, expected, "{compiler}");
        }
    }
}
