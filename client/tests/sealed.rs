//! Sealed records: whatever a command hangs on besides its inputs breaks its record, and what no stamp can stand for is never sealed.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use dccache::home::Home;
use dccache::store::{Beside, Side, Store};
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::SealedName;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use support::{DCCACHE, LATER, Place, age, compilers, has, text};

/// Moves the clock back to between the time of last change that the files of a place are given and the one that they cannot be given.
const EARLIER: (&str, &str) = ("DCCACHE_TEST_CLOCK_OFFSET_MS", "-30000");

/// Runs a compile under variables and returns the hits by direct mode and the misses that it added.
fn counted(place: &Place, variables: &[(&str, &str)], words: &[&str]) -> (u64, u64) {
    let stats = || (place.stat("/hits/direct"), place.stat("/misses"));
    let before = stats();
    let output = place.command(DCCACHE).args(words).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    let after = stats();
    (after.0 - before.0, after.1 - before.1)
}

/// Compiles until a sealed record serves.
fn warm(place: &Place, variables: &[(&str, &str)], words: &[&str]) {
    assert_eq!(counted(place, variables, words), (0, 1), "{words:?}: {}", place.explain());
    assert_eq!(counted(place, variables, words), (1, 0), "{words:?}: {}", place.explain());
    assert_eq!(records(place), 1, "{words:?}");
}

/// Counts the sealed records of a place.
fn records(place: &Place) -> usize {
    let Ok(shards) = fs::read_dir(place.home().join("objects")) else { return 0 };
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("s-")).count()
}

/// Returns the only sealed record of a home.
fn record(home: &Path) -> PathBuf {
    let shards = fs::read_dir(home.join("objects")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let mut files = files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("s-"));
    let record = files.next().expect("a record");
    assert_eq!(files.next(), None);
    record
}

/// Asserts that a compile which is a hit otherwise leaves no record under these circumstances.
fn assert_not_sealed(place: &Place, variables: &[(&str, &str)], words: &[&str]) {
    for _ in 0..3 {
        counted(place, variables, words);
    }
    assert_eq!(records(place), 0, "{words:?}");
}

/// Gives a file a time of last change that lies after the moved clock.
fn make_young(path: &Path) {
    let tomorrow = SystemTime::now() + Duration::from_secs(86400);
    File::options().write(true).open(path).unwrap().set_modified(tomorrow).unwrap();
}

/// A directory in front of the search path, with a copy of the assembler in it and `tail` behind the copy's end, which nobody reads.
fn assembler(place: &Place, tail: &[u8]) -> PathBuf {
    let front = place.root().join("front");
    fs::create_dir_all(&front).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|directory| directory.join("as")).find(|file| file.is_file());
    fs::write(front.join("as"), [fs::read(real.unwrap()).unwrap().as_slice(), tail].concat()).unwrap();
    fs::set_permissions(front.join("as"), fs::Permissions::from_mode(0o755)).unwrap();
    front
}

#[test]
fn files_that_options_and_the_configuration_name_are_noticed() {
    if !has("clang") {
        return;
    }
    let place = Place::new();
    place.write("a.c", "int f(int i) { return i; }\n");
    place.write("own", "fun:one\n");
    place.write("extra", "one");
    let extra = place.file("extra").display().to_string();
    let variables = [LATER, ("DCCACHE_EXTRA_FILES_TO_HASH", extra.as_str())];
    let words = ["clang", "-fsanitize=address", "-fsanitize-ignorelist=own", "-c", "a.c"];
    warm(&place, &variables, &words);
    place.write("own", "fun:two\n");
    assert_eq!(counted(&place, &variables, &words), (0, 1), "a file that an option names");
    assert_eq!(counted(&place, &variables, &words), (1, 0));
    place.write("extra", "two");
    assert_eq!(counted(&place, &variables, &words), (0, 1), "a file that the configuration names");
}

