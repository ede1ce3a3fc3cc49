//! What the user declared to be irrelevant to a call: taken out of its keys, and named in them.
//!
//! Invariant: a key that says less than it could says so. Whoever declared nothing never meets an entry that was stored under such a key.

use super::only_debug_information_shows;
use crate::config::Config;
use crate::invocation::{Invocation, KeyArgument};

/// Name beside the variables under which it is keyed; no variable that enters a key has a colon.
const DECLARED: &[u8] = b"dccache:declared";

/// Declares that messages may come in any language.
const LOCALE: &str = "locale";

/// Option with which clang looks at other files than those named.
pub const OVERLAY: &[u8] = b"-ivfsoverlay";

/// Takes out of an invocation's keys what the configuration declares to be irrelevant. A declaration that touches nothing of this call
/// changes nothing.
pub fn take_out_declared(invocation: &mut Invocation, config: &Config) {
    let mut declared: Vec<String> = Vec::new();
    if config.sloppiness.locale {
        let variables = &mut invocation.environment.always;
        let before = variables.len();
        variables.retain(|(name, _)| !(name.starts_with(b"LC_") || name.starts_with(b"LANG")));
        declared.extend((variables.len() < before).then(|| LOCALE.to_owned()));
    }
    if !config.hash_dir && debug_directories_show(invocation) {
        declared.push("hash_dir".to_owned());
    }
    if config.sloppiness.gcno_cwd && only_notes_show(invocation) {
        invocation.facts.leaks_directory = false;
        invocation.facts.leaks_output = false;
        invocation.shown_output = None;
        declared.push("gcno_cwd".to_owned());
    }
    if config.sloppiness.include_file_ctime {
        // Whether it matters shows only after the compile.
        declared.push("include_file_ctime".to_owned());
    }
    if config.sloppiness.plugins && invocation.facts.plugin {
        declared.push("plugins".to_owned());
    }
    if config.sloppiness.random_seed && take_out(invocation, |word| word.starts_with(b"-frandom-seed")) {
        declared.push("random_seed".to_owned());
    }
    for pattern in &config.ignore_options {
        if take_out(invocation, |word| matches(pattern.as_bytes(), word)) {
            declared.push(format!("ignore:{pattern}"));
        }
    }
    if !declared.is_empty() {
        declare(invocation, &declared);
    }
}

/// Whether nobody knows in which language the messages of a call are.
pub(super) fn language_is_unknown(invocation: &Invocation) -> bool {
    let declared = invocation.environment.always.iter().find(|(name, _)| name == DECLARED);
    declared.is_some_and(|(_, words)| words.split(|&byte| byte == b' ').any(|word| word == LOCALE.as_bytes()))
}

/// Whether directories show in coverage notes, and nowhere else: the object counts nothing, so it names no file for counters. Clang's notes name none.
fn only_notes_show(invocation: &Invocation) -> bool {
    let facts = &invocation.facts;
    facts.coverage && !facts.beyond_notes && !invocation.kind.is_clang()
}

/// Whether directories show in debug information, and nowhere else.
pub fn debug_directories_show(invocation: &Invocation) -> bool {
    invocation.facts.debug_info && only_debug_information_shows(invocation)
}

/// Notes in all keys of a call what was declared about it.
pub fn declare(invocation: &mut Invocation, declared: &[String]) {
    let variables = &mut invocation.environment.always;
    let mut words: Vec<Vec<u8>> = declared.iter().map(|word| word.as_bytes().to_vec()).collect();
    if let Some(at) = variables.iter().position(|(name, _)| name == DECLARED) {
        let (_, old) = variables.remove(at);
        words.extend(old.split(|&byte| byte == b' ').map(<[u8]>::to_vec));
    }
    words.sort_unstable();
    words.dedup();
    variables.push((DECLARED.to_vec(), words.join(&b' ')));
}

/// A pattern is an option, or its beginning before an asterisk.
fn matches(pattern: &[u8], word: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(start) => word.starts_with(start),
        None => word == pattern,
    }
}

/// Takes arguments out, and with them the files that they name; returns whether there were any.
fn take_out(invocation: &mut Invocation, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let old: Vec<KeyArgument> = std::mem::take(&mut invocation.arguments);
    let count = old.len();
    let mut places = Vec::with_capacity(count);
    for argument in old {
        let kept = !wanted(&argument.bytes);
        places.push(kept.then_some(invocation.arguments.len()));
        invocation.arguments.extend(kept.then_some(argument));
    }
    invocation.option_files.retain_mut(|file| match places.get(file.argument).copied().flatten() {
        Some(place) => {
            file.argument = place;
            true
        }
        None => false,
    });
    invocation.arguments.len() < count
}

/// Takes overlays out of `argv`; returns them. They still act on what is preprocessed and compiled.
pub fn split_overlays(argv: &mut Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut overlays = Vec::new();
    let mut at = 1;
    while at + 1 < argv.len() {
        if argv[at] == OVERLAY {
            overlays.extend(argv.drain(at..at + 2));
        } else {
            at += 1;
        }
    }
    overlays
}
