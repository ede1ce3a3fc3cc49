//! One developer's machine under test: a directory of sources, a workstation, and the comparison of every compile with the plain compiler.

use crate::{Binaries, PATIENT};
use dccache::loopback::{NodeProcess, Workstation};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything that a build can see of one compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Outputs in the order asked for; `None` for one that is not there.
    pub outputs: Vec<Option<Vec<u8>>>,
}

/// A machine with sources.
#[derive(Debug)]
pub struct Site {
    workstation: Workstation,
    work: PathBuf,
    environment: Vec<(String, String)>,
}

impl Site {
    /// Prepares a machine below `home` that is in no cluster.
    ///
    /// # Panics
    /// Directories cannot be made.
    pub fn new(home: &Path, name: &str, programs: &Binaries) -> Self {
        Self::with_state(home, name, &home.join(name).join("state"), programs)
    }

    /// As [`Site::new`], with all of dccache's state in `state`.
    ///
    /// # Panics
    /// Directories cannot be made.
    pub fn with_state(home: &Path, name: &str, state: &Path, programs: &Binaries) -> Self {
        let work = home.join(name).join("work");
        fs::create_dir_all(&work).expect("the test's own directory can be written");
        let workstation = Workstation::new(state, &programs.dccache);
        let patient = PATIENT;
        Self { workstation, work, environment: vec![(patient.0.to_owned(), patient.1.to_owned())] }
    }

    /// Prepares a machine that is a writer of the node's cluster.
    ///
    /// # Panics
    /// It cannot join.
    pub fn joined(home: &Path, name: &str, programs: &Binaries, node: &NodeProcess) -> Self {
        let site = Self::new(home, name, programs);
        site.join(node);
        site
    }

    /// Makes it a writer of the node's cluster.
    ///
    /// # Panics
    /// It cannot join.
    pub fn join(&self, node: &NodeProcess) {
        let token = node.token("--client").expect("the node gives tokens");
        self.workstation.join(&token).expect("the token is good");
    }

