//! Every file that a compile writes is there after a hit: under the names of that call, with the bytes of the compile that was stored.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{DCCACHE, Place, compilers};

const SOURCE: &str = "static int g(int a) { int v[10]; v[a & 7] = 1; return v[a & 3]; }\n\
int f(int a, int *b, int *c) { for (int i = 0; i < a; i++) b[i] += c[i] + g(i); return a; }\n";

type Files = BTreeMap<String, Vec<u8>>;

/// All files below the working directory.
fn files(place: &Place) -> Files {
    fn collect(directory: &Path, prefix: &str, found: &mut Files) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => collect(&entry.path(), &format!("{name}/"), found),
                false => drop(found.insert(name, fs::read(entry.path()).unwrap())),
            }
        }
    }
    let mut found = Files::new();
    collect(&place.work(), "", &mut found);
    found
}

/// Runs a compile among the sources alone, and returns what it said and every file that is there afterwards.
fn run(place: &Place, front: &[&str], words: &[&str], sources: &Files) -> (Option<i32>, String, Files) {
    files(place).keys().filter(|name| !sources.contains_key(*name)).for_each(|name| {
        fs::remove_file(place.file(name)).unwrap();
    });
    let output = place.command(front[0]).args(&front[1..]).args(words).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), support::text(&output.stderr), files(place))
}

/// Whether the compiler gives the same bytes again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Same,
    Other,
}

/// Asserts that plain, cold and warm compile leave the same files; the warm one is a hit with the bytes of the cold one.
fn assert_all_files(place: &Place, compiler: &str, words: &[&str], again: Again) -> Files {
    let sources = files(place);
    let hits = place.stat("/hits/local");
    let plain = run(place, &[compiler], words, &sources);
    assert_eq!(plain.0, Some(0), "{compiler} {words:?}: {}", plain.1);
    let cold = run(place, &[DCCACHE, compiler], words, &sources);
    let warm = run(place, &[DCCACHE, compiler], words, &sources);
    let told = format!("{compiler} {words:?}: {}", place.explain());
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&plain.2), names(&warm.2), "{told}");
    assert!(cold == warm, "{told}");
    assert_eq!(plain.1, warm.1, "{told}");
    if again == Again::Same {
        let differ: Vec<_> = plain.2.iter().filter(|(name, bytes)| warm.2[*name] != **bytes).collect();
        assert!(differ.is_empty(), "{told}: {:?}", differ.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
    assert_eq!(place.stat("/hits/local"), hits + 1, "{told}");
    let written = warm.2.iter().filter(|(name, _)| !sources.contains_key(*name));
    let written: Files = written.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    // A hit over stale files: each is replaced.
    written.keys().for_each(|name| fs::write(place.file(name), "stale").unwrap());
    let output = place.command(DCCACHE).arg(compiler).args(words).output().unwrap();
    assert!(output.status.success() && files(place) == warm.2, "over stale files: {told}");
    written.keys().for_each(|name| fs::remove_file(place.file(name)).unwrap());
    written
}

/// Options, the compiler that has them (empty for both), the files beside `out/u.c.o`, and whether the bytes can be compared.
const CASES: &[(&str, &str, &[&str], Again)] = &[
    ("-fstack-usage", "", &["su"], Again::Same),
    ("-g -gsplit-dwarf", "", &["dwo"], Again::Same),
    ("-gsplit-dwarf -g -O2 -fstack-usage -MD", "", &["d", "dwo", "su"], Again::Same),
    ("-fcallgraph-info", "gcc", &["ci"], Again::Same),
    ("-fcallgraph-info=su,da -fstack-usage", "gcc", &["ci", "su"], Again::Same),
    ("-O2 -fsave-optimization-record", "gcc", &["c.opt-record.json.gz"], Again::Other),
    ("-O2 -fsave-optimization-record", "clang", &["opt.yaml"], Again::Same),
    ("--coverage", "gcc", &["gcno"], Again::Other),
    ("--coverage", "clang", &["gcno"], Again::Same),
    ("-ftest-coverage -fprofile-arcs -g -MMD", "gcc", &["d", "gcno"], Again::Other),
    ("-ftest-coverage -fprofile-arcs -flto", "gcc", &["gcno"], Again::Other),
    ("-fprofile-generate -O2", "gcc", &[], Again::Other),
    ("-fprofile-generate -O2", "clang", &[], Again::Same),
    ("-fprofile-instr-generate -fcoverage-mapping", "clang", &[], Again::Same),
];

#[test]
fn every_file_beside_the_object_is_restored() {
    for compiler in compilers() {
        for (options, only, extensions, again) in CASES {
            if !only.is_empty() && *only != compiler {
                continue;
            }
            let place = Place::new();
            place.write("u.c", SOURCE);
            fs::create_dir(place.file("out")).unwrap();
            let mut words: Vec<&str> = options.split(' ').collect();
            words.extend(["-c", "u.c", "-o", "out/u.c.o"]);
            let written = assert_all_files(&place, compiler, &words, *again);
            let mut expected: Vec<String> = extensions.iter().map(|end| format!("out/u.c.{end}")).collect();
            expected.push("out/u.c.o".to_owned());
            expected.sort();
            assert_eq!(written.into_keys().collect::<Vec<_>>(), expected, "{compiler} {options}");
        }
    }
}

#[test]
fn files_that_options_name_are_restored_where_each_call_names_them() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("u.c", SOURCE);
        let named: &[&[&str]] = match compiler {
            "gcc" => &[&["-aux-info", "u.X"], &["-Wa,-ahlns=u.lst", "-pipe"], &["-aux-info", "u.X", "-S"]],
            _ => &[&["--serialize-diagnostics", "u.dia", "-Wall"]],
        };
        for words in named {
            let words = [*words, &["-c", "u.c"]].concat();
            let written = assert_all_files(&place, compiler, &words, Again::Same);
            assert_eq!(written.len(), 2, "{words:?}");
        }
    }
}

