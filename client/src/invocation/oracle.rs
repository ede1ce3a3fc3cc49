//! Runs the real compilers in a directory of their own, as the oracle of the tests.

use super::{Command, CompilerKind, Disk, Invocation, Plan};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;

/// The C drivers of this machine. A missing one is said loudly; CI installs both.
pub(crate) fn compilers() -> Vec<(CompilerKind, &'static str)> {
    let all = [(CompilerKind::Gcc, "gcc"), (CompilerKind::Clang, "clang")];
    let found = |name: &str| std::process::Command::new(name).arg("--version").output().is_ok();
    let present: Vec<_> = all.into_iter().filter(|(_, name)| found(name)).collect();
    if present.len() < all.len() {
        eprintln!("NOT TESTED with every compiler: only {present:?} is installed");
    }
    present
}

/// Turns words into an argument vector.
pub(crate) fn words<S: AsRef<[u8]>>(words: &[S]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_ref().to_vec()).collect()
}

/// A directory with sources.
pub(crate) struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    /// Makes an empty one.
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Returns its path, links resolved.
    pub(crate) fn path(&self) -> Vec<u8> {
        self.directory.path().canonicalize().unwrap().as_os_str().as_bytes().to_vec()
    }

    /// Writes a file, making its directories.
    pub(crate) fn write(&self, name: &[u8], content: &[u8]) {
        let path = self.directory.path().join(OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &[u8]) -> Vec<u8> {
        let path = self.directory.path().join(OsStr::from_bytes(name));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &[u8]) {
        std::fs::remove_file(self.directory.path().join(OsStr::from_bytes(name))).unwrap();
    }

    /// Lists all files, relative.
    pub(crate) fn files(&self) -> BTreeSet<Vec<u8>> {
        let mut found = BTreeSet::new();
        let mut pending = vec![self.directory.path().to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let name = path.strip_prefix(self.directory.path()).unwrap();
                    found.insert(name.as_os_str().as_bytes().to_vec());
                }
            }
        }
        found
    }

    /// Runs a command here.
    pub(crate) fn run(&self, argv: &[Vec<u8>]) -> Output {
        self.command(argv).output().unwrap()
    }

    /// Runs a command here; returns also what it wrote to its standard input, which is a file.
    pub(crate) fn run_listing(&self, argv: &[Vec<u8>]) -> (Output, Vec<u8>) {
        let listing = tempfile::NamedTempFile::new().unwrap();
        let output = self.command(argv).stdin(listing.reopen().unwrap()).output().unwrap();
        (output, std::fs::read(listing.path()).unwrap())
    }

    fn command(&self, argv: &[Vec<u8>]) -> std::process::Command {
        let mut command = std::process::Command::new(OsStr::from_bytes(&argv[0]));
        command
            .args(argv[1..].iter().map(|word| OsStr::from_bytes(word)))
            .current_dir(self.directory.path())
            .env("PWD", Path::new(OsStr::from_bytes(&self.path())))
            .env("LC_ALL", "C")
            // The test runner's own; with it the loader looks at more places.
            .env_remove("LD_LIBRARY_PATH");
        command
    }

    /// Plans a command here.
    pub(crate) fn plan(&self, kind: CompilerKind, argv: &[Vec<u8>]) -> Plan {
        let working_directory = self.path();
        let command = Command {
            kind,
            argv,
            environment: &[(b"LC_ALL".to_vec(), b"C".to_vec())],
            working_directory: &working_directory,
            plugins: Default::default(),
        };
        Plan::of(&command, &Disk::new(self.directory.path()))
    }

    /// Plans a command that must be a compile.
    pub(crate) fn compile(&self, kind: CompilerKind, argv: &[Vec<u8>]) -> Invocation {
        match self.plan(kind, argv) {
            Plan::Compile(invocation) => *invocation,
            Plan::Bypass(bypass) => panic!("{:?} because of {}", bypass.reason, bypass.cause.escape_ascii()),
        }
    }
}
