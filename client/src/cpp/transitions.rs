//! Which file included which, as line markers tell it.

use super::marker;
use super::text::NO_FILES;

/// A file that was entered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    /// The file as the marker spells it, escapes undone.
    pub entered: Vec<u8>,
    /// The file whose directive did it; `None` for what the command line or the compiler itself includes.
    pub includer: Option<Vec<u8>>,
}

/// Lists all files that were entered from another one, in order, repetitions left out.
///
/// `source` is the source as spelled. A `#line` directive changes names, never the nesting, so files are told by their place in it.
pub fn transitions(text: &[u8], source: &[u8]) -> Vec<Transition> {
    let mut found: Vec<Transition> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    // Files that are open below the source; pseudo files are `None`.
    let mut open: Vec<Option<Vec<u8>>> = Vec::new();
    let mut in_source = true;
    for line in text.split(|&byte| byte == b'\n').filter(|line| line.first() == Some(&b'#')) {
        let Some(marker) = marker::parse(line) else { continue };
        let name = marker::unescape(&line[marker.name.clone()]).into_owned();
        let pseudo = NO_FILES.contains(&name.as_slice());
        if marker.enters {
            let includer = match open.last() {
                Some(top) => top.clone(),
                None => in_source.then(|| source.to_vec()),
            };
            let transition = Transition { entered: name.clone(), includer };
            if !pseudo && seen.insert(transition.clone()) {
                found.push(transition);
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
