//! Direct mode against finer holes: names made by macros, copies and links, macros that show the time, odd directories. Each case was a wrong hit once.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use support::{DCCACHE, LATER, Place, compilers};

/// Warms every way to a hit with `words`, makes one change, and asserts that the next calls give what the plain compiler gives. Returns how many
/// of the calls before were served directly.
fn assert_noticed(compiler: &str, words: &[&str], prepare: impl Fn(&Place), change: impl Fn(&Place)) -> u64 {
    let place = Place::new();
    prepare(&place);
    let ours =
        |variables: &[(&str, &str)]| place.compare_under(variables, &[DCCACHE, compiler], words, &["x.o"]);
    for variables in [[].as_slice(), &[LATER], &[LATER], &[LATER]] {
        assert_eq!(
            place.compare(&[compiler], words, &["x.o"]),
            ours(variables),
            "{compiler} {words:?}: warm"
        );
    }
    let served = place.stat("/hits/direct");
    change(&place);
    for variables in [[LATER].as_slice(), &[]] {
        assert_eq!(
            place.compare(&[compiler], words, &["x.o"]),
            ours(variables),
            "{compiler} {words:?}: changed"
        );
    }
    served
}

#[test]
fn an_output_that_is_the_source_by_another_name_is_left_to_the_compiler() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "int x;\n");
        fs::hard_link(place.file("x.c"), place.file("hard.c")).unwrap();
        place.assert_differential(compiler, &["-c", "x.c", "-o", "x.o"], &["x.o"]);
        for output in ["./x.c", "../work/x.c", "hard.c"] {
            let text = fs::read(place.file("x.c")).unwrap();
            let plain = place.compare(&[compiler], &["-c", "x.c", "-o", output], &[]);
            if fs::read(place.file("x.c")).unwrap() != text {
                // This compiler overwrites it as well.
                place.write("x.c", &text);
                continue;
            }
            let ours = place.compare_under(&[LATER], &[DCCACHE, compiler], &["-c", "x.c", "-o", output], &[]);
            assert_eq!(plain, ours, "{compiler}: {output}");
            assert_eq!(fs::read(place.file("x.c")).unwrap(), text, "{compiler}: {output}");
        }
    }
}

#[test]
fn a_linked_system_directory_that_leads_elsewhere_is_noticed() {
    for compiler in compilers() {
        let words = ["-isystem", "a-link-with-a-long-name", "-c", "x.c"];
        let prepare = |place: &Place| {
            place.write("x.c", "#include <h.h>\nint x = N;\n");
            for (directory, value) in [("ra", 1), ("rb", 2)] {
                place.write(&format!("{directory}/h.h"), "#include \"n.h\"\n");
                place.write(&format!("{directory}/n.h"), format!("#define N {value}\n"));
            }
            symlink("ra", place.file("a-link-with-a-long-name")).unwrap();
        };
        assert_noticed(compiler, &words, prepare, |place| {
            fs::remove_file(place.file("a-link-with-a-long-name")).unwrap();
            symlink("rb", place.file("a-link-with-a-long-name")).unwrap();
        });
    }
}

#[test]
fn time_macros_of_the_command_line_and_pasted_ones_are_never_stale() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("x.c", "const char *x = S;\n");
        place.write("y.c", "#define P(a, b) a##b\n#define Q(a, b) P(a, b)\nconst char *y = Q(__TI, ME__);\n");
        place.write("z.c", "const char *z = __TI\\\nME__;\n");
        for words in [["-DS=__TIME__", "-c", "x.c"].as_slice(), &["-c", "y.c"], &["-c", "z.c"]] {
            for _ in 0..3 {
                place.compare_under(&[LATER], &[DCCACHE, compiler], words, &[]);
            }
            assert_eq!(place.stat("/hits/direct"), 0, "{compiler} {words:?}");
        }
        for epoch in ["0", "86400000"] {
            let variables = [LATER, ("SOURCE_DATE_EPOCH", epoch)];
            let run = |program: &[&str]| {
                place.compare_under(&variables, program, &["-DS=__DATE__", "-c", "x.c"], &["x.o"])
            };
            assert_eq!(run(&[compiler]), run(&[DCCACHE, compiler]), "{compiler}: {epoch}");
        }
    }
}

