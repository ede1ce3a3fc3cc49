//! The preprocessed text of one compile.

use super::{asm, marker, offload};
use crate::invocation::{Bypass, Reason};
use memchr::memmem::{find, find_iter};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// Names that are no files.
pub(super) const NO_FILES: &[&[u8]] = &[b"<built-in>", b"<command-line>", b"<command line>", b"<stdin>"];

/// What [`dccache_protocol::keys::spelled`] writes in place of the root.
const ROOT_MARK: &[u8] = b"\0";

/// How gcc's preprocessor names a precompiled header that it took, before the name.
const PRECOMPILED: &[u8] = b"#pragma GCC pch_preprocess \"";

/// The directories of a compile that must not show where a result is shared.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Absolute root, without a slash at its end.
    pub root: &'a [u8],
    /// Absolute working directory as the compiler spells it.
    pub working_directory: &'a [u8],
}

impl Places<'_> {
    /// Whether the root can be told apart inside names: a real directory above the working directory, spelled in plain bytes.
    pub fn can_be_hidden(&self) -> bool {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let inside = self.working_directory.strip_prefix(self.root);
        self.root.len() > 1
            && self.root.starts_with(b"/")
            && !self.root.ends_with(b"/")
            && self.root.iter().all(plain)
            && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Whether root or working directory occurs in an output or a message.
    pub fn leak_into(&self, bytes: &[u8]) -> bool {
        // The working directory lies inside the root, so that its own search matters only where the root cannot be hidden.
        !self.can_be_hidden()
            || find(bytes, self.root).is_some()
            || find(bytes, self.working_directory).is_some()
    }
}

/// A file that the preprocessor read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnteredFile {
    /// As the line marker spells it, escapes undone.
    pub path: Vec<u8>,
    /// No token of the program stands before its first appearance: in place of it a precompiled header could be taken.
    pub leads: bool,
}

/// The preprocessor's output, read once.
#[derive(Clone, Debug)]
pub struct Preprocessed<'a> {
    text: &'a [u8],
    /// Positions of the names in line markers, without quotes, ascending.
    names: Vec<Range<usize>>,
    files: Vec<EnteredFile>,
    precompiled: Vec<Vec<u8>>,
    quoted: Vec<Vec<u8>>,
}

impl<'a> Preprocessed<'a> {
    /// Reads the text of `-E`.
    ///
    /// # Errors
    /// Something in it reads a file that it does not name.
    pub fn parse(text: &'a [u8]) -> Result<Self, Bypass> {
        let (names, files, precompiled, quoted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut parsed = Self { text, names, files, precompiled, quoted };
        parsed.read_lines()?;
        match asm::file_reader(text) {
            Some(word) => Err(Bypass::new(Reason::UnsupportedCodeDirective, word)),
            None => Ok(parsed),
        }
    }

    /// Reads a source that is preprocessed already: names in it are not files that are read.
    ///
    /// # Errors
    /// As [`Preprocessed::parse`].
    pub fn parse_source(text: &'a [u8], source: &[u8]) -> Result<Self, Bypass> {
        let source = EnteredFile { path: source.to_vec(), leads: true };
        // Clang obeys directives here, wherever they begin in their line.
        let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_start);
        for line in lines.filter(|line| line.starts_with(b"#")) {
            if check_directive(line)?.is_some() {
                return Err(Bypass::new(Reason::CouldNotUsePrecompiledHeader, line));
            }
        }
        Ok(Self { names: Vec::new(), files: vec![source], ..Self::parse(text)? })
    }

    /// Finds what makes the assembler read a file that nobody names, where the text is assembly itself.
    pub fn assembly_reader(&self) -> Option<Bypass> {
        asm::assembly_reader(self.text).map(|word| Bypass::new(Reason::UnsupportedCodeDirective, word))
    }

    /// Whether OpenMP can make code for other devices of it.
    pub fn offloads(&self) -> bool {
        offload::offloads(self.text)
    }

    /// Lists the source and every file that was included, in the order of first appearance.
    pub fn files(&self) -> &[EnteredFile] {
        &self.files
    }

    /// Lists the files that line directives name and that were not entered: messages quote from them.
    pub fn quoted(&self) -> &[Vec<u8>] {
        &self.quoted
    }

    /// Lists the precompiled headers that gcc's preprocessor took in place of headers, as spelled.
    pub fn precompiled(&self) -> &[Vec<u8>] {
        &self.precompiled
    }

    /// Whether the program can ask for the spelled name of a file without spelling it.
    fn asks_for_location(&self) -> bool {
        find(self.text, b"__builtin_FILE").is_some()
            || find(self.text, b"__builtin_source_location").is_some()
    }

    /// Whether lines of a raw string literal could have been taken for line markers.
    fn has_raw_strings(&self) -> bool {
        find_iter(self.text, b"R\"").any(|at| {
            let before = at.checked_sub(1).map_or(b' ', |at| self.text[at]);
            !(before.is_ascii_alphanumeric() || before == b'_') || matches!(before, b'u' | b'U' | b'L' | b'8')
        })
    }

    /// Whether one of the names stands in it, in a line marker or a string too.
    pub(crate) fn names_any(&self, names: &[&[u8]]) -> bool {
        let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let stands = |name: &[u8], at: usize| {
            let before = at.checked_sub(1).and_then(|at| self.text.get(at));
            !part(before) && !part(self.text.get(at + name.len()))
        };
        names.iter().any(|name| find_iter(self.text, name).any(|at| stands(name, at)))
    }

