//! Compiles without a preprocessor run before them: the compiler lists what it reads, and the same keys come of it.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{ALWAYS, DCCACHE, LATER, Place, text};

/// Names of the programs that a call starts, the wrapper left out.
fn started(place: &Place, variables: &[(&str, &str)], words: &[&str]) -> Vec<String> {
    let log = place.file("trace");
    let mut command = place.command("strace");
    command.args(["-f", "-qq", "-e", "trace=execve", "-s", "1000", "-o"]).arg(&log);
    let output = command.arg(DCCACHE).args(words).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "strace is needed here: {}", text(&output.stderr));
    let trace = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let calls = trace.lines().filter(|line| {
        line.contains("execve(\"") && (line.ends_with("= 0") || line.ends_with("<unfinished ...>"))
    });
    let names = calls.map(|line| line.split('"').nth(1).unwrap().rsplit('/').next().unwrap().to_owned());
    names.skip(1).collect()
}

/// Compiles with a preprocessor run.
fn by_text(place: &Place, words: &[&str]) -> bool {
    place.command(DCCACHE).env("DCCACHE_DEPEND_MODE", "false").args(words).status().unwrap().success()
}

fn two_headers(place: &Place) {
    place.write("inc/h.h", "#include \"i.h\"\n#define N 1\n");
    place.write("inc/i.h", "#define M 2\n");
    place.write("a.c", "#include <stdio.h>\n#include <h.h>\nint f(void) { return puts(\"x\") + N + M; }\n");
}

#[test]
fn a_miss_runs_the_compiler_alone_and_is_found_directly_afterwards() {
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("gcc", &[], &["a.o"]),
        ("gcc", &["-O2", "-g", "-MD"], &["a.o", "a.d"]),
        ("gcc", &["-g3", "-grecord-gcc-switches", "-Wall", "-Wextra"], &["a.o"]),
        ("gcc", &["-pipe", "-MD", "-MP", "-MT", "x y", "-MF", "d"], &["a.o", "d"]),
        ("gcc", &["-g", "-gsplit-dwarf", "-fstack-usage"], &["a.o", "a.dwo", "a.su"]),
        ("gcc", &["-MD", "-MF", "d", "-include", "inc/i.h"], &["a.o", "d"]),
        ("gcc", &["-fcallgraph-info", "-O2"], &["a.o", "a.ci"]),
        ("g++", &["-x", "c++", "-std=c++17", "-O1", "-MD", "-Wa,--noexecstack"], &["a.o", "a.d"]),
    ];
    for (compiler, options, outputs) in cases {
        let place = Place::new();
        two_headers(&place);
        let words = [&["-Iinc", "-c", "a.c"], options].concat();
        let run = |variables: &[(&str, &str)]| {
            place.compare_under(&[&[ALWAYS], variables].concat(), &[DCCACHE, compiler], &words, outputs)
        };
        // The toolchain is looked at once, by another call.
        place.write("w.c", "int w;\n");
        let warm = [&[compiler, "-c", "w.c"], options].concat();
        assert!(place.run(&warm).status.success());
        let plain = place.compare(&[compiler], &words, outputs);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        let programs = started(&place, &[ALWAYS], &[&[compiler], words.as_slice()].concat());
        let proper = programs.iter().filter(|name| name.starts_with("cc1")).count();
        assert_eq!(proper, 1, "{compiler} {options:?}: {programs:?}");
        assert_eq!(place.stat("/misses"), 2, "{compiler} {options:?}: {}", place.explain());
        for variables in [[].as_slice(), &[LATER], &[LATER], &[("DCCACHE_DEPEND_MODE", "false")]] {
            let hits = place.stat("/hits/direct");
            assert_eq!(run(variables), plain, "{compiler} {options:?} {variables:?}");
            assert_eq!(place.stat("/hits/direct"), hits + 1, "{compiler} {options:?}: {}", place.explain());
        }
        assert_eq!(place.stat("/faults"), 0);
        let strays = fs::read_dir(place.work()).unwrap().map(|entry| entry.unwrap().file_name());
        let strays: Vec<_> = strays.filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(strays.is_empty(), "{strays:?}");
    }
}

