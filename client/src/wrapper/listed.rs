//! Compiles that are not preprocessed first: compiler and assembler themselves list what they read.
//!
//! Invariant: what is read here afterwards is what was compiled, since every file's stamp is older than the start of the compile.

use super::direct::Direct;
use super::inputs::{Inputs, Look};
use super::lookup::Known;
use super::refusal::Refusal;
use super::setting::Setting;
use crate::config::DependUse;
use crate::cpp::FileFacts;
use crate::depfile::{self, DependMode, DependRequest, Dialect, Phony};
use crate::invocation::{KeyRole, Stage};
use crate::keying::{Takes, obstacle, plain};
use crate::toolchain::Stamp;
use dccache_protocol::depend::Depend;
use memchr::memmem::find;
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Most bytes of the assembler's list that are read: some names a file.
const ASSEMBLER_LIST_MAX: u64 = 1 << 20;

/// The lists that a compile is asked for: files in memory, which no full disk spoils and nobody has to remove.
#[derive(Debug)]
pub(super) struct Lists {
    /// Our own dependency file, where the call asks for none.
    own: Option<(File, DependRequest)>,
    assembler: File,
    /// The source as it was before.
    source: Option<Stamp>,
}

impl Lists {
    /// Returns what is added to the command.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let own = self.own.iter().flat_map(|(_, request)| request.arguments()).map(OsString::from_vec);
        own.chain([OsString::from_vec([b"-Wa,--MD,".to_vec(), name_of(&self.assembler)].concat())]).collect()
    }
}