#[test]
fn a_listing_that_names_a_temporary_file_is_not_stored() {
    let place = Place::new();
    place.write("u.c", SOURCE);
    for _ in 0..2 {
        let output = place.run(&["gcc", "-Wa,-ahl=u.lst", "-c", "u.c"]);
        assert!(output.status.success() && place.file("u.lst").exists());
    }
    assert_eq!(place.stat("/not_stored/listing_names_temporary_file"), 2, "{}", place.explain());
}

#[test]
fn a_file_of_an_earlier_compile_is_not_taken_for_an_output() {
    // Without debug information gcc writes no file for it.
    let place = Place::new();
    place.write("u.c", "int x;\n");
    place.write("u.dwo", "stale");
    let words = ["gcc", "-g", "-gsplit-dwarf", "-g0", "-c", "u.c"];
    let plain = place.command("gcc").args(&words[1..]).output().unwrap();
    assert!(plain.status.success());
    let untouched = fs::read(place.file("u.dwo")).unwrap() == b"stale";
    for _ in 0..2 {
        assert!(place.run(&words).status.success());
        assert_eq!(fs::read(place.file("u.dwo")).unwrap() == b"stale", untouched);
    }
}

#[test]
fn a_call_that_checks_syntax_is_served_with_its_messages_and_dependencies() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("u.c", "int f(int x) { int unused; if (x = 1) return 2; }\n");
        let forms: [&[&str]; 3] = [
            &["-fsyntax-only"],
            &["-fsyntax-only", "-c", "-o", "u.o"],
            &["-fsyntax-only", "-MD", "-MF", "u.d"],
        ];
        for (turn, words) in forms.into_iter().enumerate() {
            let words = [words, &["-Wall", "u.c"]].concat();
            let written = assert_all_files(&place, compiler, &words, Again::Same);
            assert_eq!(written.len(), usize::from(turn == 2), "{words:?}");
        }
    }
}

