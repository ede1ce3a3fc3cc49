//! Compiles that are not preprocessed first: compiler and assembler themselves list what they read.
//!
//! Invariant: what is read here afterwards is what was compiled, since every file's stamp is older than the start of the compile.

use super::direct::Direct;
use super::inputs::{Input, Inputs, Look};
use super::lookup::Known;
use super::refusal::Refusal;
use super::setting::Setting;
use crate::config::{CompilerCheck, DependUse};
use crate::cpp::{FileFacts, without_splices};
use crate::depfile::{self, DependMode, DependRequest, Dialect, Phony};
use crate::invocation::{KeyRole, Stage};
use crate::keying::{Takes, obstacle, plain};
use crate::toolchain::Stamp;
use memchr::memmem::{find, find_iter};
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::process::{DumpableBehavior, dumpable_behavior};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Most bytes of the assembler's list that are read: some names a file.
const ASSEMBLER_LIST_MAX: u64 = 1 << 20;

/// The lists that a compile is asked for: files in memory, which no full disk spoils, nobody else writes, and nobody has to remove.
#[derive(Debug)]
pub(super) struct Lists {
    compiler: File,
    /// What the compiler is asked for.
    request: DependRequest,
    /// Where the call wants the same list.
    wanted: Option<PathBuf>,
    assembler: File,
    /// The source as it was before.
    source: Option<Stamp>,
    /// Whether no other file of the source's name lay where the assembler looks.
    stands_alone: bool,
}

/// What lies in a list that nobody opened: compilers cut a file when they open it.
const UNTOUCHED: &[u8] = b"\0";

impl Lists {
    /// Returns what is added to the command.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let ours = name_of(&self.compiler);
        let compiler = match self.wanted {
            // The last one counts.
            Some(_) => vec![b"-MF".to_vec(), ours],
            None => self.request.arguments().collect(),
        };
        let assembler = [b"-Wa,--MD,".to_vec(), name_of(&self.assembler)].concat();
        compiler.into_iter().chain([assembler]).map(OsString::from_vec).collect()
    }

    /// Returns the compiler's list; `None` while it wrote none.
    fn written(&self) -> Option<Vec<u8>> {
        let text = std::fs::read(OsStr::from_bytes(&name_of(&self.compiler))).ok()?;
        (text != UNTOUCHED).then_some(text)
    }

    /// Tells whether a message names one of them: it could not be opened, which no call without us would have met.
    pub(super) fn are_blamed(&self, messages: &[u8]) -> bool {
        [&self.compiler, &self.assembler].iter().any(|list| find(messages, &name_of(list)).is_some())
    }

    /// Writes the compiler's list where the call wants it, as the compiler would have: before `object`, for who compares their times.
    ///
    /// # Errors
    /// It cannot be written: the compiler would have failed, too.
    pub(super) fn deliver(&self, object: Option<&Path>) -> std::io::Result<()> {
        let (Some(path), Some(text)) = (&self.wanted, self.written()) else { return Ok(()) };
        let mut file = File::create(path)?;
        file.write_all(&text)?;
        match object.and_then(|object| object.metadata().ok()?.modified().ok()) {
            Some(time) => file.set_modified(time),
            None => Ok(()),
        }
    }
}

/// Makes a file in memory; `None` where its name leads a child elsewhere: `/proc` can be absent, or that of other process numbers.
fn in_memory() -> Option<File> {
    let file = File::from(memfd_create("dccache-list", MemfdFlags::CLOEXEC).ok()?);
    file.write_all_at(UNTOUCHED, 0).ok()?;
    let (own, named) =
        (file.metadata().ok()?, Path::new(OsStr::from_bytes(&name_of(&file))).metadata().ok()?);
    ((own.dev(), own.ino()) == (named.dev(), named.ino())).then_some(file)
}

/// Names a file of ours for a child, which has no descriptor of it.
fn name_of(file: &File) -> Vec<u8> {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into_bytes()
}

