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

/// Calls that a sealed hit never makes: they list directories, lock, wait for the disk, start something, or speak to somebody.
const NEVER: [&str; 14] = [
    "getdents64",
    "getdents",
    "flock",
    "fsync",
    "fdatasync",
    "sync",
    "syncfs",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "socket",
    "connect",
    "poll",
];

/// The calls of a sealed hit of a unit with that many headers of its own, and the paths of its stats, resolved.
fn sealed_hit(headers: usize) -> (Vec<String>, Vec<String>) {
    let place = Place::new();
    // A project begins here, and nothing above counts: others write there.
    fs::create_dir(place.file(".git")).unwrap();
    let names: Vec<String> = (0..headers).map(|number| format!("h{number:03}.h")).collect();
    names.iter().for_each(|name| drop(place.write(&format!("inc/{name}"), format!("// {name}\n"))));
    place.write("a.c", names.iter().map(|name| format!("#include <{name}>\n")).collect::<String>());
    let log = place.root().join("strace");
    let trace = || {
        let mut command = place.command("strace");
        command.args(["-f", "-y", "-qq", "-s", "4096", "-o"]).arg(&log);
        // An object beside the source would change a directory that is guarded: then each name that must stay absent there is looked at.
        command
            .args([DCCACHE, "gcc", "-Iinc", "-c", "a.c", "-o", "../a.o"])
            .env("PATH", PATH)
            .env(LATER.0, LATER.1);
        assert!(command.output().unwrap().status.success());
        fs::read_to_string(&log).unwrap()
    };
    (0..2).for_each(|_| drop(trace()));
    // The first calls made what lies in the home, and so changed that: a record that is sealed now stands on what stays.
    let mut find = place.command("find");
    find.arg(place.home().join("objects")).args(["-name", "s-*", "-delete"]);
    assert!(find.status().unwrap().success());
    (0..2).for_each(|_| drop(trace()));
    let before = place.stat("/hits/direct");
    let log = trace();
    assert_eq!(place.stat("/hits/direct"), before + 1, "{}", place.explain());
    // One event in 64 looks at the size of the log; how memory is had is the allocator's.
    let chance = |call: &str| call.starts_with("statx(") && call.contains("/stats/log>");
    let memory =
        |call: &str| ["brk(", "mmap(", "munmap(", "mremap("].iter().any(|name| call.starts_with(name));
    let calls = log.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_start()));
    let calls: Vec<String> = calls
        .filter(|call| !chance(call) && !memory(call) && !call.starts_with("+++"))
        .map(str::to_owned)
        .collect();
    let work = format!("{}/", place.work().display());
    let looked = calls.iter().filter(|call| call.starts_with("newfstatat(") || call.starts_with("statx("));
    let path = |call: &String| {
        let name = call.split('"').nth(1)?;
        let directory = call.split_once('<')?.1.split_once('>')?.0;
        let path = if name.starts_with('/') { name.to_owned() } else { format!("{directory}/{name}") };
        (!name.is_empty()).then(|| path.strip_prefix(&work).map_or(path.clone(), str::to_owned))
    };
    let looked = looked.filter_map(path).collect();
    (calls, looked)
}

#[test]
fn a_sealed_hit_walks_and_locks_nothing_and_looks_once_at_each_file() {
    if !has("strace") {
        return;
    }
    let [(few, _), (many, looked)] = [50, 100].map(sealed_hit);
    for call in few.iter().chain(&many) {
        let name = call.split('(').next().unwrap();
        assert!(!NEVER.contains(&name) && !call.contains("F_SETLK") && !call.contains("F_OFD_"), "{call}");
    }
    let started = many.iter().filter(|call| call.starts_with("execve(")).count();
    assert_eq!(started, 1, "the wrapper itself: {many:#?}");
    let times = |path: &str| looked.iter().filter(|other| *other == path).count();
    for path in (0..100).map(|number| format!("inc/h{number:03}.h")).chain(["a.c".to_owned()]) {
        assert_eq!(times(&path), 1, "{path}: {looked:#?}");
    }
    // A directory can be a place, and be guarded.
    let often: Vec<&String> = looked.iter().filter(|path| times(path) > 2).collect();
    assert_eq!(often, Vec::<&String>::new());
    assert_eq!(many.len() - few.len(), 50, "one call for each more: {many:#?}");
}