#[test]
fn the_name_of_the_output_is_in_the_key_where_it_shows() {
    for compiler in compilers() {
        for options in [&["-g", "-gsplit-dwarf"], &["--coverage", "-O1"]] {
            let place = Place::new();
            place.write("u.c", SOURCE);
            for name in ["one.o", "two.o"] {
                let words = [options.as_slice(), &["-c", "u.c", "-o", name]].concat();
                let hits = place.stat("/hits/local");
                assert!(place.run(&[&[compiler], words.as_slice()].concat()).status.success());
                assert_eq!(place.stat("/hits/local"), hits, "{compiler} {words:?}");
                let object = fs::read(place.file(name)).unwrap();
                let stem = name.strip_suffix(".o").unwrap().as_bytes();
                assert!(object.windows(stem.len()).any(|bytes| bytes == stem), "{compiler} {words:?}");
            }
        }
    }
}

#[test]
fn data_of_earlier_runs_is_removed_as_gcc_does_it() {
    let place = Place::new();
    place.write("u.c", SOURCE);
    for _ in 0..2 {
        place.write("u.gcda", "data");
        assert!(place.run(&["gcc", "--coverage", "-frandom-seed=1", "-c", "u.c"]).status.success());
        assert!(!place.file("u.gcda").exists());
    }
}

/// Makes the profile of `u.c` that `-fprofile-use` reads, in one of two versions, and returns its name.
fn make_profile(place: &Place, compiler: &str, version: u8) -> &'static str {
    let run = |program: &str, words: &[&str]| {
        let done = place.command(program).args(words).status();
        assert!(done.is_ok_and(|status| status.success()), "{program} {words:?}");
    };
    if compiler == "gcc" {
        run("gcc", &["-O2", "-fprofile-generate", "u.c", "-o", "u.o", "-c"]);
        run("gcc", &["-fprofile-generate", "u.o", "-o", "prog"]);
        (0..=version).for_each(|_| run("./prog", &[]));
        return "u.gcda";
    }
    // As text, so that no run-time library is needed; a hash that does not fit is a warning.
    place.write("text", format!("f\n24\n2\n{version}00\n7\n\n"));
    run("llvm-profdata", &["merge", "text", "-o", "default.profdata"]);
    "default.profdata"
}

#[test]
fn a_profile_is_taken_in_by_its_content() {
    for compiler in compilers() {
        if compiler == "clang" && !support::has("llvm-profdata") {
            continue;
        }
        let place = Place::new();
        place.write("u.c", "int f(int a) { if (a > 3) return 7; return a; }\nint main(void) { int s = 0; for (int i = 0; i < 100; i++) s += f(i & 3); return s == 0; }\n");
        let words = ["-O2", "-fprofile-use", "-c", "u.c", "-o", "u.o"];
        let mut served = Vec::new();
        for version in [1, 2] {
            let profile = make_profile(&place, compiler, version);
            support::age(&place.file(profile));
            place.assert_differential(compiler, &words, &["u.o"]);
            served.push(place.stat("/misses"));
        }
        assert_eq!(served, [1, 2], "{}", place.explain());
        fs::remove_file(place.file(if compiler == "gcc" { "u.gcda" } else { "default.profdata" })).unwrap();
        let hits = place.stat("/hits/local");
        let plain = place.compare(&[compiler], &words, &["u.o"]);
        assert_eq!(place.compare(&[DCCACHE, compiler], &words, &["u.o"]), plain);
        assert_eq!(place.stat("/hits/local"), hits, "no profile: {}", place.explain());
    }
}

#[test]
fn a_profile_of_samples_is_taken_in_by_its_content() {
    for compiler in compilers().into_iter().filter(|compiler| *compiler == "clang") {
        let place = Place::new();
        place.write("u.c", "int g(int);\nint f(int a) {\n  if (a > 3)\n    return g(a);\n  return a;\n}\n");
        let mut objects = Vec::new();
        for samples in [" 1: 100\n 2: 90\n", " 1: 100\n 2: 0\n 3: 100\n"] {
            place.write("samples", format!("f:1000:100\n{samples}"));
            place.assert_differential(
                compiler,
                &["-O2", "-g", "-fprofile-sample-use=samples", "-c", "u.c"],
                &["u.o"],
            );
            objects.push(fs::read(place.file("u.o")).unwrap());
        }
        assert!(objects[0] != objects[1], "the profile shows");
    }
}

