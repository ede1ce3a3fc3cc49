//! Bounds of what a hit costs: instructions and system calls of the wrapper itself, without the preprocessor that it starts.
//!
//! Numbers are those of the unoptimised test build, about 1.3 times what was measured, so that a lost optimisation or a new walk over
//! the file system shows, and noise does not.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, has, text};

/// Instructions of a hit on a source with two system headers. Measured: 6.6 million.
const INSTRUCTIONS_MAX: u64 = 8_600_000;

/// System calls of the same. Measured: 426, most of them stats of the toolchain and reads of headers.
const SYSTEM_CALLS_MAX: u64 = 555;

/// System calls that a bypass makes before it becomes the compiler. Measured: 80, half of them the loader's.
const BYPASS_SYSTEM_CALLS_MAX: u64 = 105;

const SOURCE: &str = "#include <stdio.h>\n#include <string.h>\nint f(void) { return puts(\"x\"); }\n";

/// A search path of fixed length: the calls that look for the compiler depend on it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[test]
fn a_local_hit_stays_within_its_instructions() {
    if !has("valgrind") {
        return;
    }
    let place = Place::new();
    place.write("a.c", SOURCE);
    let measure = || {
        let mut command = place.command("valgrind");
        command.args(["--tool=callgrind", "--trace-children=no", "--callgrind-out-file=/dev/null", DCCACHE]);
        let output = command.args(["gcc", "-c", "a.c"]).env("PATH", PATH).output().unwrap();
        assert!(output.status.success());
        let said = text(&output.stderr);
        let line = said.lines().rev().find(|line| line.contains("Collected :")).expect("callgrind counts");
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Valgrind changes LD_PRELOAD, so that its first run makes a toolchain record of its own, the second one an entry's hit.
    measure();
    let before = place.stat("/hits/local");
    let instructions = measure();
    assert_eq!(place.stat("/hits/local"), before + 1, "{}", place.explain());
    println!("{instructions} instructions");
    assert!(instructions <= INSTRUCTIONS_MAX, "{instructions} instructions, at most {INSTRUCTIONS_MAX}");
}

#[test]
fn a_local_hit_and_a_bypass_stay_within_their_system_calls() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    place.write("a.c", SOURCE);
    let log = place.root().join("strace");
    let trace = |words: &[&str]| {
        let mut command = place.command("strace");
        command.arg("-o").arg(&log).arg(DCCACHE).args(words).env("PATH", PATH);
        assert!(command.output().unwrap().status.success());
        let log = fs::read_to_string(&log).unwrap();
        // What follows a second execve is the compiler's.
        let ours = log.lines().take_while({
            let mut programs = 0;
            move |line| {
                programs += u32::from(line.starts_with("execve("));
                programs < 2
            }
        });
        ours.count() as u64
    };
    trace(&["gcc", "-c", "a.c"]);
    let calls = trace(&["gcc", "-c", "a.c"]);
    assert_eq!(place.stat("/hits/local"), 1, "{}", place.explain());
    let bypass = trace(&["gcc", "-E", "a.c"]);
    println!("{calls} system calls for a hit, {bypass} for a bypass");
    assert!(calls <= SYSTEM_CALLS_MAX, "{calls} system calls, at most {SYSTEM_CALLS_MAX}");
    assert!(bypass <= BYPASS_SYSTEM_CALLS_MAX, "{bypass} system calls, at most {BYPASS_SYSTEM_CALLS_MAX}");
}
