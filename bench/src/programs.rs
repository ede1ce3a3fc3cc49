//! What is compared: our own programs, built by this run, and the other caches that are installed here. What is missing is said on the
//! page, not skipped in silence.
//!
//! Peers are looked for in `target/peers`, where `just peers` puts them, and on PATH.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs found.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) dccache: PathBuf,
    pub(crate) node: PathBuf,
    /// Every ccache, newest first.
    pub(crate) ccaches: Vec<Ccache>,
    pub(crate) sccache: Option<PathBuf>,
    pub(crate) redis: Option<PathBuf>,
}

/// One build of ccache.
#[derive(Clone, Debug)]
pub(crate) struct Ccache {
    pub(crate) path: PathBuf,
    /// As it prints it, for example `4.14.2`.
    pub(crate) version: String,
}

impl Programs {
    /// Builds ours, in the profile of this program, and looks for the peers.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let directory = here.parent().context("a program lies in a directory")?;
        build_ours(directory)?;
        let (dccache, node) = (directory.join("dccache"), directory.join("dccache-node"));
        for program in [&dccache, &node] {
            ensure!(
                program.is_file(),
                "{} is missing: build the workspace in the same profile",
                program.display()
            );
        }
        let peers = directory.parent().map(|target| target.join("peers")).unwrap_or_default();
        let places = [peers.join("ccache/bin"), peers.join("bin")].into_iter().chain(on_path());
        let places: Vec<PathBuf> = places.collect();
        let first = |name: &str| all(name, &places).into_iter().next();
        let ccaches = all("ccache", &places).into_iter().filter_map(Ccache::of);
        let mut ccaches: Vec<Ccache> = ccaches.collect();
        ccaches.sort_by_key(|ccache| std::cmp::Reverse(ccache.numbers()));
        ccaches.dedup_by_key(|ccache| ccache.version.clone());
        Ok(Self { dccache, node, ccaches, sccache: first("sccache"), redis: first("redis-server") })
    }

    /// Says what is compared, with versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut lines = vec![version(Path::new("gcc")).unwrap_or_else(|| "gcc: not installed".into())];
        lines.extend(self.ccaches.iter().map(|ccache| format!("ccache {}", ccache.version)));
        if self.ccaches.is_empty() {
            lines.push("ccache: not installed, its rows are missing".into());
        }
        for (name, path) in [("sccache", &self.sccache), ("redis-server", &self.redis)] {
            let found = path.as_deref().and_then(version);
            let found = found.map(|line| line.split(" sha=").next().unwrap_or_default().to_owned());
            lines.push(found.unwrap_or_else(|| format!("{name}: not installed, its rows are missing")));
        }
        lines
    }
}

impl Ccache {
    fn of(path: PathBuf) -> Option<Self> {
        let line = version(&path)?;
        let version = line.strip_prefix("ccache version ")?.trim().to_owned();
        Some(Self { path, version })
    }

    fn numbers(&self) -> Vec<u32> {
        self.version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
    }
}

/// How the programs under test are built, as `just release` does it.
const RELEASE: [&str; 2] = [
    "build --release --locked -p dccache-node",
    "rustc --release --locked -p dccache --bin dccache -- -C target-feature=+crt-static",
];

/// Builds the programs under test when cargo runs this one, so that no run measures stale ones.
fn build_ours(directory: &Path) -> anyhow::Result<()> {
    let Some(cargo) = std::env::var_os("CARGO").filter(|_| directory.ends_with("release")) else {
        return Ok(());
    };
    for line in RELEASE {
        let mut command = Command::new(&cargo);
        let status = command.args(line.split(' ')).current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
        ensure!(status.success(), "the programs under test do not build");
    }
    Ok(())
}

/// Returns the first line that `--version` prints.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

fn on_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn all(name: &str, places: &[PathBuf]) -> Vec<PathBuf> {
    places.iter().map(|directory| directory.join(name)).filter(|file| file.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_built_as_it_ships() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../justfile");
        let recipes = std::fs::read_to_string(recipes).unwrap();
        for line in RELEASE {
            assert!(recipes.contains(&format!("    cargo {line}\n")), "not in the justfile: {line}");
        }
    }
}
