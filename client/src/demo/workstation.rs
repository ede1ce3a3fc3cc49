//! One workstation of the demo: a directory of its own, a wrapper in front of the compiler, and what its build gave.

use super::{DemoError, Interrupt, Progress, sources::Sources};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A machine with its own store, keys and agent.
#[derive(Debug)]
pub(super) struct Workstation {
    pub(super) name: &'static str,
    directory: PathBuf,
    program: PathBuf,
}

/// What the statistics of a workstation counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) local_hits: u64,
    pub(super) ring_hits: u64,
    pub(super) misses: u64,
    pub(super) other: u64,
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            local_hits: self.local_hits - earlier.local_hits,
            ring_hits: self.ring_hits - earlier.ring_hits,
            misses: self.misses - earlier.misses,
            other: self.other - earlier.other,
        }
    }
}

/// One build of all units.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) label: String,
    pub(super) wall: Duration,
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) counts: Option<Counts>,
    pub(super) objects: PathBuf,
}

impl Workstation {
    /// Prepares a workstation whose state lies below `home`.
    pub(super) fn new(name: &'static str, home: &Path, program: &Path) -> Self {
        let directory = home.join(format!("workstation-{name}"));
        Self { name, directory, program: program.to_owned() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DCCACHE_") {
                command.env_remove(&name);
            }
        }
        command.env("DCCACHE_DIR", &self.directory);
        command
    }

    /// Runs a subcommand and returns its output; a failure is an error with its stderr.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, DemoError> {
        finished(self.command().args(arguments).stdin(Stdio::null()).output(), arguments)
    }

    /// Joins the cluster.
    pub(super) fn join(&self, token: &str) -> Result<(), DemoError> {
        self.run(&["join", token]).map(drop)
    }

    /// Compiles every unit through the wrapper.
    pub(super) fn build(
        &self,
        label: String,
        job: &CompileJob<'_>,
        objects: PathBuf,
    ) -> Result<Build, DemoError> {
        let before = self.counts()?;
        let mut build = job.run(label, objects, || {
            let mut command = self.command();
            command.arg("--").arg(job.compiler);
            command
        })?;
        self.run(&["agent", "flush", "--timeout", "60"])?;
        build.counts = Some(self.counts()? - before);
        Ok(build)
    }

    /// Reads the statistics.
    pub(super) fn counts(&self) -> Result<Counts, DemoError> {
        let text = self.run(&["stats", "--json"])?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| DemoError::Statistics)?;
        let number = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_u64);
        Ok(Counts {
            local_hits: number("/hits/local").ok_or(DemoError::Statistics)?,
            ring_hits: number("/hits/ring").ok_or(DemoError::Statistics)?,
            misses: number("/misses").ok_or(DemoError::Statistics)?,
            other: number("/bypassed").ok_or(DemoError::Statistics)?,
        })
    }

    /// Ends the workstation's agent; it may never have been started.
    pub(super) fn stop(&self) {
        let _ = self.command().args(["agent", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// How the units are compiled, whoever does it.
#[derive(Debug)]
pub(super) struct CompileJob<'a> {
    pub(super) sources: &'a Sources,
    pub(super) compiler: &'a str,
    pub(super) jobs: usize,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a Progress,
}

impl CompileJob<'_> {
    /// Compiles every unit with the commands that `front` begins, `jobs` at a time, into fresh objects.
    pub(super) fn run(
        &self,
        label: String,
        objects: PathBuf,
        front: impl Fn() -> Command + Sync,
    ) -> Result<Build, DemoError> {
        let units = &self.sources.units;
        let _ = std::fs::remove_dir_all(&objects);
        std::fs::create_dir_all(&objects).map_err(|source| DemoError::file(&objects, source))?;
        let next = AtomicUsize::new(0);
        self.progress.begin(&label, units.len());
        let begin = Instant::now();
        let worker = || -> Result<u64, DemoError> {
            let mut bytes = 0;
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.interrupt.check()?;
                bytes += self.compile(unit, &objects, front())?;
                self.progress.step();
            }
            Ok(bytes)
        };
        let bytes = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_fold(0, |sum, worker| {
                worker.join().map_err(|_| DemoError::Sources)?.map(|bytes| sum + bytes)
            })
        });
        self.progress.end();
        Ok(Build { label, wall: begin.elapsed(), files: units.len(), bytes: bytes?, counts: None, objects })
    }

    fn compile(&self, unit: &Path, objects: &Path, mut command: Command) -> Result<u64, DemoError> {
        let object = objects.join(object_name(unit));
        // The object is named relative to the sources' root, so that all workstations type the same command.
        let relative = Path::new("..").join(objects.file_name().unwrap_or_default()).join(object_name(unit));
        command.current_dir(&self.sources.root);
        command
            .args(["-O2", "-DXXH_NAMESPACE=ZSTD_", "-Wall", "-MMD", "-c"])
            .arg(unit)
            .arg("-o")
            .arg(relative);
        finished(command.stdin(Stdio::null()).output(), &["-c", &unit.to_string_lossy()])?;
        std::fs::metadata(&object)
            .map(|metadata| metadata.len())
            .map_err(|source| DemoError::file(&object, source))
    }
}

/// Names the object of a unit: its path with the separators replaced.
pub(super) fn object_name(unit: &Path) -> String {
    format!("{}.o", unit.with_extension("").to_string_lossy().replace('/', "_"))
}

/// Compares all objects of two builds; the first unit that differs is an error.
pub(super) fn compare(sources: &Sources, plain: &Build, other: &Build) -> Result<(), DemoError> {
    for unit in &sources.units {
        let name = object_name(unit);
        let read = |build: &Build| {
            let path = build.objects.join(&name);
            std::fs::read(&path).map_err(|source| DemoError::file(&path, source))
        };
        if read(plain)? != read(other)? {
            return Err(DemoError::Differs { build: other.label.clone(), unit: unit.clone() });
        }
    }
    Ok(())
}

fn finished(output: std::io::Result<Output>, arguments: &[&str]) -> Result<String, DemoError> {
    let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let output = output.map_err(|source| DemoError::Start { program: what.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(DemoError::Failed { what, status: output.status.to_string(), stderr })
}