#[test]
fn an_include_directory_that_becomes_another_one_is_noticed() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include <a.h>\n");
        place.write("first/a.h", "const char *a = __FILE__;\n");
        fs::create_dir(place.file("second")).unwrap();
        // The same file by another name: its stamp stays.
        fs::hard_link(place.file("first/a.h"), place.file("second/a.h")).unwrap();
        age(&place.file("second/a.h"));
        symlink("first", place.file("link")).unwrap();
        let run = |front: &[&str]| {
            place.compare_under(&[LATER], front, &["-Ilink", "-isystem", "second", "-c", "x.c"], &["x.o"])
        };
        let plain = run(&[compiler]);
        for _ in 0..3 {
            assert_eq!(run(&[DCCACHE, compiler]), plain, "{compiler}");
        }
        assert_eq!(records(&place), 1);
        fs::remove_file(place.file("link")).unwrap();
        // Now it is a system directory, and what is found there is called by that name.
        symlink("second", place.file("link")).unwrap();
        // Clang still calls it by the first name.
        assert_eq!(run(&[compiler]) == plain, compiler == "clang");
        assert_eq!(run(&[DCCACHE, compiler]), run(&[compiler]), "{compiler}: {}", place.explain());
    }
}

#[test]
fn a_configuration_that_changes_appears_or_goes_is_noticed() {
    for before in [None, Some("stats = true\n")] {
        let place = Place::new();
        place.write("a.c", "int a;\n");
        fs::create_dir_all(place.home()).unwrap();
        fs::set_permissions(place.home(), fs::Permissions::from_mode(0o700)).unwrap();
        let file = place.home().join("dccache.toml");
        before.iter().for_each(|content| fs::write(&file, content).unwrap());
        let words = ["gcc", "-c", "a.c"];
        warm(&place, &[LATER], &words);
        fs::write(&file, "direct_mode = false\n").unwrap();
        assert_eq!(counted(&place, &[LATER], &words), (0, 0), "{before:?}");
    }
}

#[test]
fn a_toolchain_that_changes_is_noticed() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    fs::create_dir(place.root().join("front")).unwrap();
    let path = format!("{}:{}", place.root().join("front").display(), std::env::var("PATH").unwrap());
    let variables = [LATER, ("PATH", path.as_str())];
    let words = ["gcc", "-c", "a.c"];
    warm(&place, &variables, &words);
    assembler(&place, b"1");
    assert_eq!(counted(&place, &variables, &words), (0, 1), "an assembler appears: {}", place.explain());
    assert_eq!(counted(&place, &variables, &words), (1, 0));
    assembler(&place, b"2");
    assert_eq!(counted(&place, &variables, &words), (0, 1), "it changes: {}", place.explain());
}

#[test]
fn another_driver_that_appears_earlier_is_noticed() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let front = place.root().join("front");
    fs::create_dir(&front).unwrap();
    let path = format!("{}:{}", front.display(), std::env::var("PATH").unwrap());
    let variables = [LATER, ("PATH", path.as_str())];
    warm(&place, &variables, &["gcc", "-c", "a.c"]);
    fs::write(front.join("gcc"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(front.join("gcc"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(counted(&place, &variables, &["gcc", "-c", "a.c"]), (0, 0), "{}", place.explain());
}

#[test]
fn a_mark_of_a_project_that_appears_or_goes_is_noticed() {
    let words = ["gcc", "-c", "../a.c", "-o", "a.o"];
    for appears in [true, false] {
        let place = Place::new();
        place.write("outer/a.c", "int a;\n");
        place.write("outer/inner/keep", "");
        place.write("outer/dccache.toml", "namespace = \"outer\"\n");
        fs::create_dir(place.file("outer/.git")).unwrap();
        let run = || {
            let before = (place.stat("/hits/direct"), place.stat("/misses"));
            let mut command = place.command(DCCACHE);
            command.current_dir(place.file("outer/inner")).env("PWD", place.file("outer/inner"));
            assert!(command.args(words).env(LATER.0, LATER.1).status().unwrap().success());
            (place.stat("/hits/direct") - before.0, place.stat("/misses") - before.1)
        };
        assert_eq!([run(), run()], [(0, 1), (1, 0)], "{}", place.explain());
        assert_eq!(records(&place), 1);
        match appears {
            true => fs::create_dir(place.file("outer/inner/.git")).unwrap(),
            false => fs::remove_dir(place.file("outer/.git")).unwrap(),
        }
        assert_eq!(run(), (0, 1), "another project, another namespace: {}", place.explain());
    }
}

#[test]
fn a_working_directory_that_is_spelled_by_a_link_is_the_one_that_counts() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("real/a.c", "int a;\n");
        fs::create_dir(place.file("other")).unwrap();
        // The same file by another name: its stamp stays.
        fs::hard_link(place.file("real/a.c"), place.file("other/a.c")).unwrap();
        age(&place.file("other/a.c"));
        symlink(place.file("real"), place.file("link")).unwrap();
        let run = |front: &[&str]| {
            let mut command = place.command(front[0]);
            command.current_dir(place.file("real")).env("PWD", place.file("link")).env(LATER.0, LATER.1);
            assert!(command.args(&front[1..]).args(["-g", "-c", "a.c"]).status().unwrap().success());
            fs::read(place.file("real/a.o")).unwrap()
        };
        let linked = run(&[compiler]);
        for _ in 0..3 {
            assert!(run(&[DCCACHE, compiler]) == linked, "{compiler}");
        }
        assert_eq!(records(&place), 1);
        fs::remove_file(place.file("link")).unwrap();
        symlink(place.file("other"), place.file("link")).unwrap();
        let plain = run(&[compiler]);
        assert!(plain != linked, "{compiler}: the name of the directory shows");
        assert!(run(&[DCCACHE, compiler]) == plain, "{compiler}: {}", place.explain());
    }
}

#[test]
fn what_is_too_young_is_never_sealed() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let words = ["gcc", "-c", "a.c"];
    assert_not_sealed(&place, &[EARLIER], &words);
    assert_eq!(counted(&place, &[LATER], &words), (1, 0));
    assert_eq!(records(&place), 1, "its age is all that was in the way");
    let place = Place::new();
    place.write("a.c", "int a;\n");
    counted(&place, &[], &["--version"]);
    fs::write(place.home().join("dccache.toml"), "stats = true\n").unwrap();
    make_young(&place.home().join("dccache.toml"));
    assert_not_sealed(&place, &[LATER], &words);
    let place = Place::new();
    place.write("a.c", "int a;\n");
    make_young(&assembler(&place, b"").join("as"));
    let path = format!("{}:{}", place.root().join("front").display(), std::env::var("PATH").unwrap());
    assert_not_sealed(&place, &[LATER, ("PATH", path.as_str())], &words);
}

