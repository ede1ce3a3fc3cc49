//! A real project with its own build system, built without dccache and with it, and compared file by file.

use dccache::loopback::Workstation;
use dccache_tests::{Binaries, files_below, package, wait_until_old};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How a build is told about dccache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Not at all.
    Plain,
    /// By a launcher: `$LAUNCHER` is its path, and `$CC` and `$CXX` begin with it.
    Launcher,
    /// By the compilers' names, which `PATH` finds as links to it; then every generated file can be compared.
    Names,
}

/// Where a project comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Project {
    /// Package of the lock file.
    pub(crate) package: &'static str,
    /// Directory inside of it.
    pub(crate) directory: &'static str,
    /// Files that its autotools made, in the order in which make wants them; empty where there are none.
    pub(crate) generated: &'static [&'static str],
}

/// A machine on which a project is built, always at the same place.
pub(crate) struct Shop {
    home: TempDir,
    workstation: Workstation,
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// Files of a build that can be compared, by name.
pub(crate) type Built = BTreeMap<String, Vec<u8>>;

impl Shop {
    /// Copies the project to `src` of a new place.
    pub(crate) fn new(project: Project) -> Self {
        let home = tempfile::tempdir().unwrap();
        let program = Binaries::find().dccache;
        let workstation = Workstation::new(&home.path().join("state"), &program);
        let names = home.path().join("names");
        fs::create_dir(&names).unwrap();
        for name in ["gcc", "g++", "cc", "c++"] {
            symlink(&program, names.join(name)).unwrap();
        }
        let shop = Self { home, workstation, program, variables: Vec::new() };
        copy(&package(project.package).join(project.directory), &shop.source());
        for name in project.generated {
            let files = files_below(&shop.source()).into_iter().filter(|file| file.ends_with(name));
            files.for_each(|file| {
                fs::File::open(file).unwrap().set_modified(std::time::SystemTime::now()).unwrap()
            });
            wait_until_old(&shop.source());
        }
        shop
    }

    /// Returns a path of the place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.path("src")
    }

    /// Sets a variable for all builds.
    pub(crate) fn set(&mut self, name: &'static str, value: &Path) {
        self.variables.push((name, value.to_str().unwrap().to_owned()));
    }

    /// Runs a script in an empty directory, and returns what it built. `$SRC` is the project.
    pub(crate) fn build(&self, front: Front, script: &str) -> Built {
        let _ = fs::remove_dir_all(self.path("build"));
        fs::create_dir(self.path("build")).unwrap();
        self.build_on(front, script)
    }

    /// As [`Shop::build`], on top of what is there.
    pub(crate) fn build_on(&self, front: Front, script: &str) -> Built {
        let mut command = self.command(front);
        let output = command.args(["-e", "-c", script]).current_dir(self.path("build")).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{front:?}: {}", String::from_utf8_lossy(&said));
        let files = files_below(&self.path("build")).into_iter().filter(|file| is_compared(file));
        let name =
            |file: &Path| file.strip_prefix(self.path("build")).unwrap().to_string_lossy().into_owned();
        files.map(|file| (name(&file), fs::read(&file).unwrap_or_default())).collect()
    }

    fn command(&self, front: Front) -> Command {
        let mut command = Command::new("sh");
        command.env("DCCACHE_DIR", self.workstation.directory()).env("SRC", self.source());
        command.env_remove("LD_LIBRARY_PATH").env_remove("MAKEFLAGS").stdin(Stdio::null());
        let program = self.program.to_str().unwrap();
        let launcher = if front == Front::Launcher { program } else { "" };
        let path = std::env::var("PATH").unwrap();
        if front == Front::Names {
            command.env("PATH", format!("{}:{path}", self.path("names").display()));
        }
        command.env("LAUNCHER", launcher);
        command.env("CC", format!("{launcher} gcc").trim()).env("CXX", format!("{launcher} g++").trim());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Returns one count of the statistics.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.stats().pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Returns the statistics.
    pub(crate) fn stats(&self) -> Value {
        self.workstation.json(&["stats", "--json"]).unwrap()
    }

    /// Asserts that plain, cold and warm builds give the same, `compiles` of them from the store at least.
    pub(crate) fn assert_as_without(&self, front: Front, script: &str, compiles: u64) -> Built {
        let built = |front_of_it| {
            let mut built = self.build(front_of_it, script);
            built.retain(|name, _| front == Front::Names || !is_own(name));
            built
        };
        let plain = built(Front::Plain);
        let objects = plain.keys().filter(|name| name.ends_with(".o")).count() as u64;
        assert!(objects >= compiles, "{objects} objects");
        assert_same("cold", &plain, &built(front));
        let before = self.count("/hits/local");
        assert_same("warm", &plain, &built(front));
        let hits = self.count("/hits/local") - before;
        println!("{} files, {objects} objects, {hits} warm hits: {}", plain.len(), self.stats());
        assert!(hits >= compiles, "{hits} hits: {}", self.stats());
        plain
    }
}

/// Asserts that two builds made the same files.
pub(crate) fn assert_same(what: &str, plain: &Built, ours: &Built) {
    let names = |built: &Built| built.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(plain), names(ours), "{what}");
    let differs = |name: &&String| plain[*name] != ours[*name];
    assert_eq!(plain.keys().filter(differs).collect::<Vec<_>>(), Vec::<&String>::new(), "{what}");
}

/// Everything that the compiler made or that was made of it, and the build system's own files; never logs, which hold times.
fn is_compared(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_string_lossy();
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    let made = ["o", "lo", "la", "a", "d", "h", "pc", "Po", "Plo", "deps"].contains(&&*extension);
    let scratch = file.components().any(|part| part.as_os_str() == "CMakeScratch");
    (made || name.contains(".so") || OWN.contains(&&*name)) && !scratch
}

/// Files in which build systems say how they call the compiler.
const OWN: &[&str] = &["Makefile", "libtool", "config.status"];

fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| Path::new(name).ends_with(own))
}

/// Copies a tree; links are not followed, since there are none in packages.
pub(crate) fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}
