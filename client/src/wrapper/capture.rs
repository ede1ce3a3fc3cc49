//! Taking up what a compile gave, and judging whether it may be stored.

use super::lookup::Known;
use super::setting::Setting;
use crate::depfile;
use crate::invocation::{PlannedOutput, Stage};
use crate::keying::{Keys, Takes, can_show, messages_show_arguments, plain};
use crate::process::Ran;
use crate::store::{LocalEntry, Origin};
use dccache_protocol::bundle::Body;
use dccache_protocol::codec::Format;
use dccache_protocol::depend::{Depend, DependPath};
use dccache_protocol::entry::{BlobRef, Comparability, Outcome, Output, OutputRole};
use dccache_protocol::keys::{EntryKey, PreprocessedKey};
use memchr::memmem;
use std::collections::HashSet;

/// Name of the reason why a compile is not stored; ccache's where it has one.
type NotStored = &'static str;

/// What a compile gave.
#[derive(Debug)]
pub(super) struct Captured {
    /// Key of its text, to store it under; `None` where nobody has seen the text.
    pub(super) key: Option<EntryKey>,
    /// Another one, by its tokens.
    pub(super) tokens: Option<EntryKey>,
    /// Whether every checkout shares it.
    pub(super) shared: bool,
    pub(super) entry: LocalEntry,
}

impl Setting<'_> {
    /// Judges a compile and takes up what it gave.
    pub(super) fn capture(&self, known: &Known, ran: &Ran) -> Result<Captured, NotStored> {
        self.judge(known, ran)?;
        let mut outputs = Vec::new();
        let mut contents = Vec::new();
        for planned in &self.invocation.outputs {
            let content = self.take_output(planned, known)?;
            outputs.push(Output { role: planned.role, content: BlobRef::of(&content) });
            contents.push(content);
        }
        let places = self.places();
        let roles = outputs.iter().map(|output| output.role);
        let leaks = roles.zip(&contents).any(|(role, content)| {
            // Dependencies hang on the root by their form, not by their text.
            let declared = role == OutputRole::CoverageNotes && !self.invocation.facts.leaks_directory;
            let content = if declared { without(content, places.working_directory) } else { content.clone() };
            role != OutputRole::Depend && can_show(&places, role, &content)
        });
        let leaks = leaks && !self.debug_directories_may_be_wrong();
        let leaks = leaks || places.leak_into(&ran.stderr);
        let shows = if messages_show_arguments(&self.invocation, known.takes, &ran.stderr) {
            Shows::Arguments
        } else if leaks {
            Shows::Directories
        } else {
            Shows::Nothing
        };
        let key = known.keys.as_ref().map(|keys| key_by(keys, shows)).transpose()?;
        let key = key.map(EntryKey::Preprocessed);
        let shared = match key {
            Some(key) => known.is_shared(key),
            None => known.shows_nowhere && !leaks,
        };
        // What is said could be about columns; and what may not be shared does not lie where it would be.
        let silent = ran.stderr.is_empty() && shared == known.free().is_some();
        let tokens = known.tokens.filter(|_| silent);
        let outcome = Outcome {
            outputs,
            stdout: BlobRef::of(b""),
            stderr: BlobRef::of(&ran.stderr),
            exit_code: 0,
            toolchain: self.toolchain.id,
            class: self.comparability(),
            wall_ms: ran.wall_ms,
            cpu_ms: ran.cpu_ms,
        };
        outcome.validate().map_err(|_| "output_too_large")?;
        let streams: [&[u8]; 2] = [b"", &ran.stderr];
        let body = Body::pack_by(self.config.packing, contents.iter().map(Vec::as_slice).chain(streams));
        Ok(Captured { key, tokens, shared, entry: LocalEntry::new(Origin::Own, outcome, body) })
    }

    /// Takes up one output as it is stored.
    fn take_output(&self, planned: &PlannedOutput, known: &Known) -> Result<Vec<u8>, NotStored> {
        // What went to /dev/null is nowhere, and the compiler is not run again for it.
        let path = planned.path.as_ref().ok_or("output_to_null")?;
        let path = self.path(path);
        let content = std::fs::read(&path).map_err(|_| "compiler_produced_no_output")?;
        let main = self.invocation.stage.role() == Some(planned.role);
        // What lies there can be from an earlier compile; a file beside the main one may be empty.
        if !main && !known.inputs.began_before(&path) {
            return Err("compiler_produced_no_output");
        }
        if main && content.is_empty() {
            return Err("compiler_produced_empty_output");
        }
        if planned.role == OutputRole::Listing && names_temporary(&content) {
            return Err("listing_names_temporary_file");
        }
        let request = self.invocation.depend.as_ref().filter(|_| planned.role == OutputRole::Depend);
        let Some(request) = request else { return Ok(content) };
        let depend = depfile::capture(&content, request, &self.root);
        let depend = depend.ok_or("unsupported_dependency_file")?;
        match &known.listed {
            Some(listed) if !self.agree(listed, &depend, known.takes) => Err("dependencies_differ"),
            _ => Ok(depend.to_bytes()),
        }
    }

    /// Tells whether the compiler gives the same bytes again. Coverage is stamped with the time; records of optimisations hold addresses.
    pub(super) fn comparability(&self) -> Comparability {
        let invocation = &self.invocation;
        let record = |output: &PlannedOutput| output.role == OutputRole::OptimizationRecord;
        let header = invocation.stage == Stage::Precompiled;
        let varies = header
            || invocation.facts.lto
            || invocation.facts.coverage
            || invocation.outputs.iter().any(record);
        if varies { Comparability::Varying } else { Comparability::Reproducible }
    }

    /// Tells whether the preprocessor listed what the compiler did. With a precompiled header, the compiler lists what that was made of first, by
    /// whole names, where the preprocessor can find the same file by a name from here.
    fn agree(&self, listed: &Depend, depend: &Depend, takes: Takes) -> bool {
        let place = |path: &DependPath| self.path(plain(&depfile::spelled(path, &self.root)));
        let set = |depend: &Depend| depend.paths.iter().map(place).collect::<HashSet<_>>();
        *listed == *depend || (takes == Takes::Precompiled && set(listed) == set(depend))
    }

    fn judge(&self, known: &Known, ran: &Ran) -> Result<(), NotStored> {
        let same_date = !known.inputs.facts.date || known.inputs.same_quarter();
        let checks = [
            (ran.ending.is_success(), "compile_failed"),
            (!ran.interrupted, "interrupted"),
            (ran.complete, "output_too_large"),
            (ran.stdout.is_empty(), "compiler_produced_stdout"),
            (!names_temporary(&ran.stderr), "message_names_temporary_file"),
            (same_date, "date_changed"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(reason),
            None if known.inputs.modified(self.config.sloppiness) => Err("modified_input_file"),
            None => Ok(()),
        }
    }
}

