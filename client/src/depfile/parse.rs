//! Takes the tokens out of a dependency file that the compiler wrote for a call.

use super::request::{DependRequest, Dialect};
use super::write::{clang_targets, gcc_targets, write};
use dccache_protocol::depend::{Depend, DependPath};
use dccache_protocol::limits;

/// Takes the prerequisites out of `text`, which the compiler wrote for `request` with `root` as the compile's root.
///
/// `None` when the same bytes could not be written again from them: another compiler version's layout, names with
/// backslashes, which gcc's quoting does not keep apart, or more paths than the format holds.
pub fn capture(text: &[u8], request: &DependRequest, root: &[u8]) -> Option<Depend> {
    let mut head = Vec::new();
    match request.dialect {
        Dialect::Gcc => gcc_targets(&mut head, request),
        Dialect::Clang => clang_targets(&mut head, request),
    };
    let names = names(text.strip_prefix(head.as_slice())?, request.dialect)?;
    if names.is_empty() || names.len() > limits::DEPEND_PATHS_MAX {
        return None;
    }
    let depend = Depend { paths: names.into_iter().map(|name| token(name, root)).collect() };
    (write(&depend, request, root) == text).then_some(depend)
}

/// Lists the prerequisites of the rule that the GNU assembler writes; `None` where it is not understood.
pub fn prerequisites(rule: &[u8]) -> Option<Vec<Vec<u8>>> {
    let colon = memchr::memmem::find(rule, b": ")?;
    // It writes one rule, and names as they are: with a line end in one, the rest of the list would be lost.
    let mut ends = memchr::memchr_iter(b'\n', rule);
    let within = |end: &usize| end + 1 < rule.len() && (*end == 0 || rule[end - 1] != b'\\');
    if ends.any(|end| within(&end)) {
        return None;
    }
    names(&rule[colon + 2..], Dialect::Gcc)
}

/// Splits the first rule's prerequisites, up to its end.
fn names(rule: &[u8], dialect: Dialect) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut name = Vec::new();
    let mut at = 0;
    while let Some(&byte) = rule.get(at) {
        let next = rule.get(at + 1).copied();
        match (byte, next) {
            (b'\n', _) => {
                names.extend(Some(name).filter(|name| !name.is_empty()));
                return Some(names);
            }
            (b' ', _) => names.extend(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty())),
            (b'\\', Some(b'\n')) if name.is_empty() => at += 1,
            (b'\\', Some(quoted @ (b' ' | b'#'))) => {
                name.push(quoted);
                at += 1;
            }
            (b'\\', Some(b'\t')) if dialect == Dialect::Gcc => {
                name.push(b'\t');
                at += 1;
            }
            (b'$', Some(b'$')) => {
                name.push(b'$');
                at += 1;
            }
            (b'\\' | b'$' | 0, _) => return None,
            _ => name.push(byte),
        }
        if name.len() > limits::PATH_MAX {
            return None;
        }
        at += 1;
    }
    None
}

fn token(name: Vec<u8>, root: &[u8]) -> DependPath {
    if name.first() != Some(&b'/') {
        return DependPath::Relative(name);
    }
    let inside = name.strip_prefix(root).and_then(|rest| rest.strip_prefix(b"/"));
    match inside {
        Some(rest) if root.len() > 1 => DependPath::Root(rest.to_vec()),
        _ => DependPath::Absolute(name),
    }
}
