//! Holes of Debian's ccache: each test shows that it serves a wrong result there, and that we do not. A shadowing header is in `direct.rs`.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, age, has};

/// One call: variables and words.
type Call<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// Runs calls of a compiler one after the other behind a front, and again plainly; tells which differ in their outputs.
fn differing(place: &Place, front: &str, compiler: &str, calls: &[Call<'_>], outputs: &[&str]) -> Vec<bool> {
    let directory = place.root().join("ccache").display().to_string();
    let differs = |(variables, words): &Call<'_>| {
        let own = [*variables, &[("CCACHE_DIR", directory.as_str())]].concat();
        let behind = place.compare_under(&own, &[front, compiler], words, outputs);
        let plain = place.compare_under(&own, &[compiler], words, outputs);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        behind.files != plain.files
    };
    calls.iter().map(differs).collect()
}

/// Asserts that ccache is wrong in the last of the calls, and that we are right in all of them.
fn assert_only_ccache_is_wrong(place: &Place, compiler: &str, calls: &[Call<'_>], outputs: &[&str]) {
    let ours = differing(place, DCCACHE, compiler, calls, outputs);
    assert_eq!(ours, vec![false; calls.len()], "{}", place.explain());
    let ccache = differing(place, "ccache", compiler, calls, outputs);
    assert_eq!(ccache.last(), Some(&true), "ccache is right by now: say so in the documents");
}

/// Calls once and again, makes a change, and calls once more: asserts that then ccache is wrong and we are not. Each front begins with what `prepare`
/// makes, and we find the second call and run the compiler for the last.
fn assert_only_ccache_misses_a_change(
    compiler: &str,
    call: Call<'_>,
    output: &str,
    prepare: impl Fn(&Place),
    change: impl Fn(&Place),
) {
    for (front, wrong) in [(DCCACHE, false), ("ccache", true)] {
        let place = Place::new();
        prepare(&place);
        let variable = |value: &str| value.replace("PLACE", place.work().to_str().unwrap());
        let variables: Vec<(&str, String)> =
            call.0.iter().map(|(name, value)| (*name, variable(value))).collect();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let words: Vec<String> = call.1.iter().map(|word| variable(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let call = (variables.as_slice(), words.as_slice());
        assert_eq!(differing(&place, front, compiler, &[call, call], &[output]), [false, false], "{front}");
        let before = place.compare_under(call.0, &[compiler], call.1, &[output]);
        change(&place);
        assert_ne!(place.compare_under(call.0, &[compiler], call.1, &[output]), before, "the change shows");
        assert_eq!(
            differing(&place, front, compiler, &[call], &[output]),
            [wrong],
            "{front}: {}",
            place.explain()
        );
        if front == DCCACHE {
            let counts = ["/hits/local", "/misses", "/bypassed"].map(|name| place.stat(name));
            assert_eq!((counts[0], counts[1] + counts[2]), (1, 2), "{}", place.stats());
        }
    }
}

#[test]
fn another_assembler_first_on_the_search_path() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    // A program, no script: whoever sees another assembler can cache what it gives.
    let source = r#"
        #include <unistd.h>
        const char name[] = "GNU assembler";
        int main(int count, char **words) {
            char *more[count + 3];
            more[0] = "as", more[1] = "--defsym", more[2] = "MARK=1";
            for (int i = 1; i <= count; i++) more[i + 2] = words[i];
            return execv("/usr/bin/as", more);
        }"#;
    build(&place, "bin/as", source, &[]);
    let path = format!("{}:{}", place.file("bin").display(), std::env::var("PATH").unwrap());
    let words = ["-c", "a.c"];
    let other = [("PATH", path.as_str())];
    let [first, second] = [(&[] as &[_], &words as &[_]), (&other, &words)];
    assert_only_ccache_is_wrong(&place, "gcc", &[first, second], &["a.o"]);
    assert_eq!(differing(&place, DCCACHE, "gcc", &[first, second], &["a.o"]), [false, false]);
    let counts = ["/hits/local", "/misses", "/bypassed"].map(|name| place.stat(name));
    assert_eq!(counts, [2, 2, 0], "each is stored and found: {}", place.stats());
    let objects =
        [first, second].map(|(variables, words)| place.compare_under(variables, &["gcc"], words, &["a.o"]));
    assert_ne!(objects[0], objects[1], "the assembler shows");
}

/// Compiles a program, or with `-shared` a library, and makes it a minute old.
fn build(place: &Place, path: &str, source: &str, words: &[&str]) {
    place.write("build.c", source);
    fs::create_dir_all(place.file(path).parent().unwrap()).unwrap();
    let mut command = place.command("gcc");
    command.args(["build.c", "-o", path]).args(words);
    assert!(command.status().unwrap().success());
    age(&place.file(path));
}

#[test]
fn a_precompiled_header_that_appears() {
    // Where it looks only at what it read before, that is so with its own precautions off, too.
    let variables = [("CCACHE_SLOPPINESS", "include_file_ctime,include_file_mtime")];
    let prepare = |place: &Place| {
        place.write("a.c", "#include \"h.h\"\nint a = A;\n");
        place.write("h.h", "#define A 1\n");
        place.write("other/h.h", "#define A 2\n");
    };
    let change = |place: &Place| {
        let mut command = place.command("gcc");
        command.args(["-x", "c-header", "h.h", "-o", "../h.h.gch"]).current_dir(place.file("other"));
        assert!(command.status().unwrap().success());
    };
    assert_only_ccache_misses_a_change("gcc", (&variables, &["-c", "a.c"]), "a.o", prepare, change);
}

#[test]
fn a_library_of_the_compiler_that_is_exchanged_under_its_name_and_time() {
    let library = |place: &Place, mark: u8| {
        let source = format!("int mark(void) {{ return {mark}; }}\n");
        let before = place.file("lib/libmark.so").metadata().and_then(|metadata| metadata.modified());
        build(place, "lib/libmark.so", &source, &["-shared", "-fPIC"]);
        if let Ok(before) = before {
            let file = fs::File::options().write(true).open(place.file("lib/libmark.so")).unwrap();
            file.set_modified(before).unwrap();
        }
    };
    let prepare = |place: &Place| {
        place.write("a.c", "int a = MARK;\n");
        library(place, 1);
        let real = place.command("gcc").arg("-print-prog-name=cc1").output().unwrap();
        let real = String::from_utf8(real.stdout).unwrap();
        let source = format!(
            "#include <stdio.h>\n#include <unistd.h>\nint mark(void);\nint main(int count, char **words) {{\n\
             char *more[count + 2], option[20];\nfor (int i = 0; i < count; i++) more[i] = words[i];\n\
             snprintf(option, 20, \"-DMARK=%d\", mark());\nmore[count] = option, more[count + 1] = 0;\n\
             more[0] = \"{}\";\nreturn execv(more[0], more); }}\n",
            real.trim()
        );
        build(place, "bin/cc1", &source, &["-Llib", "-lmark"]);
    };
    let call: Call<'_> = (&[("LD_LIBRARY_PATH", "PLACE/lib")], &["-BPLACE/bin/", "-c", "a.c"]);
    assert_only_ccache_misses_a_change("gcc", call, "a.o", prepare, |place| library(place, 2));
}

#[test]
fn files_beside_the_object_that_are_missing_on_a_hit() {
    for options in [["-fopt-info-vec=info"].as_slice(), &["-aux-info", "info"]] {
        let place = Place::new();
        place.write("a.c", "void f(int *a, int *b) { for (int i = 0; i < 99; i++) a[i] += b[i]; }\n");
        let words = [&["-O3", "-c", "a.c"], options].concat();
        assert_only_ccache_is_wrong(&place, "gcc", &[(&[], &words), (&[], &words)], &["a.o", "info"]);
        assert!(!fs::read(place.file("info")).unwrap().is_empty());
    }
    if has("clang") {
        let place = Place::new();
        place.write("a.c", "void f(int *a, int *b) { for (int i = 0; i < 99; i++) a[i] += b[i]; }\n");
        let words = ["-O3", "-fsave-optimization-record", "-c", "a.c"];
        let outputs = ["a.o", "a.opt.yaml"];
        assert_only_ccache_is_wrong(&place, "clang", &[(&[], &words), (&[], &words)], &outputs);
        assert!(!fs::read(place.file("a.opt.yaml")).unwrap().is_empty());
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
        assert_only_ccache_is_wrong(&place, "gcc", &[(&[], &words(one)), (&[], &words(two))], &["a.o"]);
    }
}
