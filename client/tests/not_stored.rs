//! Compiles that a cache could not repeat exactly: passed on as they are, once, and not stored.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, LATER, Place, compilers, text};

/// Compiles twice with us, and asserts that each is the plain compile but for what `same` takes out, and is not stored for this reason.
fn assert_not_stored(
    compiler: &str,
    place: &Place,
    words: &[&str],
    reason: &str,
    same: impl Fn(&str) -> String,
) {
    let seen = |program: &[&str]| {
        let mut result = place.compare_under(&[LATER], program, words, &["a.o"]);
        result.stderr = same(&result.stderr);
        result
    };
    let plain = seen(&[compiler]);
    for turn in 1..3 {
        assert_eq!(seen(&[DCCACHE, compiler]), plain, "{compiler} {words:?}");
        let counted = place.stat(&format!("/not_stored/{reason}"));
        assert_eq!(counted, turn, "{compiler} {words:?}: {} {}", place.stats(), place.explain());
    }
    assert_eq!(place.entries().len(), 0, "{compiler} {words:?}");
}

#[test]
fn what_the_compiler_writes_to_stdout_is_passed_on_and_not_stored() {
    let place = Place::new();
    place.write("a.c", "__asm__(\".print \\\"said by the assembler\\\"\");\n");
    let words = ["-c", "a.c"];
    assert_eq!(place.compare(&["gcc"], &words, &[]).stdout, "said by the assembler\n");
    assert_not_stored("gcc", &place, &words, "compiler_produced_stdout", str::to_owned);
}

#[test]
fn a_message_that_names_a_temporary_file_is_passed_on_and_not_stored() {
    let place = Place::new();
    place.write("a.c", "__asm__(\".warning \\\"said by the assembler\\\"\");\n");
    let words = ["-c", "a.c"];
    let plain = place.compare(&["gcc"], &words, &[]).stderr;
    assert!(plain.contains("/cc") && plain.contains("said by the assembler"), "{plain}");
    // Six letters are others each time.
    let same = |message: &str| {
        let parts = message.split("/cc").enumerate();
        parts.map(|(at, part)| if at == 0 { part } else { part.get(6..).unwrap_or(part) }).collect()
    };
    assert_not_stored("gcc", &place, &words, "message_names_temporary_file", same);
}

#[test]
fn what_goes_to_dev_null_is_not_stored() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "#warning said\nint a;\n");
        let words = ["-c", "a.c", "-o", "/dev/null"];
        assert_not_stored(compiler, &place, &words, "output_to_null", str::to_owned);
    }
}

#[test]
fn a_compile_that_fails_or_is_killed_is_passed_on_and_not_stored() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int a(void) { return nothing; }\n");
        assert_not_stored(compiler, &place, &["-c", "a.c"], "compile_failed", str::to_owned);
    }
}

#[test]
fn variables_that_make_the_compiler_write_more_leave_the_call_alone() {
    for variable in ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"] {
        let place = Place::new();
        place.write("a.c", "#include \"a.h\"\nint a;\n");
        place.write("a.h", "");
        let list = place.file("list");
        let run = |program: &[&str]| {
            let _ = fs::remove_file(&list);
            let variables = [(variable, "list target")];
            let result = place.compare_under(&variables, program, &["-c", "a.c"], &["a.o"]);
            (result, text(&fs::read(&list).unwrap()))
        };
        let plain = run(&["gcc"]);
        assert!(plain.1.contains("a.h"), "{variable}: {}", plain.1);
        for turn in 1..3 {
            assert_eq!(run(&[DCCACHE, "gcc"]), plain, "{variable}");
            let reason = place.stat("/bypass_reasons/unsupported_environment_variable");
            assert_eq!(reason, turn, "{variable}: {}", place.explain());
        }
    }
}
