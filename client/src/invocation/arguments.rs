//! One entry an option: how it is spelled, how it takes its value, what it does to a cached compile.

use super::reason::{Bypass, Reason};
use super::table::TABLE;
use super::{ColorRequest, CompilerKind, FileKind, Files, IncludeKind, SideFile, Stage};
use crate::depfile::DependMode;

/// What an option makes show in the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// Debug information: positions, source paths, working directory.
    DebugInfo,
    /// Debug information with the macros of the command line.
    MacroDebugInfo,
    /// Positions and source paths in checks.
    Sanitizer,
    /// Paths inside streams of intermediate code, the name of the output included.
    Lto,
    /// Counters and where their data goes: source paths, working directory, name of the output.
    Coverage,
    /// The working directory and source paths, in coverage notes and nowhere else.
    Notes,
    /// Debug information, and the name of the output with it.
    OutputInDebugInfo,
    /// Name of the output, source paths or the working directory.
    Output,
    /// Replaces prefixes of names wherever they are written.
    PrefixMap,
    /// Source paths or the working directory, otherwise.
    Path,
}

/// What an option says about the dependency file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependOption {
    /// `-MD` or `-MMD`.
    Mode(DependMode),
    /// `-Wp,-MD,FILE` or `-Wp,-MMD,FILE`: file included.
    PassedOn(DependMode),
    /// `-MP`.
    Phony,
    /// `-MF FILE`.
    File,
    /// `-MT TARGET`, as it is.
    Target,
    /// `-MQ TARGET`, quoted for make.
    QuotedTarget,
}

/// What an option does to a compile that may be served from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The source: no option at all.
    Input,
    /// Stops after compiling or assembling.
    Stage(Stage),
    /// Preprocesses only.
    Preprocess,
    /// Writes dependencies instead of compiling.
    DependOnly,
    /// Names the output.
    Output,
    /// Selects the language of what follows.
    Language,
    /// Shapes the dependency file; in the key as a mode, generated anew on a hit.
    Depend(DependOption),
    /// In the key; shows no path, changes or may change code.
    CodeGeneration,
    /// In the key; says how the sources are written, where names and directives in them are the bytes of ASCII.
    CharacterSet,
    /// In the key; changes messages only.
    DiagnosticsOnly,
    /// As [`Class::DiagnosticsOnly`], and by what the tokens say: neither blanks nor comments nor columns decide it.
    TokenWarning,
    /// In the key; chooses colours.
    Color(ColorRequest),
    /// In the key; acts at link time only.
    LinkerOnly,
    /// In the key; chooses programs and directories of the toolchain.
    Toolchain,
    /// In the key; what is shown binds the result to root and working directory.
    Leaks(Leak),
    /// In the key with the content of the file that its value names; binds as [`Leak::Path`] does.
    ReadsFile,
    /// As [`Class::ReadsFile`]; the file is a precompiled header.
    TakesPrecompiled,
    /// Acts through the preprocessed text: a macro, or how the preprocessor works.
    Macro,
    /// Acts through the preprocessed text: an include directory.
    IncludeDirectory(IncludeKind),
    /// Acts through the preprocessed text: a file that is read before the source.
    ForcedInclude,
    /// In the key; one more file is written and restored.
    Writes(SideFile),
    /// In the key with the content of its value, a plugin, where the user vouches for plugins; left alone otherwise.
    Plugin,
    /// In the key with the content of a file that it names: an argument for a plugin.
    PluginArgument,
    /// Options for the assembler behind `-Wa,`, each judged by a list of its own.
    Assembler,
    /// In the key with the content of the profile that it leads to.
    ProfileUse,
    /// Writes one more file, which is not restored: a bypass.
    WritesFile,
    /// Leaves the call alone.
    Bypass(Reason),
}

/// The option is on its own.
pub(super) const ALONE: u8 = 1;
/// The value follows in the same argument; for spellings that end in `=` or `,` that is the only form.
pub(super) const JOINED: u8 = 2;
/// The value is the next argument.
pub(super) const SEPARATE: u8 = 4;

/// Compilers that know an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Both.
    Both,
    /// GCC only.
    Gcc,
    /// Clang only.
    Clang,
}

impl Known {
    /// Whether `kind` is among them.
    pub(super) const fn to(self, kind: CompilerKind) -> bool {
        match self {
            Self::Both => true,
            Self::Gcc => !kind.is_clang(),
            Self::Clang => kind.is_clang(),
        }
    }
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// As it is typed, with its dashes.
    pub(super) spelling: &'static str,
    /// How it takes a value: [`ALONE`], [`JOINED`], [`SEPARATE`].
    pub(super) forms: u8,
    /// What it does.
    pub(super) class: Class,
    /// Who knows it.
    pub(super) known: Known,
}

/// How an argument enters a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// In every key.
    Always,
    /// Acts through the preprocessed text; in a preprocessed key only where that text does not show everything.
    Text,
}

/// One argument that can enter a key; a separate value is an argument of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArgument {
    /// As spelled.
    pub bytes: Vec<u8>,
    /// Where in `bytes` a path begins that is the option's value; `None` when the value is no path.
    pub path_at: Option<usize>,
    /// When it enters.
    pub role: KeyRole,
}

/// One argument with its separate value, understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument<'a> {
    /// One or two words as typed; four where an option and its value each follow `-Xclang`.
    pub(super) words: &'a [Vec<u8>],
    /// The value; the whole word for an input and for an option without a value.
    pub(super) value: &'a [u8],
    /// What it does.
    pub(super) class: Class,
}

