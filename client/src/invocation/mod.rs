//! From an argument vector to what a compile reads, writes and depends on, or to the reason for leaving it alone.
//!
//! ```text
//! argv -> response files expanded -> arguments (one option table) -> Draft -> Invocation | Bypass(reason, cause)
//! ```
//!
//! Decisions are made from data: [`table`] holds one entry an option. An option that is neither there nor in a
//! whitelisted class is a bypass. The compile itself always runs the original arguments.
//!
//! Invariant: what is returned as a compile writes nothing but the outputs that it lists, and reads nothing but what its
//! preprocessed text names, its toolchain and its option files.

mod arguments;
mod assembler;
mod charset;
mod configured;
mod depend;
mod draft;
mod environment;
mod files;
mod include;
mod language;
mod layout;
mod outputs;
mod plugins;
mod preprocess;
mod profile;
mod reason;
mod response;
mod side;
mod table;

#[cfg(test)]
mod document;
#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod walk;

pub use arguments::{Class, KeyArgument, KeyRole};
pub use configured::Configured;
pub(crate) use environment::value;
pub use environment::{INCLUDE_VARIABLES, KeyEnvironment};
pub use files::{Disk, FileKind, Files};
pub use include::{IncludeDirectory, IncludeKind};
pub use language::Language;
pub use layout::Shows;
pub use outputs::{PlannedOutput, Stage, main_output};
pub use plugins::Plugins;
pub use reason::{Bypass, Reason};
pub use response::Quoting;
pub use side::SideFile;

use crate::depfile::DependRequest;

/// Which driver is called, as the toolchain record found out; the name on the command line proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompilerKind {
    /// `gcc`.
    Gcc,
    /// `g++`: takes C for C++.
    Gxx,
    /// `clang`.
    Clang,
    /// `clang++`: takes C for C++.
    Clangxx,
}

impl CompilerKind {
    /// Whether the driver takes C for C++.
    pub const fn is_cxx(self) -> bool {
        matches!(self, Self::Gxx | Self::Clangxx)
    }

    /// Whether the driver is LLVM's.
    pub const fn is_clang(self) -> bool {
        matches!(self, Self::Clang | Self::Clangxx)
    }
}

/// A call as it came.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Which driver it calls.
    pub kind: CompilerKind,
    /// All arguments; the first is the driver as spelled.
    pub argv: &'a [Vec<u8>],
    /// All environment variables, `(name, value)`.
    pub environment: &'a [(Vec<u8>, Vec<u8>)],
    /// Physical working directory, absolute.
    pub working_directory: &'a [u8],
    /// What the user says about plugins.
    pub plugins: Plugins,
}

/// What to do with a call.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Look it up, and compile on a miss.
    Compile(Box<Invocation>),
    /// Run the compiler untouched.
    Bypass(Bypass),
}

/// Which colours the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRequest {
    /// Says nothing, or `auto`: colours when stderr is a terminal.
    #[default]
    Auto,
    /// Colours in any case.
    Always,
    /// No colours in any case.
    Never,
}

/// What the options say about where paths, positions and randomness show in the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Debug information is written: positions and the working directory show.
    pub debug_info: bool,
    /// Debug information holds macros, so that macro arguments of the command line show.
    pub macro_debug_info: bool,
    /// A sanitizer embeds positions and source paths.
    pub sanitizer: bool,
    /// Link-time optimisation: the compiler does not give the same bytes again.
    pub lto: bool,
    /// Counters for coverage or profiles are put in: source paths show, and gcc does not give the same bytes again.
    pub coverage: bool,
    /// An option names a precompiled header to take.
    pub takes_precompiled: bool,
    /// A plugin is loaded.
    pub plugin: bool,
    /// The name of the output shows in an output.
    pub leaks_output: bool,
    /// Root or working directory may show in an output; set with every fact above except `leaks_output`.
    pub leaks_directory: bool,
    /// They may show elsewhere than in debug information.
    pub beyond_debug_info: bool,
    /// They, or the name of the output, may show elsewhere than in coverage notes.
    pub beyond_notes: bool,
}

/// A file whose content an option takes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionFile {
    /// Index into [`Invocation::arguments`] of the argument that names it.
    pub argument: usize,
    /// The file, absolute or relative to the working directory.
    pub path: Vec<u8>,
}

/// A compile that can be cached.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Which driver is called.
    pub kind: CompilerKind,
    /// Basename under which the driver is called.
    pub driver: Vec<u8>,
    /// Language of the source.
    pub language: Language,
    /// What is made.
    pub stage: Stage,
    /// The source as spelled.
    pub source: Vec<u8>,
    /// Working directory as the compiler spells it: `$PWD` where that names ".", the physical one otherwise.
    pub working_directory: Vec<u8>,
    /// Files that this call writes, the dependency file included, in ascending order of role.
    pub outputs: Vec<PlannedOutput>,
    /// The main output as this call spells or derives it, where an option makes that name show in an output; else `None`.
    pub shown_output: Option<Vec<u8>>,
    /// Dependency file asked for; its path is also in `outputs`.
    pub depend: Option<DependRequest>,
    /// What shows in the outputs.
    pub facts: Facts,
    /// Why blanks and comments may show in outputs or messages, as far as the command decides it; `None` where nothing of it says so.
    pub layout: Option<Shows>,
    /// Colours asked for.
    pub color: ColorRequest,
    /// Arguments that can enter a key, in order; [`crate::keying`] chooses.
    pub arguments: Vec<KeyArgument>,
    /// Files named by options.
    pub option_files: Vec<OptionFile>,
    /// Arguments such as `-march=native` that stand for something else on each machine.
    pub native: Vec<Vec<u8>>,
    /// Arguments that choose the toolchain's programs and directories (`-B`, `--sysroot`, `-m32`, `--target`, `-nostdinc`,
    /// `-stdlib=`), in order.
    pub toolchain_arguments: Vec<Vec<u8>>,
    /// Plugins as named: paths, or with gcc names in its own directory of them.
    pub plugins: Vec<Vec<u8>>,
    /// Files of `-include` and `-imacros`, as spelled, in order as typed.
    pub forced_includes: Vec<Vec<u8>>,
    /// Include directories of the command line in order as typed.
    pub include_directories: Vec<IncludeDirectory>,
    /// Environment variables that can enter a key.
    pub environment: KeyEnvironment,
    /// Arguments, without the driver, that write the preprocessed text to stdout and [`Invocation::listing`] to stdin; `None` when
    /// the source is that text already.
    pub preprocessor: Option<Vec<Vec<u8>>>,
}

impl Invocation {
    /// Returns the dependency list that [`Invocation::preprocessor`] writes to its standard input; `None` where it writes none.
    pub fn listing(&self) -> Option<DependRequest> {
        self.preprocessor.as_ref()?;
        self.depend.as_ref()?.of_preprocessor()
    }
}

impl Plan {
    /// Decides what a call is. Reads response files and the first bytes of the source, and nothing that is not a regular file.
    pub fn of(command: &Command<'_>, files: &dyn Files) -> Self {
        Self::configured(command, &Configured::default(), files)
    }

    /// As [`Plan::of`], where the driver adds words from files of its own.
    pub fn configured(command: &Command<'_>, configured: &Configured, files: &dyn Files) -> Self {
        match draft::plan(command, configured, files) {
            Ok(invocation) => Self::Compile(Box::new(invocation)),
            Err(bypass) => Self::Bypass(bypass),
        }
    }
}
