//! A machine of its own, as far as dccache can tell: a directory with its own store, keys and agent.

use super::{LoopbackError, finished};
use crate::agent::place::Place;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an agent may take to end: it finishes what it has begun, within bounds of its own.
const GONE: Duration = Duration::from_secs(20);

/// How often its lock is looked at.
const POLL: Duration = Duration::from_millis(2);

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

    /// Joins a cluster, and has its agent running before the first compile needs it.
    ///
    /// # Errors
    /// The cluster refuses the token or cannot be reached.
    pub fn join(&self, token: &str) -> Result<(), LoopbackError> {
        self.run(&["join", token])?;
        self.flush()
    }

    /// Waits until everything that was compiled so far is on the ring, at most a minute.
    ///
    /// # Errors
    /// The agent cannot be asked.
    pub fn flush(&self) -> Result<(), LoopbackError> {
        self.run(&["agent", "flush", "--timeout", "60"]).map(drop)
    }

    /// Ends the agent and waits until its process is gone; it may never have been started.
    pub fn stop(&self) {
        let mut command = self.command();
        let _ = command.args(["agent", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let lock = Place::new(&self.directory).lock();
        let begin = Instant::now();
        // The kernel frees the lock when the process ends.
        while File::open(&lock).is_ok_and(|file| file.try_lock_shared().is_err()) && begin.elapsed() < GONE {
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Workstation {
    fn drop(&mut self) {
        self.stop();
    }
}
