//! One build of the demo's code base, plain or through a workstation's wrapper, and the comparison of two.

use super::{DemoError, report::Progress, sources::Sources};
use crate::loopback::{Interrupt, LoopbackError, Workstation, finished};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the statistics of a workstation counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) local_hits: u64,
    pub(super) ring_hits: u64,
    pub(super) misses: u64,
    pub(super) other: u64,
}

impl Counts {
    /// Reads what a workstation counted so far.
    fn of(workstation: &Workstation) -> Result<Self, LoopbackError> {
        let json = workstation.json(&["stats", "--json"])?;
        let number = |pointer: &str| {
            json.pointer(pointer).and_then(serde_json::Value::as_u64).ok_or(LoopbackError::Statistics)
        };
        Ok(Self {
            local_hits: number("/hits/local")?,
            ring_hits: number("/hits/ring")?,
            misses: number("/misses")?,
            other: number("/bypassed")?,
        })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            local_hits: self.local_hits - earlier.local_hits,
            ring_hits: self.ring_hits - earlier.ring_hits,
            misses: self.misses - earlier.misses,
            other: self.other - earlier.other,
        }
    }
}

/// A finished build of all units.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) label: String,
    pub(super) wall: Duration,
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) counts: Option<Counts>,
    pub(super) objects: PathBuf,
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
    /// Compiles every unit with the compiler alone.
    pub(super) fn plain(&self, label: &str, objects: PathBuf) -> Result<Build, DemoError> {
        self.run(label, objects, || Command::new(self.compiler))
    }

    /// Compiles every unit through the wrapper of a workstation and waits until the ring has what is new.
    pub(super) fn through(
        &self,
        workstation: &Workstation,
        label: &str,
        objects: PathBuf,
    ) -> Result<Build, DemoError> {
        let before = Counts::of(workstation)?;
        let mut build = self.run(label, objects, || {
            let mut command = workstation.command();
            command.arg("--").arg(self.compiler);
            command
        })?;
        workstation.flush()?;
        build.counts = Some(Counts::of(workstation)?.since(before));
        Ok(build)
    }

    /// Compiles every unit with the commands that `front` begins, `jobs` at a time, into fresh objects.
    fn run(
        &self,
        label: &str,
        objects: PathBuf,
        front: impl Fn() -> Command + Sync,
    ) -> Result<Build, DemoError> {
        let units = &self.sources.units;
        std::fs::create_dir_all(&objects).map_err(|source| LoopbackError::file(&objects, source))?;
        let next = AtomicUsize::new(0);
        self.progress.begin(label, units.len());
        let begin = Instant::now();
        let worker = || -> Result<u64, LoopbackError> {
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
            let done =
                workers.into_iter().map(|worker| worker.join().expect("a worker of the demo never panics"));
            done.sum::<Result<u64, LoopbackError>>()
        });
        self.progress.end();
        let (label, wall, files) = (label.to_owned(), begin.elapsed(), units.len());
        Ok(Build { label, wall, files, bytes: bytes?, counts: None, objects })
    }

    fn compile(&self, unit: &Path, objects: &Path, mut command: Command) -> Result<u64, LoopbackError> {
        let object = objects.join(object_name(unit));
        // The object is named relative to the sources' root, as build systems do.
        let relative = Path::new("..").join(objects.file_name().unwrap_or_default()).join(object_name(unit));
        command.current_dir(&self.sources.root);
        // A compiler that a signal ends just as it made a temporary file leaves it: there it goes with everything else.
        command.envs(self.sources.root.parent().map(|home| ("TMPDIR", home)));
        command
            .args(["-O2", "-DXXH_NAMESPACE=ZSTD_", "-Wall", "-MMD", "-c"])
            .arg(unit)
            .arg("-o")
            .arg(relative);
        finished(command.stdin(Stdio::null()).output(), &["-c", &unit.to_string_lossy()])?;
        let metadata = std::fs::metadata(&object).map_err(|source| LoopbackError::file(&object, source))?;
        Ok(metadata.len())
    }
}

/// Names the object of a unit: its path with the separators replaced.
fn object_name(unit: &Path) -> String {
    format!("{}.o", unit.with_extension("").to_string_lossy().replace('/', "_"))
}

/// Compares all objects of two builds; the first unit that differs is an error.
pub(super) fn compare(sources: &Sources, plain: &Build, other: &Build) -> Result<(), DemoError> {
    for unit in &sources.units {
        let name = object_name(unit);
        let read = |build: &Build| {
            let path = build.objects.join(&name);
            std::fs::read(&path).map_err(|source| LoopbackError::file(&path, source))
        };
        if read(plain)? != read(other)? {
            return Err(DemoError::Differs { build: other.label.clone(), unit: unit.clone() });
        }
    }
    Ok(())
}