#[test]
fn questions_for_headers_are_found_however_they_are_written() {
    for compiler in compilers() {
        let texts: [(&str, &[&str]); 3] = [
            ("#if HAS\nint a;\n#endif\nint x;\n", &["-DHAS=__has_include(<a.h>)"]),
            ("#define H __has_include\n#if H(<a.h>)\nint a;\n#endif\nint x;\n", &[]),
            ("#if __has_inc\\\nlude(<a.h>)\nint a;\n#endif\nint x;\n", &[]),
        ];
        for (text, more) in texts {
            let words = [more, &["-Ii", "-c", "x.c"]].concat();
            let prepare = |place: &Place| {
                place.write("x.c", text);
                place.write("i/keep", "");
            };
            assert_noticed(compiler, &words, prepare, |place| drop(place.write("i/a.h", "")));
        }
    }
}

#[test]
fn a_computed_name_that_is_itself_expanded_is_not_taken_as_it_stands() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write(
                "x.c",
                "#include \"third/b.h\"\n#define P b\n#define H <P.h>\n#include H\nint x = B;\n",
            );
            place.write("third/b.h", "#ifndef G\n#define G\n#define B 1\n#endif\n");
            place.write("first/keep", "");
        };
        assert_noticed(compiler, &["-Ifirst", "-Ithird", "-c", "x.c"], prepare, |place| {
            place.write("first/b.h", "#undef B\n#define B 2\n");
        });
    }
}

#[test]
fn copies_that_are_skipped_once_are_told_apart_by_the_compiler() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "#include \"a.h\"\n#include \"l.h\"\n");
            place.write("a.h", "#pragma once\nint once = 1;\n");
            symlink("a.h", place.file("l.h")).unwrap();
        };
        assert_noticed(compiler, &["-c", "x.c"], prepare, |place| {
            let content = fs::read(place.file("a.h")).unwrap();
            fs::remove_file(place.file("l.h")).unwrap();
            place.write("l.h", content);
            let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
            fs::File::options().write(true).open(place.file("l.h")).unwrap().set_modified(old).unwrap();
        });
        let prepare = |place: &Place| {
            place.write("x.c", "#include <a.h>\nint x = a;\n");
            let text = "#pragma once\n#include_next <a.h>\nenum { a = 1 };\n";
            place.write("1/a.h", text);
            place.write("2/a.h", text);
            let same = fs::metadata(place.file("1/a.h")).unwrap().modified().unwrap();
            fs::File::options().write(true).open(place.file("2/a.h")).unwrap().set_modified(same).unwrap();
        };
        assert_noticed(compiler, &["-I1", "-I2", "-c", "x.c"], prepare, |place| {
            place.write("2/a.h", "#pragma once\nenum { other = 2 };\nint more;\n");
        });
    }
}

#[test]
fn one_file_by_two_names_that_becomes_two_is_noticed() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "#include \"a.h\"\n#include \"l.h\"\nint x;\n");
            // Clang does not say that it skips it.
            place.write("a.h", "#ifndef G\n#define G\nint a;\n#endif\n");
            symlink("a.h", place.file("l.h")).unwrap();
        };
        assert_noticed(compiler, &["-c", "x.c"], prepare, |place| {
            fs::remove_file(place.file("l.h")).unwrap();
            place.write("l.h", "int other;\n");
        });
    }
}

#[test]
fn copies_that_become_equally_old_are_noticed() {
    let touch = |place: &Place, hours: u64| {
        let old =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 + hours * 3600);
        fs::File::options().write(true).open(place.file("2/a.h")).unwrap().set_modified(old).unwrap();
    };
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "#include \"1/a.h\"\n#include \"2/a.h\"\nint x;\n");
            let text = "#pragma once\n#ifdef SEEN\nint twice;\n#endif\n#define SEEN\n";
            place.write("2/a.h", text);
            touch(place, 0);
            fs::create_dir(place.file("1")).unwrap();
            fs::copy(place.file("2/a.h"), place.file("1/a.h")).unwrap();
            let old = fs::metadata(place.file("2/a.h")).unwrap().modified().unwrap();
            fs::File::options().write(true).open(place.file("1/a.h")).unwrap().set_modified(old).unwrap();
            touch(place, 1);
            // Waits until the clock of file times has moved on.
            place.write("keep", "");
        };
        assert_noticed(compiler, &["-c", "x.c"], prepare, |place| touch(place, 0));
    }
}

