//! Configuration: `dccache.toml` of system, user and project, overridden by `DCCACHE_*` variables and by `KEY=VALUE` words.
//!
//! Names are ccache's wherever the meaning is ccache's. Parsing gives a [`Config`] whose values are in range, or the one
//! [`ConfigError`] that says where and what. Commands of ours print it and end; a compile runs untouched and counts it.

mod error;
mod keys;
mod layers;
mod raw;
mod size;
mod sloppiness;
mod values;

pub use error::ConfigError;
pub use keys::{KEYS, Key};
pub use layers::{Loaded, Origin, Sources, is_setting};
pub use size::parse_size;
pub use sloppiness::Sloppiness;

use crate::agent::policy::Policy;
use crate::home::Home;
use dccache_protocol::ids::Namespace;
use raw::RawConfig;
use std::ffi::OsString;
use std::path::PathBuf;

/// Name of the file in the user's directory and in the root of a project.
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
    /// As `read_only`, and looks only by the direct key.
    pub read_only_direct: bool,
    /// Compiles in any case and replaces what is stored.
    pub recache: bool,
    /// Looks first by what earlier compiles of the same command read, before anything is preprocessed.
    pub direct_mode: bool,
    /// Keeps statistics.
    pub stats: bool,
    /// Bound of the local store in bytes; 0 for none.
    pub max_size: u64,
    /// Roots of compiles below these directories; elsewhere a version-control directory marks the root.
    pub base_dir: Vec<PathBuf>,
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
    /// Longest time in ms for which a compile waits for a look-up on the ring, 1 to 30,000; `None` follows from what the compile takes.
    pub remote_budget_ms: Option<u32>,
    /// Whose entries are accepted from the ring.
    pub trust_accept: Policy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disable: false,
            read_only: false,
            read_only_direct: false,
            recache: false,
            direct_mode: true,
            stats: true,
            max_size: DEFAULT_MAX_SIZE,
            base_dir: Vec::new(),
            namespace: Namespace::default(),
            extra_files_to_hash: Vec::new(),
            compiler_check: CompilerCheck::Content,
            sloppiness: Sloppiness::default(),
            path: None,
            agent: AgentUse::Auto,
            agent_idle_s: AGENT_IDLE_S,
            remote_budget_ms: None,
            trust_accept: Policy::default(),
        }
    }
}

impl Config {
    /// Reads what holds outside of any project: files of system and user, and variables.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub fn load(home: &Home, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let sources = Sources { home, directory: None, variable: &variable, words: &[] };
        Ok(sources.load()?.config)
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
