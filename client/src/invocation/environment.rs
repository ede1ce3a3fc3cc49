//! Environment variables: which enter a key, and which make the compiler do what no hit could repeat.

use super::reason::{Bypass, Reason};

/// Set in any way, these make the compiler write files or messages that are not outputs of ours.
const BYPASS: &[&str] = &[
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_HEADERS",
    "CC_PRINT_INTERNAL_STAT",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_PROC_STAT",
];

/// In every key.
const ALWAYS: &[&str] = &[
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_CONFIG_FILE_SYSTEM_DIR",
    "CLANG_CONFIG_FILE_USER_DIR",
    "GCC_COLORS",
    "GCC_COMPARE_DEBUG",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LOCPATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "NLSPATH",
    "OUTPUT_CHARSET",
    "SDKROOT",
];

/// In the key when an input contains a date or time macro.
const TIME: &[&str] = &["SOURCE_DATE_EPOCH", "TZ"];

/// In the key when the compiler writes to a terminal.
const TERMINAL: &[&str] = &["COLUMNS", "GCC_URLS", "TERM", "TERM_URLS"];

/// Directories in which headers are looked for. They act through the preprocessed text, and in dependency files where that text hides them.
pub const INCLUDE_VARIABLES: &[&str] =
    &["CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH"];

/// Variables of a call, by when they enter a key. All are `(name, value)` in ascending order of name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyEnvironment {
    /// Always.
    pub always: Vec<(Vec<u8>, Vec<u8>)>,
    /// When an input contains a date or time macro.
    pub time: Vec<(Vec<u8>, Vec<u8>)>,
    /// When the compiler writes to a terminal.
    pub terminal: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the preprocessed text does not show what they do.
    pub include: Vec<(Vec<u8>, Vec<u8>)>,
}

fn select(environment: &[(Vec<u8>, Vec<u8>)], names: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut chosen: Vec<_> = environment
        .iter()
        .filter(|(name, _)| names.iter().any(|wanted| wanted.as_bytes() == name.as_slice()))
        .cloned()
        .collect();
    chosen.sort_unstable();
    chosen
}

impl KeyEnvironment {
    /// Lists every variable that is looked at.
    #[cfg(test)]
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        [BYPASS, ALWAYS, TIME, TERMINAL, INCLUDE_VARIABLES].into_iter().flatten().copied()
    }

    /// Whether variables give clang arguments that nobody has looked at.
    pub fn adds_arguments(&self) -> bool {
        self.always.iter().any(|(name, value)| name.starts_with(b"CCC_") && !value.is_empty())
    }

    /// Whether gcc is made to compile once more, with debug information, and to compare.
    pub(super) fn compares_debug(&self) -> bool {
        self.always.iter().any(|(name, _)| name == b"GCC_COMPARE_DEBUG")
    }

    /// Chooses the variables that decide an output.
    ///
    /// # Errors
    /// A variable that makes the compiler write something more.
    pub fn of(environment: &[(Vec<u8>, Vec<u8>)]) -> Result<Self, Bypass> {
        if let Some((name, _)) = select(environment, BYPASS).into_iter().next() {
            return Err(Bypass::new(Reason::UnsupportedEnvironmentVariable, name));
        }
        Ok(Self {
            always: select(environment, ALWAYS),
            time: select(environment, TIME),
            terminal: select(environment, TERMINAL),
            include: select(environment, INCLUDE_VARIABLES),
        })
    }
}

/// Returns the value of a variable.
pub(crate) fn value<'a>(environment: &'a [(Vec<u8>, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    environment.iter().find(|(found, _)| found == name.as_bytes()).map(|(_, value)| value.as_slice())
}