#[test]
fn every_change_is_seen() {
    let changes: [(&str, &str); 5] = [
        ("inc/i.h", "#define M 3\n"),
        ("inc/h.h", "#include \"i.h\"\n#define N 7\n"),
        ("first/h.h", "#define N 5\n#define M 5\n"),
        ("h.h", "#error not looked for\n"),
        ("a.c", "#include <h.h>\nint f(void) { return N * M; }\n"),
    ];
    let place = Place::new();
    two_headers(&place);
    place.write("first/keep", "");
    let words = ["-Ifirst", "-Iinc", "-c", "a.c"];
    for (name, content) in [("w.c", "int w;\n")].into_iter().chain(changes) {
        place.write(name, content);
        let plain = place.compare(&["gcc"], &words, &["a.o"]);
        for variables in [[ALWAYS].as_slice(), &[ALWAYS], &[ALWAYS, LATER]] {
            let ours = place.compare_under(variables, &[DCCACHE, "gcc"], &words, &["a.o"]);
            assert_eq!(ours, plain, "{name}: {}", place.explain());
        }
    }
    assert!(place.stat("/hits/direct") >= 10, "{}", place.stats());
}

#[test]
fn what_the_assembler_reads_is_not_stored_however_it_is_written() {
    let sources = [
        "__asm__(\".section .rodata\\n.incbin \\\"data\\\"\\n.text\");\nint f(void) { return 1; }\n",
        "#define A(x) __asm__(\".section .rodata\\n.\" #x \" \\\"data\\\"\\n.text\")\nA(incbin);\nint f(void) { return 1; }\n",
        "#define P(a, b) a##b\n#define S(x) #x\n#define T(x) S(x)\nP(as, m)(\".data\\n.\" T(P(inc, bin)) \" \\\"data\\\"\\n.text\");\n",
        "void f(void) { __asm__(\".section .rodata\\n.macro m a\\n.inc\\\\a \\\"data\\\"\\n.endm\\nm bin\\n.text\"); }\n",
        "__asm__(\".include \\\"more.s\\\"\");\n",
        "__attribute__((section(\".data\\n.incbin \\\"data\\\"\\n#\"))) int x = 1;\n",
    ];
    for (number, source) in sources.into_iter().enumerate() {
        for pipe in [[].as_slice(), &["-pipe"]] {
            let place = Place::new();
            place.write("more.s", ".data\n.incbin \"data\"\n.text\n");
            place.write("a.c", source);
            let mut seen = Vec::new();
            for content in ["one", "two"] {
                place.write("data", content);
                let words = [&["-c", "a.c"], pipe].concat();
                let plain = place.compare(&["gcc"], &words, &["a.o"]);
                assert_eq!(plain.code, Some(0), "{number}: {}", plain.stderr);
                for _ in 0..2 {
                    let ours = place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &words, &["a.o"]);
                    assert_eq!(ours, plain, "{number}");
                }
                seen.push(plain);
            }
            assert_ne!(seen[0], seen[1], "{number}: the data shows");
            // Later calls are preprocessed first, which tells at once.
            let seen = (
                place.stat("/not_stored/unsupported_code_directive"),
                place.stat("/bypass_reasons/unsupported_code_directive"),
            );
            assert_eq!(seen, (1, 3), "{number}: {}", place.stats());
            assert_eq!(place.entries().len(), 0);
        }
    }
}

#[test]
fn what_only_a_preprocessor_run_tells_still_gets_one() {
    let place = Place::new();
    two_headers(&place);
    place.write("s.S", "nop\n");
    place.write("p.i", "int p;\n");
    let calls: [&[&str]; 7] = [
        &["-MMD", "-c", "a.c"],
        &["-Wp,-MD,d", "-c", "a.c"],
        &["-S", "a.c"],
        &["-flto", "-c", "a.c"],
        &["-c", "s.S"],
        &["-c", "p.i"],
        &["-fsyntax-only", "a.c"],
    ];
    for words in calls {
        let words = [&["gcc", "-Iinc"], words].concat();
        assert!(place.run(&words).status.success());
        let entries = place.entries().len();
        assert!(entries > 0, "{words:?}: {}", place.explain());
        // Whatever it was stored under, the call is served as without the option.
        let hits = place.stat("/hits/local");
        let mut command = place.command(DCCACHE);
        assert!(command.env(ALWAYS.0, ALWAYS.1).args(&words).status().unwrap().success());
        assert_eq!(place.stat("/hits/local"), hits + 1, "{words:?}: {}", place.explain());
    }
}

