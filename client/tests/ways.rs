//! Headers, and ways to them, that become others while the compiler runs, in both modes; and old ways that change nothing.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use support::{ALWAYS, DCCACHE, LATER, Place};

/// A GNU assembler, as it says, that runs what the variable `CHANGE` says before it begins: everything was read by then, and what it exchanges is
/// seen by whoever reads later. Returns the search path that finds it.
fn changing_assembler(place: &Place) -> String {
    let source = r#"
        #include <stdlib.h>
        #include <unistd.h>
        const char name[] = "GNU assembler";
        int main(int count, char **words) {
            const char *change = getenv("CHANGE");
            if (change && system(change)) return 1;
            unsetenv("CHANGE");
            words[0] = (char *)"as";
            return execv("/usr/bin/as", words);
        }"#;
    place.write("bin/as.c", source);
    let mut command = place.command("gcc");
    command.args(["bin/as.c", "-o", "bin/as"]);
    assert!(command.status().unwrap().success());
    format!("{}:{}", place.file("bin").display(), std::env::var("PATH").unwrap())
}

/// Compiles `a.c` by lists or by text while files are written, and asserts that nothing is stored, and that the next calls give what the plain
/// compiler gives for what the files hold then, and for what they held before.
fn assert_writing_noticed(parts: &str, mode: &str, before: &str, change: &str) {
    let place = Place::new();
    let sources =
        [("a.c", "#include <h.h>\nint a = H;\n"), ("inc/h.h", "#define H 1\n"), ("w.c", "int w;\n")];
    sources.iter().for_each(|(name, content)| drop(place.write(name, content)));
    let mode = ("DCCACHE_DEPEND_MODE", mode);
    let words = |source| [parts, "-Iinc", "-c", source];
    let run = |variables: &[(&str, &str)], source| {
        let variables = [&[mode], variables].concat();
        place.compare_under(&variables, &[DCCACHE, "gcc"], &words(source), &["a.o"])
    };
    run(&[], "w.c");
    let meanwhile = run(&[("BEFORE", before), ("CHANGE", change)], "a.c");
    assert_eq!(meanwhile.code, Some(0), "{}", meanwhile.stderr);
    assert_eq!(place.file("runs").exists(), mode.1 == "false", "whether it was preprocessed");
    let what = format!("{before:?} {change:?} {mode:?}");
    assert_eq!(place.stat("/not_stored/modified_input_file"), 1, "{what}: {}", place.explain());
    for then in ["now", "as before"] {
        if then == "as before" {
            sources.iter().for_each(|(name, content)| drop(place.write(name, content)));
        }
        let plain = place.compare(&["gcc"], &words("a.c"), &["a.o"]);
        assert_eq!(plain.code, Some(0), "{what}: {}", plain.stderr);
        for later in [[].as_slice(), &[LATER], &[LATER]] {
            assert_eq!(run(later, "a.c"), plain, "{what}, {then}: {}", place.explain());
        }
    }
}

/// Compiles `a.c` by lists or by text while `change` happens, and asserts that the next calls give what the plain compiler gives.
fn assert_change_noticed(mode: &str, words: &[&str], change: &str, prepare: impl Fn(&Place)) {
    let place = Place::new();
    let path = changing_assembler(&place);
    let variables = [("DCCACHE_DEPEND_MODE", mode), ("PATH", &path)];
    place.write("w.c", "int w;\n");
    prepare(&place);
    let run = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = place.command(DCCACHE);
        assert!(command.arg("gcc").envs(variables.iter().copied()).args(words).status().unwrap().success());
    };
    run(&variables, &["-c", "w.c"]);
    let misses = place.stat("/misses");
    assert_eq!(misses, 1, "{}", place.explain());
    run(&[variables.as_slice(), &[("CHANGE", change)]].concat(), words);
    assert_eq!(place.stat("/bypassed"), 0, "{change}: {}", place.explain());
    let plain = place.compare_under(&[("PATH", &path)], &["gcc"], words, &["a.o"]);
    for later in [[].as_slice(), &[LATER], &[LATER]] {
        let variables = [&variables, later].concat();
        let ours = place.compare_under(&variables, &[DCCACHE, "gcc"], words, &["a.o"]);
        assert_eq!(ours, plain, "{change}, depend mode {mode}: {}", place.explain());
    }
}

