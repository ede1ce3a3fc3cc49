//! Direct mode against the holes of other caches: whatever changes what the compiler would give now is never answered with what it gave then.
//!
//! Each case warms the caches, changes one thing, and asserts that the next call gives what the plain compiler gives. Where Debian's ccache is
//! known to be wrong, the test shows that it is.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::process::Command;
use support::direct::{assert_right, warm};
use support::{DCCACHE, LATER, Place, compilers, has};

/// Runs ccache over the same steps and tells whether its answer after the change is wrong.
fn ccache_is_wrong(
    place: &Place,
    compiler: &str,
    words: &[&str],
    outputs: &[&str],
    change: impl FnOnce(&Place),
) -> Option<bool> {
    if !has("ccache") {
        return None;
    }
    let directory = place.root().join("ccache").display().to_string();
    let variables =
        [("CCACHE_DIR", directory.as_str()), ("CCACHE_SLOPPINESS", "include_file_ctime,include_file_mtime")];
    for _ in 0..2 {
        place.compare_under(&variables, &["ccache", compiler], words, outputs);
    }
    change(place);
    let plain = place.compare(&[compiler], words, outputs);
    Some(place.compare_under(&variables, &["ccache", compiler], words, outputs) != plain)
}

#[test]
fn a_header_that_would_now_be_found_earlier_is_no_hit() {
    for compiler in compilers() {
        for (appears, source) in [
            ("first/a.h", "#include <a.h>\nint x = A;\n"),
            ("first/a.h", "#include \"a.h\"\nint x = A;\n"),
            ("a.h", "#include \"a.h\"\nint x = A;\n"),
            ("second/b.h", "#include \"a.h\"\nint x = A;\n"),
            (
                "first/new/deep.h",
                "#if __has_include(<new/deep.h>)\nint deep;\n#endif\n#include <a.h>\nint x = A;\n",
            ),
        ] {
            let place = Place::new();
            place.write("x.c", source);
            place.write("second/a.h", "#include \"b.h\"\n");
            place.write("third/b.h", "#define A 1\n");
            place.write("first/keep", "");
            let words = ["-Ifirst", "-Isecond", "-Ithird", "-c", "x.c"];
            warm(&place, compiler, &words, &["x.o"]);
            place.write(appears, "#define A 2\n");
            assert_right(&place, compiler, &words, &["x.o"], appears);
        }
    }
}

#[test]
fn ccache_serves_a_stale_object_where_a_shadowing_header_appears_and_we_do_not() {
    let words = ["-Ifirst", "-Isecond", "-c", "x.c"];
    let prepare = || {
        let place = Place::new();
        place.write("x.c", "#include <a.h>\nint x = A;\n");
        place.write("second/a.h", "#define A 1\n");
        place.write("first/keep", "");
        place
    };
    let change = |place: &Place| drop(place.write("first/a.h", "#define A 2\n"));
    let place = prepare();
    warm(&place, "gcc", &words, &["x.o"]);
    change(&place);
    assert_right(&place, "gcc", &words, &["x.o"], "first/a.h appears");
    if let Some(wrong) = ccache_is_wrong(&prepare(), "gcc", &words, &["x.o"], change) {
        assert!(wrong, "ccache is right by now: say so in the documents");
    }
}

#[test]
fn an_include_directory_that_appears_is_searched() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include <a.h>\nint x = A;\n");
        place.write("second/a.h", "#define A 1\n");
        let words = ["-Iabsent/deeper", "-Isecond", "-c", "x.c"];
        warm(&place, compiler, &words, &["x.o"]);
        place.write("absent/deeper/a.h", "#define A 2\n");
        assert_right(&place, compiler, &words, &["x.o"], "absent/deeper/a.h");
    }
}

#[test]
fn a_header_that_changes_goes_or_becomes_another_link_is_no_hit() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include \"a.h\"\n#include \"l.h\"\nint x = A + L;\n");
        place.write("a.h", "#define A 1\n");
        place.write("one.h", "#define L 10\n");
        place.write("two.h", "#define L 20\n");
        let link = |target: &str| {
            let _ = fs::remove_file(place.file("l.h"));
            std::os::unix::fs::symlink(target, place.file("l.h")).unwrap();
        };
        link("one.h");
        let words = ["-c", "x.c"];
        warm(&place, compiler, &words, &["x.o"]);
        place.write("a.h", "#define A 2\n");
        assert_right(&place, compiler, &words, &["x.o"], "a.h changes");
        // Same size, and the mtime is set back: only the ctime tells.
        warm(&place, compiler, &words, &["x.o"]);
        let mtime = fs::metadata(place.file("a.h")).unwrap().modified().unwrap();
        fs::write(place.file("a.h"), "#define A 3\n").unwrap();
        fs::File::options().write(true).open(place.file("a.h")).unwrap().set_modified(mtime).unwrap();
        assert_right(&place, compiler, &words, &["x.o"], "a.h changes with its old mtime");
        warm(&place, compiler, &words, &["x.o"]);
        link("two.h");
        assert_right(&place, compiler, &words, &["x.o"], "l.h leads elsewhere");
        fs::remove_file(place.file("a.h")).unwrap();
        assert_right(&place, compiler, &words, &["x.o"], "a.h is gone");
    }
}