    /// Sets a variable for every later command. On a member of a cluster the agent starts anew, with it.
    ///
    /// # Panics
    /// The agent does not start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
        self.workstation.stop();
        if self.state().join("cluster").exists() {
            let started = self.run(&["agent", "flush", "--timeout", "0"]);
            assert_eq!(started.code, Some(0), "{}", started.shown());
        }
    }

    /// Lets compiles wait for the ring no longer than they do for users, where other tests want to know what the ring holds
    /// however busy the machine is.
    pub fn hurry(&mut self) {
        self.environment.push((PATIENT.0.to_owned(), "auto".to_owned()));
    }

    /// Returns its workstation.
    pub fn workstation(&self) -> &Workstation {
        &self.workstation
    }

    /// Returns the directory of its state.
    pub fn state(&self) -> &Path {
        self.workstation.directory()
    }

    /// Returns a file of its working directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Writes a source that is older than any compile that follows.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::write(&path, text).expect("the test's own directory can be written");
        wait_until_old(&path);
    }

    /// Returns its working directory.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Writes `count` different units and returns their names, without extension.
    pub fn write_units(&self, prefix: &str, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            self.write(&format!("{name}.c"), &format!("int {name}(int x) {{ return x * {number} + 7; }}\n"));
        }
        names
    }

    /// Begins a command of this machine's `dccache` in its working directory.
    pub fn command(&self) -> Command {
        let mut command = self.workstation.command();
        command.current_dir(&self.work).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `dccache WORDS`; no outputs are looked at.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn run(&self, words: &[&str]) -> Effect {
        self.effect(self.command().args(words), &[])
    }

    /// Runs the plain compiler and returns what a build sees; outputs are removed before.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn plain(&self, words: &[&str], outputs: &[&str]) -> Effect {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.work).stdin(Stdio::null());
        self.effect(&mut command, outputs)
    }

    /// Runs the same through the wrapper.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn ours(&self, words: &[&str], outputs: &[&str]) -> Effect {
        self.effect(self.command().args(words), outputs)
    }

    /// Compiles both ways and asserts that a build sees no difference.
    ///
    /// # Panics
    /// It sees one.
    pub fn assert_as_without(&self, words: &[&str], outputs: &[&str]) {
        let (plain, ours) = (self.plain(words, outputs), self.ours(words, outputs));
        assert!(plain == ours, "{words:?}: {} but {}", plain.shown(), ours.shown());
    }

    /// Compiles units both ways, one after the other.
    ///
    /// # Panics
    /// A build would see a difference.
    pub fn assert_units_as_without(&self, units: &[String]) {
        for unit in units {
            let (source, object) = (format!("{unit}.c"), format!("{unit}.o"));
            self.assert_as_without(&["gcc", "-O1", "-Wall", "-c", &source, "-o", &object], &[&object]);
        }
    }

    fn effect(&self, command: &mut Command, outputs: &[&str]) -> Effect {
        outputs.iter().for_each(|name| drop(fs::remove_file(self.file(name))));
        let output = command.output().expect("the program can be started");
        Effect {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            outputs: outputs.iter().map(|name| fs::read(self.file(name)).ok()).collect(),
        }
    }

    /// Returns the statistics.
    ///
    /// # Panics
    /// There are none.
    pub fn stats(&self) -> Value {
        self.json(&["stats", "--json"])
    }

    /// Returns what the agent says of itself.
    ///
    /// # Panics
    /// None runs.
    pub fn agent(&self) -> Value {
        self.json(&["agent", "status", "--json"])
    }

    fn json(&self, words: &[&str]) -> Value {
        let said = self.run(words);
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{words:?}: {}", said.shown()))
    }

    /// Returns one count of the statistics; 0 where it is not listed.
    pub fn count(&self, pointer: &str) -> u64 {
        self.stats().pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Returns how often a fault was counted.
    pub fn faults(&self, name: &str) -> u64 {
        self.count(&format!("/faults/{name}"))
    }

    /// Asserts that the doctor finds a check of this name not in order, and says `part` about it.
    ///
    /// # Panics
    /// It says nothing of the kind.
    pub fn assert_doctor_names(&self, check: &str, part: &str) {
        let report = self.json(&["doctor", "--json"]);
        let about = |line: &Value| {
            let text = format!("{} {}", line["found"], line["advice"]).to_lowercase();
            let named = line["name"].as_str().is_some_and(|name| name.starts_with(check));
            named && line["state"] != "ok" && text.contains(&part.to_lowercase())
        };
        let lines = report.as_array().expect("the doctor prints a list");
        assert!(lines.iter().any(about), "{check}: {part}: {report:#}");
    }

    /// Removes every entry of the local store.
    ///
    /// # Panics
    /// There is none.
    pub fn forget(&self) {
        fs::remove_dir_all(self.state().join("objects")).expect("something was stored");
    }

    /// Lists the entries of the local store, each once.
    pub fn entries(&self) -> Vec<PathBuf> {
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("d-") || name.starts_with("p-")
        };
        // Second names begin with another byte.
        let is_entry =
            |path: &PathBuf| named(path) && fs::read(path).is_ok_and(|bytes| bytes.first() != Some(&0xA1));
        files_below(&self.state().join("objects")).into_iter().filter(is_entry).collect()
    }
}

impl Effect {
    /// Shows it without the bytes of outputs.
    pub fn shown(&self) -> String {
        let sizes: Vec<_> = self.outputs.iter().map(|output| output.as_ref().map(Vec::len)).collect();
        let Self { code, signal, stdout, stderr, .. } = self;
        format!("code {code:?}, signal {signal:?}, stdout {stdout:?}, stderr {stderr:?}, sizes {sizes:?}")
    }
}

/// Lists all files below a directory, ascending; none where there is no directory.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if is_directory(&path) { files_below(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Waits until a file is older than any compile that follows: the clock of file times runs behind the precise one by milliseconds, and an
/// input as young as the compile would not be stored.
///
/// # Panics
/// The file is not there.
pub fn wait_until_old(path: &Path) {
    let written = fs::metadata(path).expect("written a moment ago");
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        (now.tv_sec, now.tv_nsec)
    };
    while now() <= (written.ctime(), written.ctime_nsec()) {
        std::thread::yield_now();
    }
}
