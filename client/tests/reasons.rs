//! Reasons and faults that a race or a broken place brings: each is made to happen with a real compiler, is counted, and nothing wrong is
//! stored.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::{ALWAYS, DCCACHE, Place, compilers, has};

/// Preprocesses, so that the compile is the second process that reads.
const PREPROCESSED: (&str, &str) = ("DCCACHE_DEPEND_MODE", "false");

/// A prefix of the compile that does something first.
fn prefix(place: &Place, does: &str) -> String {
    place.script("prefix", &format!("#!/bin/sh\n{does}\nexec \"$@\"\n")).display().to_string()
}

/// Compiles again in the same surroundings, which must give what the plain compiler gives in them.
fn assert_plain(place: &Place, variables: &[(&str, &str)], compiler: &str, words: &[&str], outputs: &[&str]) {
    let plain = place.compare_under(variables, &[compiler], words, outputs);
    for _ in 0..2 {
        let ours = place.compare_under(variables, &[DCCACHE, compiler], words, outputs);
        assert_eq!(ours, plain, "{compiler} {words:?}: {}", place.explain());
    }
}

/// Moves the clock of file times on by a quarter of an hour once the file `LATER_FILE` lies there, which an assembler makes. Nothing else in a
/// process asks that clock.
const CLOCK: &str = r#"#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void) {
    if (!strcmp(program_invocation_short_name, "as")) close(open(getenv("LATER_FILE"), O_CREAT | O_WRONLY, 0666));
}
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, now), saved = errno;
    if (code == 0 && id == CLOCK_REALTIME_COARSE && access(getenv("LATER_FILE"), F_OK) == 0) now->tv_sec += 900;
    errno = saved;
    return code;
}
"#;

#[test]
fn a_date_that_could_change_while_it_compiled_is_not_stored() {
    // Only gcc is asked for lists; clang needs no assembler.
    let ways = [("gcc", PREPROCESSED, "true"), ("gcc", ALWAYS, "true"), ("clang", PREPROCESSED, "false")];
    for (compiler, mode, by_assembler) in ways.into_iter().filter(|(compiler, ..)| has(compiler)) {
        let place = Place::new();
        place.write("clock.c", CLOCK);
        let library = ["-shared", "-fPIC", "clock.c", "-o", "clock.so", "-ldl"];
        assert!(place.command("gcc").args(library).status().unwrap().success());
        place.write("day.h", "#define DAY __DATE__\n");
        place.write("a.c", "#include \"day.h\"\nconst char day[] = DAY;\n");
        place.write("w.c", "int w;\n");
        let later = place.file("later");
        let front = prefix(&place, &format!("{by_assembler} || touch {}", later.display()));
        let library = place.file("clock.so").display().to_string();
        let file = later.display().to_string();
        let mut surroundings = vec![mode, ("LD_PRELOAD", library.as_str()), ("LATER_FILE", &file)];
        if by_assembler == "false" {
            surroundings.push(("DCCACHE_PREFIX_COMMAND", &front));
        }
        let words = ["-c", "a.c"];
        // What discovery asks the assembler is over then.
        place.compare_under(&surroundings, &[DCCACHE, compiler], &["-c", "w.c"], &["w.o"]);
        let entries = place.entries().len();
        let plain = place.compare_under(&surroundings, &[compiler], &words, &["a.o"]);
        for turn in 1..3 {
            let _ = fs::remove_file(&later);
            let ours = place.compare_under(&surroundings, &[DCCACHE, compiler], &words, &["a.o"]);
            assert_eq!(ours, plain, "{compiler} {mode:?}: {}", place.explain());
            let counted = place.stat("/not_stored/date_changed");
            assert_eq!(counted, turn, "{compiler} {mode:?}: {} {}", place.stats(), place.explain());
        }
        assert_eq!(place.entries().len(), entries, "{compiler} {mode:?}");
        // Once the clock goes as it should, it is stored.
        assert_plain(&place, &surroundings, compiler, &words, &["a.o"]);
        assert_eq!(place.entries().len(), entries + 1, "{compiler} {mode:?}");
        assert_eq!(place.stat("/hits/local"), 1, "{compiler} {mode:?}: {}", place.explain());
    }
}

#[test]
fn a_header_that_appears_between_preprocessor_and_compiler_makes_their_lists_differ() {
    if !has("clang") {
        return;
    }
    let place = Place::new();
    place.write("a.c", "#if __has_include(\"late.h\")\n#include \"late.h\"\n#endif\nint a;\n");
    let late = place.file("late.h");
    let front = prefix(&place, &format!("echo 'int late;' > {}", late.display()));
    let variables = [("DCCACHE_PREFIX_COMMAND", front.as_str()), ("DCCACHE_DIRECT_MODE", "false")];
    let (words, outputs) = (["-MD", "-c", "a.c"], ["a.o", "a.d"]);
    let without = place.compare(&["clang"], &words, &outputs);
    place.write("late.h", "int late;\n");
    let with = place.compare(&["clang"], &words, &outputs);
    assert_ne!(without, with);
    for turn in 1..3 {
        let _ = fs::remove_file(&late);
        let ours = place.compare_under(&variables, &[DCCACHE, "clang"], &words, &outputs);
        assert_eq!(ours, with, "{}", place.explain());
        assert_eq!(place.stat("/not_stored/dependencies_differ"), turn, "{}", place.stats());
    }
    assert_eq!(place.entries().len(), 0);
    fs::remove_file(&late).unwrap();
    for _ in 0..2 {
        assert_eq!(place.compare(&[DCCACHE, "clang"], &words, &outputs), without, "{}", place.explain());
    }
}

