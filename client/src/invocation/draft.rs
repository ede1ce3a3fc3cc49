//! Puts an invocation together: what the call is for, its one source, its outputs, and every other argument by class.

use super::arguments::{self, Argument, Class, DependOption, KeyArgument, KeyRole, Leak};
use super::environment::{self, KeyEnvironment};
use super::outputs::{basename, with_extension};
use super::reason::{Bypass, Reason};
use super::{
    ColorRequest, Command, Facts, FileKind, Files, IncludeDirectory, Invocation, Language, OptionFile,
    PlannedOutput, Stage,
};
use super::{depend, response};
use crate::depfile::DependRequest;
use dccache_protocol::entry::OutputRole;

/// Where `dccache:disable` is looked for: the first bytes of the source, as ccache does.
const DISABLE_WINDOW: usize = 4096;

/// Decides what a call is.
pub(super) fn plan(command: &Command<'_>, files: &dyn Files) -> Result<Invocation, Bypass> {
    let environment = KeyEnvironment::of(command.environment)?;
    let (driver, rest) =
        command.argv.split_first().ok_or_else(|| Bypass::new(Reason::BadCompilerArguments, Vec::new()))?;
    let argv = response::expand(rest, command.kind, files)?;
    let arguments = arguments::scan(&argv, command.kind, files);
    let stage = stage(&arguments, command)?;
    let mut draft = Draft::default();
    for argument in &arguments {
        draft.take(argument)?;
    }
    let (source, language) = draft.source(&arguments, command, files)?;
    let outputs = draft.outputs(&source, stage, command, files)?;
    check_option_files(&draft, files)?;
    check_forced_includes(&draft, files)?;
    check_disabled(&source, files)?;
    let listing = outputs.depend.as_ref().and_then(DependRequest::of_preprocessor);
    let preprocessor =
        (!language.is_preprocessed()).then(|| preprocessor(&arguments, command, listing.as_ref()));
    Ok(Invocation {
        kind: command.kind,
        driver: basename(driver).to_vec(),
        language,
        stage,
        working_directory: apparent_directory(command, files),
        shown_output: draft.facts.leaks_output.then_some(outputs.main),
        outputs: outputs.files,
        depend: outputs.depend,
        preprocessor,
        source,
        facts: draft.facts,
        color: draft.color,
        arguments: draft.arguments,
        option_files: draft.option_files,
        native: draft.native,
        toolchain_arguments: draft.toolchain,
        forced_includes: draft.forced_includes,
        include_directories: draft.include_directories,
        environment,
    })
}

/// Finds out what the call makes, before any single option is judged: an odd option of a link is still a link.
fn stage(arguments: &[Argument<'_>], command: &Command<'_>) -> Result<Stage, Bypass> {
    let first = |wanted: fn(&Class) -> bool| arguments.iter().find(|argument| wanted(&argument.class));
    if let Some(found) = first(|class| *class == Class::Preprocess) {
        return Err(Bypass::new(Reason::CalledForPreprocessing, found.value));
    }
    if let Some(found) = first(|class| *class == Class::DependOnly) {
        return Err(Bypass::new(Reason::UnsupportedCompilerOption, found.value));
    }
    let assembly = first(|class| *class == Class::Stage(Stage::Assembly));
    if assembly.is_some() {
        return Ok(Stage::Assembly);
    }
    if first(|class| *class == Class::Stage(Stage::Object)).is_some() {
        return Ok(Stage::Object);
    }
    let inputs = || arguments.iter().filter(|argument| argument.class == Class::Input);
    let Some(input) = inputs().next() else {
        let cause = command.argv.get(1).cloned().unwrap_or_default();
        return Err(Bypass::new(Reason::NoInputFile, cause));
    };
    let conftest = |argument: &&Argument<'_>| memchr::memmem::find(argument.value, b"conftest.").is_some();
    if let Some(found) = arguments.iter().find(conftest) {
        return Err(Bypass::new(Reason::AutoconfTest, found.value));
    }
    let header =
        inputs().all(|input| Language::from_path(input.value, command.kind) == Some(Language::Header));
    let reason = if header { Reason::CouldNotUsePrecompiledHeader } else { Reason::CalledForLink };
    Err(Bypass::new(reason, input.value))
}

/// What the arguments add up to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sources: Vec<Vec<u8>>,
    output: Option<Vec<u8>>,
    pub(super) depend: Vec<(DependOption, Vec<u8>)>,
    facts: Facts,
    color: ColorRequest,
    arguments: Vec<KeyArgument>,
    option_files: Vec<OptionFile>,
    native: Vec<Vec<u8>>,
    toolchain: Vec<Vec<u8>>,
    forced_includes: Vec<Vec<u8>>,
    include_directories: Vec<IncludeDirectory>,
}

