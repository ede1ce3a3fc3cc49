//! What lies around a compile and decides what it gives: the terminal, the processor, the time zone.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::Path;
use support::{DCCACHE, LATER, Place, compilers, has, text};

/// Runs a compile whose streams are a terminal; returns what was shown, and the object.
fn on_a_terminal(
    place: &Place,
    variables: &[(&str, &str)],
    program: &[&str],
    words: &[&str],
) -> (String, Vec<u8>) {
    let _ = fs::remove_file(place.file("a.o"));
    let line = [program, words].concat().join(" ");
    let mut command = place.command("script");
    command.args(["-qec", &line, "/dev/null"]).envs(variables.iter().copied()).envs([LATER]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", text(&output.stdout));
    (text(&output.stdout), fs::read(place.file("a.o")).unwrap())
}

#[test]
fn messages_are_coloured_where_the_compiler_would_have_coloured_them_and_nowhere_else() {
    if !has("script") {
        return;
    }
    const COLOUR: &str = "\x1b[";
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "#warning said\nint f(void) { int unused; return 1; }\n");
        let words = ["-Wall", "-c", "a.c"];
        let pipe =
            |program: &[&str]| place.compare_under(&[LATER, ("TERM", "xterm")], program, &words, &["a.o"]);
        let mut misses = 0;
        for (terminal, coloured) in [
            ([("TERM", "xterm"), ("COLUMNS", "200")], true),
            ([("TERM", "xterm"), ("COLUMNS", "160")], true),
            ([("TERM", "dumb"), ("COLUMNS", "200")], false),
        ] {
            let plain = on_a_terminal(&place, &terminal, &[compiler], &words);
            assert_eq!(plain.0.contains(COLOUR), coloured, "{compiler} {terminal:?}: {}", plain.0);
            for turn in 0..3 {
                let ours = on_a_terminal(&place, &terminal, &[DCCACHE, compiler], &words);
                assert_eq!(ours, plain, "{compiler} {terminal:?}, turn {turn}: {}", place.explain());
            }
            // Without colours it is what goes into a pipe.
            assert_eq!(
                place.stat("/misses") > misses,
                coloured,
                "{compiler} {terminal:?}: {}",
                place.explain()
            );
            misses = place.stat("/misses");
            // The same compile into a pipe.
            let plain = pipe(&[compiler]);
            assert!(!plain.stderr.is_empty() && !plain.stderr.contains(COLOUR));
            for _ in 0..2 {
                assert_eq!(pipe(&[DCCACHE, compiler]), plain, "{compiler} {terminal:?}: {}", place.explain());
            }
            misses = place.stat("/misses").max(misses);
        }
        assert!(place.stat("/hits/local") >= 6, "{compiler}: {}", place.stats());
    }
}

/// Runs `words` where the kernel calls the processor by another name; `None` where that cannot be.
fn on_a_machine(place: &Place, processor: &Path, words: &[&str]) -> Option<String> {
    let mut command = place.command("unshare");
    let script = format!("mount --bind {} /proc/cpuinfo && exec \"$@\"", processor.display());
    command.args(["--mount", "sh", "-c", &script, "sh"]).args(words).envs([LATER]);
    let output = command.output().ok()?;
    let message = text(&output.stderr);
    if message.contains("mount") || message.contains("unshare") {
        eprintln!("SKIPPED: no mounts here, so this test proves nothing: {message}");
        return None;
    }
    assert!(output.status.success(), "{message}");
    Some(message)
}

#[test]
fn an_object_for_this_processor_is_not_served_on_another_one_that_shares_the_home() {
    let place = Place::new();
    place.write(
        "a.c",
        "int f(const int *v) { int s = 0; for (int i = 0; i < 64; i++) s += v[i]; return s; }\n",
    );
    // A driver for which `native` is what the kernel says; the user vouches for it.
    let driver = place.script(
        "bin/gcc",
        "#!/bin/sh\nif grep -q wide /proc/cpuinfo; then to=skylake-avx512; else to=x86-64; fi\nfor word do\nshift\n[ \"$word\" = -march=native ] && word=-march=$to\nset -- \"$@\" \"$word\"\ndone\nexec /usr/bin/gcc \"$@\"\n",
    );
    let machines = ["wide", "narrow"].map(|name| {
        place.write(
            name,
            format!("processor\t: 0\nvendor_id\t: {name}\nmodel name\t: {name}\nflags\t\t: {name}\n\n"),
        )
    });
    let driver = driver.to_str().unwrap();
    let words = ["-O3", "-march=native", "-c", "a.c"];
    let ours = [&[DCCACHE, "compiler_check=none", driver], words.as_slice()].concat();
    let plain = [&[driver], words.as_slice()].concat();
    let object = || fs::read(place.file("a.o")).unwrap();
    let mut objects = Vec::new();
    for (turn, machine) in [0, 1, 0, 1].into_iter().enumerate() {
        if on_a_machine(&place, &machines[machine], &plain).is_none() {
            return;
        }
        let expected = object();
        on_a_machine(&place, &machines[machine], &ours).unwrap();
        assert!(object() == expected, "turn {turn}: {}", place.explain());
        objects.push(expected);
    }
    assert_ne!(objects[0], objects[1], "the processors differ");
    assert_eq!((place.stat("/hits/local"), place.stat("/misses")), (2, 2), "{}", place.explain());
}

#[test]
fn the_date_of_another_time_zone_is_another_date() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "const char *a = __DATE__;\n");
        // More than a day apart: never the same date.
        for zone in ["XXX-14", "YYY+12", "XXX-14"] {
            let run = |program: &[&str]| {
                place.compare_under(&[LATER, ("TZ", zone)], program, &["-c", "a.c"], &["a.o"])
            };
            for _ in 0..2 {
                // Around midnight the plain compile is made again.
                let plain = run(&[compiler]);
                let ours = run(&[DCCACHE, compiler]);
                assert!(ours == plain || ours == run(&[compiler]), "{compiler} {zone}: {}", place.explain());
            }
        }
        assert!(place.stat("/hits/local") > 0, "{compiler}: {}", place.stats());
    }
}
