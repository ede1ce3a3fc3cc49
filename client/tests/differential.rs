//! Plain, cold and warm compiles give the same bytes on every output and stream, with real compilers on real sources.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use dccache::demo::Sources;
use std::path::Path;
use support::{DCCACHE, Place, compilers, has};

/// Flag sets of real builds.
const FLAGS: [&[&str]; 6] = [
    &["-O0"],
    &["-O2", "-g"],
    &["-Os", "-ffunction-sections", "-fdata-sections"],
    &["-O3", "-fPIC", "-Wall", "-Wextra"],
    &["-O1", "-march=native", "-DZSTD_MULTITHREAD"],
    &["-O2", "-fPIC", "-fsanitize=address"],
];

#[test]
fn real_c_sources_give_the_same_object_and_dependencies_in_every_flag_set() {
    let place = Place::new();
    let sources = Sources::unpack(&place.file("zstd")).unwrap();
    let mut units: Vec<_> = sources.units.iter().filter(|unit| is_quick(unit)).collect();
    units.sort();
    units.truncate(2);
    assert_eq!(units.len(), 2, "small units of the tree");
    sources.units.iter().for_each(|unit| support::age(&sources.root.join(unit)));
    for compiler in compilers() {
        for (number, flags) in FLAGS.iter().enumerate() {
            for unit in &units {
                let unit = &format!("zstd/{}", unit.display());
                let mut words = flags.to_vec();
                words.extend(["-Izstd/lib", "-Izstd/lib/common", "-c", unit, "-o", "out.o"]);
                let mut outputs = vec!["out.o"];
                // Clang lists in a dependency file what __has_include looked for, so such a compile is not cached.
                if compiler == "gcc" && number % 2 == 1 {
                    words.extend(["-MD", "-MF", "deps.mk", "-MT", "some target"]);
                    outputs.push("deps.mk");
                } else if compiler == "gcc" {
                    words.extend(["-MMD", "-MP"]);
                    outputs.push("out.d");
                }
                place.assert_differential(compiler, &words, &outputs);
            }
        }
    }
}

/// Units that compile quickly under every flag set.
fn is_quick(unit: &Path) -> bool {
    ["entropy_common.c", "fse_compress.c"].iter().any(|name| unit.ends_with(name))
}

const CXX: &str = "#include <map>\n#include <string>\n#include <vector>\n\
template <class T> T sum(const std::vector<T>& v) { T s{}; for (auto& x : v) s += x; return s; }\n\
std::string f(int n) { std::map<int, std::string> m; m[n] = std::to_string(sum(std::vector<int>(n, n))); return m[n]; }\n";

#[test]
fn cxx_sources_give_the_same_object_with_both_drivers() {
    for compiler in ["g++", "clang++", "c++"].into_iter().filter(|compiler| has(compiler)) {
        let place = Place::new();
        place.write("a.cpp", CXX);
        for flags in [["-O0", "-g"], ["-O2", "-std=c++17"]] {
            let words = [flags[0], flags[1], "-c", "a.cpp", "-o", "a.o", "-MD"];
            place.assert_differential(compiler, &words, &["a.o", "a.d"]);
        }
    }
}

/// Asserts that plain, first and second compile give the same and that the second is a hit; the first may find another's entry.
fn assert_served(place: &Place, compiler: &str, words: &[&str], outputs: &[&str]) {
    let plain = place.compare(&[compiler], words, outputs);
    assert_eq!(place.compare(&[DCCACHE, compiler], words, outputs), plain, "first: {compiler} {words:?}");
    let hits = place.stat("/hits/local");
    assert_eq!(place.compare(&[DCCACHE, compiler], words, outputs), plain, "second: {compiler} {words:?}");
    assert_eq!(place.stat("/hits/local"), hits + 1, "{compiler} {words:?}: {}", place.explain());
}

/// Forms of a dependency file, and its name.
const DEPENDENCIES: &[(&[&str], &str)] = &[
    (&["-MD"], "a.d"),
    (&["-MMD", "-MP"], "a.d"),
    (&["-MD", "-MF", "./sub/x.d", "-MT", "target"], "sub/x.d"),
    (&["-MMD", "-MFy.d", "-MQ", "$(x)"], "y.d"),
    (&["-Wp,-MD,z.d"], "z.d"),
    (&["-MD", "-fsanitize=address"], "a.d"),
];

#[test]
fn dependencies_of_headers_that_ask_for_others_are_served() {
    for compiler in compilers() {
        let driver = if compiler == "gcc" { "g++" } else { "clang++" };
        let place = Place::new();
        place.write("sub/own.h", "#pragma once\n#if __has_include(\"other.h\")\nextern int other;\n#endif\n");
        place.write("sub/other.h", "#error never included\n");
        place.write("a.cpp", "#include <string>\n#include \"sub/own.h\"\nstd::string f() { return {}; }\n");
        for (words, name) in DEPENDENCIES {
            let words = [&["-c", "a.cpp", "-o", "a.o"], *words].concat();
            assert_served(&place, driver, &words, &["a.o", name]);
        }
    }
}

