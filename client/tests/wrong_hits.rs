//! Wrong hits that other caches are known for: none of them happens here. Each test makes the change that fooled a cache, and the
//! compile through dccache must give what the compiler gives now.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::changes::assert_change_is_seen;
use support::{DCCACHE, LATER, Place, compilers};

#[test]
fn a_header_that_appears_earlier_is_taken() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("first/keep", "");
        place.write("second/h.h", "#define N 1\n");
        place.write("a.c", "#include <h.h>\nint f(void) { return N; }\n");
        let words = ["-Ifirst", "-Isecond", "-O1", "-c", "a.c"];
        assert_change_is_seen(&place, compiler, &words, &["a.o"], |place| {
            place.write("first/h.h", "#define N 2\n");
        });
    }
}

#[test]
fn no_file_beside_the_object_is_missing_on_a_hit() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "void f(int *a, int *b) { for (int i = 0; i < 99; i++) a[i] += b[i]; }\n");
        // Options, file, and whether the compiler writes the same again: not where the file holds times.
        let cases: &[(&[&str], &str, bool)] = match compiler {
            "gcc" => &[
                (&["-fopt-info-vec=info"], "info", true),
                (&["-aux-info", "info"], "info", true),
                (&["-fsave-optimization-record"], "a.c.opt-record.json.gz", false),
            ],
            _ => {
                &[(&["-fsave-optimization-record"], "a.opt.yaml", true), (&["-ftime-trace"], "a.json", false)]
            }
        };
        for (words, file, again) in cases {
            let words = [&["-O3", "-c", "a.c"], *words].concat();
            let outputs: &[&str] = if *again { &["a.o", file] } else { &["a.o"] };
            let _ = fs::remove_file(place.file(file));
            let plain = place.compare(&[compiler], &words, outputs);
            for turn in 0..3 {
                let _ = fs::remove_file(place.file(file));
                let ours = place.compare(&[DCCACHE, compiler], &words, outputs);
                assert_eq!(ours, plain, "turn {turn}: {compiler} {words:?}: {}", place.explain());
                assert!(!fs::read(place.file(file)).unwrap().is_empty(), "turn {turn}: {words:?}: {file}");
            }
        }
    }
}

#[test]
fn lines_alone_that_shift_change_debug_information() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int f(int a) { return a / 3; }\n");
        assert_change_is_seen(&place, compiler, &["-g", "-c", "a.c"], &["a.o"], |place| {
            place.write("a.c", "\nint f(int a) { return a / 3; }\n");
        });
    }
}

#[test]
fn columns_alone_that_shift_change_debug_information_and_checks() {
    for compiler in compilers() {
        for options in [["-g", "-O0"], ["-fsanitize=undefined", "-O0"]] {
            let place = Place::new();
            place.write("a.c", "int f(int a, int b) { return a / b; }\n");
            let words = [&options, &["-c", "a.c"] as &[&str]].concat();
            assert_change_is_seen(&place, compiler, &words, &["a.o"], |place| {
                place.write("a.c", "int f(int a, int b) { return     a / b; }\n");
            });
        }
    }
}

#[test]
fn a_file_that_the_assembler_includes_is_read_anew() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("data", "one");
        place.write("a.c", "__asm__(\".section .rodata\\n.incbin \\\"data\\\"\\n.text\");\nint x;\n");
        assert_change_is_seen(&place, compiler, &["-c", "a.c"], &["a.o"], |place| {
            place.write("data", "two");
        });
    }
}

#[test]
fn a_checkout_never_gets_the_object_of_another_one_that_shows_its_directory() {
    for compiler in compilers() {
        let place = Place::new();
        let mut objects = Vec::new();
        for checkout in ["one", "two"] {
            place.write(&format!("{checkout}/.git/HEAD"), "");
            place.write(&format!("{checkout}/a.c"), "const char *f(void) { return __FILE__; }\n");
            let directory = place.file(checkout);
            let source = directory.join("a.c");
            let compile = |front: &[&str]| {
                let mut command = place.command(front[0]);
                command.args(&front[1..]).current_dir(&directory).env("PWD", &directory);
                assert!(command.args(["-g", "-c"]).arg(&source).status().unwrap().success());
                fs::read(directory.join("a.o")).unwrap()
            };
            let plain = compile(&[compiler]);
            assert!(compile(&[DCCACHE, compiler]) == plain && compile(&[DCCACHE, compiler]) == plain);
            objects.push(plain);
        }
        assert!(objects[0] != objects[1]);
    }
}

#[test]
fn a_date_in_a_later_header_is_noticed_as_one_in_the_first() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("first.h", "#define A 1\n");
        // Clang 14 takes the time from the clock in any case.
        let when = if compiler == "gcc" { "__DATE__ \" \" __TIME__" } else { "__DATE__" };
        place.write("second.h", format!("#define WHEN {when}\n"));
        place.write(
            "a.c",
            "#include \"first.h\"\n#include \"second.h\"\nconst char *f(void) { return WHEN; }\n",
        );
        for epoch in ["1000000000", "1100000000", "1000000000"] {
            let compile = |front: &[&str]| {
                let mut command = place.command(front[0]);
                command.args(&front[1..]).env("SOURCE_DATE_EPOCH", epoch).args(["-c", "a.c"]);
                assert!(command.status().unwrap().success());
                fs::read(place.file("a.o")).unwrap()
            };
            let plain = compile(&[compiler]);
            assert!(
                compile(&[DCCACHE, compiler]) == plain && compile(&[DCCACHE, compiler]) == plain,
                "{compiler} {epoch}"
            );
        }
    }
}

