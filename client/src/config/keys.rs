//! All keys of the configuration, as data. `docs/configuration.md` is their prose; a test compares both.

use super::values::{
    FORMATS, SWITCH, TYPES, absolute, absolute_list, compiler_check, debug, joined, name_in, octal, one_of,
    show_compiler_check, shown, switch, words,
};
use super::{AgentUse, Config, DebugFiles, DependUse, Sloppiness, Verify, parse_size, sloppiness, verify};
use std::path::{Component, Path, PathBuf};

/// Whether a project's own file may set a key.
///
/// It may say what the project could also do in its makefiles: separate more, cache less. It runs no program, writes no file, moves no
/// bound of the user's, makes no key say less than it does, and does not choose whom to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InProject {
    /// It may not.
    Never,
    /// It may.
    Harmless,
    /// It may name files below itself.
    OwnFiles,
    /// It may say this, and not take back what its user said.
    Only(&'static str),
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Name in the file and for `dccache config`.
    pub name: &'static str,
    /// Variable that overrides it.
    pub variable: &'static str,
    /// What values are allowed, in words.
    pub allowed: &'static str,
    /// What stands between the items of a list; `None` for what is none.
    pub(super) separator: Option<char>,
    /// Whether a project may set it.
    pub(super) project: InProject,
    /// Sets it from text.
    pub(super) set: fn(&mut Config, &str) -> Result<(), ()>,
    /// Shows it as text that [`Key::set`] takes.
    pub show: fn(&Config) -> String,
}

impl Key {
    /// Finds a key by its name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Sets it from text, whoever says it.
    ///
    /// # Errors
    /// The text is not allowed.
    pub(crate) fn put(&self, config: &mut Config, text: &str) -> Result<(), ()> {
        (self.set)(config, text)
    }

    /// Returns what a value of a project's file in `directory` means; `None` where it may not say that.
    pub(super) fn in_project(&self, directory: &Path, text: &str) -> Option<String> {
        match self.project {
            InProject::Never => None,
            InProject::Harmless => Some(text.to_owned()),
            InProject::Only(allowed) => (text == allowed).then(|| text.to_owned()),
            InProject::OwnFiles => {
                let own = |path: &str| {
                    let path = Path::new(path);
                    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
                    inside.then(|| directory.join(path).into_os_string().into_string().ok())?
                };
                let paths = text.split(':').filter(|path| !path.is_empty()).map(own);
                paths.collect::<Option<Vec<_>>>().map(|paths| paths.join(":"))
            }
        }
    }
}

/// A key that is true or false.
macro_rules! switch {
    ($name:literal, $variable:literal, $field:ident, $project:ident) => {
        Key {
            name: $name,
            variable: $variable,
            allowed: SWITCH,
            separator: None,
            project: InProject::$project,
            set: |config, text| switch(&mut config.$field, text),
            show: |config| config.$field.to_string(),
        }
    };
}

/// A list of words between spaces.
macro_rules! words {
    ($name:literal, $variable:literal, $field:ident, $allowed:expr) => {
        Key {
            name: $name,
            variable: $variable,
            allowed: $allowed,
            separator: Some(' '),
            project: InProject::Never,
            set: |config, text| {
                config.$field = words(text);
                Ok(())
            },
            show: |config| config.$field.join(" "),
        }
    };
}

/// One absolute path.
macro_rules! path {
    ($name:literal, $variable:literal, $field:ident, $allowed:expr) => {
        Key {
            name: $name,
            variable: $variable,
            allowed: $allowed,
            separator: None,
            project: InProject::Never,
            set: |config, text| {
                config.$field = absolute(text)?;
                Ok(())
            },
            show: |config| shown(config.$field.as_ref()),
        }
    };
}

const COMMAND: &str = "a command with its arguments separated by spaces, or nothing";