impl Setting<'_> {
    /// Asks for lists in place of a preprocessor run; `None` where that does not tell everything.
    ///
    /// Only gcc with the GNU assembler is asked: nothing names the files of `.incbin` in clang's own assembler, and with link-time
    /// optimisation there is none. Short lists (`-MMD`) lack headers that decide the object.
    pub(super) fn lists(&self, direct: &Direct) -> Option<Lists> {
        // What verifies is compiled exactly as typed.
        let verifies = self.verifies_since.is_some();
        if self.config.read_only || self.config.recache || self.config.remote_only || verifies {
            return None;
        }
        let invocation = &self.invocation;
        let short = |request: &DependRequest| request.mode == DependMode::User;
        let handed_on = |word: &OsString| word.as_bytes().starts_with(b"-Wp,");
        let fit = !invocation.kind.is_clang()
            && invocation.preprocessor.is_some()
            && !invocation.language.is_assembly()
            && invocation.stage == Stage::Object
            && !invocation.facts.lto
            && self.config.compiler_check == CompilerCheck::Content
            && !invocation.facts.plugin
            && self.toolchain.gnu_assembler
            && self.config.prefix_command.is_empty()
            && !self.arguments.iter().any(handed_on)
            && !invocation.depend.as_ref().is_some_and(short);
        if !fit || self.needs_the_text(direct) || !can_be_listed_to() {
            return None;
        }
        // Asked last, since it counts.
        let wanted = match self.config.depend_mode {
            DependUse::Always => true,
            DependUse::Never => false,
            DependUse::Auto => !self.text_serves_others(direct) && !self.preprocessing_pays(),
        };
        if !wanted {
            return None;
        }
        let compiler = in_memory()?;
        let (request, wanted) = match &invocation.depend {
            Some(asked) => (asked.clone(), Some(self.path(&asked.path))),
            None => {
                let path = name_of(&compiler);
                let (mode, phony, dialect) = (DependMode::All, Phony::Omitted, Dialect::Gcc);
                (DependRequest { mode, phony, dialect, path, targets: vec![b"x".to_vec()] }, None)
            }
        };
        if wanted.as_deref().is_some_and(|path| !can_be_written(path)) {
            return None;
        }
        let source = Stamp::of(&self.path(&invocation.source));
        let stands_alone = self.source_stands_alone(direct);
        Some(Lists { compiler, request, wanted, assembler: in_memory()?, source, stands_alone })
    }

    /// Whether only the text can prove that other checkouts may be served by the result: the command lets them, and names files by the root.
    pub(super) fn text_serves_others(&self, direct: &Direct) -> bool {
        let arguments = self.invocation.arguments.iter().map(|argument| argument.bytes.as_slice());
        let mut names =
            arguments.chain(direct.chain.directories()).chain([self.invocation.source.as_slice()]);
        direct.keys.free.is_some() && names.any(|name| find(name, &self.root).is_some())
    }

    /// Finds out from the lists of a compile what a preprocessor run would have told before it. The name is why it is not stored.
    pub(super) fn know_from(
        &self,
        lists: &Lists,
        direct: &mut Direct,
        mut inputs: Inputs,
    ) -> Result<Known, &'static str> {
        let text = lists.written().ok_or("unsupported_dependency_file")?;
        let depend =
            depfile::capture(&text, &lists.request, &self.root).ok_or("unsupported_dependency_file")?;
        let names = depend.paths.iter().map(|path| depfile::spelled(path, &self.root));
        let mut seen = HashSet::new();
        let names: Vec<Vec<u8>> = names.filter(|name| seen.insert(plain(name).to_vec())).collect();
        for name in &names {
            inputs.read(name, self.path(name), Look::Source).map_err(reason)?;
        }
        let source = inputs.files.iter().find(|input| plain(&input.name) == plain(&self.invocation.source));
        if !self.led_there(direct, names.iter().map(Vec::as_slice), inputs.start()) {
            return Err("lookup_not_explained");
        }
        if source.map(|source| source.stamp) != lists.source {
            return Err("modified_input_file");
        }
        // Digests are taken after the compile here: stamps must tell that nothing changed.
        let reliable = |input: &Input| direct.observer.is_reliable(input.stamp.device, &input.name);
        if !inputs.files.iter().all(reliable) {
            return Err("unsupported_dependency_file");
        }
        self.check_assembler_list(lists, direct)?;
        inputs.facts = inputs.facts.and(self.argument_facts());
        if self.config.sloppiness.time_macros {
            inputs.facts = FileFacts { date: false, time: false, timestamp: false, ..inputs.facts };
        }
        if let Some(bypass) = obstacle(&self.invocation, &inputs.facts) {
            return Err(bypass.reason.name());
        }
        // What a line directive names is read for messages, and no list has it.
        if inputs.files.iter().filter_map(|input| input.content.as_deref()).any(names_another_file) {
            return Err("unsupported_code_directive");
        }
        let named = self.named_files(&mut inputs).map_err(reason)?;
        let shows_nowhere = self.shows_nowhere(&inputs);
        Ok(Known {
            keys: None,
            tokens: None,
            inputs,
            color: self.color(),
            listed: lists.wanted.is_some().then_some(depend),
            takes: Takes::Headers,
            named,
            provable: true,
            transitions: None,
            shows_nowhere,
        })
    }

    /// Requires that the assembler read nothing but what the compiler wrote. The source is in its list, too, since the compiler names it, by its
    /// last part only.
    fn check_assembler_list(&self, lists: &Lists, direct: &Direct) -> Result<(), &'static str> {
        let mut text = Vec::new();
        let file = File::open(OsStr::from_bytes(&name_of(&lists.assembler)));
        let read = file.and_then(|file| file.take(ASSEMBLER_LIST_MAX).read_to_end(&mut text));
        let names =
            read.ok().and_then(|_| depfile::prerequisites(&text)).ok_or("unsupported_assembler_list")?;
        let piped = self.arguments.iter().any(|argument| argument == "-pipe");
        let (last, others) = names.split_last().ok_or("unsupported_assembler_list")?;
        let source = plain(&self.invocation.source);
        let stands_alone = lists.stands_alone && self.source_stands_alone(direct);
        let is_source = |name: &[u8]| plain(name) == source || (stands_alone && name == last_part(source));
        let temporary = !piped && is_temporary(last);
        match others.iter().all(|name| is_source(name)) && (temporary || is_source(last)) {
            true => Ok(()),
            false => Err("unsupported_code_directive"),
        }
    }

    /// Whether no other file can be meant by the last part of the source's name, wherever the assembler looks for it.
    fn source_stands_alone(&self, direct: &Direct) -> bool {
        let identity = |path: PathBuf| path.metadata().map(|found| (found.dev(), found.ino())).ok();
        let source = identity(self.path(&self.invocation.source));
        let name = last_part(&self.invocation.source);
        direct.chain.directories().all(|directory| {
            let found = identity(self.path(directory).join(OsStr::from_bytes(name)));
            found.is_none() || found == source
        })
    }

    /// Whether nothing of the directories can show in the text of the compile, which nobody has seen: no file is called by a name below
    /// the root, and the root is written in none of them, nor in a macro.
    fn shows_nowhere(&self, inputs: &Inputs) -> bool {
        let root = self.root.as_slice();
        let text = self.invocation.arguments.iter().filter(|argument| argument.role == KeyRole::Text);
        let macros = text.filter(|argument| argument.path_at.is_none());
        let sources = inputs.files.iter().filter(|input| input.content.is_some());
        let written = sources.clone().filter_map(|input| input.content.as_deref());
        let names = sources.map(|input| input.name.as_slice());
        let mut all = names.chain(written).chain(macros.map(|argument| argument.bytes.as_slice()));
        all.all(|bytes| find(bytes, root).is_none())
    }
}

