//! Files that a compile reads although nothing in sight names them as such.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, compilers};

/// Compiles plainly and twice through dccache, in every way of looking; all must be equal.
fn assert_equal(place: &Place, compiler: &str, words: &[&str], outputs: &[&str]) -> support::Result {
    let plain = place.compare(&[compiler], words, outputs);
    for mode in ["false", "true"] {
        for turn in 0..2 {
            let variables = [("DCCACHE_DEPEND_MODE", mode)];
            let ours = place.compare_under(&variables, &[DCCACHE, compiler], words, outputs);
            assert_eq!(plain, ours, "turn {turn}: {compiler} {words:?} {mode}: {}", place.explain());
        }
    }
    plain
}

#[test]
fn assembly_that_is_put_together_by_the_compiler_itself() {
    let sources = [
        // Alternatives for two dialects of assembly.
        (
            true,
            r#"void f(void) { __asm__(".pushsection .rodata\n .inc{bin|bin} \"data\"\n.popsection" ::); }"#,
        ),
        // Strings that gcc writes into its output as they are.
        (false, r#"#ident "x\"\n.section .rodata\n.incbin \"data\"\n.text\n.ident \"y""#),
        (
            false,
            r#"static int z __attribute__((weakref("y\n.data\n.incbin \"data\"\n.text\n#"))); int *p = &z;"#,
        ),
        // A symbol for an operand.
        (
            false,
            r#"extern char ncbin; void f(void) { __asm__(".pushsection .rodata\n .i%c0 \"data\"\n.popsection" :: "i"(&ncbin)); }"#,
        ),
    ];
    for compiler in compilers() {
        for (number, (both, source)) in sources.into_iter().enumerate() {
            if compiler == "clang" && !both {
                continue;
            }
            let place = Place::new();
            place.write("a.c", format!("{source}\n"));
            place.write("data", "one");
            let one = assert_equal(&place, compiler, &["-fno-pic", "-c", "a.c"], &["a.o"]);
            place.write("data", "two");
            let two = assert_equal(&place, compiler, &["-fno-pic", "-c", "a.c"], &["a.o"]);
            // What does not compile proves nothing, and hides nothing.
            assert!(one.code != Some(0) || one != two, "{compiler} {number}: the data shows");
        }
    }
}

#[test]
fn messages_quote_the_file_that_a_line_directive_names() {
    for compiler in compilers() {
        for source in [
            "#line 1 \"gram.y\"\nint f(void) { int x; return 0; }\n",
            "# 1 \"gram.y\"\nint f(void) { int x; return 0; }\n",
        ] {
            let place = Place::new();
            place.write("a.c", source);
            let words = ["-Wall", "-c", "a.c"];
            assert_equal(&place, compiler, &words, &["a.o"]);
            for content in ["expr: ONE\n", "expr: TWO\n"] {
                place.write("gram.y", content);
                assert_equal(&place, compiler, &words, &["a.o"]);
            }
            fs::remove_file(place.file("gram.y")).unwrap();
            assert_equal(&place, compiler, &words, &["a.o"]);
        }
    }
}

#[test]
fn a_pragma_that_compares_times_is_seen_through_a_macro() {
    let place = Place::new();
    let source = format!("#define P(x) _Pragma(#x)\n/* {:0300} */\nP(GCC dependency \"n.y\")\nint x;\n", 0);
    let source = place.write("a.c", source);
    let other = place.write("n.y", "");
    let hours = |hours: u64| std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
    let date = |path: &std::path::Path, time| {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    date(&source, hours(2));
    for age in [3, 1, 3] {
        date(&other, hours(age));
        assert_equal(&place, "gcc", &["-c", "a.c"], &["a.o"]);
    }
}

#[test]
fn a_compile_that_fails_leaves_what_it_leaves_without_us() {
    let cases: [(&str, &[&str]); 3] = [
        ("int x = ;\n", &[]),
        ("int g(void) { __asm__(\"badinsn\"); return 0; }\n", &["-fstack-usage"]),
        ("int f(void) { int y; return 0; }\n", &["-Wall", "-Werror", "-fstack-usage"]),
    ];
    for (source, options) in cases {
        for mode in ["false", "true"] {
            let left = |front: &[&str]| {
                let place = Place::new();
                place.write("a.c", source);
                // An object of tomorrow, as clocks that differ make them.
                let object = place.write("a.o", "old");
                let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
                fs::File::options().write(true).open(object).unwrap().set_modified(tomorrow).unwrap();
                let mut command = place.command(front[0]);
                command.args(&front[1..]).args(["-c", "a.c"]).args(options).env("DCCACHE_DEPEND_MODE", mode);
                assert!(!command.output().unwrap().status.success());
                let mut names: Vec<_> =
                    fs::read_dir(place.work()).unwrap().map(|file| file.unwrap().file_name()).collect();
                names.sort();
                names
            };
            assert_eq!(left(&[DCCACHE, "gcc"]), left(&["gcc"]), "{source} {options:?} {mode}");
        }
    }
}
