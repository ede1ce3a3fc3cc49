//! A machine of its own, as far as dccache can tell: a directory with its own store, keys and agent.

use super::{LoopbackError, finished};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A workstation; dropped, its agent is ended.
#[derive(Debug)]
pub struct Workstation {
    directory: PathBuf,
    program: PathBuf,
}

impl Workstation {
    /// Prepares a workstation whose state lies in `directory` and whose `dccache` is `program`.
    pub fn new(directory: &Path, program: &Path) -> Self {
        Self { directory: directory.to_owned(), program: program.to_owned() }
    }

    /// Returns the directory with all of its state.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins a command of this workstation's `dccache`, without the caller's own settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DCCACHE_") {
                command.env_remove(&name);
            }
        }
        command.env("DCCACHE_DIR", &self.directory).stdin(Stdio::null());
        command
    }

    /// Runs a subcommand and returns its stdout.
    ///
    /// # Errors
    /// It could not be started or ended with another code than 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String, LoopbackError> {
        finished(self.command().args(arguments).output(), arguments)
    }

    /// Runs a subcommand that prints JSON.
    ///
    /// # Errors
    /// As [`Workstation::run`], or the output is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value, LoopbackError> {
        serde_json::from_str(&self.run(arguments)?).map_err(|_| LoopbackError::Statistics)
    }

    /// Joins a cluster.
    ///
    /// # Errors
    /// The cluster refuses the token or cannot be reached.
    pub fn join(&self, token: &str) -> Result<(), LoopbackError> {
        self.run(&["join", token]).map(drop)
    }

    /// Waits until everything that was compiled so far is on the ring, at most a minute.
    ///
    /// # Errors
    /// The agent cannot be asked.
    pub fn flush(&self) -> Result<(), LoopbackError> {
        self.run(&["agent", "flush", "--timeout", "60"]).map(drop)
    }

    /// Ends the agent; it may never have been started.
    pub fn stop(&self) {
        let mut command = self.command();
        let _ = command.args(["agent", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Workstation {
    fn drop(&mut self) {
        self.stop();
    }
}