/// Makes a file in memory.
fn in_memory() -> Option<File> {
    let file = File::from(memfd_create("dccache-list", MemfdFlags::CLOEXEC).ok()?);
    // Where /proc is another one's or none, nobody can open it.
    Path::new(OsStr::from_bytes(&name_of(&file))).exists().then_some(file)
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
        let wanted = match self.config.depend_mode {
            DependUse::Always => true,
            DependUse::Never => false,
            // Where others can be served by what is stored, the text is what proves it.
            DependUse::Auto => direct.keys.free.is_none() && !self.preprocessing_pays(),
        };
        if !wanted || self.config.read_only || self.config.recache || self.config.remote_only {
            return None;
        }
        let invocation = &self.invocation;
        let short = |request: &DependRequest| request.mode == DependMode::User;
        let fit = !invocation.kind.is_clang()
            && invocation.preprocessor.is_some()
            && !invocation.language.is_assembly()
            && invocation.stage == Stage::Object
            && !invocation.facts.lto
            && self.toolchain.gnu_assembler
            && self.config.prefix_command.is_empty()
            && !invocation.depend.as_ref().is_some_and(short);
        if !fit {
            return None;
        }
        let own = match invocation.depend {
            Some(_) => None,
            None => {
                let file = in_memory()?;
                let path = name_of(&file);
                let (mode, phony, dialect) = (DependMode::All, Phony::Omitted, Dialect::Gcc);
                Some((file, DependRequest { mode, phony, dialect, path, targets: vec![b"x".to_vec()] }))
            }
        };
        let source = Stamp::of(&self.path(&invocation.source));
        Some(Lists { own, assembler: in_memory()?, source })
    }

    /// Finds out from the lists of a compile what a preprocessor run would have told before it. The name is why it is not stored.
    pub(super) fn know_from(
        &self,
        lists: &Lists,
        direct: &Direct,
        mut inputs: Inputs,
    ) -> Result<Known, &'static str> {
        let depend = self.compiler_list(lists).ok_or("unsupported_dependency_file")?;
        let names = depend.paths.iter().map(|path| depfile::spelled(path, &self.root));
        let mut seen = HashSet::new();
        let names: Vec<Vec<u8>> = names.filter(|name| seen.insert(plain(name).to_vec())).collect();
        for name in &names {
            inputs.read(name, self.path(name), Look::Source).map_err(reason)?;
        }
        let source = inputs.files.iter().find(|input| plain(&input.name) == plain(&self.invocation.source));
        if source.map(|source| source.stamp) != lists.source || self.is_moving(direct, &names, inputs.start())
        {
            return Err("modified_input_file");
        }
        self.check_assembler_list(lists)?;
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
            inputs,
            color: self.color(),
            listed: None,
            takes: Takes::Headers,
            named,
            provable: true,
            transitions: None,
            shows_nowhere,
        })
    }

    /// Reads the list of the compiler: our own, or the one that the call asks for.
    fn compiler_list(&self, lists: &Lists) -> Option<Depend> {
        let (path, request) = match (&lists.own, &self.invocation.depend) {
            (Some((_, own)), _) => (PathBuf::from(OsStr::from_bytes(&own.path)), own),
            (None, Some(asked)) => (self.path(&asked.path), asked),
            (None, None) => return None,
        };
        depfile::capture(&std::fs::read(path).ok()?, request, &self.root)
    }

    /// Requires that the assembler read nothing but what the compiler wrote. The source is in its list, too, since the compiler names it.
    fn check_assembler_list(&self, lists: &Lists) -> Result<(), &'static str> {
        let mut text = Vec::new();
        let file = File::open(OsStr::from_bytes(&name_of(&lists.assembler)));
        let read = file.and_then(|file| file.take(ASSEMBLER_LIST_MAX).read_to_end(&mut text));
        let names =
            read.ok().and_then(|_| depfile::prerequisites(&text)).ok_or("unsupported_assembler_list")?;
        let piped = self.arguments.iter().any(|argument| argument == "-pipe");
        let (last, others) = names.split_last().ok_or("unsupported_assembler_list")?;
        let is_source = |name: &[u8]| plain(name) == plain(&self.invocation.source);
        let temporary = !piped && is_temporary(last);
        match others.iter().all(|name| is_source(name)) && (temporary || is_source(last)) {
            true => Ok(()),
            false => Err("unsupported_code_directive"),
        }
    }

    /// Whether a directory on the way to a file could have become another one since the start. The directories of the search, the source's and
    /// the working directory are the same ones as before; links are not followed up.
    fn is_moving(&self, direct: &Direct, names: &[Vec<u8>], start: i64) -> bool {
        let here = Stamp::of(Path::new(".")).map(|found| (found.device, found.inode));
        if here != Stamp::of(&self.directory).map(|found| (found.device, found.inode)) {
            return true;
        }
        let mut bases: Vec<&[u8]> =
            direct.chain.directories().map(|name| name.strip_suffix(b"/").unwrap_or(name)).collect();
        bases.extend(
            self.invocation
                .source
                .iter()
                .rposition(|&byte| byte == b'/')
                .map(|at| &self.invocation.source[..at]),
        );
        let mut settled: HashSet<&[u8]> = HashSet::new();
        names.iter().any(|name| {
            let below =
                |base: &&&[u8]| name.strip_prefix(**base).is_some_and(|rest| rest.first() == Some(&b'/'));
            let base = bases.iter().filter(below).map(|base| base.len() + 1).max().unwrap_or(0);
            let ends = memchr::memchr_iter(b'/', &name[base..]).map(|at| base + at).chain([name.len()]);
            let mut parts = ends.map(|end| &name[..end]).filter(|part| !part.is_empty());
            parts.any(|part| settled.insert(part) && !self.is_settled(part, part.len() == name.len(), start))
        })
    }

    /// Whether a file is no link, and a directory no link either and older than the start.
    fn is_settled(&self, part: &[u8], is_file: bool, start: i64) -> bool {
        let Ok(found) = std::fs::symlink_metadata(self.path(part)) else { return false };
        !found.is_symlink() && (is_file || Stamp::from(&found).newest() < start)
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

/// Names the reason of a refusal that came too late for one.
fn reason(refusal: Refusal) -> &'static str {
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

/// Whether a line directive, `#line N "FILE"` or `# N "FILE"`, can be in a file.
fn names_another_file(content: &[u8]) -> bool {
    memchr::memchr_iter(b'#', content).any(|at| {
        let rest = content[at + 1..].trim_ascii_start();
        rest.starts_with(b"line") || rest.first().is_some_and(u8::is_ascii_digit)
    })
}
