//! One way to call a compiler: directly, or through one of the caches with state of its own.

use crate::programs::{Ccache, Programs};
use crate::servers::{SccacheServer, free_port};
use anyhow::{Context as _, ensure};
use dccache::loopback::Workstation;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What of a dccache directory is not its local store: who this machine is, its settings, its compilers, its statistics, and the agent's own things.
const NOT_THE_STORE: &[&str] = &["cluster", "dccache.toml", "keys", "toolchains", "agent", "stats"];

/// Where dccache keeps the digests of inputs whose stamps it knows.
const DIGESTS: &[&str] = &["digests"];

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// dccache.
    Ours,
    /// Another cache.
    Peer,
    /// The compiler itself.
    Plain,
}

/// What of the local state goes before a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forget {
    /// Nothing.
    Nothing,
    /// Everything but the digests of inputs.
    Objects,
    /// Everything.
    All,
}

/// A way to call a compiler.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) family: Family,
    launcher: Option<PathBuf>,
    environment: Vec<(String, String)>,
    state: State,
    /// Process of dccache's agent, once it was asked for.
    agent: OnceCell<u64>,
}

#[derive(Debug)]
enum State {
    None,
    Workstation(Workstation),
    Directory(PathBuf),
    Sccache { _server: SccacheServer },
}

impl Front {
    /// The compiler itself.
    pub(crate) fn plain() -> Self {
        Self {
            name: "plain compiler".into(),
            family: Family::Plain,
            launcher: None,
            environment: Vec::new(),
            state: State::None,
            agent: OnceCell::new(),
        }
    }

    /// dccache with its state in `directory`, in no cluster.
    pub(crate) fn dccache(
        name: &str,
        programs: &Programs,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        let workstation = Workstation::new(directory, &programs.dccache);
        let own = [("DCCACHE_DIR", directory.display().to_string())];
        Self {
            name: name.into(),
            family: Family::Ours,
            launcher: Some(programs.dccache.clone()),
            environment: with(own, settings),
            state: State::Workstation(workstation),
            agent: OnceCell::new(),
        }
    }

    /// A ccache with its state in `directory`.
    pub(crate) fn ccache(name: &str, ccache: &Ccache, directory: &Path, settings: &[(&str, &str)]) -> Self {
        let own = [("CCACHE_DIR", directory.display().to_string())];
        Self {
            name: format!("ccache {}{name}", ccache.version),
            family: Family::Peer,
            launcher: Some(ccache.path.clone()),
            environment: with(own, settings),
            state: State::Directory(directory.to_owned()),
            agent: OnceCell::new(),
        }
    }

    /// An sccache with a server of its own, which keeps objects in `directory` unless the settings name another place.
    pub(crate) fn sccache(
        name: &str,
        program: &Path,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let own = [
            ("SCCACHE_DIR", directory.display().to_string()),
            ("SCCACHE_SERVER_PORT", free_port()?.to_string()),
            ("SCCACHE_IDLE_TIMEOUT", "0".into()),
            ("SCCACHE_CONF", "/dev/null".into()),
        ];
        let environment = with(own, settings);
        let server = SccacheServer::start(program, &environment)?;
        Ok(Self {
            name: format!("sccache{name}"),
            family: Family::Peer,
            launcher: Some(program.to_owned()),
            environment,
            state: State::Sccache { _server: server },
            agent: OnceCell::new(),
        })
    }

    /// Begins a call of `compiler`.
    pub(crate) fn command(&self, compiler: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.launcher {
            None => Command::new(compiler),
            Some(launcher) => {
                let mut command = Command::new(launcher);
                command.arg(compiler);
                command
            }
        };
        self.surround(&mut command);
        command
    }