#[test]
fn what_no_stamp_stands_for_is_never_sealed() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    // What the word stands for hangs on the processor.
    assert_not_sealed(&place, &[LATER], &["gcc", "-march=native", "-c", "a.c"]);
    place.write("d.c", "const char *d = __DATE__;\n");
    assert_not_sealed(&place, &[LATER], &["gcc", "-c", "d.c"]);
    // The kernel makes up these files, and their stamps, when somebody looks.
    place.write("b.c", "#include <b.h>\nint b;\n");
    place.write("second/b.h", "");
    assert_not_sealed(&place, &[LATER], &["gcc", "-I/proc/sys", "-Isecond", "-c", "b.c"]);
    assert!(place.stat("/hits/direct") >= 2, "they are found all the same: {}", place.explain());
}

#[test]
fn a_record_whose_directory_changed_is_sealed_again_once_that_spares_looks() {
    for compiler in compilers() {
        let place = Place::new();
        for directory in ["first", "second"] {
            fs::create_dir(place.file(directory)).unwrap();
        }
        let names: Vec<String> = (0..40).map(|number| format!("name{number}.h")).collect();
        names.iter().for_each(|name| drop(place.write(&format!("second/{name}"), "\n")));
        let text: String = names.iter().map(|name| format!("#include <{name}>\n")).collect();
        place.write("a.c", &(text + "int a;\n"));
        let words = [compiler, "-Ifirst", "-Isecond", "-c", "a.c", "-o", "a.o"];
        warm(&place, &[LATER], &words);
        place.write("first/unrelated", "");
        // Absent names that are looked at one by one.
        let looks = || {
            let trace = place.root().join("trace");
            let mut strace = place.command("strace");
            strace.args(["-qq", "-o"]).arg(&trace).args(["-e", "trace=%%stat", DCCACHE]).args(words);
            assert!(strace.env(LATER.0, LATER.1).status().unwrap().success());
            let trace = fs::read_to_string(&trace).unwrap();
            trace.lines().filter(|line| line.contains("name") && line.contains("ENOENT")).count()
        };
        let hits = place.stat("/hits/direct");
        assert!(looks() >= 40, "{compiler}");
        let again = looks();
        assert_eq!(again, 0, "{compiler}");
        assert_eq!((place.stat("/hits/direct") - hits, records(&place)), (2, 1));
        place.write("first/name7.h", "int from_the_first;\n");
        assert_eq!(counted(&place, &[LATER], &words), (0, 1), "{compiler}: {}", place.explain());
    }
}

