//! Conditions beside the keys: when a compile is not looked up at all, and when its result is not stored.

use super::declared::language_is_unknown;
use crate::cpp::{EnteredFile, FileFacts, Preprocessed};
use crate::depfile;
use crate::invocation::{Bypass, FileKind, Files, Invocation, KeyRole, Reason, Stage};
use dccache_protocol::depend::Depend;
use memchr::memmem::find;
use std::collections::HashSet;

/// Whether arguments that act through the preprocessed text also show where that text does not tell.
///
/// Debug information can hold macros, a precompiled header does, whether made or taken. Clang's dependency files list headers that it skipped without a line marker, and
/// which it skips depends on macros and include directories; where the preprocessor lists them too, that list is in the key.
pub(super) fn text_arguments_show(invocation: &Invocation, takes: Takes) -> bool {
    let holds_macros = invocation.facts.macro_debug_info || invocation.stage == Stage::Precompiled;
    holds_macros || takes == Takes::Precompiled || names_hidden_files(invocation)
}

/// Whether the dependency file names files of which neither the text nor a list of the preprocessor's tells.
fn names_hidden_files(invocation: &Invocation) -> bool {
    invocation.kind.is_clang() && invocation.depend.is_some() && invocation.listing().is_none()
}

/// Lists the files that the preprocessor's list names and its line markers do not, as spelled: those that it skipped, those for which
/// `__has_include` looked, and those that only later stages read.
pub fn unmarked_files(text: &Preprocessed<'_>, listed: &Depend, root: &[u8]) -> Vec<Vec<u8>> {
    let marked: HashSet<&[u8]> = text.files().iter().map(|file| plain(&file.path)).collect();
    let listed = listed.paths.iter().map(|path| depfile::spelled(path, root));
    listed.filter(|path| !marked.contains(plain(path))).collect()
}

/// Drops `./` at the beginning, as clang does in its lists.
pub fn plain(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    path
}

/// Says why a compile with these inputs is not cached in preprocessed mode; `None` when it can be.
pub fn obstacle(invocation: &Invocation, facts: &FileFacts) -> Option<Bypass> {
    let cause: &[u8] = if facts.time {
        b"__TIME__"
    } else if facts.timestamp {
        b"__TIMESTAMP__"
    } else if facts.embed {
        b"#embed"
    } else if facts.pragma_dependency {
        b"#pragma GCC dependency"
    } else if facts.has_include && asks_while_compiling(invocation) {
        b"__has_include"
    } else {
        return None;
    };
    Some(Bypass::new(Reason::UnsupportedCodeDirective, cause))
}

/// Refuses code for other devices from clang, which names it after device and inode of its file: no key could hold that for long.
pub fn offloading(invocation: &Invocation, text: &Preprocessed<'_>) -> Option<Bypass> {
    let mut words = invocation.arguments.iter().map(|argument| argument.bytes.as_slice());
    let openmp = invocation.kind.is_clang() && words.any(|word| word.starts_with(b"-fopenmp"));
    (openmp && text.offloads()).then(|| Bypass::new(Reason::UnsupportedCodeDirective, b"omp target"))
}

/// Whether `__has_include` can still stand in what is compiled: clang obeys directives in text that is preprocessed already.
fn asks_while_compiling(invocation: &Invocation) -> bool {
    invocation.kind.is_clang() && invocation.language.is_preprocessed()
}

/// Numbers quarters of an hour. Where an input holds `__DATE__`, a compile whose preprocessor and compiler did not start
/// and end in one quarter is not stored: midnight lies on such a border in every time zone.
pub const fn quarter_hour(unix_seconds: u64) -> u64 {
    unix_seconds / 900
}

/// Whether there are arguments that act through the text and are not in the keys that leave them to it.
pub(super) fn hides_arguments(invocation: &Invocation, takes: Takes) -> bool {
    let hidden = invocation.arguments.iter().any(|argument| argument.role == KeyRole::Text);
    hidden && !text_arguments_show(invocation, takes)
}

