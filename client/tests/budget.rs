//! Bounds of what a hit costs: instructions and system calls of the wrapper itself, without the preprocessor that it starts.
//!
//! Numbers are those of the unoptimised test build, about 1.3 times what was measured, so that a lost optimisation or a new walk over
//! the file system shows, and noise does not.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, LATER, Place, has, text};

/// Instructions of a hit by a sealed record, of a source with two system headers. Measured: 2.5 million.
const SEALED_INSTRUCTIONS_MAX: u64 = 3_200_000;

/// System calls of the same. Measured: 176; a quarter are the loader's, half are stats.
const SEALED_CALLS_MAX: u64 = 229;

/// Instructions of a direct hit without a sealed record. Measured: 7 million.
const DIRECT_INSTRUCTIONS_MAX: u64 = 9_100_000;

/// System calls of the same. Measured: 363.
const DIRECT_CALLS_MAX: u64 = 475;

/// Instructions of a preprocessed hit, without the preprocessor. Measured: 7.3 million.
const PREPROCESSED_INSTRUCTIONS_MAX: u64 = 9_500_000;

/// System calls of the same. Measured: 464, most of them stats of the toolchain and reads of headers.
const PREPROCESSED_CALLS_MAX: u64 = 605;

/// System calls that a bypass makes before it becomes the compiler. Measured: 105, a third of them the loader's.
const BYPASS_SYSTEM_CALLS_MAX: u64 = 137;

const SOURCE: &str = "#include <stdio.h>\n#include <string.h>\nint f(void) { return puts(\"x\"); }\n";

/// A search path of fixed length: the calls that look for the compiler depend on it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Name, variables, most instructions, most system calls.
type Way = (&'static str, &'static [(&'static str, &'static str)], u64, u64);

/// The ways to a local hit: what must be set for each, and its bounds.
const WAYS: [Way; 3] = [
    ("sealed", &[LATER], SEALED_INSTRUCTIONS_MAX, SEALED_CALLS_MAX),
    // The record of another clock does not serve this one, and nothing is old enough to seal another.
    ("direct", &[], DIRECT_INSTRUCTIONS_MAX, DIRECT_CALLS_MAX),
    (
        "preprocessed",
        &[("DCCACHE_DIRECT_MODE", "false")],
        PREPROCESSED_INSTRUCTIONS_MAX,
        PREPROCESSED_CALLS_MAX,
    ),
];

#[test]
fn each_way_to_a_local_hit_stays_within_its_instructions() {
    if !has("valgrind") {
        return;
    }
    let place = Place::new();
    for (way, variables, bound, _) in WAYS {
        place.write("a.c", SOURCE);
        let measure = || {
            if way == "direct" {
                // A run under valgrind lasts so long that its input would be old enough to be sealed by the next one.
                place.write("a.c", SOURCE);
            }
            let mut command = place.command("valgrind");
            command.args([
                "--tool=callgrind",
                "--trace-children=no",
                "--callgrind-out-file=/dev/null",
                DCCACHE,
            ]);
            command.args(["gcc", "-c", "a.c"]).env("PATH", PATH).envs(variables.iter().copied());
            let output = command.output().unwrap();
            assert!(output.status.success());
            let said = text(&output.stderr);
            let line =
                said.lines().rev().find(|line| line.contains("Collected :")).expect("callgrind counts");
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        // Valgrind changes LD_PRELOAD, so that its first run makes records of its own, the second one hits and seals.
        measure();
        measure();
        let before = place.stat("/hits/local");
        let instructions = measure();
        assert_eq!(place.stat("/hits/local"), before + 1, "{}", place.explain());
        println!("{way}: {instructions} instructions");
        assert!(instructions <= bound, "{way}: {instructions} instructions, at most {bound}");
    }
}

#[test]
fn each_way_to_a_local_hit_and_a_bypass_stay_within_their_system_calls() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    let log = place.root().join("strace");
    let trace = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = place.command("strace");
        command
            .arg("-o")
            .arg(&log)
            .arg(DCCACHE)
            .args(words)
            .env("PATH", PATH)
            .envs(variables.iter().copied());
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
    for (way, variables, _, bound) in WAYS {
        place.write("a.c", SOURCE);
        trace(variables, &["gcc", "-c", "a.c"]);
        trace(variables, &["gcc", "-c", "a.c"]);
        let before = place.stat("/hits/local");
        let calls = trace(variables, &["gcc", "-c", "a.c"]);
        assert_eq!(place.stat("/hits/local"), before + 1, "{}", place.explain());
        println!("{way}: {calls} system calls");
        assert!(calls <= bound, "{way}: {calls} system calls, at most {bound}");
    }
    let bypass = trace(&[], &["gcc", "-E", "a.c"]);
    println!("{bypass} system calls for a bypass");
    assert!(bypass <= BYPASS_SYSTEM_CALLS_MAX, "{bypass} system calls, at most {BYPASS_SYSTEM_CALLS_MAX}");
}
