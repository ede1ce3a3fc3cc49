//! What direct mode keeps between compiles: damaged, hostile, or of another checkout; and what it spares.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::Path;
use support::direct::{assert_right, warm};
use support::{DCCACHE, LATER, Place, compilers};

#[test]
fn hostile_and_damaged_side_files_are_misses() {
    let place = Place::new();
    place.write("x.c", "#include \"a.h\"\nint x = A;\n");
    place.write("a.h", "#define A 1\n");
    let words = ["-c", "x.c"];
    warm(&place, "gcc", &words, &["x.o"]);
    let side = |kind: &str| {
        let shards = fs::read_dir(place.home().join("objects")).unwrap();
        let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
        let files = files.map(|file| file.unwrap().path());
        files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(kind)).collect::<Vec<_>>()
    };
    let damage = |files: Vec<std::path::PathBuf>, how: &dyn Fn(&Path)| {
        assert!(!files.is_empty());
        files.iter().for_each(|file| how(file));
    };
    let flip = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let empty = |file: &Path| fs::write(file, b"").unwrap();
    let cut = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        bytes.truncate(20);
        fs::write(file, bytes).unwrap();
    };
    let ways: [&dyn Fn(&Path); 3] = [&flip, &empty, &cut];
    for (kind, fault) in [("s-", "corrupt_sealed_record"), ("m-", "corrupt_manifest")] {
        for way in ways {
            // Nobody asks a manifest while a sealed record answers.
            let sealed = if kind == "m-" { side("s-") } else { Vec::new() };
            sealed.iter().for_each(|file| fs::remove_file(file).unwrap());
            damage(side(kind), way);
            let counted = || place.stat(&format!("/faults/{fault}"));
            let before = counted();
            assert_right(&place, "gcc", &words, &["x.o"], kind);
            assert!(counted() > before, "{fault}: {}", place.stats());
            let healed = counted();
            assert_right(&place, "gcc", &words, &["x.o"], kind);
            assert_eq!(counted(), healed, "{fault}: it is written anew");
        }
    }
}

/// Compiles through dccache, judged by a later clock, and returns what that gave and the files that it opened, one a line.
fn opened(place: &Place, directory: &Path, words: &[&str], output: &str) -> (Option<Vec<u8>>, String) {
    let _ = fs::remove_file(directory.join(output));
    let log = place.root().join("opened");
    let mut command = place.command("strace");
    command.args(["-f", "-y", "-qq", "-e", "trace=open,openat,openat2", "-o"]).arg(&log).arg(DCCACHE);
    command.args(words).env(LATER.0, LATER.1).current_dir(directory).env("PWD", directory);
    assert!(command.output().expect("strace can be started; .ci/setup installs it").status.success());
    (fs::read(directory.join(output)).ok(), fs::read_to_string(&log).unwrap())
}

#[test]
fn a_damaged_table_of_digests_is_no_answer_and_is_made_anew() {
    let place = Place::new();
    place.write("x.c", "#include \"a.h\"\nint x = A;\n");
    place.write("a.h", "#define A 1\n");
    let words = ["-c", "x.c"];
    warm(&place, "gcc", &words, &["x.o"]);
    let plain = place.compare(&["gcc"], &words, &["x.o"]).files[0].1.clone();
    let read = || {
        // Nobody asks the table while a sealed record answers.
        place
            .command("find")
            .args([&place.home().join("objects")])
            .args(["-name", "s-*", "-delete"])
            .status()
            .unwrap();
        let hits = place.stat("/hits/direct");
        let (object, log) = opened(&place, &place.work(), &["gcc", "-c", "x.c"], "x.o");
        assert!(object == plain, "{}", place.explain());
        assert_eq!(place.stat("/hits/direct"), hits + 1, "{}", place.explain());
        log.lines().filter(|line| line.ends_with("/a.h>")).count()
    };
    assert_eq!(read(), 0, "the table answers");
    let table = place.home().join("digests");
    for (what, from, to) in
        [("everything", 0, 64), ("digests", 16, 48), ("facts", 48, 49), ("checks", 52, 64)]
    {
        let mut bytes = fs::read(&table).unwrap();
        for slot in bytes.chunks_exact_mut(64).filter(|slot| slot.iter().any(|&byte| byte != 0)) {
            slot[from..to].iter_mut().for_each(|byte| *byte ^= 0xFF);
        }
        fs::write(&table, bytes).unwrap();
        assert_eq!(read(), 1, "{what}");
        assert_eq!(read(), 0, "{what}: it is made anew");
    }
}

#[test]
fn a_header_is_read_once_by_a_fresh_clone_and_once_after_a_change_of_branch() {
    const UNITS: usize = 5;
    for compiler in compilers() {
        let place = Place::new();
        for name in ["one", "two"] {
            place.write(&format!("{name}/.git/HEAD"), "");
            for unit in 0..UNITS {
                place.write(&format!("{name}/u{unit}.c"), format!("#include <a.h>\nint u{unit} = A;\n"));
            }
        }
        // Compiles all units on a branch; returns how often their header was opened.
        let build = |name: &str, branch: usize| {
            place.write(&format!("{name}/inc/a.h"), format!("#define A {branch}\n"));
            let directory = place.file(name);
            let unit = |unit: usize| {
                let (source, object) = (format!("u{unit}.c"), format!("u{unit}.o"));
                let words = [compiler, "-Iinc", "-c", &source, "-o", &object];
                let (ours, log) = opened(&place, &directory, &words, &object);
                let mut command = place.command(compiler);
                assert!(command.args(&words[1..]).current_dir(&directory).status().unwrap().success());
                assert!(
                    ours == fs::read(directory.join(&object)).ok(),
                    "{name} {branch} {unit}: {}",
                    place.explain()
                );
                log.lines().filter(|line| line.ends_with("/inc/a.h>")).count()
            };
            (0..UNITS).map(unit).sum::<usize>()
        };
        for branch in [1, 2] {
            build("one", branch);
        }
        for (count, branch) in [1, 2, 1].into_iter().enumerate() {
            assert_eq!(build("two", branch), 1, "{compiler}, branch {branch}");
            assert_eq!(
                place.stat("/hits/direct"),
                (UNITS * (count + 1)) as u64,
                "{compiler}: {}",
                place.explain()
            );
        }
    }
}

#[test]
fn an_include_that_no_search_explains_is_counted_and_is_found_by_its_text_only() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#define HEADER(name) <name.h>\n#include HEADER(a)\nint x = A;\n");
        place.write("second/a.h", "#define A 1\n");
        place.write("first/keep", "");
        let words = ["-Ifirst", "-Isecond", "-c", "x.c"];
        let plain = place.compare(&[compiler], &words, &["x.o"]);
        for turn in 0..3 {
            let counted = place.stat("/faults/lookup_not_explained");
            assert_eq!(place.compare_under(&[LATER], &[DCCACHE, compiler], &words, &["x.o"]), plain);
            assert_eq!(
                place.stat("/faults/lookup_not_explained"),
                counted + 1,
                "{compiler} {turn}: {}",
                place.stats()
            );
        }
        let hits = ["/hits/local", "/hits/direct"].map(|name| place.stat(name));
        assert_eq!(hits, [2, 0], "{compiler}: {}", place.stats());
        place.write("first/a.h", "#define A 2\n");
        assert_right(&place, compiler, &words, &["x.o"], "first/a.h appears");
    }
}