/// All keys in ascending order of name.
pub static KEYS: [Key; 37] = [
    Key {
        name: "agent",
        variable: "DCCACHE_AGENT",
        allowed: "auto or never",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.agent = match text {
                "auto" => AgentUse::Auto,
                "never" => AgentUse::Never,
                _ => return Err(()),
            };
            Ok(())
        },
        show: |config| if config.agent == AgentUse::Auto { "auto".into() } else { "never".into() },
    },
    Key {
        name: "agent_idle",
        variable: "DCCACHE_AGENT_IDLE",
        allowed: "seconds, 1 to 86400",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
            config.agent_idle_s = seconds.ok_or(())?;
            Ok(())
        },
        show: |config| config.agent_idle_s.to_string(),
    },
    Key {
        name: "base_dir",
        variable: "DCCACHE_BASE_DIR",
        allowed: "absolute paths separated by colons, or nothing",
        separator: Some(':'),
        project: InProject::Never,
        set: |config, text| {
            config.base_dir = absolute_list(text)?;
            Ok(())
        },
        show: |config| joined(&config.base_dir),
    },
    Key {
        name: "compiler",
        variable: "DCCACHE_COMPILER",
        allowed: "a compiler's name or path, or nothing",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.compiler = Some(text.to_owned()).filter(|text| !text.is_empty());
            Ok(())
        },
        show: |config| config.compiler.clone().unwrap_or_default(),
    },
    Key {
        name: "compiler_check",
        variable: "DCCACHE_COMPILER_CHECK",
        allowed: "content, mtime, none, string:TEXT, or commands separated by semicolons",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.compiler_check = compiler_check(text)?;
            Ok(())
        },
        show: |config| show_compiler_check(&config.compiler_check),
    },
    Key {
        name: "compiler_type",
        variable: "DCCACHE_COMPILER_TYPE",
        allowed: "auto, gcc, clang or other",
        separator: None,
        project: InProject::Never,
        set: |config, text| one_of(&TYPES, text, &mut config.compiler_type),
        show: |config| name_in(&TYPES, config.compiler_type),
    },
    Key {
        name: "debug",
        variable: "DCCACHE_DEBUG",
        allowed: SWITCH,
        separator: None,
        project: InProject::Never,
        set: |config, text| debug(&mut config.debug, text),
        show: |config| (config.debug != DebugFiles::Off).to_string(),
    },
    Key {
        name: "depend_mode",
        variable: "DCCACHE_DEPEND_MODE",
        allowed: "auto, true or false",
        separator: None,
        project: InProject::Harmless,
        set: |config, text| {
            let mut always = false;
            config.depend_mode = match text {
                "auto" => DependUse::Auto,
                _ => {
                    switch(&mut always, text)?;
                    if always { DependUse::Always } else { DependUse::Never }
                }
            };
            Ok(())
        },
        show: |config| match config.depend_mode {
            DependUse::Auto => "auto".into(),
            DependUse::Always => "true".into(),
            DependUse::Never => "false".into(),
        },
    },
    switch!("direct_mode", "DCCACHE_DIRECT_MODE", direct_mode, Harmless),
    switch!("disable", "DCCACHE_DISABLE", disable, Harmless),
    Key {
        name: "extra_files_to_hash",
        variable: "DCCACHE_EXTRA_FILES_TO_HASH",
        allowed: "paths separated by colons",
        separator: Some(':'),
        project: InProject::OwnFiles,
        set: |config, text| {
            let paths = text.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
            config.extra_files_to_hash = paths.collect();
            Ok(())
        },
        show: |config| joined(&config.extra_files_to_hash),
    },
    switch!("file_clone", "DCCACHE_FILE_CLONE", file_clone, Never),
    switch!("hard_link", "DCCACHE_HARD_LINK", hard_link, Never),
    switch!("hash_dir", "DCCACHE_HASH_DIR", hash_dir, Never),
    words!(
        "ignore_options",
        "DCCACHE_IGNORE_OPTIONS",
        ignore_options,
        "options separated by spaces, * at the end for any rest"
    ),
    switch!("keep_comments_cpp", "DCCACHE_KEEP_COMMENTS_CPP", keep_comments_cpp, Harmless),
    path!("log_file", "DCCACHE_LOG_FILE", log_file, "an absolute path, or nothing"),
    Key {
        name: "max_files",
        variable: "DCCACHE_MAX_FILES",
        allowed: "a number; 0 for no bound",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.max_files = text.parse().map_err(|_| ())?;
            Ok(())
        },
        show: |config| config.max_files.to_string(),
    },
    Key {
        name: "max_size",
        variable: "DCCACHE_MAX_SIZE",
        allowed: "a number with k, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers of 1024) or nothing (GiB); 0 for no bound",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.max_size = parse_size(text).ok_or(())?;
            Ok(())
        },
        show: |config| super::size::show_size(config.max_size),
    },
    Key {
        name: "namespace",
        variable: "DCCACHE_NAMESPACE",
        allowed: "1 to 64 of A-Z a-z 0-9 . _ -",
        separator: None,
        project: InProject::Harmless,
        set: |config, text| {
            config.namespace.0 = text.parse().map_err(|_| ())?;
            Ok(())
        },
        show: |config| config.namespace.0.to_string(),
    },
    Key {
        name: "path",
        variable: "DCCACHE_PATH",
        allowed: "directories separated by colons, or nothing",
        separator: Some(':'),
        project: InProject::Never,
        set: |config, text| {
            config.path = (!text.is_empty()).then(|| text.into());
            Ok(())
        },
        show: |config| config.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
    },
    switch!("portable_paths", "DCCACHE_PORTABLE_PATHS", portable_paths, Harmless),
    words!("prefix_command", "DCCACHE_PREFIX_COMMAND", prefix_command, COMMAND),
    words!("prefix_command_cpp", "DCCACHE_PREFIX_COMMAND_CPP", prefix_command_cpp, COMMAND),
    switch!("read_only", "DCCACHE_READ_ONLY", read_only, Harmless),
    switch!("read_only_direct", "DCCACHE_READ_ONLY_DIRECT", read_only_direct, Harmless),
    switch!("recache", "DCCACHE_RECACHE", recache, Harmless),
    Key {
        name: "remote_budget",
        variable: "DCCACHE_REMOTE_BUDGET",
        allowed: "auto, or milliseconds, 1 to 30000",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.remote_budget_ms = match text {
                "auto" => None,
                _ => Some(text.parse().ok().filter(|ms| (1..=30_000).contains(ms)).ok_or(())?),
            };
            Ok(())
        },
        show: |config| config.remote_budget_ms.map_or_else(|| "auto".into(), |ms| ms.to_string()),
    },
    switch!("remote_only", "DCCACHE_REMOTE_ONLY", remote_only, Never),
    switch!("reshare", "DCCACHE_RESHARE", reshare, Never),
    Key {
        name: "response_file_format",
        variable: "DCCACHE_RESPONSE_FILE_FORMAT",
        allowed: "auto, posix or windows",
        separator: None,
        project: InProject::Never,
        set: |config, text| one_of(&FORMATS, text, &mut config.response_file_format),
        show: |config| name_in(&FORMATS, config.response_file_format),
    },
    Key {
        name: "sloppiness",
        variable: "DCCACHE_SLOPPINESS",
        allowed: sloppiness::ALLOWED,
        separator: Some(','),
        project: InProject::Never,
        set: |config, text| {
            config.sloppiness = Sloppiness::parse(text).ok_or(())?;
            Ok(())
        },
        show: |config| config.sloppiness.show(),
    },
    switch!("stats", "DCCACHE_STATS", stats, Never),
    path!("temporary_dir", "DCCACHE_TEMPORARY_DIR", temporary_dir, "an absolute path, or nothing"),
    Key {
        name: "trust_accept",
        variable: "DCCACHE_TRUST_ACCEPT",
        allowed: crate::agent::policy::ALLOWED,
        separator: Some(','),
        project: InProject::Never,
        set: |config, text| {
            config.trust_accept = text.parse().map_err(|_| ())?;
            Ok(())
        },
        show: |config| config.trust_accept.to_string(),
    },
    Key {
        name: "umask",
        variable: "DCCACHE_UMASK",
        allowed: "up to three octal digits, or nothing",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.umask = octal(text)?;
            Ok(())
        },
        show: |config| config.umask.map(|mask| format!("{mask:03o}")).unwrap_or_default(),
    },
    Key {
        name: "verify",
        variable: "DCCACHE_VERIFY",
        allowed: verify::ALLOWED,
        separator: None,
        project: InProject::Only("always"),
        set: |config, text| {
            config.verify = Verify::parse(text).ok_or(())?;
            Ok(())
        },
        show: |config| config.verify.show(),
    },
];