#[test]
fn a_record_of_another_home_or_name_is_counted_and_one_of_another_version_is_nothing_and_each_is_replaced() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    place.write("b.c", "int b;\n");
    let words = ["gcc", "-c", "a.c"];
    warm(&place, &[LATER], &words);
    let own = record(&place.home());
    let sound = fs::read(&own).unwrap();
    // What another user has, who can name the same files: a secret of their own. It leads to the other source's object.
    let other = place.root().join("other");
    let variables = [LATER, ("DCCACHE_DIR", other.to_str().unwrap())];
    for _ in 0..2 {
        let mut command = place.command(DCCACHE);
        command.args(["gcc", "-c", "b.c"]).envs(variables);
        assert!(command.status().unwrap().success());
    }
    let foreign = fs::read(record(&other)).unwrap();
    // One of ours, under the name of another command.
    counted(&place, &[LATER], &["gcc", "-c", "b.c"]);
    counted(&place, &[LATER], &["gcc", "-c", "b.c"]);
    assert_eq!(records(&place), 2);
    let shards = fs::read_dir(place.home().join("objects")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let mut files = files.map(|file| file.unwrap().path());
    let moved =
        files.find(|file| file.file_name().unwrap().to_string_lossy().starts_with("s-") && *file != own);
    let moved = fs::read(moved.unwrap()).unwrap();
    // Of other versions: of the file, and of what is sealed in it.
    let outer = [&[sound[0] + 1], &sound[1..]].concat();
    let home = Home::open(&place.home()).unwrap();
    let store = Store::new(&home, 0);
    let name = own.file_name().unwrap().to_str().unwrap().strip_prefix("s-").unwrap();
    let side = Side::Sealed(SealedName::from_digest(Digest::from_hex(name).unwrap()));
    let Beside::Body(mut body) = store.side(side) else { panic!("our own record") };
    body[0] += 1;
    store.put_side(side, &body).unwrap();
    let inner = fs::read(&own).unwrap();
    let plain = place.compare(&["gcc"], &words[1..], &["a.o"]);
    for (what, bytes, faults) in [
        ("of another home", &foreign, 1),
        ("of another command", &moved, 1),
        ("of another version of the file", &outer, 0),
        ("of another version", &inner, 0),
    ] {
        fs::write(&own, bytes).unwrap();
        let before = place.stat("/faults/corrupt_sealed_record");
        for turn in 0..2 {
            let hits = place.stat("/hits/direct");
            assert_eq!(
                place.compare_under(&[LATER], &[DCCACHE, "gcc"], &words[1..], &["a.o"]),
                plain,
                "{what}"
            );
            assert_eq!(place.stat("/hits/direct"), hits + 1, "{what} {turn}: {}", place.explain());
        }
        assert_eq!(place.stat("/faults/corrupt_sealed_record"), before + faults, "{what}: {}", place.stats());
        assert!(fs::read(&own).unwrap() != *bytes, "{what}: it is replaced");
    }
}

#[test]
fn a_name_that_comes_to_life_below_what_appeared_before_is_noticed() {
    let begins: [fn(&Place); 2] = [
        |place| fs::create_dir(place.file("first/sys")).unwrap(),
        |place| symlink(place.file("later"), place.file("first/sys")).unwrap(),
    ];
    for (what, begin) in ["a directory", "a link"].into_iter().zip(begins) {
        let place = Place::new();
        fs::create_dir(place.file("first")).unwrap();
        let names: Vec<String> = (0..40).map(|number| format!("sys/name{number}.h")).collect();
        names.iter().for_each(|name| drop(place.write(&format!("second/{name}"), "\n")));
        let text: String = names.iter().map(|name| format!("#include <{name}>\n")).collect();
        place.write("a.c", text + "int a;\n");
        let words = ["gcc", "-Ifirst", "-Isecond", "-c", "a.c", "-o", "a.o"];
        warm(&place, &[LATER], &words);
        begin(&place);
        assert_eq!(counted(&place, &[LATER], &words), (1, 0), "{what}: {}", place.explain());
        fs::create_dir_all(place.file("later")).unwrap();
        place.write("first/sys/name7.h", "int from_the_first;\n");
        assert_eq!(counted(&place, &[LATER], &words), (0, 1), "{what}: {}", place.explain());
    }
}
