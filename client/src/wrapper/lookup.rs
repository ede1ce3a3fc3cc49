//! From the preprocessed text to keys, and from keys to an entry.

use super::inputs::{Inputs, Look};
use super::prefix::Start;
use super::refusal::Refusal;
use super::setting::{Setting, Tally, micros};
use crate::cpp::{FileFacts, Preprocessed, Transition, transitions};
use crate::depfile;
use crate::direct::prove::Entered;
use crate::invocation::{FileKind, Files};
use crate::keying::{
    Color, Ingredients, Keys, Takes, obstacle, offloading, preprocessed_keys, unmarked_files,
};
use crate::link::{Answer, Link};
use crate::process::{Preprocessing, preprocess};
use crate::stats::Served;
use crate::store::{Found, LocalEntry, Store};
use dccache_protocol::depend::Depend;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::EntryKey;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

/// What the preprocessor and the files say about a compile.
#[derive(Debug)]
pub(super) struct Known {
    /// `None` where nobody has seen the text.
    pub(super) keys: Option<Keys>,
    /// The key by text and tokens; `None` where blanks or comments could show.
    pub(super) tokens: Option<EntryKey>,
    pub(super) inputs: Inputs,
    pub(super) color: Color,
    /// What the preprocessor listed as dependencies, where it was asked to.
    pub(super) listed: Option<Depend>,
    /// What is taken in place of headers.
    pub(super) takes: Takes,
    /// Which file included which; `None` where nobody has seen the text.
    pub(super) transitions: Option<Vec<Transition>>,
    /// Digests of the files that options and configuration name.
    pub(super) named: (Vec<Digest>, Vec<Digest>),
    /// Whether direct mode can say all that the result depends on.
    pub(super) provable: bool,
    /// Whether every checkout could share the result where nobody has seen the text.
    pub(super) shows_nowhere: bool,
}

/// An entry that was found by its preprocessed text.
#[derive(Debug)]
pub(super) struct Hit {
    /// The key that it was found by.
    pub(super) key: EntryKey,
    /// The key under which the entry lies.
    pub(super) lies: EntryKey,
    pub(super) entry: Box<LocalEntry>,
}

impl Known {
    /// Lists the keys in order of preference.
    pub(super) fn probes(&self) -> Vec<EntryKey> {
        let texts = self.keys.iter().flat_map(Keys::all).map(EntryKey::Preprocessed);
        texts.chain(self.tokens).collect()
    }

    /// Whether every checkout shares what lies under a key of this compile.
    pub(super) fn is_shared(&self, key: EntryKey) -> bool {
        let free = self.free();
        free == Some(key) || (free.is_some() && self.tokens == Some(key))
    }

    /// Whether an entry may be what lies under a key of this compile: where blanks and comments do not count, one without messages.
    pub(super) fn admits(&self, key: EntryKey, entry: &LocalEntry) -> bool {
        self.tokens != Some(key) || entry.outcome.stderr.size == 0
    }

    /// Returns the key that every checkout shares.
    pub(super) fn free(&self) -> Option<EntryKey> {
        self.keys.as_ref().and_then(|keys| keys.free).map(EntryKey::Preprocessed)
    }

    /// Returns what transitions or the compiler's own list say about who entered whom.
    pub(super) fn entered(&self) -> Entered<'_> {
        self.transitions.as_deref().map_or(Entered::Somewhere, Entered::ByMarkers)
    }
}

