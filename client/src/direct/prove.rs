//! The lookup proof: why every include of a compile was found where it was, and what would have to appear for that to change.
//!
//! From the contents of all files that were read and the search chain it is worked out which names the compiler tried. What it entered, by its own line markers,
//! must come out of that; else nothing is proved. A directive that would find a file which was not entered was not evaluated, and one that finds nothing
//! would have ended the compile: neither needs a probe. `__has_include` always does.
//!
//! Invariant: with equal contents of [`Reading::files`] and [`Proof::more`], equal arguments, and nothing under the names of [`Proof::absent`], every evaluated
//! directive finds the same file again.

mod copies;

use super::search::{Chain, plain};
use super::spelling::{Form, Spelling, Spellings, Start, definitions};
use super::view::{Lies, View};
use crate::cpp::{Transition, without_splices};
use dccache_protocol::limits;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::ErrorKind;

/// Header that gcc includes before anything else, where the search finds one.
const PREINCLUDED: &[u8] = b"stdc-predef.h";

/// Names of precompiled headers that compilers take silently in place of a header.
const PRECOMPILED: [&[u8]; 2] = [b".gch", b".pch"];

/// One file that was read.
#[derive(Clone, Copy, Debug)]
pub struct ReadFile<'a> {
    /// As the compiler spells it.
    pub path: &'a [u8],
    /// Its content.
    pub content: &'a [u8],
}

/// What is known about who entered whom.
#[derive(Clone, Copy, Debug)]
pub enum Entered<'a> {
    /// Who entered whom, by the line markers.
    ByMarkers(&'a [Transition]),
    /// The compiler listed the files that it read, and preprocessed by itself.
    Somewhere,
}

/// Everything that a compile read, and how it looked for it.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The source and every header, each path once.
    pub files: &'a [ReadFile<'a>],
    /// How it came to them.
    pub entered: Entered<'a>,
    /// The source as spelled.
    pub source: &'a [u8],
    /// Files of `-include` and `-imacros`, as spelled.
    pub forced: &'a [Vec<u8>],
    /// Macros of the command line, `NAME` or `NAME=VALUE`.
    pub macros: &'a [&'a [u8]],
    /// Where headers are looked for.
    pub chain: &'a Chain,
}

/// What keeps the includes of a compile as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Files beside those read whose presence decided something.
    pub more: BTreeSet<Vec<u8>>,
    /// Names under which nothing lies.
    pub absent: BTreeSet<Vec<u8>>,
}

/// Nothing is proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the search for headers is not explained: {}", .0.escape_ascii())]
pub struct Unexplained(pub Vec<u8>);

/// Works out the proof.
///
/// # Errors
/// The file or directive that the emulated search does not explain.
pub fn prove(reading: &Reading<'_>, view: &View) -> Result<Proof, Unexplained> {
    let mut prover = Prover::new(reading, view);
    for file in reading.files {
        prover.file(file)?;
    }
    prover.command_line()?;
    prover.check_copies()?;
    prover.check_entered()?;
    if prover.proof.absent.len() > limits::PROBES_MAX {
        return Err(Unexplained(b"too many names".to_vec()));
    }
    Ok(prover.proof)
}

struct Prover<'a> {
    reading: &'a Reading<'a>,
    view: &'a View,
    /// Plain names of all files that were read.
    read: HashSet<Vec<u8>>,
    /// Contents by their length, to find a file that was skipped because it equals one that was read.
    lengths: HashMap<u64, Vec<&'a [u8]>>,
    /// Device and inode of every file that was read.
    inodes: HashSet<(u64, u64)>,
    /// Whether a file can be skipped because it equals another one.
    once: bool,
    /// Includer, plain, and what its directives find: device and inode, since clang calls a file by the first name that led to it.
    explained: HashSet<(Option<Vec<u8>>, u64, u64)>,
    proof: Proof,
}

impl<'a> Prover<'a> {
    fn new(reading: &'a Reading<'a>, view: &'a View) -> Self {
        let mut lengths: HashMap<u64, Vec<&[u8]>> = HashMap::new();
        for file in reading.files {
            lengths.entry(file.content.len() as u64).or_default().push(file.content);
        }
        let inodes = reading.files.iter().filter_map(|file| match view.lies(file.path) {
            Lies::File(device, inode, _) => Some((device, inode)),
            Lies::Nothing | Lies::Unclear => None,
        });
        let once = |word: &[u8]| {
            reading
                .files
                .iter()
                .any(|file| memchr::memmem::find(&without_splices(file.content), word).is_some())
        };
        Self {
            reading,
            view,
            inodes: inodes.collect(),
            once: once(b"once") || once(b"import"),
            read: reading.files.iter().map(|file| plain(file.path)).collect(),
            lengths,
            explained: HashSet::new(),
            proof: Proof::default(),
        }
    }