/// Whether other processes of this user can open files of ours: a program that may not be read, or has capabilities, hides its descriptors even from
/// its children.
fn can_be_listed_to() -> bool {
    dumpable_behavior().is_ok_and(|dumpable| dumpable == DumpableBehavior::Dumpable)
}

/// Whether a file can be made or overwritten in place.
fn can_be_written(path: &Path) -> bool {
    match path.metadata() {
        Ok(found) => found.is_file() && access(path, Access::WRITE_OK).is_ok(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A link to nowhere is made whole by writing through it.
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            path.symlink_metadata().is_err()
                && access(directory.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK).is_ok()
        }
        Err(_) => false,
    }
}

/// Names the reason of a refusal that came too late for one.
pub(super) fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Call(bypass) => bypass.reason.name(),
        Refusal::Ours(name, _) => name,
    }
}

/// Whether gcc's driver calls its own files so: `cc`, six letters or digits, `.s`, in a temporary directory.
fn is_temporary(name: &[u8]) -> bool {
    let named = ["TMPDIR", "TMP", "TEMP"].into_iter().filter_map(std::env::var_os);
    let mut directories = named.chain(["/tmp", "/var/tmp", "/usr/tmp"].map(OsString::from));
    directories.any(|directory| {
        let directory = directory.as_bytes();
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        let rest = name.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/cc"));
        let middle = rest.and_then(|rest| rest.strip_suffix(b".s"));
        middle.is_some_and(|middle| middle.len() == 6 && middle.iter().all(u8::is_ascii_alphanumeric))
    })
}

