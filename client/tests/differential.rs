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
            let mut words = vec![flags[0], flags[1], "-c", "a.cpp", "-o", "a.o"];
            // Clang lists in a dependency file what __has_include looked for, so such a compile is not cached.
            if !compiler.starts_with("clang") {
                words.push("-MD");
            }
            let outputs = ["a.o", "a.d"];
            place.assert_differential(compiler, &words, &outputs[..words.len() - 5]);
        }
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