/// Runs a command as somebody whom permissions bind.
fn as_nobody(place: &Place, words: &[&str], outputs: &[&str]) -> support::Result {
    let mut front = vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    front.extend(words.iter().take(words.len() - 1));
    let result = place.compare(&front, &words[words.len() - 1..], outputs);
    assert!(!result.stderr.contains("setpriv"), "setpriv needs root here: {}", result.stderr);
    result
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_output_that_only_the_compiler_can_write_is_compiled() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int a;\n");
        place.write("out/a.o", "old");
        fs::create_dir(place.home()).unwrap();
        for (path, bits) in [(place.root(), 0o755), (&place.work(), 0o755), (&place.home(), 0o777)] {
            mode(path, bits);
        }
        let object = place.file("out/a.o");
        // It can be overwritten, and nothing can be put beside it.
        let closed = || {
            place.write("out/a.o", "old");
            mode(&object, 0o666);
            mode(&place.file("out"), 0o555);
        };
        let run = |program: &[&str]| {
            closed();
            let words = [program, &["-c", "a.c", "-o", "out/a.o"]].concat();
            let result = as_nobody(&place, &words, &[]);
            (result, fs::read(&object).unwrap())
        };
        let plain = run(&[compiler]);
        assert_eq!(run(&[DCCACHE, compiler]), plain, "{compiler}: {}", place.explain());
        let faults = || place.stat("/faults/output_write_error");
        assert_eq!((place.stat("/misses"), faults()), (1, 0), "{compiler}: {}", place.stats());
        for _ in 0..2 {
            let before = faults();
            assert_eq!(run(&[DCCACHE, compiler]), plain, "{compiler}: {}", place.explain());
            assert!(faults() > before && place.stat("/hits/local") == 0, "{compiler}: {}", place.stats());
        }
        mode(&place.file("out"), 0o777);
    }
}

#[test]
fn a_dependency_file_that_a_full_disk_cuts_fails_the_call_as_it_would_and_is_not_stored() {
    let place = Place::new();
    let names: Vec<String> = (0..200).map(|number| format!("header-with-a-long-name-{number}.h")).collect();
    names.iter().for_each(|name| drop(place.write(name, "")));
    let includes = names.iter().map(|name| format!("#include \"{name}\"\n")).collect::<String>();
    place.write("a.c", includes + "int a;\n");
    fs::create_dir(place.file("full")).unwrap();
    let run = |program: &[&str]| {
        let script = "mount -t tmpfs -o size=4k none full && exec \"$@\"";
        let front = [&["unshare", "--mount", "sh", "-c", script, "sh"], program].concat();
        place.compare_under(&[ALWAYS], &front, &["-MD", "-MF", "full/a.d", "-c", "a.c"], &["a.o"])
    };
    let plain = run(&["gcc"]);
    assert!(plain.code != Some(0) && plain.stderr.contains("a.d"), "mounts need root here: {plain:?}");
    let ours = run(&[DCCACHE, "gcc"]);
    assert_eq!((ours.code, &ours.files), (plain.code, &plain.files), "{}", ours.stderr);
    assert!(ours.stderr.contains("No space left"), "{}", ours.stderr);
    assert_eq!(place.stat("/not_stored/output_write_error"), 1, "{}", place.stats());
    assert_eq!(place.entries().len(), 0);
}

#[test]
fn an_include_that_is_no_file_to_read_again_leaves_the_call_to_the_compiler() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "#include \"/dev/null\"\nint a;\n");
        assert_plain(&place, &[PREPROCESSED], compiler, &["-c", "a.c"], &["a.o"]);
        assert_eq!(place.stat("/bypass_reasons/unreadable_input"), 2, "{compiler}: {}", place.stats());
        assert!(place.explain().contains("/dev/null"), "{}", place.explain());
        // One that goes away once it was preprocessed: the compiler says so itself.
        place.write("b.c", "#include \"b.h\"\nint b;\n");
        let missing = place.compare(&[compiler], &["-c", "b.c"], &["b.o"]);
        place.write("b.h", "int c;\n");
        let script =
            format!("#!/bin/sh\n\"$@\"; code=$?; rm -f {}; exit $code\n", place.file("b.h").display());
        let front = place.script("cpp", &script).display().to_string();
        let variables = [PREPROCESSED, ("DCCACHE_PREFIX_COMMAND_CPP", &front)];
        let ours = place.compare_under(&variables, &[DCCACHE, compiler], &["-c", "b.c"], &["b.o"]);
        assert_eq!(ours, missing, "{compiler}: {}", place.explain());
        assert_eq!(place.stat("/bypass_reasons/unreadable_input"), 3, "{compiler}: {}", place.stats());
        assert_eq!(place.entries().len(), 0, "{compiler}");
    }
}
