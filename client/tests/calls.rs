//! What calls that are not served look like: untouched, with a reason; and calls that never reach a compiler.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use support::{DCCACHE, Place, compilers, text};

#[test]
fn without_arguments_help_is_shown_and_the_code_is_two() {
    let place = Place::new();
    let output = place.run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Exit codes"));
}

#[test]
fn an_unknown_compiler_gives_the_shells_message_and_code() {
    let place = Place::new();
    let output = place.run(&["no-such-compiler", "-c", "a.c"]);
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(text(&output.stderr), "dccache: no-such-compiler: command not found\n");
    place.write("plain-file", "");
    assert_eq!(place.run(&["./plain-file"]).status.code(), Some(126));
    assert_eq!(place.run(&["./absent"]).status.code(), Some(127));
    assert_eq!(place.run(&["/"]).status.code(), Some(126));
}

#[test]
fn every_bypass_runs_the_compiler_as_it_is_and_counts_its_reason() {
    let place = Place::new();
    place.write("a.c", "int main(void) { return 0; }\n");
    place.write("b.c", "int b;\n");
    place.write("off.c", "/* dccache:disable */ int c;\n");
    place.write("time.c", "const char* t = __TIME__;\n");
    let cases: [(&[&str], &str); 10] = [
        (&["a.c", "-o", "a"], "called_for_link"),
        (&["-E", "a.c", "-o", "a.i"], "called_for_preprocessing"),
        (&["-c", "a.c", "b.c"], "multiple_source_files"),
        (&["-c", "absent.c"], "bad_input_file"),
        (&["-c", "off.c"], "disabled"),
        (&["-c", "a.c", "-o", "absent/a.o"], "bad_output_file"),
        (&["-c", "a.c", "-save-temps"], "unsupported_compiler_option"),
        (&["-c", "time.c"], "unsupported_code_directive"),
        (&["-c", "-xada", "a.c"], "unsupported_source_language"),
        (&["--version"], "no_input_file"),
    ];
    for (words, reason) in cases {
        let pointer = format!("/bypass_reasons/{reason}");
        let before = place.stat(&pointer);
        let plain = place.compare(&["gcc"], words, &[]);
        let ours = place.compare(&[DCCACHE, "gcc"], words, &[]);
        assert_eq!(ours, plain, "{words:?}");
        assert_eq!(place.stat(&pointer), before + 1, "{words:?}: {}", place.explain());
        assert!(place.explain().contains("advice"), "{}", place.explain());
    }
}