#[test]
fn one_entry_gives_every_call_its_own_dependency_file() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("h.h", "#if __has_include(<stddef.h>)\n#include <stddef.h>\n#endif\n");
        place.write("a.c", "#include \"h.h\"\nint f(void) { return 1; }\n");
        let calls: [&[&str]; 3] = [&[], &["-MF", "./b.d"], &["-MF", "b.d", "-MT", "x y", "-DUNUSED"]];
        for (turn, words) in calls.into_iter().enumerate() {
            let words = [&["-MD", "-c", "a.c"], words].concat();
            let outputs = ["a.o", if turn == 0 { "a.d" } else { "b.d" }];
            let plain = place.compare(&[compiler], &words, &outputs);
            assert_eq!(place.compare(&[DCCACHE, compiler], &words, &outputs), plain, "{compiler} {words:?}");
            assert_eq!(place.stat("/misses"), 1, "{}", place.explain());
        }
    }
}

#[test]
fn a_header_that_appears_for_a_has_include_changes_object_and_dependencies() {
    // Taken, looked for without being read, and looked for where another one is found now.
    let sources = [
        "#if __has_include(\"late.h\")\n#include \"late.h\"\n#endif\nint f(void) { return 1; }\n",
        "#if __has_include(\"late.h\") || 1\nint f(void) { return 1; }\n#endif\n",
        "#if __has_include(<late.h>)\nint f(void) { return 1; }\n#endif\n",
    ];
    for (compiler, mode) in compilers().into_iter().flat_map(|name| ["-MD", "-MMD"].map(|mode| (name, mode)))
    {
        for source in sources {
            let place = Place::new();
            place.write("a.c", source);
            place.write("second/late.h", "extern int second;\n");
            let words = ["-Ifirst", "-Isecond", "-g", mode, "-c", "a.c"];
            for late in ["late.h", "first/late.h"] {
                assert_served(&place, compiler, &words, &["a.o", "a.d"]);
                place.write(late, "extern int late;\n");
                assert_served(&place, compiler, &words, &["a.o", "a.d"]);
                std::fs::remove_file(place.file(late)).unwrap();
                assert_served(&place, compiler, &words, &["a.o", "a.d"]);
            }
        }
    }
}

#[test]
fn clang_obeys_directives_of_a_preprocessed_source_so_those_that_look_for_files_are_left_alone() {
    let place = Place::new();
    place.write("a.i", "#if __has_include(\"late.h\")\nint late;\n#endif\nint x;\n");
    place.write("b.i", "  #include \"h.h\"\n");
    place.write("h.h", "int h;\n");
    for compiler in compilers().into_iter().filter(|compiler| compiler.starts_with("clang")) {
        for turn in 0..2 {
            for source in ["a.i", "b.i"] {
                let plain = place.compare(&[compiler], &["-c", source], &["a.o", "b.o"]);
                assert_eq!(plain.code, Some(0));
                assert_eq!(place.compare(&[DCCACHE, compiler], &["-c", source], &["a.o", "b.o"]), plain);
            }
            if turn == 0 {
                place.write("late.h", "");
                place.write("h.h", "int other;\n");
            }
        }
        assert_eq!(place.stat("/bypass_reasons/unsupported_code_directive"), 4);
    }
}

#[test]
fn messages_that_name_macros_of_the_command_line_are_kept_apart() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "#ifdef B\n#define N(x) M(x)\n#else\n#define N(x) K(x)\n#endif\nint f(int a) { if (N(a)) return 1; return 0; }\n");
        let options: [&[&str]; 3] =
            [&["-DB", "-DM(x)=x=1"], &["-DK(x)=x=1"], &["-DB", "-DM(x)=x=1", "-DUNUSED"]];
        for words in options {
            let words = [&["-Wall", "-c", "a.c"], words].concat();
            place.assert_differential(compiler, &words, &["a.o"]);
            let plain = place.compare(&[DCCACHE, compiler], &words, &["a.o"]);
            assert!(plain.stderr.contains("macro"), "{}", plain.stderr);
        }
        assert_eq!((place.stat("/misses"), place.stat("/hits/local")), (3, 15));
    }
}

#[test]
fn warnings_are_replayed_exactly() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int f(int x) { int unused; if (x = 1) return 2; }\n");
        place.assert_differential(compiler, &["-Wall", "-c", "a.c"], &["a.o"]);
        let warm = place.run(&[compiler, "-Wall", "-c", "a.c"]);
        assert!(support::text(&warm.stderr).contains("unused"), "there is a warning to replay");
    }
}

