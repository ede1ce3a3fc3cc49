//! Compiles that take a precompiled header: served where the header's content is all that it brings, and never from another one.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::Path;
use support::{DCCACHE, Place, compilers};

/// Without it nobody caches such a compile: the macros of a precompiled header can hold the time.
const SLOPPY: (&str, &str) = ("DCCACHE_SLOPPINESS", "time_macros");

const OUTPUTS: &[&str] = &["a.o", "a.d"];

/// A way of making and taking the precompiled header of `p.h`.
struct Way {
    compiler: &'static str,
    make: &'static [&'static str],
    take: &'static [&'static str],
}

/// All ways of the compilers that are here.
fn ways() -> Vec<Way> {
    let all = [
        // The source includes it.
        Way { compiler: "gcc", make: &["p.h"], take: &[] },
        Way { compiler: "gcc", make: &["p.h"], take: &["-include", "p.h"] },
        Way {
            compiler: "gcc",
            make: &["-g", "-O2", "-fPIC", "p.h"],
            take: &["-g", "-O2", "-fPIC", "-fpch-preprocess"],
        },
        Way {
            compiler: "g++",
            make: &["-std=c++17", "-g3", "p.h"],
            take: &["-x", "c++", "-std=c++17", "-g3"],
        },
        Way { compiler: "clang", make: &["p.h", "-o", "p.h.pch"], take: &["-include", "p.h"] },
        Way {
            compiler: "clang",
            make: &["-g", "p.h", "-o", "q.pch"],
            take: &["-g", "-include-pch", "q.pch"],
        },
        Way {
            compiler: "clang",
            make: &["p.h", "-o", "q.pch"],
            take: &["-Xclang", "-include-pch", "-Xclang", "q.pch", "-Xclang", "-include", "-Xclang", "p.h"],
        },
    ];
    let here = compilers();
    all.into_iter().filter(|way| here.contains(&way.compiler) || way.compiler == "g++").collect()
}

impl Way {
    /// A place with sources, and the precompiled header of them.
    fn place(&self) -> Place {
        let place = Place::new();
        place.write("p.h", "#ifndef P\n#define P\n#include <stddef.h>\n#define N 1\nstatic inline int twice(int x) { return 2 * x; }\n#endif\n");
        place.write("q.h", "int q(void);\n");
        place.write("a.c", "#include \"p.h\"\n#include \"q.h\"\nint f(int x) { return twice(x) + N; }\n");
        self.make(&place);
        place
    }

    fn make(&self, place: &Place) {
        let mut command = place.command(self.compiler);
        if self.compiler == "clang" {
            command.args(["-Xclang", "-fno-pch-timestamp"]);
        }
        let language = if self.compiler == "g++" { "c++-header" } else { "c-header" };
        assert!(command.args(["-c", "-x", language]).args(self.make).status().unwrap().success());
    }

    fn words(&self) -> Vec<&'static str> {
        [self.take, &["-Winvalid-pch", "-MD", "-c", "a.c"]].concat()
    }

    /// Compiles plainly and twice through dccache, which must give the same; returns it, and whether the second one was a hit.
    fn compare(&self, place: &Place) -> (support::Result, bool) {
        let words = self.words();
        let plain = place.compare(&[self.compiler], &words, OUTPUTS);
        let ours = || place.compare_under(&[SLOPPY], &[DCCACHE, self.compiler], &words, OUTPUTS);
        assert_eq!(ours(), plain, "{} {words:?}: {}", self.compiler, place.explain());
        let before = place.stat("/hits/local");
        assert_eq!(ours(), plain, "{} {words:?}: {}", self.compiler, place.explain());
        (plain, place.stat("/hits/local") == before + 1)
    }
}

#[test]
fn a_compile_that_takes_a_precompiled_header_is_served() {
    for way in ways() {
        let place = way.place();
        let (plain, hit) = way.compare(&place);
        assert_eq!(plain.code, Some(0), "{} {:?}: {}", way.compiler, way.words(), plain.stderr);
        assert!(hit, "{} {:?}: {}", way.compiler, way.words(), place.explain());
        assert_eq!(place.stat("/misses"), 1, "{}", place.explain());
        assert_eq!(place.stat("/faults"), 0);
    }
}

#[test]
fn without_sloppiness_it_is_left_to_the_compiler() {
    for way in ways() {
        let place = way.place();
        let plain = place.compare(&[way.compiler], &way.words(), OUTPUTS);
        for _ in 0..2 {
            assert_eq!(place.compare(&[DCCACHE, way.compiler], &way.words(), OUTPUTS), plain);
        }
        assert_eq!(place.stat("/bypass_reasons/could_not_use_precompiled_header"), 2, "{}", place.explain());
    }
}

