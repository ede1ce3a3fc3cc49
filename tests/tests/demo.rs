//! The demo does what it says, ends with an error where that does not hold, and leaves nothing behind, also when it is interrupted.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_tests::{Binaries, Effect, until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The demo with places of its own, so that whatever it leaves is found.
struct Demo {
    scratch: tempfile::TempDir,
    home: tempfile::TempDir,
}

impl Demo {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap(), home: tempfile::tempdir().unwrap() }
    }

    fn command(&self) -> Command {
        let mut demo = Command::new(Binaries::find().dccache);
        demo.arg("demo").env("TMPDIR", self.scratch.path()).env("HOME", self.home.path());
        demo.env_remove("XDG_CACHE_HOME").env_remove("XDG_RUNTIME_DIR");
        demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        demo
    }

    fn end(&self, child: Child) -> Effect {
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Effect { code: output.status.code(), signal: None, stdout, stderr, outputs: Vec::new() }
    }

    /// A compiler that writes what `command` prints into its output.
    fn compiler(&self, command: &str) -> PathBuf {
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done\n{command} >\"$out\"\n"
        );
        let path = self.home.path().join("compiler");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run_with(self, compiler: &Path) -> Effect {
        let child = self.command().arg("--compiler").arg(compiler).spawn().unwrap();
        let said = self.end(child);
        fs::remove_file(compiler).unwrap();
        self.assert_nothing_is_left();
        said
    }

    /// Looks into the directory of the running demo.
    fn holds(&self, child: &mut Child, what: &str, count: usize) {
        until(what, || {
            assert!(child.try_wait().unwrap().is_none(), "it ended before there was {what}");
            let homes = fs::read_dir(self.scratch.path()).unwrap().flatten();
            let found = homes.map(|home| home.path().join(what));
            let enough = |path: PathBuf| match fs::read_dir(&path) {
                Ok(entries) => entries.count() >= count,
                Err(_) => path.is_file(),
            };
            found.into_iter().any(enough).then_some(())
        });
    }

    fn assert_nothing_is_left(&self) {
        for directory in [&self.scratch, &self.home] {
            let left: Vec<_> =
                fs::read_dir(directory.path()).unwrap().flatten().map(|file| file.path()).collect();
            assert_eq!(left, Vec::<PathBuf>::new(), "files were left behind");
        }
        assert_eq!(processes_that_mention(self.scratch.path()), Vec::<String>::new());
    }
}

#[test]
fn the_demo_shows_what_it_says_and_leaves_nothing_behind() {
    let demo = Demo::new();
    let child = demo.command().spawn().unwrap();
    let said = demo.end(child);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let text = &said.stdout;
    let builds =
        ["plain compiler", "A, cold", "from the ring", "from its own store", "one of three nodes dead"];
    for build in builds {
        let progress = text.lines().any(|line| line.starts_with("building ") && line.contains(build));
        let row = text.lines().any(|line| !line.starts_with("building ") && line.contains(build));
        assert!(progress && row, "{build}: {text}");
    }
    for part in ["BSD", "local", "ring", "miss", "requests", "share", "killed with SIGKILL"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for number in 1..=3 {
        let address = format!("127.0.0.{number}:");
        let row = text.lines().find(|line| line.contains(&address) && line.matches(" %").count() == 2);
        assert!(row.is_some(), "shares of {address}: {text}");
    }
    assert!(text.contains("equal the plain compiler's, byte for byte"), "{text}");
    demo.assert_nothing_is_left();
}

#[test]
fn a_demo_whose_objects_differ_or_are_not_served_says_so_and_fails() {
    let demo = Demo::new();
    let compiler = demo.compiler("echo $$");
    let said = demo.run_with(&compiler);
    assert!(
        said.code == Some(1) && said.stderr.contains("differs from the plain compiler's"),
        "{}",
        said.shown()
    );
    let demo = Demo::new();
    let compiler = demo.compiler("echo same");
    let said = demo.run_with(&compiler);
    assert!(said.code == Some(1) && said.stderr.contains(" 0 of "), "{}", said.shown());
    assert!(!said.stdout.contains("byte for byte"), "{}", said.stdout);
}

#[test]
fn an_interrupted_demo_says_so_and_leaves_nothing_behind() {
    // While nodes start, while compilers run, and while wrappers and agents are at work.
    for (what, count, receivers) in
        [("node-2", 1, &[false, true][..]), ("objects-plain", 1, &[false, true]), ("objects-a", 2, &[true])]
    {
        for &to_all in receivers {
            let demo = Demo::new();
            let mut child = demo.command().process_group(0).spawn().unwrap();
            demo.holds(&mut child, what, count);
            let pid = Pid::from_child(&child);
            // A terminal sends it to everything that the demo started; others send it to the demo alone.
            let sent =
                if to_all { kill_process_group(pid, Signal::INT) } else { kill_process(pid, Signal::INT) };
            sent.unwrap();
            let said = demo.end(child);
            assert_eq!(said.code, Some(130), "{what}, to all: {to_all}: {}", said.shown());
            assert!(said.stderr.contains("interrupted"), "{what}, to all: {to_all}: {}", said.shown());
            demo.assert_nothing_is_left();
        }
    }
}

/// Command lines of running processes that name a path, or have it in their environment.
fn processes_that_mention(path: &Path) -> Vec<String> {
    let needle = path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("Linux lists processes").flatten() {
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if entry.file_name().to_string_lossy() == std::process::id().to_string() {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let text = [read("cmdline"), read("environ")]
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
        if text.iter().any(|text| text.contains(&needle)) {
            found.push(text[0].clone());
        }
    }
    found
}