    fn file(&mut self, file: &ReadFile<'_>) -> Result<(), Unexplained> {
        let spellings = Spellings::scan(file.content);
        if let Some(what) = spellings.opaque {
            return Err(Unexplained([file.path, b": ", what.as_bytes()].concat()));
        }
        for spelling in &spellings.includes {
            self.include(spelling, Some(file.path))?;
        }
        for (name, start) in &spellings.computed {
            for (form, name) in self.meanings(name).ok_or_else(|| Unexplained(name.clone()))? {
                self.include(&Spelling { form, start: *start, name }, Some(file.path))?;
            }
        }
        for spelling in &spellings.queries {
            self.query(spelling, file.path)?;
        }
        Ok(())
    }

    /// Finds what a macro in place of a name can stand for; nothing where it is defined nowhere, since then the directive was not evaluated.
    fn meanings(&self, name: &[u8]) -> Option<Vec<(Form, Vec<u8>)>> {
        let mut meanings = Vec::new();
        for definition in self.reading.macros {
            let value = match definition.strip_prefix(name) {
                Some([]) => return None,
                Some([b'=', value @ ..]) => value,
                Some([b'(', ..]) => return None,
                _ => continue,
            };
            match value {
                [b'<', name @ .., b'>'] => meanings.push((Form::Angled, name.to_vec())),
                [b'"', name @ .., b'"'] => meanings.push((Form::Quoted, name.to_vec())),
                _ => return None,
            }
        }
        for file in self.reading.files {
            meanings.extend(definitions(file.content, name)?);
        }
        let expanded = |(form, name): &(Form, Vec<u8>)| *form == Form::Angled && self.has_macro(name);
        if meanings.iter().any(expanded) {
            return None;
        }
        // The compiler's own macros are defined in no file.
        (!meanings.is_empty() || !name.starts_with(b"__")).then_some(meanings)
    }

    /// Whether a word of a name between angle brackets is, or can be, a macro: there the name itself is expanded.
    fn has_macro(&self, name: &[u8]) -> bool {
        const OWN: [&[u8]; 4] = [b"linux", b"unix", b"i386", b"vector"];
        let words = name.split(|&byte| !(byte.is_ascii_alphanumeric() || byte == b'_'));
        let mut words = words.filter(|word| word.first().is_some_and(|byte| !byte.is_ascii_digit()));
        words.any(|word| {
            let given = |definition: &&&[u8]| {
                definition
                    .strip_prefix(word)
                    .is_some_and(|rest| matches!(rest.first(), None | Some(b'=' | b'(')))
            };
            let defined =
                |file: &ReadFile<'_>| definitions(file.content, word).is_none_or(|found| !found.is_empty());
            word.starts_with(b"__")
                || OWN.contains(&word)
                || self.reading.macros.iter().any(|definition| given(&definition))
                || self.reading.files.iter().any(defined)
        })
    }