#[test]
fn a_header_with_a_date_that_changes_under_its_size_and_time_is_read_anew() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("second.h", "#define WHEN __DATE__ \"1\"\n");
        place.write("a.c", "#include \"second.h\"\nconst char *f(void) { return WHEN; }\n");
        let epoch = ("SOURCE_DATE_EPOCH", "1000000000");
        let assert_right = |what: &str| {
            let plain = place.compare_under(&[epoch], &[compiler], &["-c", "a.c"], &["a.o"]);
            for variables in [[epoch].as_slice(), &[epoch, LATER], &[epoch, LATER]] {
                let ours = place.compare_under(variables, &[DCCACHE, compiler], &["-c", "a.c"], &["a.o"]);
                assert_eq!(ours, plain, "{compiler}, {what}: {}", place.explain());
            }
            plain
        };
        let first = assert_right("first");
        assert!(place.stat("/hits/local") >= 2, "{compiler}: {}", place.stats());
        let header = place.file("second.h");
        let before = header.metadata().unwrap();
        fs::write(&header, "#define WHEN __DATE__ \"2\"\n").unwrap();
        fs::File::options()
            .write(true)
            .open(&header)
            .unwrap()
            .set_modified(before.modified().unwrap())
            .unwrap();
        let after = header.metadata().unwrap();
        assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
        assert_ne!(assert_right("edited"), first, "the edit shows");
    }
}

#[test]
fn variables_that_decide_the_output_reach_the_compiler_and_the_key() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("real/a.c", "const char *f(void) { return __DATE__; }\n");
        std::os::unix::fs::symlink(place.file("real"), place.file("link")).unwrap();
        let mut seen = Vec::new();
        for (pwd, epoch) in [("real", "1000000000"), ("link", "1000000000"), ("real", "1100000000")] {
            let compile = |front: &[&str]| {
                let mut command = place.command(front[0]);
                command.args(&front[1..]).current_dir(place.file("real")).env("PWD", place.file(pwd));
                command.env("SOURCE_DATE_EPOCH", epoch).args(["-g", "-c", "a.c"]);
                assert!(command.status().unwrap().success());
                fs::read(place.file("real/a.o")).unwrap()
            };
            let plain = compile(&[compiler]);
            assert!(
                compile(&[DCCACHE, compiler]) == plain && compile(&[DCCACHE, compiler]) == plain,
                "{compiler} {pwd} {epoch}"
            );
            // Clang 14 knows no such date.
            let shows = compiler == "gcc" || epoch == "1000000000";
            assert_eq!(seen.contains(&plain), !shows, "{compiler} {pwd} {epoch}");
            seen.push(plain);
        }
    }
}

#[test]
fn a_header_compiled_as_a_header_and_as_a_source_are_two_things() {
    for compiler in compilers() {
        let place = Place::new();
        // Of another size and name in either language.
        place.write("x.h", "int f(void) { return sizeof 'a'; }\n");
        let kinds = ["c-header", "c", "c++-header", "c++", "c-header", "c", "c++-header", "c++"];
        let mut seen: Vec<(&str, support::Result)> = Vec::new();
        for language in kinds {
            let mut words = vec!["-x", language, "-c", "x.h", "-o", "x.out"];
            if compiler == "clang" && language.ends_with("header") {
                words.extend(["-Xclang", "-fno-pch-timestamp"]);
            }
            let plain = place.compare(&[compiler], &words, &["x.out"]);
            let ours = [(); 2].map(|()| place.compare(&[DCCACHE, compiler], &words, &["x.out"]));
            // A precompiled header of gcc holds addresses of the compile that made it: there the first one through us is what counts.
            let own = compiler == "gcc" && language.ends_with("header");
            let known = seen.iter().find(|(name, _)| *name == language).map(|(_, result)| result.clone());
            let expected = if own { known.unwrap_or_else(|| ours[0].clone()) } else { plain.clone() };
            let start = |result: &support::Result| result.files[0].1.as_ref().unwrap()[..4].to_vec();
            for ours in &ours {
                assert_eq!(*ours, expected, "{compiler} {language}: {}", place.explain());
                assert_eq!((start(ours), ours.code), (start(&plain), Some(0)), "{compiler} {language}");
            }
            let others = seen.iter().filter(|(name, _)| *name != language);
            for (other, result) in others {
                assert_ne!(result.files, expected.files, "{compiler}: {language} is no {other}");
            }
            seen.push((language, expected));
        }
    }
}

#[test]
fn a_symlinked_header_is_known_by_what_it_leads_to() {
    for compiler in compilers() {
        let place = Place::new();
        let lead_to = |place: &Place, target: &str| {
            let _ = fs::remove_file(place.file("h.h"));
            std::os::unix::fs::symlink(place.file(target), place.file("h.h")).unwrap();
        };
        place.write("one.h", "#define N 1\n");
        place.write("two.h", "#define N 2\n");
        lead_to(&place, "one.h");
        place.write("a.c", "#include \"h.h\"\nint f(void) { return N; }\n");
        assert_change_is_seen(&place, compiler, &["-c", "a.c"], &["a.o"], |place| lead_to(place, "two.h"));
        assert_change_is_seen(&place, compiler, &["-c", "a.c"], &["a.o"], |place| {
            place.write("two.h", "#define N 3\n");
        });
    }
}
