//! Puts an invocation together: what the call is for, its one source, its outputs, and every other argument by class.

use super::arguments::{self, Argument, Class, DependOption, KeyArgument, KeyRole, Leak};
use super::environment::{self, KeyEnvironment};
use super::files::check_disabled;
use super::outputs::{Asked, basename};
use super::plugins::{self, Named};
use super::profile::ProfileCall;
use super::reason::{Bypass, Reason};
use super::side::{self, SideFile, Wanted};
use super::{
    ColorRequest, Command, CompilerKind, Configured, Facts, FileKind, Files, IncludeDirectory, Invocation,
    Language, OptionFile, Stage,
};
use super::{assembler, charset, layout, preprocess, response};

/// Keeps times of files out of clang's precompiled headers.
const TIMELESS: &[u8] = b"-fno-pch-timestamp";

/// Decides what a call is.
pub(super) fn plan(
    command: &Command<'_>,
    configured: &Configured,
    files: &dyn Files,
) -> Result<Invocation, Bypass> {
    let environment = KeyEnvironment::of(command.environment)?;
    let (driver, rest) =
        command.argv.split_first().ok_or_else(|| Bypass::new(Reason::BadCompilerArguments, Vec::new()))?;
    let argv = response::expand(rest, command.kind, files)?;
    let arguments = arguments::scan(&argv, command.kind, files);
    let stage = stage(&arguments, command)?;
    let added = configured.arguments(command.kind, files)?;
    let mut draft = Draft::default();
    added.iter().chain(&arguments).try_for_each(|argument| draft.take(argument))?;
    let (source, language) = draft.source(&arguments, command, files)?;
    draft.check_assembly(&source, language, stage)?;
    let stage = draft.header_stage(&source, language, stage, command.kind)?;
    let working_directory = apparent_directory(command, files);
    let asked = Asked {
        kind: command.kind,
        stage,
        facts: draft.facts,
        source: &source,
        output: draft.output.as_deref(),
        depend: &draft.depend,
        sides: &draft.sides,
    };
    let outputs = asked.plan(files)?;
    let profiles =
        ProfileCall { kind: command.kind, working_directory: &working_directory, main: &outputs.main };
    draft.take_files(&profiles, command, files)?;
    check_disabled(&source, files)?;
    let preprocessor = (!language.is_preprocessed())
        .then(|| preprocess::arguments(&arguments, command, language, outputs.depend.as_ref()));
    configured.check_conditions(&argv, preprocessor.as_deref())?;
    let invocation = Invocation {
        kind: command.kind,
        driver: basename(driver).to_vec(),
        language,
        stage,
        working_directory,
        shown_output: draft.facts.leaks_output.then_some(outputs.main),
        outputs: outputs.files,
        depend: outputs.depend,
        preprocessor,
        source,
        facts: draft.facts,
        layout: None,
        color: draft.color,
        arguments: draft.arguments,
        option_files: draft.option_files,
        native: draft.native,
        toolchain_arguments: draft.toolchain,
        plugins: plugins::loaded(draft.plugins),
        forced_includes: draft.forced_includes,
        include_directories: draft.include_directories,
        environment,
    };
    Ok(layout::judged(invocation, &added, &arguments))
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
    // The one that stops first counts.
    let made = |stage: &Stage| arguments.iter().any(|argument| argument.class == Class::Stage(*stage));
    if let Some(stage) = [Stage::SyntaxOnly, Stage::Assembly, Stage::Object].into_iter().find(made) {
        return Ok(stage);
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
    let header = |input: &Argument<'_>| {
        Language::from_path(input.value, command.kind).is_some_and(Language::is_header)
    };
    match inputs().all(header) {
        true => Ok(Stage::Object),
        false => Err(Bypass::new(Reason::CalledForLink, input.value)),
    }
}