impl Setting<'_> {
    /// Preprocesses, reads every file behind the text, and makes the keys.
    pub(super) fn know(&self, tally: &mut Tally) -> Result<Known, Refusal> {
        let mut inputs = Inputs::begin();
        let begun = Instant::now();
        let read = self.preprocessed()?;
        let text = match self.invocation.preprocessor {
            Some(_) => Preprocessed::parse(&read.text)?,
            None => Preprocessed::parse_source(&read.text, &self.invocation.source)?,
        };
        self.check_text(&text)?;
        tally.event.preprocess_us = micros(begun.elapsed());
        let listed = self.listed(&read)?;
        let mut raw = self.read_sources(&text, listed.as_ref(), &mut inputs)?;
        let (takes, precompiled) = self.precompiled(&text, listed.is_some(), &mut inputs)?;
        raw.extend(precompiled);
        for name in text.quoted().iter().filter(|name| self.disk.kind(name) != FileKind::Absent) {
            raw.push(inputs.read(name, self.path(name), Look::Content)?);
        }
        let named = self.named_files(&mut inputs)?;
        raw.extend(inputs.compared_times());
        let ingredients = Ingredients {
            facts: inputs.facts,
            messages: &read.messages,
            listed: listed.as_ref(),
            raw: &raw,
            takes,
            ..self.ingredients(&named)
        };
        let keys = preprocessed_keys(&self.invocation, &ingredients, &self.places(), &text);
        let tokens = self.tokens(&ingredients, &text, &keys, &inputs);
        let transitions = match self.invocation.preprocessor {
            Some(_) if self.config.direct_mode && takes == Takes::Headers => {
                transitions(&read.text, &self.invocation.source)
            }
            _ => Vec::new(),
        };
        // What a precompiled header was made of, what its macros look for, and what messages quote is not in a proof.
        let provable = takes == Takes::Headers && text.quoted().is_empty();
        let (keys, transitions) = (Some(keys), Some(transitions));
        Ok(Known {
            keys,
            tokens,
            inputs,
            color: self.color(),
            listed,
            takes,
            named,
            transitions,
            provable,
            shows_nowhere: false,
        })
    }

    /// Reads the files behind a text, and returns their digests.
    fn read_sources(
        &self,
        text: &Preprocessed<'_>,
        listed: Option<&Depend>,
        inputs: &mut Inputs,
    ) -> Result<Vec<Digest>, Refusal> {
        let unmarked = listed.map(|listed| unmarked_files(text, listed, &self.root));
        let marked = text.files().iter().map(|file| file.path.as_slice());
        let files = marked.chain(unmarked.iter().flatten().map(Vec::as_slice));
        let files = files.map(|file| inputs.read(file, self.path(file), Look::Source));
        let raw = files.collect::<Result<Vec<_>, _>>()?;
        inputs.facts = inputs.facts.and(self.argument_facts());
        if self.config.sloppiness.time_macros {
            inputs.facts = FileFacts { date: false, time: false, timestamp: false, ..inputs.facts };
        }
        obstacle(&self.invocation, &inputs.facts).map_or(Ok(raw), |bypass| Err(Refusal::Call(bypass)))
    }

    /// Refuses text of which a compile reads more than it names, or whose results no key could hold.
    fn check_text(&self, text: &Preprocessed<'_>) -> Result<(), Refusal> {
        let assembly = self.invocation.language.is_assembly();
        let reader = assembly.then(|| text.assembly_reader()).flatten();
        reader
            .or_else(|| offloading(&self.invocation, text))
            .map_or(Ok(()), |bypass| Err(Refusal::Call(bypass)))
    }

    /// Reads the files that options name, and those of the configuration.
    pub(super) fn named_files(&self, inputs: &mut Inputs) -> Result<(Vec<Digest>, Vec<Digest>), Refusal> {
        let named = self.invocation.option_files.iter();
        let named = named.map(|file| match self.is_precompiled(file) {
            true => self.read_precompiled(&file.path, Look::ClangImage, inputs),
            false => inputs.read(&file.path, self.path(&file.path), Look::Content),
        });
        let named = named.collect::<Result<_, _>>()?;
        let mut read = |name: &[u8], path| inputs.read(name, path, Look::Content);
        let extra = self.config.extra_files_to_hash.iter();
        let unhashed =
            |path: &PathBuf| Refusal::because("error_hashing_extra_file", path.as_os_str().as_bytes());
        let extra = extra.map(|path| {
            read(path.as_os_str().as_bytes(), self.directory.join(path)).map_err(|_| unhashed(path))
        });
        let extra = extra.collect::<Result<_, _>>()?;
        // They are in the toolchain's id, and must not change while it is used.
        for file in &self.toolchain.configuration {
            read(file, self.path(file))?;
        }
        Ok((named, extra))
    }

    /// Runs the preprocessor, or reads a source that needs none.
    fn preprocessed(&self) -> Result<Preprocessing, Refusal> {
        let Some(arguments) = &self.invocation.preprocessor else {
            let source = &self.invocation.source;
            let content = std::fs::read(self.path(source));
            let text = content.map_err(|_| Refusal::because("unreadable_input", source.as_slice()))?;
            return Ok(Preprocessing { text, messages: Vec::new(), listing: Vec::new() });
        };
        let arguments: Vec<OsString> =
            arguments.iter().map(|argument| OsStr::from_bytes(argument).to_owned()).collect();
        let start = Start::of(&self.config.prefix_command_cpp, self.compiler, &arguments);
        let done = preprocess(&start.program, &start.name, &start.arguments);
        // The compiler says what is wrong, better than we could.
        done.ok().flatten().ok_or_else(|| Refusal::ours("preprocessor_error"))
    }

    /// Reads the list of dependencies that the preprocessor was asked for.
    fn listed(&self, read: &Preprocessing) -> Result<Option<Depend>, Refusal> {
        let Some(request) = self.invocation.listing() else { return Ok(None) };
        let listed = depfile::capture(&read.listing, &request, &self.root);
        listed.map(Some).ok_or_else(|| Refusal::ours("unsupported_dependency_file"))
    }

    /// Looks in the local store.
    pub(super) fn find_locally(&self, store: &Store<'_>, known: &Known, tally: &mut Tally) -> Option<Hit> {
        let hit = known.probes().iter().find_map(|key| match store.get(key) {
            Found::Entry { key: lies, entry } if known.admits(*key, &entry) => {
                Some(Hit { key: *key, lies, entry })
            }
            Found::Entry { .. } | Found::Nothing => None,
            Found::Damaged => {
                tally.fault("corrupt_entry");
                None
            }
        });
        tally.event.traffic.local.read(hit.is_some());
        hit
    }

    /// Looks on the ring; what is found goes into the local store as well.
    pub(super) fn find_on_ring(
        &self,
        link: Option<&mut Link<'_>>,
        known: &Known,
        tally: &mut Tally,
    ) -> Option<Hit> {
        match link?.find(&known.probes(), self.time_slot().budget_ms(self.home)) {
            Answer::Found { key, lies, entry, fault } => {
                fault.into_iter().for_each(|fault| tally.fault(fault));
                let admitted = known.admits(key, &entry) && !self.refuses(&[key, lies], &entry, tally);
                tally.event.traffic.remote.read(admitted);
                admitted.then_some(Hit { key, lies, entry })
            }
            Answer::Missed => {
                tally.event.traffic.remote.read(false);
                None
            }
            Answer::Fault(name) => {
                tally.fault(name);
                None
            }
        }
    }

    /// Notes a hit in the tally once it is delivered.
    pub(super) fn served(&self, served: Served, entry: &LocalEntry, tally: &mut Tally) {
        tally.event.served_bytes = entry.outcome.total_size();
        tally.event.compile_ms = entry.outcome.wall_ms;
        tally.event.signer = entry.origin.signer();
        tally.verdict = Some(crate::stats::Verdict::Hit(served));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Origin;
    use dccache_protocol::bundle::Body;
    use dccache_protocol::entry::{BlobRef, Comparability, Outcome};
    use dccache_protocol::ids::ToolchainId;
    use dccache_protocol::keys::PreprocessedKey;

    #[test]
    fn what_was_said_is_served_by_no_key_that_leaves_blanks_and_comments_out() {
        let key = |name: &[u8]| PreprocessedKey::from_digest(Digest::of(name));
        let [by_text, by_tokens] = [key(b"text"), key(b"tokens")].map(EntryKey::Preprocessed);
        let known = Known {
            keys: Some(Keys { free: None, bound: key(b"text"), exact: None }),
            tokens: Some(by_tokens),
            inputs: Inputs::begin(),
            color: Color::Plain,
            listed: None,
            takes: Takes::Headers,
            transitions: None,
            named: (Vec::new(), Vec::new()),
            provable: false,
            shows_nowhere: false,
        };
        let admits = |message: &[u8], key| {
            let outcome = Outcome {
                outputs: Vec::new(),
                stdout: BlobRef::of(b""),
                stderr: BlobRef::of(message),
                exit_code: 0,
                toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
                class: Comparability::Reproducible,
                wall_ms: 1,
                cpu_ms: 1,
            };
            known.admits(key, &LocalEntry::new(Origin::Own, outcome, Body::pack([b"".as_slice(), message])))
        };
        assert!(admits(b"", by_tokens) && admits(b"", by_text) && admits(b"a.c:1:5: warning", by_text));
        assert!(!admits(b"a.c:1:5: warning", by_tokens), "the column is that of another text");
    }
}
