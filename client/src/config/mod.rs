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
mod verify;

pub use error::ConfigError;
pub use keys::{KEYS, Key};
pub use layers::{Loaded, Origin, Sources, is_setting};
pub use size::parse_size;
pub use sloppiness::Sloppiness;
pub use verify::Verify;

use crate::agent::policy::Policy;
use crate::home::Home;
use crate::store::{SharedDirectory, Transfer};
use dccache_protocol::bundle::Packing;
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
    /// By what these commands write; `%compiler%` in them is the compiler. They run for each compile.
    Commands(Vec<Vec<String>>),
}

/// How response files are quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFileFormat {
    /// As the compiler does by itself.
    Auto,
    /// As POSIX shells do, which is what the compilers do here.
    Posix,
    /// As on Windows.
    Windows,
}

/// Which family of compilers a driver belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompilerType {
    /// It is asked.
    Auto,
    /// GCC.
    Gcc,
    /// Clang.
    Clang,
    /// Neither: it runs untouched.
    Other,
}

/// Whether compiles are preprocessed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependUse {
    /// Where that pays in the project.
    Auto,
    /// Not where the compiler can list what it reads.
    Always,
    /// Always.
    Never,
}

/// Whether files that explain a compile are written beside its object, and under which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugFiles {
    /// None are.
    Off,
    /// `.dccache-log` and `.dccache-inputs`.
    Own,
    /// `.ccache-log` and `.ccache-input-text`.
    AsCcache,
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
    /// Whether what direct mode does not find is compiled without being preprocessed first.
    pub depend_mode: DependUse,
    /// Keeps statistics.
    pub stats: bool,
    /// Uses the cluster and keeps nothing in the local store.
    pub remote_only: bool,
    /// Pushes what this machine compiled once more when the local store serves it.
    pub reshare: bool,
    /// Bound of the local store in bytes; 0 for none.
    pub max_size: u64,
    /// Bound of the local store in files; 0 for none.
    pub max_files: u64,
    /// Roots of compiles below these directories; elsewhere a version-control directory marks the root.
    pub base_dir: Vec<PathBuf>,
    /// Whether directories in debug information are to be right.
    pub hash_dir: bool,
    /// Adds a prefix map that names files from the root.
    pub portable_paths: bool,
    /// Keeps comments in what is preprocessed. Has no effect: keys hold the raw content of every file.
    pub keep_comments_cpp: bool,
    /// Options, or their beginnings before an asterisk, that are in no key.
    pub ignore_options: Vec<String>,
    /// Clones outputs from the store where the file system can.
    pub file_clone: bool,
    /// Links outputs to files of the store.
    pub hard_link: bool,
    /// Permissions that files of the store are to lack. Has no effect: they are nobody else's in any case.
    pub umask: Option<u16>,
    /// How response files are quoted.
    pub response_file_format: ResponseFileFormat,
    /// Namespace of the project.
    pub namespace: Namespace,
    /// Files whose content enters every key, in order.
    pub extra_files_to_hash: Vec<PathBuf>,
    /// How a toolchain is told from another.
    pub compiler_check: CompilerCheck,
    /// What is irrelevant.
    pub sloppiness: Sloppiness,
    /// Compiler that runs in place of the one that was named.
    pub compiler: Option<String>,
    /// Family of the compiler.
    pub compiler_type: CompilerType,
    /// Words in front of the compiler where it compiles.
    pub prefix_command: Vec<String>,
    /// Words in front of the compiler where it preprocesses.
    pub prefix_command_cpp: Vec<String>,
    /// Directory for temporary files; `None` for the system's.
    pub temporary_dir: Option<PathBuf>,
    /// File to which is appended what was done with each compile, and why.
    pub log_file: Option<PathBuf>,
    /// File to which is appended what each compile counts for; set by ccache's name only.
    pub stats_log: Option<PathBuf>,
    /// Whether what was done with a compile, and what its key is made of, is written beside its object.
    pub debug: DebugFiles,
    /// Directory for that, in place of the object's.
    pub debug_dir: Option<PathBuf>,
    /// How outputs are packed; set by ccache's name only.
    pub packing: Packing,
    /// Whether `FILE.sum` stands for the content of a precompiled header; set by ccache's name only.
    pub pch_external_checksum: bool,
    /// Directories that are shared with other users; set by ccache's name only.
    pub shared: Vec<SharedDirectory>,
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
    /// Which hits are held against a compile.
    pub verify: Verify,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disable: false,
            read_only: false,
            read_only_direct: false,
            recache: false,
            direct_mode: true,
            depend_mode: DependUse::Auto,
            stats: true,
            remote_only: false,
            reshare: false,
            max_size: DEFAULT_MAX_SIZE,
            max_files: 0,
            base_dir: Vec::new(),
            hash_dir: true,
            portable_paths: false,
            keep_comments_cpp: false,
            ignore_options: Vec::new(),
            file_clone: false,
            hard_link: false,
            umask: None,
            response_file_format: ResponseFileFormat::Auto,
            namespace: Namespace::default(),
            extra_files_to_hash: Vec::new(),
            compiler_check: CompilerCheck::Content,
            sloppiness: Sloppiness::default(),
            compiler: None,
            compiler_type: CompilerType::Auto,
            prefix_command: Vec::new(),
            prefix_command_cpp: Vec::new(),
            temporary_dir: None,
            log_file: None,
            stats_log: None,
            debug: DebugFiles::Off,
            debug_dir: None,
            packing: Packing::default(),
            pch_external_checksum: false,
            shared: Vec::new(),
            path: None,
            agent: AgentUse::Auto,
            agent_idle_s: AGENT_IDLE_S,
            remote_budget_ms: None,
            trust_accept: Policy::default(),
            verify: Verify::default(),
        }
    }
}

impl Config {
    /// Returns how outputs come from the local store without being written; `None` where they are written.
    pub fn transfer(&self) -> Option<Transfer> {
        match (self.file_clone, self.hard_link) {
            (true, _) => Some(Transfer::Clone),
            (false, true) => Some(Transfer::Link),
            (false, false) => None,
        }
    }

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