    /// Gives a command this front's environment, free of the caller's own settings.
    pub(crate) fn surround(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["DCCACHE_", "CCACHE_", "SCCACHE_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().cloned());
    }

    /// Returns what a build system puts before the compiler's name.
    pub(crate) fn launcher(&self) -> String {
        self.launcher.as_ref().map_or_else(String::new, |path| format!("{} ", path.display()))
    }

    /// Returns the CPU time that a server of this front has taken; `None` where that is not known (sccache's compiles are its server's children).
    pub(crate) fn served(&self) -> anyhow::Result<Option<Duration>> {
        let workstation = match &self.state {
            State::Sccache { .. } => return Ok(None),
            State::Workstation(workstation) if is_in_cluster(workstation) => workstation,
            _ => return Ok(Some(Duration::ZERO)),
        };
        if self.agent.get().is_none() {
            let status = workstation.json(&["agent", "status", "--json"])?;
            let _ = self.agent.set(status["pid"].as_u64().context("an agent has a process")?);
        }
        self.agent.get().map(|process| cpu_of(*process)).transpose()
    }

    /// Waits until everything that was compiled is where it shall be.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        match &self.state {
            State::Workstation(workstation) if is_in_cluster(workstation) => Ok(workstation.flush()?),
            _ => Ok(()),
        }
    }

    /// Joins a cluster, where this is dccache.
    pub(crate) fn join(self, token: &str) -> anyhow::Result<Self> {
        if let State::Workstation(workstation) = &self.state {
            workstation.join(token)?;
        }
        Ok(self)
    }

    /// Removes local state. An sccache that is given another storage has none.
    pub(crate) fn forget(&self, what: Forget) -> anyhow::Result<()> {
        match (&self.state, what) {
            (State::Directory(directory), Forget::Objects | Forget::All) => Ok(empty(directory)?),
            (State::Workstation(workstation), Forget::Objects | Forget::All) => {
                for entry in std::fs::read_dir(workstation.directory()).into_iter().flatten().flatten() {
                    let name = entry.file_name();
                    let is_kept = what == Forget::Objects && named(&name, DIGESTS);
                    if is_of_the_store(&name) && !is_kept {
                        empty(&entry.path())?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns how many hits the front has counted since it exists; `None` for the compiler itself.
    pub(crate) fn hits(&self) -> anyhow::Result<Option<u64>> {
        let words: &[&str] = match &self.state {
            State::None => return Ok(None),
            State::Workstation(_) => &["stats", "--json"],
            State::Directory(_) => &["--print-stats"],
            State::Sccache { .. } => &["--show-stats", "--stats-format", "json"],
        };
        let mut command = self.command(words[0]);
        let output = command.args(&words[1..]).output()?;
        ensure!(output.status.success(), "{command:?} ended with {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let hits = match &self.state {
            State::Directory(_) => ccache_hits(&text),
            State::Sccache { .. } => sum(&parsed(&text)?["stats"]["cache_hits"]["counts"]),
            _ => parsed(&text)?["hits"]["total"].as_u64(),
        };
        Ok(Some(hits.with_context(|| format!("{}: no hits in {text}", self.name))?))
    }
}

/// Tells whether a name in a dccache directory is one of its local store.
pub(crate) fn is_of_the_store(name: &OsStr) -> bool {
    !named(name, NOT_THE_STORE)
}

fn is_in_cluster(workstation: &Workstation) -> bool {
    workstation.directory().join("cluster").exists()
}

/// Returns the time that the living threads of a process ran.
fn cpu_of(process: u64) -> anyhow::Result<Duration> {
    let tasks = format!("/proc/{process}/task");
    let tasks = std::fs::read_dir(&tasks).with_context(|| format!("{tasks}: the agent ended"))?;
    // A thread that ends meanwhile leaves nothing to read.
    let times =
        tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    let nanoseconds = times.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
    Ok(Duration::from_nanos(nanoseconds.sum()))
}

fn named(name: &OsStr, beginnings: &[&str]) -> bool {
    let name = name.to_string_lossy();
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

fn with<const N: usize>(own: [(&str, String); N], settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    own.into_iter().chain(settings).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn parsed(text: &str) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_str(text)?)
}

fn sum(counts: &serde_json::Value) -> Option<u64> {
    Some(counts.as_object()?.values().filter_map(serde_json::Value::as_u64).sum())
}

/// ccache prints a name, a tab and a number per line.
fn ccache_hits(text: &str) -> Option<u64> {
    let number = |line: &str| line.rsplit('\t').next().and_then(|number| number.parse::<u64>().ok());
    let hits = text
        .lines()
        .filter(|line| line.starts_with("direct_cache_hit") || line.starts_with("preprocessed_cache_hit"));
    hits.map(number).sum()
}

/// Removes a file or a directory that may be absent.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes every file at or below a path and leaves the directories: a store that is empty, on a machine that had one before.
fn empty(path: &Path) -> std::io::Result<()> {
    if !path.is_dir() {
        return remove(path);
    }
    for entry in std::fs::read_dir(path)? {
        empty(&entry?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_of_ccache_are_those_of_both_modes() {
        let text = "cache_miss\t1\ndirect_cache_hit\t5\ndirect_cache_miss\t1\npreprocessed_cache_hit\t2\n";
        assert_eq!(ccache_hits(text), Some(7));
    }

    #[test]
    fn hits_of_sccache_are_those_of_all_languages() {
        let text = r#"{"stats": {"cache_hits": {"counts": {"C/C++": 3, "Assembler": 1}}}}"#;
        assert_eq!(sum(&parsed(text).unwrap()["stats"]["cache_hits"]["counts"]), Some(4));
    }
}
