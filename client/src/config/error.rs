//! What is wrong with a configuration, where, and what is allowed.

use super::Key;
use std::path::PathBuf;

/// The first thing that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML.
    #[error("{}:{line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}unknown key {key:?}; `dccache config list` shows all{}", near(key))]
    Unknown {
        /// File and line, or nothing.
        place: String,
        /// The key.
        key: String,
    },
    /// A value that is not allowed.
    #[error("{place}{key}: {value:?} is not allowed; {allowed}")]
    Value {
        /// File and line, or the variable, or nothing.
        place: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A key that a project's file may not set.
    #[error("{place}{key}: not in a project's file; set it in your own, or by a variable")]
    NotInProject {
        /// File and line.
        place: String,
        /// The key.
        key: &'static str,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ConfigError {
    pub(super) fn variable(key: &Key, value: &str) -> Self {
        Self::value(format!("{}: ", key.variable), key, value)
    }

    pub(super) fn argument(key: &Key, value: &str) -> Self {
        Self::value(String::new(), key, value)
    }

    pub(super) fn value(place: String, key: &Key, value: &str) -> Self {
        Self::Value { place, key: key.name, value: value.to_owned(), allowed: key.allowed }
    }

    pub(super) fn unknown(key: &str) -> Self {
        Self::Unknown { place: String::new(), key: key.to_owned() }
    }
}

/// Names the key that the user may have meant: the one that is equal without case, `-` and `_`.
fn near(key: &str) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let meant = super::KEYS.iter().find(|known| plain(known.name) == plain(key));
    meant.map(|known| format!("; perhaps {}", known.name)).unwrap_or_default()
}
