//! What is kept of a compile that this machine's own store did not serve, so that it can be explained afterwards.
//!
//! Invariant: nothing of it is on the way of a hit in this machine's store, and what cannot be written is not known later.

use super::direct::{Direct, DirectHit};
use super::learn::Learned;
use super::lookup::Known;
use super::setting::{Setting, Tally};
use crate::cpp::FileFacts;
use crate::direct::manifest::{Footprint, dated, opened};
use crate::direct::observe::read_regular;
use crate::explain::{Differences, Read, Record, Sharing, texts, toolchains};
use crate::keying::command_fields;
use crate::store::{Side, Store};
use crate::toolchain::Stamp;
use dccache_protocol::codec::Format;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{EntryKey, KeyField, RootPath};
use dccache_protocol::manifest::Manifest;
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Most suggestions of a command that a compile is held against: the newest ones, which are the nearest.
const COMPARED_MAX: usize = 4;

/// Most files of a project whose texts are kept after a hit from elsewhere. Each is read, packed and written while the caller waits, some 0.1 ms, but once
/// for each content, and most units bring one or two that no other one brought.
const FOUND_FILES_MAX: usize = 4;

/// Most bytes of them.
const FOUND_BYTES_MAX: u64 = 256 << 10;

/// Most files that are looked for among what is kept, with one access each, of some us. Which ones differs from unit to unit.
const FOUND_LOOKED_MAX: usize = 32;

/// What is there of a compile after it was stored.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Where it lies; `None` where it was not stored.
    pub(super) key: Option<EntryKey>,
    /// Whether every checkout shares it.
    pub(super) shared: bool,
    /// What it taught.
    pub(super) learned: Option<Learned>,
}

/// What came of a compile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome<'a> {
    /// Where its result lies; `None` where it was not stored.
    pub(super) key: Option<EntryKey>,
    /// Whether every checkout shares it.
    pub(super) shared: bool,
    /// What it read, where its look-up is explained.
    pub(super) read: Option<&'a Footprint>,
}

impl<'a> Outcome<'a> {
    /// What came of a compile that was stored, or not.
    pub(super) fn of(kept: &'a Kept) -> Self {
        let read = kept.learned.as_ref().map(|learned| &learned.footprint);
        Self { key: kept.key, shared: kept.shared, read }
    }
}