/// Returns what follows the last slash of a name.
fn last_part(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}

/// Whether a line directive, `#line N "FILE"` or `# N "FILE"`, can be in a file: such a mark, its digraph or trigraph, with nothing before it in
/// its line but blanks, or the end of a comment.
fn names_another_file(content: &[u8]) -> bool {
    let content = &*without_splices(content);
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let blank = |byte: &u8| matches!(*byte, b' ' | b'\t' | 0x0B | 0x0C | b'\r' | 0);
    let directive = |at: usize, length: usize| {
        let before = content[..at].iter().rev().find(|byte| !blank(byte));
        let rest = &content[at + length..];
        let rest = &rest[rest.iter().take_while(|byte| blank(byte)).count()..];
        // Behind a comment, or a line that is continued, anything may stand.
        let obscure = rest.starts_with(b"/*") || rest.starts_with(b"??/");
        matches!(before, None | Some(b'\n' | b'/'))
            && (obscure || rest.starts_with(b"line") || rest.first().is_some_and(u8::is_ascii_digit))
    };
    let found = |mark: &[u8]| find_iter(content, mark).any(|at| directive(at, mark.len()));
    memchr::memchr_iter(b'#', content).any(|at| directive(at, 1)) || found(b"%:") || found(b"??=")
        // A line that a trigraph continues.
        || find(content, b"??/\n").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_directive_is_seen_however_it_is_written_and_other_marks_are_none() {
        for line in [
            "#line 3 \"a\"",
            "# 3 \"a\"",
            "  #  line 3",
            "/* x */ # 3 \"a\"",
            "%: 3 \"a\"",
            "??=line 3",
            "#\\\nline 3",
            "#/**/line 3",
            "#\u{b}line 3",
        ] {
            assert!(names_another_file(format!("int x;\n{line}\n").as_bytes()), "{line}");
            assert!(names_another_file(line.as_bytes()), "{line}");
        }
        for line in
            ["// see tables.html#65", "#include <a>", "#define S(x) #x", "a #3", "#pragma once", "%d#1"]
        {
            assert!(!names_another_file(format!("int x;\n{line}\n").as_bytes()), "{line}");
        }
    }
}
