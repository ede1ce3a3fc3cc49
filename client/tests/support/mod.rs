//! A place of its own for each test: a directory to compile in, a home of dccache, and running compilers with and without it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod ccache;
pub mod changes;
pub mod direct;
pub mod verify;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary under test.
pub const DCCACHE: &str = env!("CARGO_BIN_EXE_dccache");

/// Makes a compile with gcc list what it reads, in place of a preprocessor run.
pub const ALWAYS: (&str, &str) = ("DCCACHE_DEPEND_MODE", "true");

/// Moves the clock by which stamps are old enough to be trusted, so that no test waits for that.
pub const LATER: (&str, &str) = ("DCCACHE_TEST_CLOCK_OFFSET_MS", "60000");

/// A working directory and a home.
pub struct Place {
    root: tempfile::TempDir,
}

/// What one compile gave: exit code, both streams, and the named files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub files: Vec<(String, Option<Vec<u8>>)>,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(place.work()).unwrap();
        place
    }

    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        // Inputs as young as the compile's start are not stored; real ones are older.
        age(&path);
        path
    }

    /// A program that can be executed.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DCCACHE_") {
                command.env_remove(name);
            }
        }
        // The test runner's own; with it the loader looks at more places for the toolchain's libraries.
        command.env_remove("LD_LIBRARY_PATH");
        command.current_dir(self.work()).env("DCCACHE_DIR", self.home()).stdin(Stdio::null());
        // A file for all users of this machine is not ours to test with.
        command.env("DCCACHE_SYSTEM_CONFIG", "");
        command
    }

    /// Runs `dccache WORDS`.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(DCCACHE).args(words).output().unwrap()
    }

    /// Removes the outputs, runs, and takes up everything that can be compared.
    pub fn compare(&self, program: &[&str], words: &[&str], outputs: &[&str]) -> Result {
        self.compare_under(&[], program, words, outputs)
    }

    /// As [`Place::compare`], under variables.
    pub fn compare_under(
        &self,
        variables: &[(&str, &str)],
        program: &[&str],
        words: &[&str],
        outputs: &[&str],
    ) -> Result {
        outputs.iter().for_each(|name| drop(fs::remove_file(self.file(name))));
        let mut command = self.command(program[0]);
        let output =
            command.args(&program[1..]).args(words).envs(variables.iter().copied()).output().unwrap();
        Result {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            files: outputs.iter().map(|name| (name.to_string(), fs::read(self.file(name)).ok())).collect(),
        }
    }

    /// Asserts that plain, cold and warm compiles give the same, and that the warm ones were hits: by manifest, by sealed record, and by
    /// the preprocessed text.
    pub fn assert_differential(&self, compiler: &str, words: &[&str], outputs: &[&str]) {
        let plain = self.compare(&[compiler], words, outputs);
        let cold = self.compare(&[DCCACHE, compiler], words, outputs);
        assert_eq!(plain, cold, "cold: {compiler} {words:?}");
        let ways: [&[(&str, &str)]; 4] = [&[], &[LATER], &[LATER], &[("DCCACHE_DIRECT_MODE", "false")]];
        for variables in ways {
            let before = self.stat("/hits/local");
            let warm = self.compare_under(variables, &[DCCACHE, compiler], words, outputs);
            assert_eq!(plain, warm, "warm: {compiler} {words:?} {variables:?}");
            let hits = self.stat("/hits/local");
            assert_eq!(hits, before + 1, "{compiler} {words:?} {variables:?}: {}", self.explain());
        }
    }

    /// Parts of gcc that run what a variable says before they begin: the compiler proper `BEFORE`, where it does not only preprocess, and the assembler
    /// `CHANGE`, when all has been read. Each preprocessor run of `a.c` adds a line to `runs`. Returns the option that finds them.
    pub fn changing_parts(&self) -> String {
        let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        const char name[] = "GNU assembler";
        int main(int count, char **words) {
            int text = 0, unit = 0;
            for (int i = 1; i < count; i++) text |= !strcmp(words[i], "-E"), unit |= !strcmp(words[i], "a.c");
            FILE *runs = text && unit ? fopen("runs", "a") : 0;
            if (runs) fputs("text\n", runs), fclose(runs);
            const char *change = text ? 0 : getenv(WHEN);
            if (change && system(change)) return 1;
            words[0] = (char *)REAL;
            return execv(words[0], words);
        }"#;
        self.write("bin/part.c", source);
        for (part, when) in [("cc1", "BEFORE"), ("as", "CHANGE")] {
            let real = self.command("gcc").arg(format!("-print-prog-name={part}")).output().unwrap();
            let real = String::from_utf8(real.stdout).unwrap();
            let real = if part == "as" { "/usr/bin/as" } else { real.trim() };
            let [when, real] = [format!("-DWHEN=\"{when}\""), format!("-DREAL=\"{real}\"")];
            let mut command = self.command("gcc");
            command.args([&when, &real, "bin/part.c", "-o", &format!("bin/{part}")]);
            assert!(command.status().unwrap().success());
        }
        format!("-B{}/", self.file("bin").display())
    }

    pub fn stats(&self) -> serde_json::Value {
        serde_json::from_slice(&self.run(&["stats", "--json"]).stdout).unwrap()
    }

    pub fn stat(&self, pointer: &str) -> u64 {
        let stats = self.stats();
        stats.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0)
    }

    pub fn explain(&self) -> String {
        String::from_utf8(self.run(&["explain"]).stdout).unwrap()
    }

    /// Files of the store.
    pub fn entries(&self) -> Vec<PathBuf> {
        let Ok(shards) = fs::read_dir(self.home().join("objects")) else { return Vec::new() };
        let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
        let files = files.map(|file| file.unwrap().path());
        let kinds = ["p-", "d-"];
        let named = |file: &PathBuf| {
            kinds.iter().any(|kind| file.file_name().unwrap().to_string_lossy().starts_with(kind))
        };
        // Second names begin with another byte.
        let whole = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| bytes.first() != Some(&0xA1));
        files.filter(named).filter(whole).collect()
    }
}

/// A mount that goes away with it.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a small tmpfs; `None`, said loudly, where this user may not mount.
    pub fn tmpfs(place: &Place, size: &str) -> Option<Self> {
        let at = place.home();
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: mounting needs root, so this test proves nothing here");
            return None;
        }
        Some(Self(at))
    }

    pub fn remount_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Makes a file a minute old, as far as anybody can; its ctime stays now, so this waits until the clock of file times has moved on.
pub fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    let changed = || {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.metadata().unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        (now.tv_sec, now.tv_nsec)
    };
    while now() <= changed() {
        std::thread::yield_now();
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program is there; a missing one is said loudly.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed, so this test proves nothing here");
    }
    found
}

pub fn compilers() -> Vec<&'static str> {
    ["gcc", "clang"].into_iter().filter(|compiler| has(compiler)).collect()
}
