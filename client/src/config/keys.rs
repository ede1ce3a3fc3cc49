//! All keys of the configuration, as data. `docs/configuration.md` is their prose; a test compares both.

use super::values::{SWITCH, absolute_list, joined, switch};
use super::{AgentUse, CompilerCheck, Config, Sloppiness, parse_size, sloppiness};
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

    /// Returns what a value of a project's file in `directory` means; `None` where it may not say that.
    pub(super) fn in_project(&self, directory: &Path, text: &str) -> Option<String> {
        match self.project {
            InProject::Never => None,
            InProject::Harmless => Some(text.to_owned()),
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

/// All keys in ascending order of name.
pub static KEYS: [Key; 17] = [
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
        name: "compiler_check",
        variable: "DCCACHE_COMPILER_CHECK",
        allowed: "content, mtime, none, or string:TEXT",
        separator: None,
        project: InProject::Never,
        set: |config, text| {
            config.compiler_check = match text {
                "content" => CompilerCheck::Content,
                "mtime" => CompilerCheck::Mtime,
                "none" => CompilerCheck::None,
                _ => CompilerCheck::Text(text.strip_prefix("string:").ok_or(())?.to_owned()),
            };
            Ok(())
        },
        show: |config| match &config.compiler_check {
            CompilerCheck::Content => "content".into(),
            CompilerCheck::Mtime => "mtime".into(),
            CompilerCheck::None => "none".into(),
            CompilerCheck::Text(text) => format!("string:{text}"),
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
];
