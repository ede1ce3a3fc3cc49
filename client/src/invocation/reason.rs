//! Why a call is not served from the cache: a closed list under ccache's statistics names wherever ccache has one.

/// Reason for running the compiler untouched, or for not storing what it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A link of autoconf's, recognised by `conftest.` in a name.
    AutoconfTest,
    /// Arguments that the compiler itself refuses, or an unreadable response file.
    BadCompilerArguments,
    /// The source is absent, a directory, or no regular file.
    BadInputFile,
    /// The output's directory is absent, or the output exists and is no regular file.
    BadOutputFile,
    /// The call links.
    CalledForLink,
    /// The call preprocesses only.
    CalledForPreprocessing,
    /// The call uses or makes modules.
    CouldNotUseModules,
    /// The call makes a precompiled header, or could take one silently.
    CouldNotUsePrecompiledHeader,
    /// The source carries `dccache:disable` or `ccache:disable`.
    Disabled,
    /// More than one source.
    MultipleSourceFiles,
    /// No source.
    NoInputFile,
    /// The output goes to stdout.
    OutputToStdout,
    /// The source reads files in a way that the preprocessed text does not show.
    UnsupportedCodeDirective,
    /// An option that is unknown, or known to do what a hit could not give.
    UnsupportedCompilerOption,
    /// An environment variable that makes the compiler write more files.
    UnsupportedEnvironmentVariable,
    /// A language that is not cached.
    UnsupportedSourceLanguage,
}

impl Reason {
    /// Lists all reasons in the order of their names.
    pub const ALL: [Self; 16] = [
        Self::AutoconfTest,
        Self::BadCompilerArguments,
        Self::BadInputFile,
        Self::BadOutputFile,
        Self::CalledForLink,
        Self::CalledForPreprocessing,
        Self::CouldNotUseModules,
        Self::CouldNotUsePrecompiledHeader,
        Self::Disabled,
        Self::MultipleSourceFiles,
        Self::NoInputFile,
        Self::OutputToStdout,
        Self::UnsupportedCodeDirective,
        Self::UnsupportedCompilerOption,
        Self::UnsupportedEnvironmentVariable,
        Self::UnsupportedSourceLanguage,
    ];

    /// Returns the name under which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AutoconfTest => "autoconf_test",
            Self::BadCompilerArguments => "bad_compiler_arguments",
            Self::BadInputFile => "bad_input_file",
            Self::BadOutputFile => "bad_output_file",
            Self::CalledForLink => "called_for_link",
            Self::CalledForPreprocessing => "called_for_preprocessing",
            Self::CouldNotUseModules => "could_not_use_modules",
            Self::CouldNotUsePrecompiledHeader => "could_not_use_precompiled_header",
            Self::Disabled => "disabled",
            Self::MultipleSourceFiles => "multiple_source_files",
            Self::NoInputFile => "no_input_file",
            Self::OutputToStdout => "output_to_stdout",
            Self::UnsupportedCodeDirective => "unsupported_code_directive",
            Self::UnsupportedCompilerOption => "unsupported_compiler_option",
            Self::UnsupportedEnvironmentVariable => "unsupported_environment_variable",
            Self::UnsupportedSourceLanguage => "unsupported_source_language",
        }
    }

    /// Returns the reason of that name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// A reason and what caused it, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// What is counted.
    pub reason: Reason,
    /// The argument, file or variable that caused it, as the user spelled it; empty when nothing in particular did.
    pub cause: Vec<u8>,
}

impl Bypass {
    /// Names a reason and its cause.
    pub fn new(reason: Reason, cause: impl Into<Vec<u8>>) -> Self {
        Self { reason, cause: cause.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_name_and_is_found_by_it() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
        assert!(Reason::ALL.is_sorted_by(|a, b| a.name() < b.name()));
        assert_eq!(Reason::from_name("unknown"), None);
    }
}