#[test]
fn times_changes_on_the_way_and_precompiled_headers_are_not_stored() {
    let place = Place::new();
    let cases: [(&str, &str, &str); 3] = [
        ("t.c", "const char *t = __TIME__;\n", "unsupported_code_directive"),
        ("p.c", "#pragma GCC dependency \"t.c\"\nint p;\n", "unsupported_code_directive"),
        ("f.c", "int f;\n", "modified_input_file"),
    ];
    for (name, content, reason) in cases {
        let path = place.write(name, content);
        if name == "f.c" {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
        }
        let before = place.stat(&format!("/not_stored/{reason}"));
        let mut command = place.command(DCCACHE);
        let status = command
            .env(ALWAYS.0, ALWAYS.1)
            .args(["gcc", "-c", name])
            .stderr(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{name}");
        assert_eq!(place.stat(&format!("/not_stored/{reason}")), before + 1, "{name}: {}", place.explain());
    }
    // Gcc takes it and lists nothing of what it was made of.
    place.write("h.h", "#define H 1\n");
    place.write("h.c", "#include \"h.h\"\nint h = H;\n");
    assert!(place.command("gcc").args(["-c", "h.h"]).status().unwrap().success());
    for content in ["#define H 1\n", "#define H 2\n"] {
        place.write("h.h", content);
        let plain = place.compare(&["gcc"], &["-c", "h.c"], &["h.o"]);
        for _ in 0..2 {
            assert_eq!(place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &["-c", "h.c"], &["h.o"]), plain);
        }
    }
    // Nor where the source is spelled in another way than in its list.
    for made in [true, false] {
        if !made {
            fs::remove_file(place.file("h.h.gch")).unwrap();
        }
        let plain = place.compare(&["gcc"], &["-c", "./h.c"], &["h.o"]);
        for _ in 0..2 {
            assert_eq!(place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &["-c", "./h.c"], &["h.o"]), plain);
        }
    }
    assert_eq!(place.entries().len(), 1);
}

#[test]
fn a_file_that_the_assembler_finds_by_a_header_name_is_not_stored() {
    let place = Place::new();
    place.write("sub/x.h", "int dummy;\n");
    place
        .write("a.c", "#include \"sub/x.h\"\n__asm__(\".section .rodata\\n.incbin \\\"x.h\\\"\\n.text\");\n");
    for change in ["", "another text\n"] {
        if !change.is_empty() {
            place.write("x.h", change);
        }
        let plain = place.compare(&["gcc"], &["-Isub", "-c", "a.c"], &["a.o"]);
        for _ in 0..2 {
            assert_eq!(
                place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &["-Isub", "-c", "a.c"], &["a.o"]),
                plain
            );
        }
    }
}

#[test]
fn a_file_whose_name_holds_a_line_end_hides_no_other_from_us() {
    let place = Place::new();
    place.write("a.c", "__asm__(\".section .rodata\\n.incbin \\\"a.c\\\\ndata\\\"\\n.text\");\nint a;\n");
    for content in ["one", "two"] {
        place.write("a.c\ndata", content);
        let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        for _ in 0..2 {
            let ours = place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]);
            assert_eq!(ours, plain, "{}", place.explain());
        }
    }
}

#[test]
fn of_many_processes_that_want_one_compile_one_compiles() {
    let place = Place::new();
    two_headers(&place);
    place.write("w.c", "int w;\n");
    assert!(place.run(&["gcc", "-c", "w.c"]).status.success());
    let start = |number: usize| {
        let output = format!("a{number}.o");
        let mut command = place.command(DCCACHE);
        command
            .env(ALWAYS.0, ALWAYS.1)
            .args(["gcc", "-O2", "-Iinc", "-c", "a.c", "-o", &output])
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..20).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!((place.stat("/misses"), place.stat("/hits/direct")), (2, 19), "{}", place.stats());
}

#[test]
fn a_project_in_which_preprocessing_never_pays_is_compiled_without_it_until_it_pays() {
    let place = Place::new();
    let mut preprocessed = |number: usize| {
        let name = format!("u{number}.c");
        place.write(&name, format!("int u{number};\n"));
        // Debug information names the directory: nobody else can be served by what is stored.
        let programs = started(&place, &[("DCCACHE_DEPEND_MODE", "auto")], &["gcc", "-g", "-c", &name]);
        programs.iter().filter(|name| name.starts_with("cc1")).count() == 2
    };
    let runs: Vec<bool> = (0..80).map(&mut preprocessed).collect();
    assert!(runs[1..16].iter().all(|run| *run), "{runs:?}");
    let later = runs[17..].iter().filter(|run| **run).count();
    assert!((3..=5).contains(&later), "now and then it is tried again: {runs:?}");
    // Where the names hold the root, only the text proves that other checkouts can be served.
    place.write("n.c", "int n;\n");
    let path = place.file("n.c").display().to_string();
    let programs = started(&place, &[("DCCACHE_DEPEND_MODE", "auto")], &["gcc", "-c", &path]);
    assert_eq!(programs.iter().filter(|name| name.starts_with("cc1")).count(), 2, "{programs:?}");
    // A hit by the text alone says that it pays.
    place.write("d.c", "int d;\n");
    assert!(by_text(&place, &["gcc", "-c", "d.c"]));
    for number in 0..16 {
        let option = format!("-DX={number}");
        let mut command = place.command(DCCACHE);
        command.env("DCCACHE_DEPEND_MODE", "auto").args(["gcc", &option, "-c", "d.c"]);
        assert!(command.status().unwrap().success());
        if place.stat("/hits/preprocessed") == 1 {
            break;
        }
    }
    assert_eq!(place.stat("/hits/preprocessed"), 1, "{}", place.explain());
    assert!(preprocessed(80), "it is begun anew");
}

