//! The demo does what it says, and leaves nothing behind, also when it is interrupted.

use dccache_tests::Binaries;
use std::path::Path;
use std::process::{Command, Stdio};

/// How often a file of the running demo is looked for, and how many times at most: one minute.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);
const POLLS: usize = 3_000;

#[test]
fn the_demo_shows_what_it_says_and_leaves_nothing_behind() {
    let programs = Binaries::find();
    let scratch = tempfile::tempdir().unwrap();
    let mut demo = Command::new(&programs.dccache);
    demo.arg("demo").env("TMPDIR", scratch.path());
    let output = demo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("equal the plain compiler's, byte for byte"), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "files were left behind");
    assert_eq!(processes_that_mention(scratch.path()), Vec::<String>::new());
}

#[test]
fn an_interrupted_demo_says_so_and_leaves_nothing_behind() {
    let programs = Binaries::find();
    let scratch = tempfile::tempdir().unwrap();
    let mut demo = Command::new(&programs.dccache);
    demo.arg("demo").env("TMPDIR", scratch.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = demo.spawn().unwrap();
    let serves = || {
        let homes = std::fs::read_dir(scratch.path()).unwrap().flatten();
        homes.into_iter().any(|home| home.path().join("node-3/ready.json").is_file())
    };
    assert!(
        (0..POLLS).any(|_| serves() || {
            std::thread::sleep(POLL);
            false
        }),
        "the third node never served"
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted"), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "files were left behind");
    assert_eq!(processes_that_mention(scratch.path()), Vec::<String>::new());
}

/// Command lines of running processes that name a path, or have it in their environment.
fn processes_that_mention(path: &Path) -> Vec<String> {
    let needle = path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux lists processes").flatten() {
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if entry.file_name().to_string_lossy() == std::process::id().to_string() {
            continue;
        }
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let text = [read("cmdline"), read("environ")]
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
        if text.iter().any(|text| text.contains(&needle)) {
            found.push(text[0].clone());
        }
    }
    found
}