impl Argument<'_> {
    /// Refuses `-Wp,-DA,-MD,F` and the like: only macros may follow a macro.
    pub(super) fn check_passed_on_macros(&self) -> Result<(), Bypass> {
        let word = self.words[0].as_slice();
        let macros = |part: &[u8]| part.starts_with(b"-D") || part.starts_with(b"-U");
        match word.strip_prefix(b"-Wp,") {
            Some(rest) if !rest.split(|&byte| byte == b',').all(macros) => {
                Err(Bypass::new(Reason::UnsupportedCompilerOption, word))
            }
            _ => Ok(()),
        }
    }

    /// Returns its words as they can enter a key.
    pub(super) fn key(&self, role: KeyRole) -> impl Iterator<Item = KeyArgument> + '_ {
        let path = matches!(
            self.class,
            Class::IncludeDirectory(_)
                | Class::ForcedInclude
                | Class::ReadsFile
                | Class::TakesPrecompiled
                | Class::Toolchain
                | Class::Plugin
        );
        let last = self.words.len() - 1;
        self.words.iter().enumerate().map(move |(index, word)| {
            let path_at = (path && index == last).then(|| word.len() - self.value.len());
            KeyArgument { bytes: word.clone(), path_at, role }
        })
    }
}

/// Understands expanded arguments, the driver left out.
pub(super) fn scan<'a>(argv: &'a [Vec<u8>], kind: CompilerKind, files: &dyn Files) -> Vec<Argument<'a>> {
    let mut found = Vec::with_capacity(argv.len());
    let mut at = 0;
    while let Some(word) = argv.get(at) {
        let argument = one(argv, at, word, kind, files);
        at += argument.words.len();
        found.push(argument);
    }
    found
}

fn one<'a>(
    argv: &'a [Vec<u8>],
    at: usize,
    word: &'a [u8],
    kind: CompilerKind,
    files: &dyn Files,
) -> Argument<'a> {
    let single = |class, value| Argument { words: &argv[at..=at], value, class };
    if word.first() != Some(&b'-') {
        return single(Class::Input, word);
    }
    match lookup(word, kind) {
        Some((entry, Found::Alone)) => single(entry.class, word),
        Some((entry, Found::Joined)) => single(entry.class, &word[entry.spelling.len()..]),
        Some((entry, Found::Separate)) => match argv.get(at + 1) {
            Some(value) if entry.spelling == "-Xclang" => passed_to_clang(argv, at, value, entry.class),
            Some(value) => Argument { words: &argv[at..at + 2], value, class: entry.class },
            None => single(Class::Bypass(Reason::BadCompilerArguments), word),
        },
        None => single(unlisted(word, files), word),
    }
}

/// Understands an option of clang's compiler proper behind `-Xclang`, its value behind another one; all but a few are left alone.
fn passed_to_clang<'a>(argv: &'a [Vec<u8>], at: usize, option: &'a [u8], otherwise: Class) -> Argument<'a> {
    let alone = |class| Argument { words: &argv[at..at + 2], value: option, class };
    let class = match option {
        b"-fno-pch-timestamp" => return alone(Class::CodeGeneration),
        b"-include-pch" => Class::TakesPrecompiled,
        b"-include" => Class::ForcedInclude,
        b"-load" => Class::Plugin,
        b"-add-plugin" => Class::PluginArgument,
        _ if option.starts_with(b"-plugin-arg-") => Class::PluginArgument,
        _ => return alone(otherwise),
    };
    match argv.get(at + 2..at + 4) {
        Some([pass, value]) if pass == b"-Xclang" => Argument { words: &argv[at..at + 4], value, class },
        _ => alone(otherwise),
    }
}

/// How an argument matched an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Whole word, no value.
    Alone,
    /// Value in the word.
    Joined,
    /// Value in the next word.
    Separate,
}

/// Finds the entry of an argument: the whole word first, then the longest spelling that it begins with.
pub(super) fn lookup(word: &[u8], kind: CompilerKind) -> Option<(&'static Entry, Found)> {
    let mut longest: Option<&'static Entry> = None;
    for entry in TABLE {
        let spelling = entry.spelling.as_bytes();
        // All begin with a dash; the second byte rules most entries out.
        if spelling.get(1) != word.get(1) || !word.starts_with(spelling) || !entry.known.to(kind) {
            continue;
        }
        if spelling.len() == word.len() && entry.forms & (ALONE | SEPARATE) != 0 {
            let found = if entry.forms & ALONE != 0 { Found::Alone } else { Found::Separate };
            return Some((entry, found));
        }
        if entry.forms & JOINED != 0 && longest.is_none_or(|other| other.spelling.len() < spelling.len()) {
            longest = Some(entry);
        }
    }
    longest.map(|entry| (entry, Found::Joined))
}

/// Judges an option that has no entry: hashed when its family names no files, left alone otherwise.
fn unlisted(word: &[u8], files: &dyn Files) -> Class {
    if word.starts_with(b"-W") {
        return Class::DiagnosticsOnly;
    }
    if !(word.starts_with(b"-f") || word.starts_with(b"-m")) || word.len() == 2 {
        return Class::Bypass(Reason::UnsupportedCompilerOption);
    }
    let value = word.iter().position(|&byte| byte == b'=').map(|equals| &word[equals + 1..]);
    let names_file = value.is_some_and(|value| {
        value.contains(&b'/') || (!value.is_empty() && files.kind(value) != FileKind::Absent)
    });
    if names_file { Class::Bypass(Reason::UnsupportedCompilerOption) } else { Class::CodeGeneration }
}
