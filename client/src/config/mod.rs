//! Configuration: `dccache.toml` in the user's directory, overridden by `DCCACHE_*` variables.
//!
//! Names are ccache's wherever the meaning is ccache's. Parsing gives a [`Config`] whose values are in range, or the one
//! [`ConfigError`] that says where and what. Commands of ours print it and end; a compile runs untouched and counts it.

mod error;
mod keys;
mod raw;
mod size;

pub use error::ConfigError;
pub use keys::{KEYS, Key};
pub use size::parse_size;

use crate::agent::policy::Policy;
use crate::home::Home;
use dccache_protocol::ids::Namespace;
use raw::RawConfig;
use std::ffi::OsString;
use std::path::PathBuf;

/// Name of the file in the user's directory.
pub const FILE_NAME: &str = "dccache.toml";

/// Largest file that is read, in bytes; a configuration has some dozen short lines.
const FILE_MAX: u64 = 256 << 10;

/// Largest local store where nothing else is said, in bytes: 5 GiB, as ccache.
pub const DEFAULT_MAX_SIZE: u64 = 5 << 30;

/// Idle time after which the agent ends where nothing else is said, in seconds: longer than the pauses between two builds of a person
/// at work.
pub const AGENT_IDLE_S: u64 = 600;

/// How a toolchain is told from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompilerCheck {
    /// By the content of all its files.
    Content,
    /// By size and modification time of the driver.
    Mtime,
    /// Not at all: the user promises that it never changes.
    None,
    /// By this text.
    Text(String),
}

/// What the user may declare to be irrelevant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sloppiness {
    /// `__DATE__`, `__TIME__` and `__TIMESTAMP__` may be stale.
    pub time_macros: bool,
    /// Messages may come in another language.
    pub locale: bool,
}

/// Whether compiles speak to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentUse {
    /// Where this machine is in a cluster; the agent is started on demand.
    Auto,
    /// Never: local store only.
    Never,
}

/// A configuration whose values are in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Runs every compiler untouched.
    pub disable: bool,
    /// Uses what is in the store and changes nothing.
    pub read_only: bool,
    /// Compiles in any case and replaces what is stored.
    pub recache: bool,
    /// Keeps statistics.
    pub stats: bool,
    /// Bound of the local store in bytes; 0 for none.
    pub max_size: u64,
    /// Root of compiles below this directory; `None` means that a version-control directory marks it.
    pub base_dir: Option<PathBuf>,
    /// Namespace of the project.
    pub namespace: Namespace,
    /// Files whose content enters every key, in order.
    pub extra_files_to_hash: Vec<PathBuf>,
    /// How a toolchain is told from another.
    pub compiler_check: CompilerCheck,
    /// What is irrelevant.
    pub sloppiness: Sloppiness,
    /// Search path for compilers in place of `PATH`.
    pub path: Option<OsString>,
    /// Whether compiles speak to the agent.
    pub agent: AgentUse,
    /// Idle time after which the agent ends, in seconds, 1 to 86,400.
    pub agent_idle_s: u64,
    /// Whose entries are accepted from the ring.
    pub trust_accept: Policy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disable: false,
            read_only: false,
            recache: false,
            stats: true,
            max_size: DEFAULT_MAX_SIZE,
            base_dir: None,
            namespace: Namespace::default(),
            extra_files_to_hash: Vec::new(),
            compiler_check: CompilerCheck::Content,
            sloppiness: Sloppiness::default(),
            path: None,
            agent: AgentUse::Auto,
            agent_idle_s: AGENT_IDLE_S,
            trust_accept: Policy::default(),
        }
    }
}

impl Config {
    /// Reads file and variables.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub fn load(home: &Home, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(raw) = RawConfig::read(home)? {
            raw.apply(&mut config)?;
        }
        for key in &KEYS {
            if let Some(value) = variable(key.variable) {
                let value =
                    value.to_str().ok_or_else(|| ConfigError::variable(key, "text that is not UTF-8"))?;
                (key.set)(&mut config, value).map_err(|()| ConfigError::variable(key, value))?;
            }
        }
        Ok(config)
    }
}

/// Writes `key = value` into the user's file, keeping every other line as it is.
///
/// # Errors
/// An unknown key, a value that is not allowed, a file that is not understood or cannot be written.
pub fn set(home: &Home, name: &str, value: &str) -> Result<(), ConfigError> {
    let key = Key::find(name).ok_or_else(|| ConfigError::unknown(name))?;
    (key.set)(&mut Config::default(), value).map_err(|()| ConfigError::argument(key, value))?;
    RawConfig::write(home, key, value)
}

#[cfg(test)]
mod tests;
