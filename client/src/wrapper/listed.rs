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
use crate::keying::{Takes, obstacle};
use dccache_protocol::depend::Depend;
use memchr::memmem::find;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Most bytes of the assembler's list that are read: some names a file.
const ASSEMBLER_LIST_MAX: u64 = 1 << 20;

/// The lists that a compile is asked for.
#[derive(Debug)]
pub(super) struct Lists {
    /// Removed when this is dropped.
    directory: tempfile::TempDir,
    /// Our own dependency file, where the call asks for none.
    own: Option<DependRequest>,
}

impl Lists {
    /// Removes them, before this process ends without dropping anything.
    pub(super) fn remove(&self) {
        let _ = std::fs::remove_dir_all(self.directory.path());
    }

    /// Returns what is added to the command.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let own = self.own.iter().flat_map(DependRequest::arguments).map(OsString::from_vec);
        let mut assembler = OsString::from("-Wa,--MD,");
        assembler.push(self.directory.path().join("assembler"));
        own.chain([assembler]).collect()
    }
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
        let temporary = self.config.temporary_dir.clone().unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::Builder::new().prefix("dccache-").tempdir_in(temporary).ok()?;
        // Commas end a word behind -Wa, and gcc writes no other name in place of one with blanks.
        let name = directory.path().as_os_str().as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
        if !name.iter().all(plain) {
            return None;
        }
        let own = invocation.depend.is_none().then(|| DependRequest {
            mode: DependMode::All,
            phony: Phony::Omitted,
            dialect: Dialect::Gcc,
            path: [name, b"/compiler"].concat(),
            targets: vec![b"x".to_vec()],
        });
        Some(Lists { directory, own })
    }

    /// Finds out from the lists of a compile what a preprocessor run would have told before it. The name is why it is not stored.
    pub(super) fn know_from(&self, lists: &Lists, mut inputs: Inputs) -> Result<Known, &'static str> {
        let depend = self.compiler_list(lists).ok_or("unsupported_dependency_file")?;
        let names = depend.paths.iter().map(|path| depfile::spelled(path, &self.root));
        let mut seen = HashSet::new();
        let names: Vec<Vec<u8>> = names.filter(|name| seen.insert(plain(name).to_vec())).collect();
        for name in &names {
            inputs.read(name, self.path(name), Look::Source).map_err(reason)?;
        }
        self.check_assembler_list(lists, &seen)?;
        inputs.facts = inputs.facts.and(self.argument_facts());
        if self.config.sloppiness.time_macros {
            inputs.facts = FileFacts { date: false, time: false, timestamp: false, ..inputs.facts };
        }
        if let Some(bypass) = obstacle(&self.invocation, &inputs.facts) {
            return Err(bypass.reason.name());
        }
        self.named_files(&mut inputs).map_err(reason)?;
        let shows_nowhere = self.shows_nowhere(&inputs);
        Ok(Known {
            keys: None,
            inputs,
            color: self.color(),
            listed: None,
            takes: Takes::Headers,
            transitions: None,
            shows_nowhere,
        })
    }

    /// Reads the list of the compiler: our own, or the one that the call asks for.
    fn compiler_list(&self, lists: &Lists) -> Option<Depend> {
        let request = lists.own.as_ref().or(self.invocation.depend.as_ref())?;
        let text = std::fs::read(self.path(&request.path)).ok()?;
        depfile::capture(&text, request, &self.root)
    }

    /// Requires that the assembler read nothing but what the compiler wrote, or read itself.
    fn check_assembler_list(&self, lists: &Lists, known: &HashSet<Vec<u8>>) -> Result<(), &'static str> {
        use std::io::Read;
        let file = std::fs::File::open(lists.directory.path().join("assembler"));
        let mut text = Vec::new();
        let read = file.and_then(|file| file.take(ASSEMBLER_LIST_MAX).read_to_end(&mut text));
        let names =
            read.ok().and_then(|_| depfile::prerequisites(&text)).ok_or("unsupported_assembler_list")?;
        let piped = self.arguments.iter().any(|argument| argument == "-pipe");
        let (last, others) = names.split_last().ok_or("unsupported_assembler_list")?;
        let last = last.as_slice();
        let temporary = !piped && is_temporary(last);
        let is_known = |name: &[u8]| known.contains(plain(name));
        match others.iter().all(|name| is_known(name)) && (temporary || is_known(last)) {
            true => Ok(()),
            false => Err("unsupported_code_directive"),
        }
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

/// Drops `./` at the beginning.
fn plain(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name
}

/// Whether gcc's driver calls its own files so: `cc`, six letters or digits, `.s`, in the temporary directory.
fn is_temporary(name: &[u8]) -> bool {
    let directory = std::env::temp_dir();
    let rest = name.strip_prefix(directory.as_os_str().as_bytes()).map(|rest| rest.trim_ascii());
    let rest = rest.and_then(|rest| rest.strip_prefix(b"/cc")).and_then(|rest| rest.strip_suffix(b".s"));
    rest.is_some_and(|middle| middle.len() == 6 && middle.iter().all(u8::is_ascii_alphanumeric))
}