    /// Handles what is included before the source.
    fn command_line(&mut self) -> Result<(), Unexplained> {
        let asks = |definition: &&&[u8]| memchr::memmem::find(definition, b"__has_").is_some();
        if let Some(definition) = self.reading.macros.iter().find(asks) {
            return Err(Unexplained(definition.to_vec()));
        }
        let name = PREINCLUDED.to_vec();
        self.query_names(
            &self.reading.chain.candidates(&Spelling { form: Form::Angled, start: Start::First, name }, None),
        )?;
        for name in self.reading.forced {
            let spelling = Spelling { form: Form::Quoted, start: Start::First, name: name.clone() };
            let candidates = self.reading.chain.candidates(&spelling, None);
            self.try_names(&candidates, None)?;
            for candidate in &candidates {
                for extension in PRECOMPILED {
                    let name = [candidate.as_slice(), extension].concat();
                    self.no_precompiled(name)?;
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, spelling: &Spelling, includer: Option<&[u8]>) -> Result<(), Unexplained> {
        let candidates = self.reading.chain.candidates(spelling, includer);
        match spelling.start {
            Start::Next => self.include_next(spelling, includer)?,
            Start::First => self.try_names(&candidates, includer)?,
        }
        // GCC can take a precompiled header for the first one that is opened, which only the source itself includes.
        if includer.is_some_and(|includer| plain(includer) == plain(self.reading.source)) {
            self.beside(&candidates)?;
        }
        Ok(())
    }

    /// Requires that no precompiled header lies beside any name up to the one that was entered.
    fn beside(&mut self, candidates: &[Vec<u8>]) -> Result<(), Unexplained> {
        let Some(found) = candidates.iter().position(|name| matches!(self.view.lies(name), Lies::File(..)))
        else {
            return Ok(());
        };
        // With a precompiled header, the compiler lists nothing of what that was made of.
        let listed = matches!(self.reading.entered, Entered::Somewhere);
        if !listed && !self.read.contains(&plain(&candidates[found])) {
            return Ok(());
        }
        for candidate in &candidates[..=found] {
            self.no_precompiled([candidate.as_slice(), PRECOMPILED[0]].concat())?;
        }
        Ok(())
    }

    /// Requires that nothing lies under the name of a precompiled header: gcc looks into a directory of that name, too.
    fn no_precompiled(&mut self, name: Vec<u8>) -> Result<(), Unexplained> {
        match self.view.path(&name).metadata() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.proof.absent.insert(name);
                Ok(())
            }
            _ => Err(Unexplained(name)),
        }
    }

    /// Takes up one search from its beginning.
    fn try_names(&mut self, candidates: &[Vec<u8>], includer: Option<&[u8]>) -> Result<(), Unexplained> {
        let Some((found, length)) = self.first(candidates)? else { return Ok(()) };
        let name = plain(&candidates[found]);
        if self.read.contains(&name) {
            self.explain(includer, &candidates[found]);
        } else if self.may_be_skipped(&candidates[found], length) {
            // How the compiler calls it, or whether it skips it, follows from more than contents.
            return Err(Unexplained(candidates[found].clone()));
        } else {
            return Ok(());
        }
        self.proof.absent.extend(candidates[..found].iter().cloned());
        Ok(())
    }

    /// Takes up a search from an unknown place in the chain: every file that was read can be what it found.
    fn include_next(&mut self, spelling: &Spelling, includer: Option<&[u8]>) -> Result<(), Unexplained> {
        let candidates = self.reading.chain.candidates(spelling, includer);
        let mut last = 0;
        for (index, name) in candidates.iter().enumerate() {
            match self.view.lies(name) {
                Lies::File(..) if self.read.contains(&plain(name)) => {
                    self.explain(includer, name);
                    last = index;
                }
                Lies::File(_, _, length) if self.may_be_skipped(name, length) => {
                    return Err(Unexplained(name.clone()));
                }
                Lies::Unclear => return Err(Unexplained(name.clone())),
                Lies::File(..) | Lies::Nothing => {}
            }
        }
        let tried = candidates.into_iter().take(last);
        let tried: Vec<_> = tried.filter(|name| self.view.lies(name) == Lies::Nothing).collect();
        self.proof.absent.extend(tried);
        Ok(())
    }

    fn query(&mut self, spelling: &Spelling, includer: &[u8]) -> Result<(), Unexplained> {
        let candidates = self.reading.chain.candidates(spelling, Some(includer));
        if spelling.start == Start::First {
            return self.query_names(&candidates);
        }
        for name in candidates {
            match self.view.lies(&name) {
                Lies::Nothing => {
                    self.proof.absent.insert(name);
                }
                Lies::File(..) => self.present(&name),
                Lies::Unclear => return Err(Unexplained(name)),
            }
        }
        Ok(())
    }

    /// Takes up a search whose answer counts even where nothing is entered.
    fn query_names(&mut self, candidates: &[Vec<u8>]) -> Result<(), Unexplained> {
        let found = self.first(candidates)?.map(|(found, _)| found);
        if let Some(found) = found {
            self.present(&candidates[found]);
            self.explain(None, &candidates[found]);
        }
        self.proof.absent.extend(candidates[..found.unwrap_or(candidates.len())].iter().cloned());
        Ok(())
    }

    fn explain(&mut self, includer: Option<&[u8]>, name: &[u8]) {
        if let Lies::File(device, inode, _) = self.view.lies(name) {
            self.explained.insert((includer.map(plain), device, inode));
        }
    }

    fn present(&mut self, name: &[u8]) {
        if !self.read.contains(&plain(name)) {
            self.proof.more.insert(name.to_vec());
        }
    }

    /// Finds the first name under which a file lies, and its length.
    fn first(&self, candidates: &[Vec<u8>]) -> Result<Option<(usize, u64)>, Unexplained> {
        for (index, name) in candidates.iter().enumerate() {
            match self.view.lies(name) {
                Lies::File(_, _, length) => return Ok(Some((index, length))),
                Lies::Nothing => {}
                Lies::Unclear => return Err(Unexplained(name.clone())),
            }
        }
        Ok(None)
    }

    fn check_entered(&self) -> Result<(), Unexplained> {
        let Entered::ByMarkers(transitions) = self.reading.entered else {
            return self.check_listed();
        };
        for transition in transitions {
            let includer = transition.includer.as_deref().map(plain);
            let explained = match self.view.lies(&transition.entered) {
                Lies::File(device, inode, _) => self.explained.contains(&(includer, device, inode)),
                Lies::Nothing | Lies::Unclear => false,
            };
            if !explained {
                return Err(Unexplained(transition.entered.clone()));
            }
        }
        Ok(())
    }

    /// Requires that some directive leads to every file but the source.
    fn check_listed(&self) -> Result<(), Unexplained> {
        let led_to: HashSet<(u64, u64)> =
            self.explained.iter().map(|(_, device, inode)| (*device, *inode)).collect();
        let source = plain(self.reading.source);
        let mut headers = self.reading.files.iter().filter(|file| plain(file.path) != source);
        let unexplained = headers.find(|file| match self.view.lies(file.path) {
            Lies::File(device, inode, _) => !led_to.contains(&(device, inode)),
            Lies::Nothing | Lies::Unclear => true,
        });
        unexplained.map_or(Ok(()), |file| Err(Unexplained(file.path.to_vec())))
    }
}

#[cfg(test)]
mod tests;