/// What the arguments add up to.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sources: Vec<Vec<u8>>,
    output: Option<Vec<u8>>,
    depend: Vec<(DependOption, Vec<u8>)>,
    sides: Vec<Wanted>,
    /// Index into `arguments` and value of options that take in a profile.
    profiles: Vec<(usize, Vec<u8>)>,
    plugins: Vec<Named>,
    facts: Facts,
    color: ColorRequest,
    arguments: Vec<KeyArgument>,
    option_files: Vec<OptionFile>,
    native: Vec<Vec<u8>>,
    toolchain: Vec<Vec<u8>>,
    forced_includes: Vec<Vec<u8>>,
    include_directories: Vec<IncludeDirectory>,
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
            Class::CodeGeneration | Class::DiagnosticsOnly | Class::TokenWarning | Class::LinkerOnly => {
                if matches!(argument.value, b"-march=native" | b"-mtune=native" | b"-mcpu=native") {
                    self.native.push(value);
                }
                self.key(argument, KeyRole::Always);
            }
            Class::CharacterSet => self.character_set(argument)?,
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
            Class::ReadsFile | Class::TakesPrecompiled => {
                self.facts.takes_precompiled |= argument.class == Class::TakesPrecompiled;
                self.leak(Leak::Path);
                self.key(argument, KeyRole::Always);
                self.option_files.push(OptionFile { argument: self.arguments.len() - 1, path: value });
            }
            Class::Writes(side) => self.side(argument, side, value),
            Class::Plugin | Class::PluginArgument => self.plugin(argument, value),
            Class::Assembler => self.assembler(argument)?,
            Class::ProfileUse => self.profile(argument, value),
            Class::Macro => {
                argument.check_passed_on_macros()?;
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

    fn side(&mut self, argument: &Argument<'_>, side: SideFile, value: Vec<u8>) {
        if side == SideFile::SplitDwarf {
            // Another program takes it out of the object.
            self.toolchain.extend_from_slice(argument.words);
        }
        self.leak(match side {
            SideFile::CoverageNotes if argument.words[0] == b"-ftest-coverage" => Leak::Notes,
            SideFile::CoverageNotes => Leak::Coverage,
            _ => Leak::Output,
        });
        self.key(argument, KeyRole::Always);
        self.sides.push(Wanted { side, value, word: argument.words[0].clone() });
    }

    fn character_set(&mut self, argument: &Argument<'_>) -> Result<(), Bypass> {
        if !charset::holds_ascii(argument.value) {
            return Err(Bypass::new(Reason::UnsupportedCompilerOption, argument.words[0].as_slice()));
        }
        self.key(argument, KeyRole::Always);
        Ok(())
    }

    fn plugin(&mut self, argument: &Argument<'_>, value: Vec<u8>) {
        if argument.class == Class::Plugin {
            // Its file, and the libraries that it needs.
            self.toolchain.extend_from_slice(argument.words);
        }
        self.facts.plugin = true;
        self.leak(Leak::Output);
        self.key(argument, KeyRole::Always);
        self.plugins.push(Named { argument: self.arguments.len() - 1, class: argument.class, value });
    }

    fn profile(&mut self, argument: &Argument<'_>, value: Vec<u8>) {
        self.leak(Leak::Output);
        self.key(argument, KeyRole::Always);
        let value = if argument.words[0] == argument.value { Vec::new() } else { value };
        self.profiles.push((self.arguments.len() - 1, value));
    }

    fn assembler(&mut self, argument: &Argument<'_>) -> Result<(), Bypass> {
        let word = argument.words[0].as_slice();
        if let Some(file) = side::listing(word) {
            self.side(argument, SideFile::Listing, file.to_vec());
            return Ok(());
        }
        let leaks =
            assembler::options(word).ok_or_else(|| Bypass::new(Reason::UnsupportedCompilerOption, word))?;
        leaks.into_iter().for_each(|leak| self.leak(leak));
        self.key(argument, KeyRole::Always);
        Ok(())
    }

    /// Adds the profiles that options lead to.
    fn take_profiles(&mut self, call: &ProfileCall<'_>, files: &dyn Files) -> Result<(), Bypass> {
        for (argument, value) in std::mem::take(&mut self.profiles) {
            let word = self.arguments[argument].bytes.as_slice();
            let path = call
                .file(&value, files)
                .ok_or_else(|| Bypass::new(Reason::UnsupportedCompilerOption, word))?;
            self.option_files.push(OptionFile { argument, path });
        }
        Ok(())
    }

    /// Adds the files that options lead to, and refuses those that cannot be read.
    fn take_files(
        &mut self,
        profiles: &ProfileCall<'_>,
        command: &Command<'_>,
        files: &dyn Files,
    ) -> Result<(), Bypass> {
        self.take_profiles(profiles, files)?;
        let found = plugins::option_files(&self.plugins, command.plugins, command.kind, files)?;
        self.option_files.extend(found);
        self.option_files.sort_by_key(|file| file.argument);
        self.check_counters(command.kind)?;
        check_option_files(self, files)?;
        check_forced_includes(self, files)
    }

    /// Refuses options that make the compiler treat the data of earlier runs in a way that no hit does.
    fn check_counters(&self, kind: CompilerKind) -> Result<(), Bypass> {
        let starts =
            |start: &'static [u8]| self.arguments.iter().find(|argument| argument.bytes.starts_with(start));
        let notes = self.sides.iter().any(|wanted| wanted.side == SideFile::CoverageNotes);
        // GCC then removes the data of earlier runs.
        let removes = starts(b"-frandom-seed").filter(|_| notes && !kind.is_clang());
        // It moves the data that is read.
        let moves = starts(b"-fprofile-use").and_then(|_| starts(b"-fprofile-dir"));
        match removes.or(moves) {
            Some(word) => Err(Bypass::new(Reason::UnsupportedCompilerOption, word.bytes.as_slice())),
            None => Ok(()),
        }
    }

    fn key(&mut self, argument: &Argument<'_>, role: KeyRole) {
        self.arguments.extend(argument.key(role));
    }

    fn leak(&mut self, leak: Leak) {
        self.facts.leaks_directory = true;
        self.facts.beyond_debug_info |=
            !matches!(leak, Leak::DebugInfo | Leak::MacroDebugInfo | Leak::PrefixMap);
        self.facts.beyond_notes |= leak != Leak::Notes;
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
            Leak::Coverage | Leak::Notes => {
                self.facts.coverage = true;
                self.facts.leaks_output = true;
            }
            Leak::OutputInDebugInfo => {
                self.facts.debug_info = true;
                self.facts.leaks_output = true;
            }
            Leak::Output => self.facts.leaks_output = true,
            Leak::Path | Leak::PrefixMap => {}
        }
    }

    /// Refuses what makes no object of assembly, dependencies that nobody writes, and a listing that shows the sources that assembly names.
    fn check_assembly(&self, source: &[u8], language: Language, stage: Stage) -> Result<(), Bypass> {
        let plain = language == Language::Assembly && !self.depend.is_empty();
        if language.is_assembly() && (stage != Stage::Object || plain || !self.sides.is_empty()) {
            return Err(Bypass::new(Reason::UnsupportedSourceLanguage, source));
        }
        Ok(())
    }

    /// Says what becomes of a header.
    fn header_stage(
        &mut self,
        source: &[u8],
        language: Language,
        stage: Stage,
        kind: CompilerKind,
    ) -> Result<Stage, Bypass> {
        if !language.is_header() {
            return Ok(stage);
        }
        // Clang refuses one that is restored when it holds the times of its headers.
        let timeless = self.arguments.iter().any(|argument| argument.bytes == TIMELESS);
        if stage != Stage::Object || (kind.is_clang() && !timeless) {
            return Err(Bypass::new(Reason::CouldNotUsePrecompiledHeader, source));
        }
        self.leak(Leak::Output);
        Ok(Stage::Precompiled)
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
        if files.kind(source) != FileKind::Regular {
            return Err(Bypass::new(Reason::BadInputFile, source.as_slice()));
        }
        Ok((source.clone(), language))
    }
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

/// Returns the working directory as the compilers spell it.
fn apparent_directory(command: &Command<'_>, files: &dyn Files) -> Vec<u8> {
    match environment::value(command.environment, "PWD") {
        Some(pwd) if pwd.first() == Some(&b'/') && files.same_directory(pwd, b".") => pwd.to_vec(),
        _ => command.working_directory.to_vec(),
    }
}
