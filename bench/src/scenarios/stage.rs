//! What scenarios stand on: the programs, servers that are started once, and for each scenario a directory of its own.

use super::{Extent, Rounds};
use crate::front::{Front, remove};
use crate::measure::Contender;
use crate::programs::Programs;
use crate::servers::FarRedis;
use crate::workload::Task;
use anyhow::{Context as _, ensure};
use dccache::loopback::{DelayProxy, Interrupt, NodeProcess};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Age from which dccache takes a stamp for a file's content (2 s), and some more for a coarse clock.
const SETTLED: Duration = Duration::from_millis(2500);

/// Everything that outlives a scenario; dropped, all processes end and all files go.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) programs: &'a Programs,
    node: NodeProcess,
    way: DelayProxy,
    redis: Option<FarRedis>,
    home: tempfile::TempDir,
}

/// The place of one scenario; its files go with it.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    stage: &'a Stage<'a>,
    pub(crate) programs: &'a Programs,
    directory: PathBuf,
}

impl<'a> Stage<'a> {
    /// Starts the servers.
    pub(crate) fn set(programs: &'a Programs) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("dccache-bench-").tempdir()?;
        let interrupt = Interrupt::install();
        let (node, way) =
            NodeProcess::found_behind_proxy(&programs.node, home.path(), Duration::ZERO, &interrupt)?;
        let redis =
            programs.redis.as_ref().map(|program| FarRedis::start(program, home.path())).transpose()?;
        Ok(Self { programs, node, way, redis, home })
    }

    /// Returns a place for one scenario.
    pub(crate) fn scene(&'a self, name: &str) -> anyhow::Result<Scene<'a>> {
        let letters = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let directory = self.home.path().join(name.chars().map(letters).collect::<String>());
        std::fs::create_dir_all(&directory)?;
        Ok(Scene { stage: self, programs: self.programs, directory })
    }
}

impl Scene<'_> {
    /// Returns a path of this scenario.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the directory of the scenario.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Spells the source of a task from the working directory.
    fn spelled<'a>(&self, task: &'a Task) -> &'a Path {
        task.source.strip_prefix(&self.directory).unwrap_or(&task.source)
    }

    /// dccache as a client of the ring.
    pub(crate) fn ringed(&self, name: &str, directory: &str) -> anyhow::Result<Front> {
        let front = Front::dccache(name, self.programs, &self.path(directory), &[]);
        front.join(&self.stage.node.token("--client")?)
    }

    /// Sets how far the ring and Redis are.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        self.stage.way.set_round_trip(round_trip);
        if let Some(redis) = &self.stage.redis {
            redis.proxy.set_round_trip(round_trip);
        }
    }

    /// Returns the URL of Redis, where it is installed.
    pub(crate) fn redis(&self) -> Option<String> {
        self.stage.redis.as_ref().map(FarRedis::url)
    }

    /// Waits until caches trust the stamps of what was just written; a quick run does not, and measures what they do with young files.
    pub(crate) fn age(&self, rounds: Rounds) {
        if rounds.extent == Extent::Full {
            std::thread::sleep(SETTLED);
        }
    }

    /// Compiles without any cache and returns the object: what every contender must make.
    pub(crate) fn expected(&self, task: &Task, options: &[&str]) -> anyhow::Result<Vec<u8>> {
        let object = self.path("expected.o");
        let mut command = Front::plain().command(task.driver);
        command.args(options).arg("-c").arg(self.spelled(task)).arg("-o").arg(&object);
        command.current_dir(&self.directory);
        let status = command.stdin(Stdio::null()).status().context("no compiler")?;
        ensure!(status.success(), "{command:?} ended with {status}");
        Ok(std::fs::read(object)?)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let _ = remove(&self.directory);
    }
}

/// A contender that compiles `task` behind `front`; the object, absent before each round, must be `expected` where that is given.
pub(crate) fn compile<'a>(
    scene: &'a Scene<'_>,
    front: &'a Front,
    task: &'a Task,
    options: &'a (dyn Fn(usize) -> Vec<String> + 'a),
    expected: Option<&'a [u8]>,
) -> Contender<'a> {
    // One name for all: some caches key it. Spelled from the working directory, as make and meson do.
    let (removed, made) = (scene.path("object.o"), scene.path("object.o"));
    Contender {
        name: front.name.clone(),
        family: front.family,
        served: Box::new(|| front.served()),
        prepare: Box::new(move |_| Ok(remove(&removed)?)),
        command: Box::new(move |round| {
            let mut command = front.command(task.driver);
            command.args(options(round)).arg("-c").arg(scene.spelled(task)).args(["-o", "object.o"]);
            command.current_dir(scene.directory());
            command
        }),
        check: Box::new(move |_| {
            let bytes = std::fs::read(&made).context("no object")?;
            ensure!(
                !bytes.is_empty() && expected.is_none_or(|expected| expected == bytes),
                "another object than the compiler's"
            );
            Ok(())
        }),
    }
}