#[test]
fn a_precompiled_header_of_another_text_gives_another_object() {
    for way in ways() {
        let place = way.place();
        let (before, _) = way.compare(&place);
        let text = fs::read_to_string(place.file("p.h")).unwrap();
        // A function in it shows in no text that is preprocessed.
        place.write("p.h", text.replace("2 * x", "3 * x"));
        // Gcc goes on with the old one, clang may refuse it: whatever it does is done.
        way.compare(&place);
        way.make(&place);
        let (after, hit) = way.compare(&place);
        assert!(before != after && after.code == Some(0), "{} {:?}", way.compiler, way.words());
        assert!(hit, "{} {:?}: {}", way.compiler, way.words(), place.explain());
    }
}

#[test]
fn macros_that_only_an_old_precompiled_header_still_has_decide_what_is_read() {
    for way in ways() {
        let place = way.place();
        let text = fs::read_to_string(place.file("p.h")).unwrap();
        place.write("p.h", text.replace("N 1", "N 1\n#define OLD"));
        place.write("x.h", "#define X 1\n");
        place.write("a.c", "#include \"p.h\"\n#ifdef OLD\n#include \"x.h\"\n#endif\n#ifndef X\n#define X 9\n#endif\nint f(void) { return X; }\n");
        way.make(&place);
        // Of equal size, so that clang does not notice.
        place.write("p.h", text.replace("N 1", "N 1\n#define NEW"));
        let (old, _) = way.compare(&place);
        place.write("x.h", "#define X 2\n");
        let (new, _) = way.compare(&place);
        assert!(old != new && new.code == Some(0), "the change shows: {} {:?}", way.compiler, way.words());
    }
}

#[test]
fn assembly_in_it_that_reads_a_file_is_not_missed() {
    for way in ways() {
        let place = way.place();
        let text = fs::read_to_string(place.file("p.h")).unwrap();
        let reads = "__asm__(\".section .rodata\\n .Inc\" \"bin \\\"data\\\"\\n .text\");";
        place.write("data", "one");
        place.write("p.h", text.replace("return 2", &format!("{reads} return 2")));
        way.make(&place);
        let (one, _) = way.compare(&place);
        place.write("data", "two");
        let (two, hit) = way.compare(&place);
        assert!(
            one != two && two.code == Some(0) && !hit,
            "{} {:?}: {}",
            way.compiler,
            way.words(),
            two.stderr
        );
    }
}

#[test]
fn one_that_appears_or_goes_away_is_noticed() {
    for way in ways().into_iter().filter(|way| way.compiler != "clang") {
        let place = way.place();
        let text = fs::read_to_string(place.file("p.h")).unwrap();
        let made = fs::read(place.file("p.h.gch")).unwrap();
        place.write("p.h", text.replace("N 1", "N 2"));
        let (taken, _) = way.compare(&place);
        fs::remove_file(place.file("p.h.gch")).unwrap();
        let (read, hit) = way.compare(&place);
        assert!(hit && taken != read, "{:?}", way.words());
        fs::write(place.file("p.h.gch"), made).unwrap();
        assert_eq!(way.compare(&place).0, taken);
        // A directory of them is searched in no order that we know of.
        fs::remove_file(place.file("p.h.gch")).unwrap();
        fs::create_dir(place.file("p.h.gch")).unwrap();
        assert_eq!(way.compare(&place), (read, false));
    }
}

#[test]
fn nothing_of_it_is_shared_with_another_directory() {
    for way in ways() {
        let (one, other) = (way.place(), way.place());
        assert!(way.compare(&one).1);
        copy_home(&one.home(), &other.home());
        if way.compiler != "clang" {
            // Gcc takes one that was made elsewhere, so that only the key keeps them apart.
            fs::copy(one.file("p.h.gch"), other.file("p.h.gch")).unwrap();
        }
        let hits = other.stat("/hits/local");
        way.compare(&other);
        assert_eq!(other.stat("/hits/local"), hits + 1, "only its own second: {}", other.explain());
    }
}

/// Gives a place the store of another one, with the secret by which that knows its own files.
fn copy_home(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-aT").arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

#[test]
fn defines_in_a_source_count_and_pch_defines_changes_no_key() {
    for way in ways() {
        let place = way.place();
        let words = way.words();
        let source = |define: &str| {
            place.write("a.c", format!("#include \"p.h\"\n#define M {define}\n#include \"q.h\"\nint f(int x) {{ return twice(x) + M; }}\n"));
        };
        let mut misses = 0;
        for define in ["1", "2"] {
            source(define);
            misses += 1;
            let plain = place.compare(&[way.compiler], &words, OUTPUTS);
            for said in ["time_macros", "pch_defines,time_macros"] {
                let variables = [("DCCACHE_SLOPPINESS", said)];
                let ours = place.compare_under(&variables, &[DCCACHE, way.compiler], &words, OUTPUTS);
                assert_eq!(ours, plain, "{} {words:?} {said}: {}", way.compiler, place.explain());
                assert_eq!(place.stat("/misses"), misses, "{} {said}: {}", way.compiler, place.explain());
            }
        }
        assert_eq!(place.stat("/hits/local"), misses, "{}", way.compiler);
    }
}
