//! All keys of the configuration, as data. `docs/configuration.md` is their prose; a test compares both.

use super::{AgentUse, CompilerCheck, Config, parse_size};
use std::path::PathBuf;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Name in the file and for `dccache config`.
    pub name: &'static str,
    /// Variable that overrides it.
    pub variable: &'static str,
    /// What values are allowed, in words.
    pub allowed: &'static str,
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
}

const SWITCH: &str = "true or false";

/// All keys in ascending order of name.
pub static KEYS: [Key; 14] = [
    Key {
        name: "agent",
        variable: "DCCACHE_AGENT",
        allowed: "auto or never",
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
        allowed: "an absolute path, or nothing",
        set: |config, text| {
            config.base_dir = absolute(text)?;
            Ok(())
        },
        show: |config| config.base_dir.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
    },
    Key {
        name: "compiler_check",
        variable: "DCCACHE_COMPILER_CHECK",
        allowed: "content, mtime, none, or string:TEXT",
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
    Key {
        name: "disable",
        variable: "DCCACHE_DISABLE",
        allowed: SWITCH,
        set: |config, text| switch(&mut config.disable, text),
        show: |config| config.disable.to_string(),
    },
    Key {
        name: "extra_files_to_hash",
        variable: "DCCACHE_EXTRA_FILES_TO_HASH",
        allowed: "paths separated by colons",
        set: |config, text| {
            let paths = text.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
            config.extra_files_to_hash = paths.collect();
            Ok(())
        },
        show: |config| {
            let paths = config.extra_files_to_hash.iter().map(|path| path.display().to_string());
            paths.collect::<Vec<_>>().join(":")
        },
    },
    Key {
        name: "max_size",
        variable: "DCCACHE_MAX_SIZE",
        allowed: "a number with k, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers of 1024) or nothing (GiB); 0 for no bound",
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
        set: |config, text| {
            config.path = (!text.is_empty()).then(|| text.into());
            Ok(())
        },
        show: |config| config.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
    },
    Key {
        name: "read_only",
        variable: "DCCACHE_READ_ONLY",
        allowed: SWITCH,
        set: |config, text| switch(&mut config.read_only, text),
        show: |config| config.read_only.to_string(),
    },
    Key {
        name: "recache",
        variable: "DCCACHE_RECACHE",
        allowed: SWITCH,
        set: |config, text| switch(&mut config.recache, text),
        show: |config| config.recache.to_string(),
    },
    Key {
        name: "sloppiness",
        variable: "DCCACHE_SLOPPINESS",
        allowed: "time_macros and locale, separated by commas, or nothing",
        set: |config, text| {
            config.sloppiness = super::Sloppiness::default();
            for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                match word {
                    "time_macros" => config.sloppiness.time_macros = true,
                    "locale" => config.sloppiness.locale = true,
                    _ => return Err(()),
                }
            }
            Ok(())
        },
        show: |config| {
            let words =
                [("time_macros", config.sloppiness.time_macros), ("locale", config.sloppiness.locale)];
            let chosen = words.iter().filter(|(_, chosen)| *chosen).map(|(word, _)| *word);
            chosen.collect::<Vec<_>>().join(",")
        },
    },
    Key {
        name: "stats",
        variable: "DCCACHE_STATS",
        allowed: SWITCH,
        set: |config, text| switch(&mut config.stats, text),
        show: |config| config.stats.to_string(),
    },
    Key {
        name: "trust_accept",
        variable: "DCCACHE_TRUST_ACCEPT",
        allowed: crate::agent::policy::ALLOWED,
        set: |config, text| {
            config.trust_accept = text.parse().map_err(|_| ())?;
            Ok(())
        },
        show: |config| config.trust_accept.to_string(),
    },
];

/// Values of variables are text, so numbers stand for the words as scripts write them.
fn switch(place: &mut bool, text: &str) -> Result<(), ()> {
    *place = match text {
        "true" | "1" | "yes" => true,
        "false" | "0" | "no" => false,
        _ => return Err(()),
    };
    Ok(())
}

fn absolute(text: &str) -> Result<Option<PathBuf>, ()> {
    match text {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(PathBuf::from(path))),
        _ => Err(()),
    }
}
