//! Compiles in places where a cache could easily change what they give: inputs that can be read once, full streams, attributes
//! that are assembly, headers that are precompiled.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use support::{DCCACHE, Place, age, compilers};

#[test]
fn an_option_that_gcc_writes_into_debug_information_is_in_the_key() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    for option in ["-O0", "-undef", "-nostdinc"] {
        let words = ["-g", "-ffreestanding", option, "-c", "a.c"];
        let plain = place.compare(&["gcc"], &words, &["a.o"]);
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &words, &["a.o"]), plain, "{option}");
    }
}

#[test]
fn an_input_that_is_our_standard_input_is_not_taken_for_what_the_preprocessor_read() {
    let place = Place::new();
    place.write("a.c", "#include \"/dev/stdin\"\nint z;\n");
    place.write("in.h", "#include \"b.h\"\n");
    for content in ["int one;\n", "int other;\n"] {
        place.write("b.h", content);
        let compile = |program: &[&str]| {
            let mut command = place.command(program[0]);
            command.args(&program[1..]).args(["-I.", "-c", "a.c"]);
            command.stdin(File::open(place.file("in.h")).unwrap());
            assert!(command.status().unwrap().success());
            fs::read(place.file("a.o")).unwrap()
        };
        assert_eq!(compile(&[DCCACHE, "gcc"]), compile(&["gcc"]));
    }
}

#[test]
fn a_pipe_that_an_option_includes_is_left_to_the_compiler_unopened() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int a = VALUE;\n");
        let mut command = place.command(DCCACHE);
        command.args([compiler, "-include", "/dev/stdin", "-c", "a.c"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"#define VALUE 5\n").unwrap();
        assert!(child.wait().unwrap().success(), "{compiler}");
        assert_eq!(place.stat("/bypass_reasons/bad_input_file"), 1, "{}", place.explain());
    }
}

#[test]
fn a_file_that_an_attribute_makes_the_assembler_read_is_never_a_wrong_hit() {
    let place = Place::new();
    let source = "__attribute__((section(\".data\\n.incbin \\\"f.bin\\\"\\n#\"))) int z = 1;\n";
    place.write("a.c", source);
    for content in ["one", "two"] {
        place.write("f.bin", content);
        let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
    }
}

#[test]
fn full_streams_end_neither_a_compile_nor_a_command_by_a_panic() {
    let place = Place::new();
    place.write("a.c", "int f(void) { int unused; return 0; }\n");
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let cases: [(&[&str], i32); 7] = [
        (&["no-such-compiler"], 127),
        (&["gcc", "-Wall", "-c", "a.c"], 0),
        (&["gcc", "-Wall", "-c", "a.c"], 0),
        (&["stats"], 1),
        (&["stats", "--json"], 1),
        (&["explain"], 1),
        (&["config", "list"], 1),
    ];
    for (words, code) in cases {
        let status = place.command(DCCACHE).args(words).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{words:?}: {status}");
    }
}

#[test]
fn a_precompiled_header_in_place_of_the_first_header_is_left_to_gcc() {
    let place = Place::new();
    place.write("inc/first.h", "#include \"second.h\"\n");
    place.write("inc/second.h", "int second;\n");
    place.write("a.c", "#include \"first.h\"\nint a;\n");
    let compile = || assert!(place.run(&["gcc", "-Iinc", "-c", "a.c"]).status.success());
    compile();
    // GCC takes none from inside another header, so this one changes nothing.
    place.write("inc/second.h.gch", "no precompiled header");
    compile();
    assert_eq!(place.stat("/hits/local"), 1, "{}", place.explain());
    let make = ["-x", "c-header", "inc/first.h", "-o", "inc/first.h.gch"];
    assert!(place.command("gcc").args(make).status().unwrap().success());
    age(&place.file("inc/first.h.gch"));
    compile();
    assert_eq!(place.stat("/bypass_reasons/could_not_use_precompiled_header"), 1, "{}", place.explain());
}