/// Outputs and the dependency file among them.
struct Outputs {
    main: Vec<u8>,
    files: Vec<PlannedOutput>,
    depend: Option<DependRequest>,
}

impl Draft {
    fn take(&mut self, argument: &Argument<'_>) -> Result<(), Bypass> {
        let value = argument.value.to_vec();
        match argument.class {
            Class::Input => self.sources.push(value),
            Class::Stage(_) => self.key(argument, KeyRole::Always),
            Class::Output if self.output.is_some() => {
                return Err(Bypass::new(Reason::BadCompilerArguments, argument.words.concat()));
            }
            Class::Output => self.output = Some(value),
            Class::Language => {}
            Class::Depend(option) => self.depend.push((option, value)),
            Class::CodeGeneration | Class::DiagnosticsOnly | Class::LinkerOnly => {
                if matches!(argument.value, b"-march=native" | b"-mtune=native" | b"-mcpu=native") {
                    self.native.push(value);
                }
                self.key(argument, KeyRole::Always);
            }
            Class::Color(color) => {
                self.color = color;
                self.key(argument, KeyRole::Always);
            }
            Class::Toolchain => {
                self.toolchain.extend_from_slice(argument.words);
                self.key(argument, KeyRole::Always);
            }
            Class::Leaks(leak) => {
                self.leak(leak);
                self.key(argument, KeyRole::Always);
            }
            Class::ReadsFile => {
                self.leak(Leak::Path);
                self.key(argument, KeyRole::Always);
                self.option_files.push(OptionFile { argument: self.arguments.len() - 1, path: value });
            }
            Class::Macro => {
                check_passed_on_macros(argument)?;
                self.key(argument, KeyRole::Text);
            }
            Class::IncludeDirectory(kind) => {
                self.include_directories.push(IncludeDirectory { kind, path: value });
                self.key(argument, KeyRole::Text);
            }
            Class::ForcedInclude => {
                self.forced_includes.push(value);
                self.key(argument, KeyRole::Text);
            }
            Class::Preprocess | Class::DependOnly | Class::WritesFile => {
                return Err(Bypass::new(Reason::UnsupportedCompilerOption, argument.words[0].as_slice()));
            }
            Class::Bypass(reason) => return Err(Bypass::new(reason, argument.words[0].as_slice())),
        }
        Ok(())
    }

    fn key(&mut self, argument: &Argument<'_>, role: KeyRole) {
        self.arguments.extend(argument.key(role));
    }

    fn leak(&mut self, leak: Leak) {
        self.facts.leaks_directory = true;
        match leak {
            Leak::DebugInfo => self.facts.debug_info = true,
            Leak::MacroDebugInfo => {
                self.facts.debug_info = true;
                self.facts.macro_debug_info = true;
            }
            Leak::Sanitizer => self.facts.sanitizer = true,
            Leak::Lto => {
                self.facts.lto = true;
                self.facts.leaks_output = true;
            }
            Leak::Path => {}
        }
    }