/// Whether what the compiler wrote to stderr can depend on arguments that act through the text: such a result belongs under
/// [`Keys::exact`](super::Keys::exact).
///
/// Notes about macros name those of the command line, or those that it selects. In a foreign language they are not recognised.
pub fn messages_show_arguments(invocation: &Invocation, takes: Takes, messages: &[u8]) -> bool {
    if messages.is_empty() || !hides_arguments(invocation, takes) {
        return false;
    }
    let english = |value: &[u8]| {
        value.is_empty() || [b"C".as_slice(), b"POSIX", b"en"].iter().any(|name| value.starts_with(name))
    };
    let locale = |(name, value): &(Vec<u8>, Vec<u8>)| {
        name == b"GCC_COLORS" || !(name.starts_with(b"LC_") || name.starts_with(b"LANG")) || english(value)
    };
    // "in expansion of macro", "expanded from macro".
    find(messages, b"macro").is_some()
        || language_is_unknown(invocation)
        || !invocation.environment.always.iter().all(locale)
}

/// What a compile takes in place of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// It reads them all.
    Headers,
    /// It takes, or could take, a precompiled one.
    Precompiled,
}

/// Lists, as spelled, the precompiled headers that the compiler takes in place of headers, or could take silently.
///
/// GCC takes `X.gch` for the first header that is opened at all, from any directory of the chain up to the header's own. Before
/// it only the header that gcc includes by itself does not count, which could have one too. Clang takes `X.pch` or `X.gch`
/// for `-include X`. `chain` lists the directories in which the toolchain searches, in any order.
pub fn precompiled_headers(
    invocation: &Invocation,
    text: &Preprocessed<'_>,
    chain: &[Vec<u8>],
    files: &dyn Files,
) -> Vec<Vec<u8>> {
    let present = |name: &[u8]| files.kind(name) != FileKind::Absent;
    let forced = invocation
        .forced_includes
        .iter()
        .flat_map(|name| [[name.as_slice(), b".gch"].concat(), [name.as_slice(), b".pch"].concat()]);
    let mut candidates: Vec<Vec<u8>> = forced.collect();
    if !invocation.kind.is_clang() {
        let typed = invocation.include_directories.iter().map(|directory| directory.path.as_slice());
        let named =
            invocation.environment.include.iter().flat_map(|(_, list)| list.split(|&byte| byte == b':'));
        let named = named.map(|directory| if directory.is_empty() { b"." } else { directory });
        let directories: Vec<&[u8]> = chain.iter().map(Vec::as_slice).chain(typed).chain(named).collect();
        let source_directory = parent(&invocation.source);
        for file in first_headers(text) {
            candidates.push([file.path.as_slice(), b".gch"].concat());
            for spelling in spellings(&file.path, &directories, source_directory) {
                let beside = directories
                    .iter()
                    .map(|directory| [directory, b"/".as_slice(), spelling, b".gch"].concat());
                candidates.extend(beside);
                candidates.push([source_directory, b"/", spelling, b".gch"].concat());
            }
        }
    }
    candidates.retain(|name| present(name));
    candidates.extend_from_slice(text.precompiled());
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// Header that gcc includes by itself before any other, where its target has one.
const PREINCLUDED: &[u8] = b"/stdc-predef.h";

/// Returns the headers in place of which gcc can take a precompiled one.
fn first_headers<'a>(text: &'a Preprocessed<'_>) -> impl Iterator<Item = &'a EnteredFile> {
    let mut open = true;
    let headers = text.files().iter().skip(1).take_while(|file| file.leads);
    headers.take_while(move |file| std::mem::replace(&mut open, file.path.ends_with(PREINCLUDED)))
}

fn parent(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b".", |slash| &path[..slash])
}

/// Returns how an `#include` can have spelled a file that was found at `path`: what follows any searched directory.
fn spellings<'a>(path: &'a [u8], directories: &[&[u8]], source_directory: &[u8]) -> Vec<&'a [u8]> {
    let all = directories.iter().copied().chain([source_directory, parent(path)]);
    let mut found: Vec<&[u8]> = all
        .filter_map(|directory| path.strip_prefix(directory)?.strip_prefix(b"/"))
        .chain((path.first() != Some(&b'/')).then_some(path))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