#[test]
fn a_pipe_as_a_source_is_left_to_the_compiler_unopened() {
    let place = Place::new();
    let pipe = place.file("pipe.c");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let mut child = place.command(DCCACHE);
    let mut child = child.args(["gcc", "-c", "pipe.c", "-o", "a.o"]).stderr(Stdio::piped()).spawn().unwrap();
    // Opening blocks until the compiler opens the other end; one reader gets all of it.
    fs::File::options().write(true).open(&pipe).unwrap().write_all(b"int from_pipe;\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fs::read(place.file("a.o")).unwrap().windows(9).any(|window| window == b"from_pipe"));
    let mut child = place.command(DCCACHE);
    let mut child = child.args(["gcc", "-xc", "-c", "-", "-o", "b.o"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"int from_stdin;\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn dev_null_as_an_output_stays_the_device() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    for _ in 0..2 {
        assert!(place.run(&["gcc", "-c", "a.c", "-o", "/dev/null"]).status.success());
        assert!(place.run(&["gcc", "-c", "a.c", "-o", "a.o"]).status.success());
        let null = fs::symlink_metadata("/dev/null").unwrap();
        assert!(null.file_type().is_char_device(), "a device and nothing else");
    }
}

#[test]
fn a_link_of_a_compilers_name_runs_the_next_one_on_path_and_serves_hits() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 4; }\n");
    let links = place.root().join("links");
    let more_links = place.root().join("more");
    for directory in [&links, &more_links] {
        fs::create_dir(directory).unwrap();
        for name in ["gcc", "cc", "x86_64-linux-gnu-gcc"] {
            symlink(DCCACHE, directory.join(name)).unwrap();
        }
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", links.display(), more_links.display());
    for (number, name) in ["gcc", "gcc", "cc"].into_iter().enumerate() {
        let mut command = place.command(links.join(name));
        let output = command.env("PATH", &path).args(["-c", "a.c"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(place.stat("/hits/local"), u64::from(number > 0), "{}", place.explain());
    }
    let mut command = place.command(DCCACHE);
    let output = command.env("PATH", &path).args(["gcc", "-c", "a.c"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_script_of_the_compilers_name_that_calls_us_is_no_endless_loop() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let script = place.script("bin/gcc", &format!("#!/bin/sh\nexec {DCCACHE} gcc \"$@\"\n"));
    let path = format!("{}:{}", script.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = place.command("gcc");
    let output = command.env("PATH", &path).args(["-c", "a.c"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.stat("/misses"), 1, "{}", place.explain());
}

#[test]
fn another_cache_that_is_asked_for_by_name_runs_as_it_is_and_we_ourselves_are_skipped() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let distcc = place.script("bin/distcc", "#!/bin/sh\nexec \"$@\"\n");
    let path = format!("{}:{}", distcc.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for (number, word) in ["distcc", distcc.to_str().unwrap()].into_iter().enumerate() {
        let mut command = place.command(DCCACHE);
        let output = command.env("PATH", &path).args([word, "gcc", "-c", "a.c"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), number as u64 + 1);
    }
    assert!(place.run(&[DCCACHE, "gcc", "-c", "a.c"]).status.success());
    assert_eq!(place.stat("/misses"), 1, "{}", place.explain());
}

#[test]
fn a_script_as_a_driver_is_left_alone() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    place.script("my-gcc", "#!/bin/sh\nexec gcc \"$@\"\n");
    assert!(place.run(&["./my-gcc", "-c", "a.c"]).status.success());
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 1);
}

#[test]
fn a_bad_configuration_is_an_error_of_our_commands_and_never_of_a_compile() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    fs::create_dir(place.home()).unwrap();
    fs::write(place.home().join("dccache.toml"), "stats = true\nmax_size = \"huge\"\n").unwrap();
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    let output = place.run(&["stats"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    for part in ["dccache.toml:2:", "max_size", "huge"] {
        assert!(message.contains(part), "{message}");
    }
    fs::remove_file(place.home().join("dccache.toml")).unwrap();
    assert_eq!(place.stat("/bypass_reasons/bad_configuration"), 1);
    assert_eq!(place.run(&["config", "set", "max_size", "1Gi"]).status.code(), Some(0));
    assert_eq!(text(&place.run(&["config", "get", "max_size"]).stdout), "1GiB\n");
}

#[test]
fn a_signal_ends_compiler_and_wrapper_as_it_ends_the_compiler_alone_and_leaves_nothing() {
    let place = Place::new();
    for compiler in compilers() {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            // To the wrapper alone, as from a build system that gives up.
            let sent_to_first = |front: &[&str]| {
                let mut child = EndlessCompile::start(&place, front, compiler);
                kill_process(Pid::from_child(&child.first), signal).unwrap();
                child.end()
            };
            let plain = sent_to_first(&[]);
            assert_ne!(plain.signal(), None, "{compiler}, {signal:?}: {plain}");
            assert_eq!(sent_to_first(&[DCCACHE]), plain, "{compiler}, {signal:?}");
            assert!(!place.file("endless.o").exists(), "{compiler}: no partial output");
            assert_eq!(place.entries().len(), 0, "{compiler}: no entry");
        }
    }
}

#[test]
fn a_compiler_that_a_signal_ends_takes_the_wrapper_along() {
    let place = Place::new();
    for compiler in compilers() {
        for signal in [Signal::KILL, Signal::SEGV, Signal::TERM] {
            let sent_to_compiler = |front: &[&str]| {
                let mut child = EndlessCompile::start(&place, front, compiler);
                kill_process(child.compiler, signal).unwrap();
                child.end()
            };
            let plain = sent_to_compiler(&[]);
            assert_eq!(sent_to_compiler(&[DCCACHE]), plain, "{compiler}, {signal:?}");
            assert_eq!(place.entries().len(), 0, "{compiler}: no entry");
        }
    }
}

/// A compile that lasts long: `-E` is quick, the optimiser is not. Dropped, all of its processes are killed.
struct EndlessCompile {
    /// What was started: the wrapper, or the compiler itself.
    first: std::process::Child,
    /// The compiler's driver, past the preprocessor.
    compiler: Pid,
}

impl EndlessCompile {
    /// Starts it and returns once the compiler runs.
    fn start(place: &Place, front: &[&str], compiler: &str) -> Self {
        let mut source = String::from("int g(int);\nint f(int x) {\n");
        for number in 0..60_000 {
            source += &format!("  x = g(x + {number}) ^ (x << {});\n", number % 31);
        }
        place.write("endless.c", source + "  return x;\n}\n");
        let words = [front, &[compiler, "-O2", "-c", "endless.c", "-o", "endless.o"]].concat();
        let mut command = place.command(words[0]);
        let first = command.args(&words[1..]).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        let found = loop {
            let below = [vec![first.id()], descendants(first.id())].concat();
            if let Some(found) = below.into_iter().find(|pid| is_compiler(*pid)) {
                break found;
            }
            std::thread::yield_now();
        };
        let compiler = Pid::from_raw(found.cast_signed()).unwrap();
        Self { first, compiler }
    }

    /// Waits for what was started.
    fn end(&mut self) -> std::process::ExitStatus {
        self.first.wait().unwrap()
    }
}

impl Drop for EndlessCompile {
    fn drop(&mut self) {
        // A compiler proper whose driver was killed goes on; its group is still its own.
        let _ = kill_process_group(Pid::from_child(&self.first), Signal::KILL);
        let _ = self.first.wait();
    }
}

/// Tells whether a process is a compiler at work on the source: not the wrapper, not the preprocessor, past its `execve`.
fn is_compiler(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let is_one = |name: &[u8]| name.ends_with(b"gcc") || name.ends_with(b"clang");
    let has = |word: &[u8]| words.contains(&word);
    is_one(words[0]) && has(b"endless.c") && has(b"endless.o") && !has(b"-E") && !has(b"-###")
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|word| word.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

#[test]
fn the_compiler_gets_the_dispositions_that_we_got() {
    let place = Place::new();
    // A compiler that prints its ignored signals, and one that we run as a child; both through a shell that ignores SIGPIPE.
    place.script("show", "#!/bin/sh\ngrep SigIgn /proc/self/status\n");
    for trap in ["", "trap '' PIPE; "] {
        let shell = |words: &str| {
            let mut command = place.command("sh");
            text(&command.args(["-c", &format!("{trap}exec {words}")]).output().unwrap().stdout)
        };
        assert_eq!(shell(&format!("{DCCACHE} ./show")), shell("./show"), "{trap}");
    }
}

#[test]
fn closed_streams_stay_closed_and_are_not_taken_by_files_of_ours() {
    let place = Place::new();
    place.write("a.c", "int f(int x) { int unused; return x; }\n");
    for _ in 0..2 {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {DCCACHE} gcc -Wall -c a.c 2>&- >&- <&-")]);
        let status = command.current_dir(place.work()).env("DCCACHE_DIR", place.home()).status().unwrap();
        assert!(status.success());
    }
    assert_eq!(place.entries().len(), 0, "left to the compiler");
}