    /// Lists the lines that are left of directives, line markers aside.
    pub(crate) fn directives(&self) -> impl Iterator<Item = &'a [u8]> {
        let text = self.text;
        let first = text.starts_with(b"#").then_some(0);
        let starts = first.into_iter().chain(find_iter(text, b"\n#").map(|at| at + 1));
        let lines = starts.map(|start| {
            let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at);
            &text[start..end]
        });
        lines.filter(|line| marker::parse(line).is_none())
    }

    /// Returns the text in pieces as it enters a key: the root taken out of the names in line markers.
    pub(crate) fn pieces(&self, places: &Places<'_>) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut done = 0;
        for name in &self.names {
            let Some(rest) = inside(places.root, &self.text[name.clone()]) else { continue };
            pieces.push(&self.text[done..name.start]);
            pieces.push(ROOT_MARK);
            done = name.end - rest.len();
        }
        pieces.push(&self.text[done..]);
        pieces
    }

    /// Whether no directory can show in an output through the text: the root stands only in line markers, and where it does, nothing
    /// asks for their names.
    pub(crate) fn hides(&self, places: &Places<'_>) -> bool {
        let in_name = |at: usize| {
            let next = self.names.partition_point(|name| name.end <= at);
            self.names.get(next).is_some_and(|name| name.start <= at)
        };
        let mut occurs = find_iter(self.text, places.root).peekable();
        let named = occurs.peek().is_some();
        occurs.all(in_name) && !(named && (self.asks_for_location() || self.has_raw_strings()))
    }

    /// Whether every name in a line marker that begins with these bytes is a path below them.
    pub(crate) fn begins_no_other_name(&self, old: &[u8]) -> bool {
        let mut names = self.names.iter().map(|name| &self.text[name.clone()]);
        names.all(|name| !name.starts_with(old) || inside(old, name).is_some())
    }

    /// Whether every path below `root` in a line marker lies below `part` of it.
    pub(crate) fn names_below(&self, root: &[u8], part: &[u8]) -> bool {
        let mut names = self.names.iter().map(|name| &self.text[name.clone()]);
        names.all(|name| inside(root, name).is_none() || inside(part, name).is_some())
    }

    fn read_lines(&mut self) -> Result<(), Bypass> {
        let mut seen: HashSet<&[u8]> = HashSet::new();
        let mut quoted: BTreeSet<&[u8]> = BTreeSet::new();
        let mut leads = true;
        let mut start = 0;
        while start < self.text.len() {
            let end = memchr::memchr(b'\n', &self.text[start..]).map_or(self.text.len(), |at| start + at);
            let line = &self.text[start..end];
            if line.first() == Some(&b'#') {
                match marker::parse(line) {
                    Some(found) => {
                        let name = start + found.name.start..start + found.name.end;
                        if (found.enters || self.files.is_empty()) && seen.insert(&self.text[name.clone()]) {
                            self.enter(name.clone(), leads);
                        } else if !seen.contains(&self.text[name.clone()]) {
                            quoted.insert(&self.text[name.clone()]);
                        }
                        self.names.push(name);
                    }
                    None => self.precompiled.extend(check_directive(line)?.map(<[u8]>::to_vec)),
                }
            } else if leads && line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                leads = false;
            }
            start = end + 1;
        }
        // Gcc names the working directory in the same way, with two slashes behind it.
        let quoted = quoted.into_iter().filter(|name| !seen.contains(name) && !name.ends_with(b"//"));
        let quoted = quoted.map(|name| marker::unescape(name).into_owned());
        self.quoted = quoted.filter(|name| !NO_FILES.contains(&name.as_slice())).collect();
        Ok(())
    }

    fn enter(&mut self, name: Range<usize>, leads: bool) {
        let path = marker::unescape(&self.text[name]);
        if !NO_FILES.contains(&path.as_ref()) {
            self.files.push(EnteredFile { path: path.into_owned(), leads });
        }
    }
}

/// Returns what follows the root in a name, as [`dccache_protocol::keys::spelled`] decides it.
fn inside<'a>(root: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    let rest = name.strip_prefix(root).filter(|_| root.starts_with(b"/"))?;
    if rest.is_empty() || root.ends_with(b"/") { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// Refuses directives that are left in the text and read files or modules; returns the precompiled header that one names.
fn check_directive(line: &[u8]) -> Result<Option<&[u8]>, Bypass> {
    let directive = line[1..].trim_ascii_start();
    let reason = if let Some(pragma) = directive.strip_prefix(b"pragma") {
        let names = |word: &[u8]| find(pragma, word).is_some();
        if names(b"pch_preprocess") {
            match line.strip_prefix(PRECOMPILED).and_then(|name| name.strip_suffix(b"\"")) {
                Some(name) => return Ok(Some(name)),
                None => Reason::CouldNotUsePrecompiledHeader,
            }
        } else if names(b"clang module") {
            Reason::CouldNotUseModules
        } else if names(b"dependency") {
            Reason::UnsupportedCodeDirective
        } else {
            return Ok(None);
        }
    } else if [b"ident".as_slice(), b"sccs"].iter().any(|word| directive.starts_with(word)) {
        // Gcc writes the string into the assembly; a quote or a line break in it would begin a directive.
        match directive.contains(&b'\\') {
            true => Reason::UnsupportedCodeDirective,
            false => return Ok(None),
        }
    } else if [b"embed".as_slice(), b"include", b"import"].iter().any(|word| directive.starts_with(word)) {
        Reason::UnsupportedCodeDirective
    } else {
        return Ok(None);
    };
    Err(Bypass::new(reason, line))
}