/// What can be seen in what a compile gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Nothing,
    /// Root or working directory.
    Directories,
    /// Arguments that act through the text, in messages.
    Arguments,
}

/// Chooses the key by the text under which a result belongs.
fn key_by(keys: &Keys, shows: Shows) -> Result<PreprocessedKey, NotStored> {
    match shows {
        Shows::Arguments => keys.exact.ok_or("message_depends_on_more"),
        Shows::Directories => Ok(keys.bound),
        Shows::Nothing => Ok(keys.free.unwrap_or(keys.bound)),
    }
}

/// Returns coverage notes without the working directory, which gcc names once, in front of all sources.
fn without(notes: &[u8], directory: &[u8]) -> Vec<u8> {
    match memmem::find(notes, directory) {
        Some(at) => [&notes[..at], &notes[at + directory.len()..]].concat(),
        None => notes.to_vec(),
    }
}

/// Tells whether messages name the compiler's own temporary files, which are called differently each time: `cc` and six letters behind a
/// slash (gcc), or `name-` and hexadecimal digits in the temporary directory (clang).
fn names_temporary(messages: &[u8]) -> bool {
    let temporary = std::env::temp_dir();
    let temporary = temporary.as_os_str().as_encoded_bytes();
    let directories: [&[u8]; 3] = [b"/tmp", b"/var/tmp", temporary];
    let gcc = directories.iter().any(|directory| {
        let start = [directory, b"/cc".as_slice()].concat();
        memmem::find_iter(messages, &start).any(|at| {
            let name = &messages[at + start.len()..];
            name.len() >= 6 && name[..6].iter().all(u8::is_ascii_alphanumeric)
        })
    });
    gcc || memmem::find_iter(messages, temporary).any(|at| {
        let name = messages[at + temporary.len()..].split(|byte| b" :'\"\n".contains(byte)).next();
        name.is_some_and(|name| name.ends_with(b".s") && name.contains(&b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::digest::Digest;

    #[test]
    fn a_message_that_shows_arguments_is_stored_under_the_exact_key_or_not_at_all() {
        let key = |name: &[u8]| PreprocessedKey::from_digest(Digest::of(name));
        let keys = Keys { free: Some(key(b"free")), bound: key(b"bound"), exact: Some(key(b"exact")) };
        let without = Keys { free: None, exact: None, ..keys };
        assert_eq!(key_by(&keys, Shows::Arguments), Ok(key(b"exact")));
        assert_eq!(key_by(&without, Shows::Arguments), Err("message_depends_on_more"));
        assert_eq!(key_by(&keys, Shows::Directories), Ok(key(b"bound")));
        assert_eq!(key_by(&keys, Shows::Nothing), Ok(key(b"free")));
        assert_eq!(key_by(&without, Shows::Nothing), Ok(key(b"bound")));
    }
}