#[test]
fn sources_in_directories_and_headers_of_the_library_are_stored_by_lists() {
    let place = Place::new();
    place.write("inc/h.h", "#define N 1\n");
    place.write("src/b.c", "#include \"../inc/h.h\"\n#include <stdlib.h>\nint b = N;\n");
    place.write(
        "src/v.cc",
        "#include <vector>\n#include <map>\n#include <string>\nint v(std::vector<int> v) { return v[0]; }\n",
    );
    let path = place.file("src/b.c").display().to_string();
    let calls: [(&str, &[&str], &[&str]); 4] = [
        ("gcc", &["-c", "src/b.c", "-o", "src/b.o"], &["src/b.o"]),
        ("gcc", &["-c", "src/b.c", "-o", "b.o", "-MD", "-MF", "b.d"], &["b.o", "b.d"]),
        ("gcc", &["-c", &path, "-o", "c.o"], &["c.o"]),
        ("g++", &["-O1", "-Iinc", "-c", "src/v.cc", "-o", "src/v.o"], &["src/v.o"]),
    ];
    for (compiler, words, outputs) in calls {
        let plain = place.compare(&[compiler], words, outputs);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        let (misses, hits) = (place.stat("/misses"), place.stat("/hits/direct"));
        for variables in [&[ALWAYS].as_slice(), &[ALWAYS, LATER].as_slice()] {
            assert_eq!(place.compare_under(variables, &[DCCACHE, compiler], words, outputs), plain);
        }
        let now = (place.stat("/misses"), place.stat("/hits/direct"));
        assert_eq!(now, (misses + 1, hits + 1), "{compiler} {words:?}: {}", place.explain());
    }
}

#[test]
fn a_file_of_the_sources_own_name_that_the_assembler_reads_is_noticed() {
    for lies in ["inc/c.c", "c.c"] {
        assert_not_taken_for_the_source(lies);
    }
}

fn assert_not_taken_for_the_source(lies: &str) {
    let place = Place::new();
    // The directive is put together where no search for words finds it.
    let text = "#define P(a, b) a##b\n#define S(x) #x\n#define T(x) S(x)\n\
        P(as, m)(\".section .rodata\\n.\" T(P(inc, bin)) \" \\\"c.c\\\"\\n.text\");\nint c;\n";
    place.write("src/c.c", text);
    for content in ["one", "two"] {
        place.write(lies, content);
        let words = ["-Iinc", "-c", "src/c.c"];
        let plain = place.compare(&["gcc"], &words, &["c.o"]);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        for _ in 0..3 {
            assert_eq!(place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &words, &["c.o"]), plain);
        }
    }
    assert_eq!(place.entries().len(), 0);
}

#[test]
fn what_cannot_be_stored_by_lists_is_preprocessed_from_then_on() {
    let place = Place::new();
    place.write("a.y", "first\nsecond\n");
    place.write("a.c", "#line 2 \"a.y\"\nint a;\n");
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    let run = |variables: &[(&str, &str)]| {
        let ours = place.compare_under(variables, &[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]);
        assert_eq!(ours, plain, "{}", place.explain());
        (
            place.stat("/not_stored/unsupported_code_directive"),
            place.stat("/misses"),
            place.stat("/hits/local"),
        )
    };
    assert_eq!(run(&[ALWAYS]).0, 1);
    let (not_stored, misses, hits) = run(&[ALWAYS]);
    assert_eq!((not_stored, misses), (1, 2), "{}", place.explain());
    assert_eq!(run(&[ALWAYS, LATER]), (not_stored, misses, hits + 1), "{}", place.explain());
}