#[test]
fn a_directory_for_quoted_names_that_is_also_a_system_one_keeps_its_place() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "#include \"a.h\"\nint x = A;\n");
            place.write("s/a.h", "#define A 1\n");
            place.write("other/keep", "");
        };
        let words = ["-iquote", "s", "-isystem", "s", "-Iother", "-c", "x.c"];
        assert_noticed(compiler, &words, prepare, |place| drop(place.write("other/a.h", "#define A 2\n")));
    }
}

#[test]
fn a_directory_of_precompiled_headers_that_appears_is_noticed() {
    let prepare = |place: &Place| {
        place.write("x.c", "#include \"a.h\"\nint x = A;\n");
        place.write("a.h", "#define A 1\n");
    };
    assert_noticed("gcc", &["-c", "x.c"], prepare, |place| {
        let made = place.root().join("made");
        fs::create_dir(&made).unwrap();
        fs::create_dir(place.file("a.h.gch")).unwrap();
        fs::write(made.join("a.h"), "#define A 2\n").unwrap();
        let mut command = Command::new("gcc");
        command.args(["-x", "c-header", "a.h", "-o"]).arg(place.file("a.h.gch/one")).current_dir(&made);
        assert!(command.status().unwrap().success());
    });
}

#[test]
fn a_precompiled_header_of_a_forced_one_that_appears_is_noticed() {
    for compiler in compilers() {
        for (name, directory) in
            [("a.h.gch", false), ("a.h.pch", false), ("a.h.pch", true), ("a.h.gch", true)]
        {
            let prepare = |place: &Place| {
                place.write("x.c", "int x = A;\n");
                place.write("a.h", "#define A 1\n");
            };
            assert_noticed(compiler, &["-include", "a.h", "-c", "x.c"], prepare, |place| {
                let made = place.root().join("made");
                fs::create_dir(&made).unwrap();
                fs::write(made.join("a.h"), "#define A 2\n").unwrap();
                let output = if directory { format!("{name}/one") } else { name.to_owned() };
                fs::create_dir_all(place.file(&output).parent().unwrap()).unwrap();
                let mut command = Command::new(compiler);
                command.args(["-x", "c-header", "a.h", "-o"]).arg(place.file(&output)).current_dir(&made);
                assert!(command.status().unwrap().success());
            });
        }
    }
}

#[test]
fn a_header_that_gcc_includes_by_itself_is_noticed() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "#ifndef A\n#define A 1\n#endif\nint x = A;\n");
            place.write("first/keep", "");
        };
        let served = assert_noticed(compiler, &["-Ifirst", "-c", "x.c"], prepare, |place| {
            place.write("first/stdc-predef.h", "#define A 2\n");
        });
        assert_eq!(served, 3, "{compiler}");
    }
}

#[test]
fn a_header_that_would_now_be_found_next_is_noticed() {
    for compiler in compilers() {
        for (text, appears) in [
            ("#include_next <a.h>\n", "2/a.h"),
            ("#if __has_include_next(<b.h>)\nint b;\n#endif\n#define A 0\n", "2/b.h"),
            ("#if __has_include_next(<b.h>)\nint b;\n#endif\n#define A 0\n", "3/b.h"),
        ] {
            let prepare = |place: &Place| {
                place.write("x.c", "#include <a.h>\nint x = A;\n");
                place.write("1/a.h", text);
                place.write("2/keep", "");
                place.write("3/a.h", "#define A 1\n");
            };
            let served = assert_noticed(compiler, &["-I1", "-I2", "-I3", "-c", "x.c"], prepare, |place| {
                place.write(appears, "#define A 2\n");
            });
            assert_eq!(served, 3, "{compiler}: {text}");
        }
    }
}

#[test]
fn a_header_that_was_asked_for_and_goes_is_noticed() {
    for compiler in compilers() {
        for question in ["__has_include(<b.h>)", "__has_include_next(<b.h>)"] {
            let prepare = |place: &Place| {
                place.write("x.c", "#include <a.h>\nint x;\n");
                place.write("1/a.h", format!("#if {question}\nint b;\n#endif\n"));
                place.write("2/b.h", "");
            };
            let served = assert_noticed(compiler, &["-I1", "-I2", "-c", "x.c"], prepare, |place| {
                fs::remove_file(place.file("2/b.h")).unwrap();
            });
            assert_eq!(served, 3, "{compiler}: {question}");
        }
    }
}