#[test]
fn assembly_and_preprocessed_sources_are_served() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int f(int x) { return x + 1; }\n");
        place.assert_differential(compiler, &["-O2", "-S", "a.c"], &["a.s"]);
        place.write("b.i", "# 1 \"b.c\"\nint g(int x) { return x + 1; }\n");
        place.assert_differential(compiler, &["-O2", "-c", "b.i"], &["b.o"]);
    }
}

#[test]
fn a_failed_compile_gives_the_compilers_messages_and_code_and_is_not_stored() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int f(void) { return }\n");
        place.write("b.c", "#include \"absent.h\"\n");
        for source in ["a.c", "b.c"] {
            let plain = place.compare(&[compiler], &["-c", source], &["a.o", "b.o"]);
            assert_eq!(plain.code, Some(1));
            for _ in 0..2 {
                assert_eq!(place.compare(&[DCCACHE, compiler], &["-c", source], &["a.o", "b.o"]), plain);
            }
        }
        assert_eq!(place.entries().len(), 0);
        assert_eq!(place.stat("/not_stored/compile_failed"), 2);
        assert_eq!(place.stat("/bypass_reasons/preprocessor_error"), 2);
    }
}

#[test]
fn a_change_of_a_header_a_flag_or_a_column_is_a_miss() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("h.h", "#define N 1\n");
        place.write("a.c", "#include \"h.h\"\nint f(void) { return N; }\n");
        place.assert_differential(compiler, &["-g", "-c", "a.c"], &["a.o"]);
        place.write("h.h", "#define N 2\n");
        place.assert_differential(compiler, &["-g", "-c", "a.c"], &["a.o"]);
        place.write("a.c", "#include \"h.h\"\nint f(void)   { return N; }\n");
        place.assert_differential(compiler, &["-g", "-c", "a.c"], &["a.o"]);
        place.assert_differential(compiler, &["-g", "-O1", "-c", "a.c"], &["a.o"]);
        assert_eq!(place.stat("/misses"), 4);
    }
}

#[test]
fn two_checkouts_share_an_object_that_shows_no_directory() {
    let place = Place::new();
    for checkout in ["one", "two"] {
        place.write(&format!("{checkout}/.git/HEAD"), "");
        place.write(&format!("{checkout}/a.c"), "int f(int x) { return x * 3; }\n");
    }
    let compile = |checkout: &str, flags: &[&str]| {
        let mut command = place.command(DCCACHE);
        command.current_dir(place.file(checkout)).env("PWD", place.file(checkout));
        assert!(command.arg("gcc").args(flags).args(["-c", "a.c"]).status().unwrap().success());
    };
    compile("one", &["-O2"]);
    compile("two", &["-O2"]);
    assert_eq!(place.stat("/hits/local"), 1);
    compile("one", &["-g"]);
    compile("two", &["-g"]);
    assert_eq!(place.stat("/hits/local"), 1, "debug information names the directory");
}

#[test]
fn two_checkouts_share_an_object_and_its_dependencies_from_headers_that_ask_for_others() {
    for compiler in compilers() {
        let driver = if compiler == "gcc" { "g++" } else { "clang++" };
        let place = Place::new();
        let outputs = ["a.o", "a.d"];
        for checkout in ["one", "two"] {
            place.write(&format!("{checkout}/.git/HEAD"), "");
            place.write(&format!("{checkout}/inc/late.h"), "");
            place.write(
                &format!("{checkout}/inc/h.h"),
                "#if __has_include(\"late.h\")\nextern int h;\n#endif\n",
            );
            place.write(
                &format!("{checkout}/a.cpp"),
                "#include <string>\n#include <h.h>\nint f() { return 3; }\n",
            );
        }
        let compile = |checkout: &str, front: &[&str], mode: &str| {
            let directory = place.file(checkout);
            outputs.iter().for_each(|name| drop(std::fs::remove_file(directory.join(name))));
            let mut command = place.command(front[0]);
            command.args(&front[1..]).current_dir(&directory).env("PWD", &directory);
            let include = format!("-I{}", directory.join("inc").display());
            assert!(command.args(["-O2", mode, &include, "-c", "a.cpp"]).status().unwrap().success());
            outputs.map(|name| std::fs::read(directory.join(name)).unwrap())
        };
        for (turn, mode) in ["-MD", "-MMD"].into_iter().enumerate() {
            for checkout in ["one", "two"] {
                let plain = compile(checkout, &[driver], mode);
                assert!(compile(checkout, &[DCCACHE, driver], mode) == plain, "{driver} {mode} {checkout}");
            }
            let counted = (place.stat("/misses"), place.stat("/hits/local"));
            assert_eq!(counted, (turn as u64 + 1, turn as u64 + 1), "{driver} {mode}: {}", place.explain());
        }
    }
}