impl Setting<'_> {
    /// Keeps what a compile was made of, to be appended with its event.
    pub(super) fn remember(
        &self,
        direct: Option<&Direct>,
        known: Option<&Known>,
        outcome: Outcome<'_>,
        tally: &mut Tally,
    ) {
        self.show_inputs(direct, known, outcome.read, tally);
        if !self.config.stats {
            return;
        }
        tally.record = self.record(direct, known, outcome, tally);
        if self.config.read_only {
            return;
        }
        toolchains::keep(self.home, &self.toolchain);
        known.into_iter().for_each(|known| self.keep_texts(known));
    }

    /// The same for a compile that was served from elsewhere by what it reads.
    pub(super) fn remember_found(&self, direct: &Direct, hit: &DirectHit, tally: &mut Tally) {
        let shared = Some(hit.manifest) == direct.keys.free;
        let outcome = Outcome { key: Some(hit.key), shared, read: Some(&hit.footprint) };
        self.remember(Some(direct), None, outcome, tally);
        if self.config.stats && !self.config.read_only {
            self.keep_found_texts(hit);
        }
    }

    /// Says what a compile is made of; `None` where nobody has looked at it.
    pub(super) fn record(
        &self,
        direct: Option<&Direct>,
        known: Option<&Known>,
        outcome: Outcome<'_>,
        tally: &Tally,
    ) -> Option<Record> {
        let named = direct.map(|direct| &direct.named).or_else(|| known.map(|known| &known.named))?;
        let keys = direct.map(|direct| direct.keys);
        let manifest = keys.map(|keys| keys.free.filter(|_| outcome.shared).unwrap_or(keys.bound));
        Some(Record {
            at_ms: 0,
            directory: tally.event.directory.clone(),
            root: self.root.clone(),
            source: self.invocation.source.clone(),
            output: tally.event.output.clone(),
            fields: self.command_fields(direct, named),
            sharing: if outcome.shared { Sharing::Free } else { Sharing::Bound(self.bound_by().to_owned()) },
            manifest,
            key: outcome.key,
            compared: direct.and_then(|direct| self.compared(direct, known, outcome.read)),
        })
    }

    /// Reads what this machine knew of a command, before it is told anew.
    pub(super) fn recall(&self, direct: Option<&mut Direct>, store: &Store<'_>) {
        let Some(direct) = direct else { return };
        let read = |key| Manifest::from_bytes(&store.side(Side::Manifest(key)).body()?).ok();
        direct.suggested = direct.keys.all().filter_map(read).flat_map(|found| found.suggestions).collect();
        // Two manifests may say something, each its newest first.
        direct.suggested.sort_by_key(|suggestion| Reverse(suggestion.received));
    }

    /// Lists what the keys of this command are made of.
    pub(super) fn command_fields(
        &self,
        direct: Option<&Direct>,
        named: &(Vec<Digest>, Vec<Digest>),
    ) -> Vec<KeyField> {
        let directories = direct.into_iter().flat_map(|direct| direct.chain.directories());
        let directories: Vec<RootPath> = directories.map(|directory| self.hung(directory)).collect();
        command_fields(&self.invocation, &self.ingredients(named), &self.places(), &directories)
    }

    /// Holds what a compile read against what this machine knew of its command before; the nearest is the one that differs least.
    fn compared(
        &self,
        direct: &Direct,
        known: Option<&Known>,
        read: Option<&Footprint>,
    ) -> Option<Differences> {
        let sources = known.filter(|_| read.is_none()).map(|known| self.sources(known));
        let now = match (read, &sources) {
            (Some(read), _) => Read { inputs: &read.inputs, absent: Some(&read.absent) },
            (None, Some(sources)) => Read { inputs: &sources.inputs, absent: None },
            (None, None) => return None,
        };
        let before = direct.suggested.iter().take(COMPARED_MAX);
        let differences = before.map(|before| {
            Differences::between(Read { inputs: &before.inputs, absent: Some(&before.absent) }, now)
        });
        differences.min_by_key(Differences::count)
    }

    /// Lists sources and headers with the digests that a direct key would hold.
    fn sources(&self, known: &Known) -> Footprint {
        let sources = known.inputs.files.iter().filter(|input| input.content.is_some());
        let listed = sources.map(|input| {
            let dated = self.dated(&input.digest, &input.facts);
            (self.hung(&input.name), dated.map_or(input.digest, |text| Digest::of(&text)))
        });
        Footprint::new(listed.collect(), Vec::new())
    }

    /// Returns what stands in keys for a file that shows the date; `None` for another one.
    fn dated(&self, content: &Digest, facts: &FileFacts) -> Option<Vec<u8>> {
        (facts.date && !self.config.sloppiness.time_macros).then(|| dated(content, &self.today()))
    }

    /// Lists what leads from digests in keys to those of the contents, for the files that show the date.
    pub(super) fn dates(&self, known: &Known) -> Vec<Vec<u8>> {
        let files = known.inputs.files.iter();
        files.filter_map(|input| self.dated(&input.digest, &input.facts)).collect()
    }

    /// Keeps the texts of what the project itself holds.
    fn keep_texts(&self, known: &Known) {
        for input in &known.inputs.files {
            let path = self.hung(&input.name);
            let content = input.content.as_deref().filter(|_| matches!(path, RootPath::Root(_)));
            if let Some(content) = content {
                texts::keep(self.home, &input.digest, content);
            }
        }
        self.dates(known).iter().for_each(|text| texts::keep(self.home, &Digest::of(text), text));
    }

    /// Keeps the texts of what a hit from elsewhere read of the project, as it lies on this disk, so that the first edit after it is named: of the
    /// source first, and never so much that the hit would be slow. What is left over is kept at a later hit.
    fn keep_found_texts(&self, hit: &DirectHit) {
        let source = self.hung(&self.invocation.source);
        let own = hit.footprint.inputs.iter().filter(|(path, _)| matches!(path, RootPath::Root(_)));
        let (first, mut others): (Vec<_>, Vec<_>) = own.partition(|(path, _)| *path == source);
        let start = usize::from(hit.key.digest().as_bytes()[0]) % others.len().max(1);
        others.rotate_left(start);
        let looked_at = first.into_iter().chain(others).take(FOUND_LOOKED_MAX);
        let new = looked_at.filter(|(_, digest)| !texts::is_kept(self.home, digest));
        let mut left = FOUND_BYTES_MAX;
        for (path, digest) in new.take(FOUND_FILES_MAX) {
            let path = opened(&self.root, path);
            let path = Path::new(OsStr::from_bytes(&path));
            let size = Stamp::of(path).map_or(u64::MAX, |stamp| stamp.size);
            if size > left.min(texts::TEXT_MAX as u64) {
                continue;
            }
            left -= size;
            let mut content = Vec::new();
            if read_regular(path, &mut content).is_none() {
                continue;
            }
            let own = Digest::of(&content);
            let dated = self.dated(&own, &FileFacts::scan(&content)).map(|text| (Digest::of(&text), text));
            match dated {
                Some((keyed, text)) if keyed == *digest => {
                    texts::keep(self.home, &own, &content);
                    texts::keep(self.home, digest, &text);
                }
                _ if own == *digest => texts::keep(self.home, digest, &content),
                _ => {}
            }
        }
    }

    /// Says why other checkouts cannot share what this command gives, in words.
    fn bound_by(&self) -> &'static str {
        let facts = &self.invocation.facts;
        let reasons = [
            (facts.takes_precompiled, "a precompiled header is for its directory only"),
            (facts.lto, "link-time optimisation hides paths"),
            (facts.coverage, "coverage holds paths"),
            (facts.sanitizer, "a sanitizer holds paths"),
            (
                facts.debug_info,
                "debug information holds the working directory; `portable_paths` takes it out",
            ),
            (facts.leaks_output, "the name of the output shows in an output"),
            (facts.leaks_directory, "an option writes paths into the output"),
        ];
        let found = reasons.into_iter().find(|(holds, _)| *holds);
        found.map_or("paths show in the text, the outputs or the messages", |(_, why)| why)
    }
}

/// Names the output of a call that was not understood, as far as `-o` says it; for the statistics only.
pub(super) fn named_output(arguments: &[OsString]) -> Vec<u8> {
    let at = arguments.iter().rposition(|word| word.as_bytes().starts_with(b"-o"));
    let word =
        at.and_then(|at| if arguments[at] == "-o" { arguments.get(at + 1) } else { arguments.get(at) });
    let name = word.map(|word| word.as_bytes()).unwrap_or_default();
    name.strip_prefix(b"-o").unwrap_or(name).to_vec()
}