    /// Returns the one source and its language.
    fn source(
        &self,
        arguments: &[Argument<'_>],
        command: &Command<'_>,
        files: &dyn Files,
    ) -> Result<(Vec<u8>, Language), Bypass> {
        let source = match self.sources.as_slice() {
            [] => return Err(Bypass::new(Reason::NoInputFile, Vec::new())),
            [source] => source,
            [_, second, ..] => return Err(Bypass::new(Reason::MultipleSourceFiles, second.as_slice())),
        };
        let unsupported = || Bypass::new(Reason::UnsupportedSourceLanguage, source.as_slice());
        let before = arguments.iter().take_while(|argument| argument.class != Class::Input);
        let selected = before.filter(|argument| argument.class == Class::Language).last();
        let language = match selected.map(|argument| argument.value) {
            None | Some(b"none") => Language::from_path(source, command.kind).ok_or_else(unsupported)?,
            Some(name) => Language::from_name(name)
                .ok_or_else(|| Bypass::new(Reason::UnsupportedSourceLanguage, name))?,
        };
        match language {
            Language::Assembly => return Err(unsupported()),
            Language::Header => {
                return Err(Bypass::new(Reason::CouldNotUsePrecompiledHeader, source.as_slice()));
            }
            _ => {}
        }
        if files.kind(source) != FileKind::Regular {
            return Err(Bypass::new(Reason::BadInputFile, source.as_slice()));
        }
        Ok((source.clone(), language))
    }

    /// Names every file that the call writes.
    fn outputs(
        &self,
        source: &[u8],
        stage: Stage,
        command: &Command<'_>,
        files: &dyn Files,
    ) -> Result<Outputs, Bypass> {
        let main = match &self.output {
            Some(path) if path == b"-" => return Err(Bypass::new(Reason::OutputToStdout, "-")),
            Some(path) => path.clone(),
            None => with_extension(basename(source), stage.extension()),
        };
        let null = files.kind_of_name(&main) == FileKind::Null;
        if !null {
            check_output(&main, files)?;
        }
        let depend = depend::request(&self.depend, self.output.as_deref(), source, command.kind)?;
        let path = (!null).then(|| main.clone());
        let mut outputs = vec![PlannedOutput { role: stage.role(), path }];
        if let Some(request) = &depend {
            check_output(&request.path, files)?;
            // What is derived from /dev/null lies in /dev.
            let derived = null && request.path == with_extension(&main, b"d");
            if derived || [&main, source].contains(&request.path.as_slice()) {
                return Err(Bypass::new(Reason::BadOutputFile, request.path.as_slice()));
            }
            outputs.push(PlannedOutput { role: OutputRole::Depend, path: Some(request.path.clone()) });
        }
        if main == source {
            return Err(Bypass::new(Reason::BadOutputFile, main));
        }
        outputs.sort_by_key(|output| output.role);
        Ok(Outputs { main, files: outputs, depend })
    }
}

/// Refuses `-Wp,-DA,-MD,F` and the like: only macros may follow a macro.
fn check_passed_on_macros(argument: &Argument<'_>) -> Result<(), Bypass> {
    let word = argument.words[0].as_slice();
    let macros = |part: &[u8]| part.starts_with(b"-D") || part.starts_with(b"-U");
    match word.strip_prefix(b"-Wp,") {
        Some(rest) if !rest.split(|&byte| byte == b',').all(macros) => {
            Err(Bypass::new(Reason::UnsupportedCompilerOption, word))
        }
        _ => Ok(()),
    }
}

/// Checks that an output is absent or a regular file, in a directory that exists.
fn check_output(path: &[u8], files: &dyn Files) -> Result<(), Bypass> {
    let directory = match path.len() - basename(path).len() {
        0 => b".".as_slice(),
        end => &path[..end],
    };
    let writable = matches!(files.kind_of_name(path), FileKind::Regular | FileKind::Absent);
    if writable && !basename(path).is_empty() && files.kind(directory) == FileKind::Directory {
        return Ok(());
    }
    Err(Bypass::new(Reason::BadOutputFile, path))
}

fn check_option_files(draft: &Draft, files: &dyn Files) -> Result<(), Bypass> {
    let bad = draft.option_files.iter().find(|file| files.kind(&file.path) != FileKind::Regular);
    bad.map_or(Ok(()), |file| Err(Bypass::new(Reason::BadCompilerArguments, file.path.as_slice())))
}

/// Refuses pipes, as in `-include <(program)`: the preprocessor would take the bytes away from the compiler.
fn check_forced_includes(draft: &Draft, files: &dyn Files) -> Result<(), Bypass> {
    let bad = draft.forced_includes.iter().find(|name| files.kind(name) == FileKind::Special);
    bad.map_or(Ok(()), |name| Err(Bypass::new(Reason::BadInputFile, name.as_slice())))
}

fn check_disabled(source: &[u8], files: &dyn Files) -> Result<(), Bypass> {
    let head = files.read(source, DISABLE_WINDOW).ok_or_else(|| Bypass::new(Reason::BadInputFile, source))?;
    let words: [&[u8]; 2] = [b"dccache:disable", b"ccache:disable"];
    match words.into_iter().find(|word| memchr::memmem::find(&head, word).is_some()) {
        Some(word) => Err(Bypass::new(Reason::Disabled, word)),
        None => Ok(()),
    }
}

/// Returns the working directory as the compilers spell it.
fn apparent_directory(command: &Command<'_>, files: &dyn Files) -> Vec<u8> {
    match environment::value(command.environment, "PWD") {
        Some(pwd) if pwd.first() == Some(&b'/') && files.same_directory(pwd, b".") => pwd.to_vec(),
        _ => command.working_directory.to_vec(),
    }
}

/// Turns the call into one that writes the preprocessed text to stdout, and the files that it names where `listing` says.
fn preprocessor(
    arguments: &[Argument<'_>],
    command: &Command<'_>,
    listing: Option<&DependRequest>,
) -> Vec<Vec<u8>> {
    let mut argv = vec![b"-E".to_vec()];
    argv.extend(listing.into_iter().flat_map(DependRequest::arguments));
    if command.kind.is_clang() {
        // Options of later stages would be warned about here, and with -Werror refused.
        argv.push(b"-Qunused-arguments".to_vec());
    }
    let kept = |argument: &&Argument<'_>| {
        !matches!(argument.class, Class::Stage(_) | Class::Output | Class::Depend(_))
    };
    argv.extend(arguments.iter().filter(kept).flat_map(|argument| argument.words.iter().cloned()));
    argv
}