#[test]
fn a_way_to_a_header_that_becomes_another_one_during_the_compile_is_noticed() {
    for mode in ["true", "false"] {
        assert_change_noticed(mode, &["-c", "a.c"], "ln -sfn v2 cur", |place| {
            place.write("v1/h.h", "#define N 1\n");
            place.write("v2/h.h", "#define N 2\n");
            place.write("a.c", "#include \"cur/h.h\"\nint n = N;\n");
            std::os::unix::fs::symlink("v1", place.file("cur")).unwrap();
        });
        assert_change_noticed(mode, &["-c", "a.c"], "mv cur old && mv v2 cur", |place| {
            place.write("cur/h.h", "#define N 1\n");
            place.write("v2/h.h", "#define N 2\n");
            place.write("a.c", "#include \"cur/h.h\"\nint n = N;\n");
        });
        assert_change_noticed(mode, &["-Icur", "-c", "a.c"], "mv cur old && mv v2 cur", |place| {
            place.write("cur/h.h", "#define N 1\n");
            place.write("v2/h.h", "#define N 2\n");
            place.write("a.c", "#include <h.h>\nint n = N;\n");
        });
        // No name in the directory has to be absent.
        for words in [["-Icur", "-c", "a.c"].as_slice(), &["-c", "src/a.c"]] {
            assert_change_noticed(mode, words, "mv cur old; mv v2 cur; mv src src3; mv src2 src", |place| {
                for directory in ["cur", "src"] {
                    place.write(&format!("{directory}/h.h"), "#define N 1\n");
                }
                for directory in ["v2", "src2"] {
                    place.write(&format!("{directory}/h.h"), "#define N 2\n");
                }
                place.write("first.h", "\n");
                place.write("a.c", "#include \"first.h\"\n#include <h.h>\nint n = N;\n");
                place.write("src/a.c", "#include \"../first.h\"\n#include \"h.h\"\nint n = N;\n");
                std::fs::hard_link(place.file("src/a.c"), place.file("src2/a.c")).unwrap();
            });
        }
        // What the compiler read is gone when it is looked at, or is back again.
        for change in ["ln -sfn v2 cur", "ln -sfn v2 cur && ln -sfn v1 cur"] {
            assert_change_noticed(mode, &["-Icur", "-c", "a.c"], change, |place| {
                place.write("v1/h.h", "#define N 1\n");
                place.write("v2/h.h", "#define N 2\n");
                place.write("a.c", "#include <h.h>\nint n = N;\n");
                std::os::unix::fs::symlink("v1", place.file("cur")).unwrap();
            });
        }
    }
}

#[test]
fn a_source_or_header_that_is_written_during_the_compile_is_stored_neither_as_what_it_was_nor_as_what_it_is()
{
    let other = |path: &str| match path {
        "a.c" => ("int b;", "#include <h.h>\nint a = 9;"),
        _ => ("#define I 2", "#define H 2"),
    };
    let tools = Place::new();
    let parts = tools.changing_parts();
    for mode in ["true", "false"] {
        for path in ["a.c", "inc/h.h"] {
            let (more, instead) = other(path);
            // Longer, or as long as it was with the old time set back.
            let append = format!("echo '{more}' >> {path}");
            let overwrite = format!("printf '{instead}' 1<> {path}");
            let set_back = |edit: &str| format!("touch -r {path} time && {edit} && touch -r time {path}");
            for edit in [append, set_back(&overwrite)] {
                assert_writing_noticed(&parts, mode, "", &edit);
                assert_writing_noticed(&parts, mode, &edit, "");
            }
            // The compiler reads what was there neither before nor after.
            let before = format!("cp -p {path} kept && {overwrite}");
            assert_writing_noticed(
                &parts,
                mode,
                &before,
                &format!("cat kept > {path} && touch -r kept {path}"),
            );
        }
    }
}

#[test]
fn a_header_that_is_only_asked_for_and_goes_or_comes_during_the_compile_is_noticed() {
    let changes = [
        "rm inc/x.h",
        "mv inc/x.h inc/y.h",
        "mv sub/d2 sub/d",
        "ln -s d2 sub/l",
        "mv x2.h x.h",
        "mv sub/d2 inc/g",
        "ln -s ../sub/d2 inc/g",
        "ln -s sub/d2/z.h q.h",
    ];
    for (mode, change) in ["true", "false"].into_iter().flat_map(|mode| changes.map(|change| (mode, change)))
    {
        assert_change_noticed(mode, &["-Iinc", "-c", "a.c"], change, |place| {
            place.write("inc/x.h", "");
            place.write("sub/d2/z.h", "");
            place.write("x2.h", "");
            let source = "#if __has_include(<x.h>)\nint x;\n#endif\n\
                #if __has_include(\"sub/d/z.h\") || __has_include(\"sub/l/z.h\")\nint z;\n#endif\n\
                #if __has_include(\"x.h\")\nint q;\n#endif\n\
                #if __has_include(<g/z.h>)\nint g;\n#endif\n\
                #if __has_include(\"q.h\")\nint p;\n#endif\nint a;\n";
            place.write("a.c", source);
        });
    }
}