#[test]
fn objective_c_sources_are_served_where_the_compiler_takes_them() {
    let mut served = 0;
    for (compiler, name) in
        compilers().into_iter().flat_map(|compiler| [(compiler, "u.m"), (compiler, "u.mm")])
    {
        let place = Place::new();
        place.write("h.h", "#define N 3\n");
        place.write(name, "#import \"h.h\"\n#import \"h.h\"\n@interface A\n+ (int)f;\n@end\n@implementation A\n+ (int)f { return N; }\n@end\n");
        let words = ["-Wno-objc-root-class", "-g", "-MD", "-c", name];
        if place.compare(&[compiler], &words, &["u.o"]).code == Some(0) {
            place.assert_differential(compiler, &words, &["u.o", "u.d"]);
            served += 1;
        }
    }
    assert!(served > 0 || !support::has("clang"), "clang takes Objective-C");
}

#[test]
fn assembly_sources_are_served_preprocessed_or_not() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("h.h", "#define N 7\n");
        place.write("a.S", "#include \"h.h\"\n# a comment\n.text\n.globl f\nf:\n ret\n.data\n.long N\n");
        place.write("b.s", "# a comment\n.text\n.globl g\ng: ret\n");
        for words in
            [&["-c", "a.S"] as &[&str], &["-g", "-MD", "-c", "a.S"], &["-c", "b.s"], &["-g", "-c", "b.s"]]
        {
            assert_all_files(&place, compiler, words, Again::Same);
        }
        let words = ["-c", "a.S"];
        place.write("h.h", "#define N 8\n");
        let plain = place.compare(&[compiler], &words, &["a.o"]);
        assert_eq!(place.compare(&[DCCACHE, compiler], &words, &["a.o"]), plain);
        place.write("data", "one");
        place.write("b.s", ".data\n.incbin \"data\"\n");
        for content in ["one", "two"] {
            place.write("data", content);
            let plain = place.compare(&[compiler], &["-c", "b.s"], &["b.o"]);
            for _ in 0..2 {
                assert_eq!(place.compare(&[DCCACHE, compiler], &["-c", "b.s"], &["b.o"]), plain);
            }
        }
        assert_eq!(place.stat("/bypass_reasons/unsupported_code_directive"), 4, "{}", place.explain());
    }
}

#[test]
fn a_precompiled_header_is_restored_and_the_compiler_takes_it() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("inner.h", "#define N 1\n");
        place.write("x.h", "#include \"inner.h\"\nstatic inline int f(void) { return N + M; }\n");
        let fixed: &[&'static str] =
            if compiler == "clang" { &["-Xclang", "-fno-pch-timestamp"] } else { &[] };
        let make = |words: &[&'static str]| -> Vec<&'static str> {
            [fixed, &["-DM=2", "-x", "c-header", "-c", "x.h", "-o", "x.h.gch"], words].concat()
        };
        let written = assert_all_files(&place, compiler, &make(&["-MD"]), Again::Other);
        assert_eq!(written.into_keys().collect::<Vec<_>>(), ["x.h.d", "x.h.gch"]);
        // What is restored is taken in place of the header, and the call that takes it is left alone without sloppiness.
        assert!(place.run(&[&[compiler], make(&["-MD"]).as_slice()].concat()).status.success());
        assert_eq!(place.stat("/hits/local"), 3, "{}", place.explain());
        place.write("a.c", "int g(void) { return f(); }\n");
        let take = ["-DM=2", "-Winvalid-pch", "-Werror", "-include", "x.h", "-c", "a.c"];
        let plain = place.compare(&[compiler], &take, &["a.o"]);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        for _ in 0..2 {
            assert_eq!(place.compare(&[DCCACHE, compiler], &take, &["a.o"]), plain);
        }
        assert_eq!(place.stat("/bypass_reasons/could_not_use_precompiled_header"), 2, "{}", place.explain());
        // Macros of the command line are in it.
        let other: Vec<&str> =
            make(&[]).into_iter().map(|word| if word == "-DM=2" { "-DM=3" } else { word }).collect();
        let misses = place.stat("/misses");
        fs::remove_file(place.file("x.h.gch")).unwrap();
        assert!(place.run(&[&[compiler], other.as_slice()].concat()).status.success());
        assert_eq!(place.stat("/misses"), misses + 1, "{}", place.explain());
    }
}