#[test]
fn a_forced_header_that_would_now_be_found_earlier_is_noticed() {
    for compiler in compilers() {
        let prepare = |place: &Place| {
            place.write("x.c", "int x = A;\n");
            place.write("second/a.h", "#define A 1\n");
        };
        for option in ["-include", "-imacros"] {
            let words = ["-Isecond", option, "a.h", "-c", "x.c"];
            let served = assert_noticed(compiler, &words, prepare, |place| {
                place.write("a.h", "#define A 2\n");
            });
            assert_eq!(served, 3, "{compiler}: {option}");
        }
    }
}

#[test]
fn specs_found_by_the_library_path_are_noticed() {
    let place = Place::new();
    place.write("x.c", "#ifdef EVIL\nint evil;\n#endif\nint x;\n");
    place.write("sp/specs", "*cc1_options:\n+ -DEVIL=2\n\n");
    place.assert_differential("gcc", &["-c", "x.c"], &["x.o"]);
    let specs = place.file("sp").display().to_string();
    for _ in 0..3 {
        let variables = [LATER, ("LIBRARY_PATH", specs.as_str())];
        let run = |program: &[&str]| place.compare_under(&variables, program, &["-c", "x.c"], &["x.o"]);
        assert_eq!(run(&["gcc"]), run(&[DCCACHE, "gcc"]));
    }
}

#[test]
fn pragmas_that_compare_times_are_left_to_the_compiler() {
    for compiler in compilers() {
        let vendor = if compiler == "gcc" { "GCC" } else { "clang" };
        let prepare = |place: &Place| {
            place.write("x.c", format!("#pragma {vendor} dependency \"p.y\"\nint x;\n"));
            place.write("p.y", "");
            let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
            fs::File::options().write(true).open(place.file("p.y")).unwrap().set_modified(old).unwrap();
        };
        assert_noticed(compiler, &["-c", "x.c"], prepare, |place| {
            let new = std::time::SystemTime::now() + std::time::Duration::from_secs(7200);
            fs::File::options().write(true).open(place.file("p.y")).unwrap().set_modified(new).unwrap();
        });
    }
}

#[test]
fn questions_for_headers_that_are_put_together_are_noticed() {
    const ASKED: &str = "(<x.h>)\nint yes;\n#else\nint no_no;\n#endif\n";
    let paste = format!("#define C(a, b) a##b\n#if C(__has_inc,lude){ASKED}");
    let halves = format!("#define C(a, b) a##b\n#if C(__has,_include){ASKED}");
    let undefined = format!("#define undefined 0 ||\n#if undefined __has_include{ASKED}");
    let trigraph = format!("#if __has_inc??/\nlude{ASKED}");
    let macro_of_line = "#if HAS\nint yes;\n#else\nint no_no;\n#endif\n".to_owned();
    let cases: [(&str, &[&str]); 6] = [
        (&paste, &[]),
        (&halves, &[]),
        (&undefined, &[]),
        (&trigraph, &["-std=c99"]),
        (&macro_of_line, &["--define-macro=HAS=__has_include(<x.h>)"]),
        (&macro_of_line, &["--define-macro", "HAS=__has_include(<x.h>)"]),
    ];
    for (source, options) in cases {
        let words = [options, &["-Ii", "-c", "x.c"]].concat();
        assert_noticed(
            "gcc",
            &words,
            |place| {
                place.write("i/keep", "");
                place.write("x.c", source);
            },
            |place| {
                place.write("i/x.h", "");
            },
        );
    }
}

#[test]
fn a_precompiled_header_for_the_next_one_of_the_source_is_noticed() {
    assert_noticed(
        "gcc",
        &["-w", "-Ij", "-c", "x.c"],
        |place| {
            place.write("j/h.h", "#define V 2\n");
            assert!(place.command("gcc").args(["-c", "j/h.h", "-o", "kept"]).status().unwrap().success());
            place.write("j/h.h", "#define V 1\n");
            place.write("x.c", "#include_next <h.h>\nint x = V;\n");
        },
        |place| fs::rename(place.file("kept"), place.file("j/h.h.gch")).unwrap(),
    );
}