#[test]
fn a_list_that_another_process_writes_meanwhile_is_not_believed() {
    let words = ["-DA", "-Iinc", "-MD", "-MF", "x.d", "-c", "a.c"];
    assert_change_noticed("true", &words, "printf 'a.o: a.c\\n' > x.d", |place| {
        place.write("inc/a.h", "int a = 1;\n");
        place.write("a.c", "#ifdef A\n#include <a.h>\n#endif\n");
    });
    let place = Place::new();
    place.write("inc/a.h", "int a = 1;\n");
    place.write("a.c", "#include <a.h>\n#include <stdio.h>\n");
    let plain = place.compare(&["gcc"], &words, &["a.o", "x.d"]);
    for variables in [[ALWAYS].as_slice(), &[ALWAYS, LATER]] {
        assert_eq!(place.compare_under(variables, &[DCCACHE, "gcc"], &words, &["a.o", "x.d"]), plain);
    }
    assert_eq!(place.stat("/hits/direct"), 1, "{}", place.explain());
    // It is not younger than the object: make compares.
    place.write("a.c", "#include <a.h>\n#include <stdio.h>\nint again;\n");
    assert!(
        place.command(DCCACHE).env(ALWAYS.0, ALWAYS.1).arg("gcc").args(words).status().unwrap().success()
    );
    let made = |name: &str| place.file(name).metadata().unwrap().modified().unwrap();
    assert!(made("x.d") <= made("a.o"), "{:?} {:?}", made("x.d"), made("a.o"));
    // Where it cannot be written, and where the compile fails, all is as without us.
    place.write("b.c", "#include <a.h>\n#include <none.h>\n");
    for words in
        [["-Iinc", "-MD", "-MF", "none/x.d", "-c", "a.c"], ["-Iinc", "-MD", "-MF", "y.d", "-c", "b.c"]]
    {
        let plain = place.compare(&["gcc"], &words, &["a.o", "b.o", "y.d"]);
        assert_ne!(plain.code, Some(0));
        assert_eq!(place.compare_under(&[ALWAYS], &[DCCACHE, "gcc"], &words, &["a.o", "b.o", "y.d"]), plain);
    }
}

#[test]
fn headers_that_are_links_or_lie_behind_old_ones_are_stored_by_lists() {
    let place = Place::new();
    place.write("real/h.h", "#define H 1\n");
    place.write("inc/keep", "");
    std::os::unix::fs::symlink("../real", place.file("inc/pkg")).unwrap();
    std::os::unix::fs::symlink("../real/h.h", place.file("inc/l.h")).unwrap();
    place.write("a.c", "#include <pkg/h.h>\n#include <l.h>\nint a = H;\n");
    place.write("\u{e4}\u{df}.c", "");
    place.write("w.c", "int w;\n");
    assert!(place.run(&["gcc", "-c", "w.c"]).status.success());
    for mode in ["true", "false"] {
        let option = format!("-D{mode}_=1");
        let words = ["-Iinc", &option, "-c", "a.c"];
        let plain = place.compare(&["gcc"], &words, &["a.o"]);
        let hits = place.stat("/hits/direct");
        for later in [[].as_slice(), &[LATER]] {
            let variables = [&[("DCCACHE_DEPEND_MODE", mode)], later].concat();
            assert_eq!(place.compare_under(&variables, &[DCCACHE, "gcc"], &words, &["a.o"]), plain);
        }
        assert_eq!(place.stat("/hits/direct"), hits + 1, "{mode}: {}", place.explain());
    }
}

#[test]
fn objects_beside_sources_elsewhere_are_stored_and_found() {
    let place = Place::new();
    place.write("src/h.h", "int h;\n");
    place.write("src/lib/l.h", "#include \"m.h\"\n");
    place.write("inc/m.h", "int m;\n");
    place.write("build/keep", "");
    for mode in ["true", "false"] {
        for number in 0..3 {
            place.write(&format!("src/f{number}.c"), "#include \"h.h\"\n#include \"lib/l.h\"\nint a;\n");
        }
        for later in [[].as_slice(), &[LATER]] {
            for number in 0..3 {
                let name =
                    |extension: &str| place.file(&format!("src/f{number}.{extension}")).display().to_string();
                let (source, object) = (name("c"), name("o"));
                let mut command = place.command(DCCACHE);
                command.current_dir(place.file("build")).env("DCCACHE_DEPEND_MODE", mode);
                command
                    .envs(later.iter().copied())
                    .args(["gcc", "-I../inc", "-D", mode, "-c", &source, "-o", &object]);
                assert!(command.status().unwrap().success());
                // What the others write beside the headers.
                place.write(&format!("src/lib/l{number}.o"), mode);
            }
        }
    }
    assert_eq!((place.stat("/misses"), place.stat("/hits/direct")), (6, 6), "{}", place.stats());
}
