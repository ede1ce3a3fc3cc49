//! Holes of Debian's ccache: each test shows that it serves a wrong result there, and that we do not. A shadowing header is in `direct.rs`.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place};

/// One call: variables and words.
type Call<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// Runs calls one after the other behind a front, and again plainly; tells which differ in their outputs.
fn differing(place: &Place, front: &str, calls: &[Call<'_>], outputs: &[&str]) -> Vec<bool> {
    let directory = place.root().join("ccache").display().to_string();
    let differs = |(variables, words): &Call<'_>| {
        let own = [*variables, &[("CCACHE_DIR", directory.as_str())]].concat();
        let behind = place.compare_under(&own, &[front, "gcc"], words, outputs);
        let plain = place.compare_under(&own, &["gcc"], words, outputs);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        behind.files != plain.files
    };
    calls.iter().map(differs).collect()
}

/// Asserts that ccache is wrong in the last of the calls, and that we are right in all of them.
fn assert_only_ccache_is_wrong(place: &Place, calls: &[Call<'_>], outputs: &[&str]) {
    assert_eq!(differing(place, DCCACHE, calls, outputs), vec![false; calls.len()], "{}", place.explain());
    let ccache = differing(place, "ccache", calls, outputs);
    assert_eq!(ccache.last(), Some(&true), "ccache is right by now: say so in the documents");
}

#[test]
fn another_assembler_first_on_the_search_path() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    place.script("bin/as", "#!/bin/sh\nexec /usr/bin/as --defsym MARK=1 \"$@\"\n");
    let path = format!("{}:{}", place.file("bin").display(), std::env::var("PATH").unwrap());
    let words = ["-c", "a.c"];
    let other = [("PATH", path.as_str())];
    assert_only_ccache_is_wrong(&place, &[(&[], &words), (&other, &words)], &["a.o"]);
}

#[test]
fn files_beside_the_object_that_are_missing_on_a_hit() {
    for options in [["-fopt-info-vec=info"].as_slice(), &["-aux-info", "info"]] {
        let place = Place::new();
        place.write("a.c", "void f(int *a, int *b) { for (int i = 0; i < 99; i++) a[i] += b[i]; }\n");
        let words = [&["-O3", "-c", "a.c"], options].concat();
        assert_only_ccache_is_wrong(&place, &[(&[], &words), (&[], &words)], &["a.o", "info"]);
        assert!(!fs::read(place.file("info")).unwrap().is_empty());
    }
}

#[test]
fn another_value_of_a_prefix_map() {
    let maps: [(&str, [&str; 2]); 2] = [
        ("-g", ["-fdebug-prefix-map=/usr/include=one", "-fdebug-prefix-map=/usr/include=two"]),
        ("-O1", ["-fmacro-prefix-map=./=one", "-fmacro-prefix-map=./=two"]),
    ];
    for (option, [one, two]) in maps {
        let place = Place::new();
        place.write("a.c", "#include <stdio.h>\nconst char *name = __FILE__;\nint f(FILE *file) { return fputc(1, file); }\n");
        let words = |map| [option, map, "-c", "./a.c"];
        assert_only_ccache_is_wrong(&place, &[(&[], &words(one)), (&[], &words(two))], &["a.o"]);
    }
}