#[test]
fn a_link_to_nowhere_that_comes_to_life_is_found() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include <a.h>\nint x = A;\n");
        place.write("second/a.h", "#define A 1\n");
        place.write("first/keep", "");
        let elsewhere = place.root().join("elsewhere.h");
        std::os::unix::fs::symlink(&elsewhere, place.file("first/a.h")).unwrap();
        let words = ["-Ifirst", "-Isecond", "-c", "x.c"];
        warm(&place, compiler, &words, &["x.o"]);
        fs::write(&elsewhere, "#define A 2\n").unwrap();
        assert_right(&place, compiler, &words, &["x.o"], "the link's target appears");
    }
}

#[test]
fn a_precompiled_header_that_appears_is_noticed() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include \"a.h\"\nint x = A;\n");
        place.write("a.h", "#define A 1\n");
        let words: &[&str] =
            if compiler == "gcc" { &["-c", "x.c"] } else { &["-include", "a.h", "-c", "x.c"] };
        warm(&place, compiler, words, &["x.o"]);
        // It was made of another text, which only whoever takes it sees.
        let made = place.root().join("made");
        fs::create_dir(&made).unwrap();
        fs::write(made.join("a.h"), "#define A 2\n").unwrap();
        let header = if compiler == "gcc" { "a.h.gch" } else { "a.h.pch" };
        let mut command = Command::new(compiler);
        command.args(["-x", "c-header", "a.h", "-o"]).arg(place.file(header)).current_dir(&made);
        assert!(command.status().unwrap().success());
        assert_right(&place, compiler, words, &["x.o"], header);
    }
}

#[test]
fn what_the_compile_depends_on_beside_its_inputs_is_noticed() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include <a.h>\nint x = A;\n");
        place.write("one/a.h", "#define A 1\n");
        place.write("two/a.h", "#define A 2\n");
        let run = |variables: &[(&str, &str)], program: &[&str]| {
            place.compare_under(variables, program, &["-c", "x.c"], &["x.o"])
        };
        let with = |name: &'static str, value: &'static str| [LATER, (name, value)];
        for name in ["CPATH", "C_INCLUDE_PATH"] {
            for value in ["one", "two", "two:one"] {
                for _ in 0..3 {
                    let variables = with(name, value);
                    assert_eq!(
                        run(&variables, &[compiler]),
                        run(&variables, &[DCCACHE, compiler]),
                        "{name}={value}"
                    );
                }
            }
        }
        // The configuration is among what a sealed record stands on.
        place.write("y.c", "int y;\n");
        warm(&place, compiler, &["-c", "y.c"], &["y.o"]);
        fs::write(place.home().join("dccache.toml"), "disable = true\n").unwrap();
        let hits = place.stat("/hits/local");
        place.compare_under(&[LATER], &[DCCACHE, compiler], &["-c", "y.c"], &["y.o"]);
        assert_eq!(place.stat("/hits/local"), hits, "{compiler}");
    }
}

#[test]
fn a_response_file_that_changes_is_read_again() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "int x = A;\n");
        for value in ["1", "2"] {
            place.write("options", format!("-DA={value} -c"));
            for _ in 0..3 {
                let plain = place.compare(&[compiler], &["@options", "x.c"], &["x.o"]);
                let ours =
                    place.compare_under(&[LATER], &[DCCACHE, compiler], &["@options", "x.c"], &["x.o"]);
                assert_eq!(plain, ours, "{compiler}: {value}");
            }
        }
        assert_eq!(place.stat("/hits/direct"), 4, "{compiler}");
    }
}

#[test]
fn another_compiler_first_on_the_path_is_the_one_that_counts() {
    let place = Place::new();
    place.write("x.c", "int x;\n");
    warm(&place, "gcc", &["-c", "x.c"], &["x.o"]);
    let bin = place.root().join("bin");
    fs::create_dir(&bin).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = || place.compare_under(&[LATER, ("PATH", &path)], &[DCCACHE, "gcc"], &["-c", "x.c"], &["x.o"]);
    let before = run();
    run();
    assert_eq!(run(), before);
    let hits = place.stat("/hits/direct");
    let script = bin.join("gcc");
    fs::write(&script, "#!/bin/sh\necho another compiler\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(run().stdout, "another compiler\n");
    assert_eq!(place.stat("/hits/direct"), hits);
}

#[test]
fn time_and_date_are_never_stale() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("d.c", "#include \"d.h\"\nconst char *d = D;\n");
        place.write("d.h", "#define D __DATE__\n");
        let run = |variables: &[(&str, &str)], program: &[&str]| {
            place.compare_under(variables, program, &["-c", "d.c"], &["d.o"])
        };
        for epoch in ["0", "0", "86400", "86400", "0"] {
            let variables = [LATER, ("SOURCE_DATE_EPOCH", epoch)];
            assert_eq!(
                run(&variables, &[compiler]),
                run(&variables, &[DCCACHE, compiler]),
                "{compiler}: {epoch}"
            );
        }
        for _ in 0..3 {
            assert_eq!(run(&[LATER], &[compiler]), run(&[LATER], &[DCCACHE, compiler]), "{compiler}: today");
        }
        place.write("t.c", "#include \"t.h\"\nconst char *t = __TIME__;\n");
        place.write("t.h", "int t_h;\n");
        let before = place.stat("/hits/total");
        for _ in 0..2 {
            place.compare_under(&[LATER], &[DCCACHE, compiler], &["-c", "t.c"], &["t.o"]);
        }
        assert_eq!(place.stat("/hits/total"), before, "{compiler}");
    }
}

#[test]
fn only_lines_or_columns_that_shift_are_no_hit_with_debug_information() {
    for compiler in compilers() {
        let place = Place::new();
        for (text, shifted) in [
            ("int f(int a) { return a; }\n", "\nint f(int a) { return a; }\n"),
            ("int f(int a) { return a; }\n", "int f(int a) { /* */ return a; }\n"),
        ] {
            place.write("x.c", text);
            warm(&place, compiler, &["-g", "-c", "x.c"], &["x.o"]);
            place.write("x.c", shifted);
            assert_right(&place, compiler, &["-g", "-c", "x.c"], &["x.o"], shifted);
        }
    }
}

#[test]
fn an_edit_and_its_undoing_are_both_found_again() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "#include \"a.h\"\nint x = A;\n");
        for value in ["1", "2"] {
            place.write("a.h", format!("#define A {value}\n"));
            place.compare(&[DCCACHE, compiler], &["-c", "x.c"], &["x.o"]);
        }
        assert_eq!((place.stat("/misses"), place.stat("/hits/direct")), (2, 0));
        for (count, value) in ["1", "2", "1"].iter().enumerate() {
            place.write("a.h", format!("#define A {value}\n"));
            assert_right(&place, compiler, &["-c", "x.c"], &["x.o"], value);
            assert_eq!(place.stat("/hits/direct"), 2 * (count as u64 + 1), "{}", place.explain());
        }
    }
}

#[test]
fn another_checkout_is_served_directly_where_nothing_shows_the_directory() {
    for compiler in compilers() {
        let place = Place::new();
        let checkout = |name: &str| {
            place.write(&format!("{name}/.git/HEAD"), "");
            place.write(&format!("{name}/src/x.c"), "#include \"a.h\"\nint x = A;\n");
            place.write(&format!("{name}/include/a.h"), "#define A 7\n");
        };
        checkout("one");
        checkout("two");
        let compile = |name: &str| {
            let include = format!("-I{}", place.file(name).join("include").display());
            let mut command = place.command(DCCACHE);
            command.current_dir(place.file(name)).env("PWD", place.file(name));
            let output = command
                .args([compiler, "-MD", include.as_str(), "-c", "src/x.c", "-o", "x.o"])
                .output()
                .unwrap();
            assert!(output.status.success());
            (
                fs::read(place.file(name).join("x.o")).unwrap(),
                fs::read_to_string(place.file(name).join("x.d")).unwrap(),
            )
        };
        let one = compile("one");
        let two = compile("two");
        assert_eq!(one.0, two.0);
        assert!(two.1.contains("/two/include/a.h") && !two.1.contains("/one/"), "{}", two.1);
        assert_eq!(place.stat("/hits/direct"), 1, "{compiler}: {}", place.explain());
    }
}

#[test]
fn the_standard_headers_of_both_languages_are_explained() {
    let c = [
        "stdio.h",
        "stdlib.h",
        "string.h",
        "math.h",
        "time.h",
        "pthread.h",
        "sys/socket.h",
        "netinet/in.h",
        "stdatomic.h",
    ];
    let cxx = [
        "vector",
        "map",
        "string",
        "iostream",
        "regex",
        "thread",
        "future",
        "memory",
        "chrono",
        "unordered_map",
    ];
    for compiler in compilers() {
        let driver = if compiler == "gcc" { "g++" } else { "clang++" };
        for (program, source, headers) in [(compiler, "x.c", c.as_slice()), (driver, "x.cc", &cxx)] {
            let place = Place::new();
            let includes: String = headers.iter().map(|header| format!("#include <{header}>\n")).collect();
            place.write(source, includes + "int x;\n");
            warm(&place, program, &["-c", source], &["x.o"]);
            assert_eq!(place.stat("/faults/lookup_not_explained"), 0, "{program}: {}", place.stats());
        }
    }
}
