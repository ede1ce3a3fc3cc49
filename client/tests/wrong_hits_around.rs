//! Wrong hits that other caches are known for, by what lies around the sources: the compiler, its files, its options, and the moment.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::changes::{assert_change_is_seen, assert_equal};
use support::{DCCACHE, Place, compilers, has, text};

/// Compiles a program of a few lines of C to `path`.
fn program(place: &Place, path: &Path, source: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let code = place.write("program.c", source);
    assert!(Command::new("gcc").arg("-O1").arg(&code).arg("-o").arg(path).status().unwrap().success());
    fs::remove_file(code).unwrap();
}

fn path_of(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file()).unwrap()
}

#[test]
fn an_empty_object_is_never_stored() {
    let place = Place::new();
    place.write("a.c", "int x;\n");
    // An assembler that succeeds and writes nothing.
    let front = place.root().join("front");
    program(
        &place,
        &front.join("as"),
        "#include <stdio.h>\n#include <string.h>\nint main(int c, char **v) { for (int i = 1; i < c - 1; i++) if (!strcmp(v[i], \"-o\")) fclose(fopen(v[i + 1], \"w\")); return 0; }\n",
    );
    let broken = format!("{}:{}", front.display(), std::env::var("PATH").unwrap());
    for _ in 0..2 {
        let output = place.command(DCCACHE).env("PATH", &broken).args(["gcc", "-c", "a.c"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(fs::read(place.file("a.o")).unwrap(), b"");
    }
    assert_eq!(place.stat("/not_stored/compiler_produced_empty_output"), 2, "{}", place.explain());
    assert_equal(&place, "gcc", &["-c", "a.c"], &["a.o"]);
}

#[test]
fn another_value_of_a_prefix_map_gives_another_object() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int f(int a) { return a; }\n");
        let root = place.work();
        let mut seen = Vec::new();
        for new in ["/one", "/two", "/one"] {
            for option in ["-fdebug-prefix-map", "-ffile-prefix-map"] {
                let map = format!("{option}={}={new}", root.display());
                assert_equal(&place, compiler, &["-g", &map, "-c", "a.c"], &["a.o"]);
            }
            seen.push(fs::read(place.file("a.o")).unwrap());
        }
        assert!(seen[0] != seen[1] && seen[0] == seen[2], "{compiler}");
    }
}

#[test]
fn specs_and_lists_that_change_in_place_change_the_object() {
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.c", "int a[3];\nint f(int i) { return a[i]; }\n");
        let (words, file, contents) = match compiler {
            "gcc" => {
                (["-specs=own", "-O1", "-c", "a.c"], "own", ["*cc1:\n+ -DX\n\n", "*cc1:\n+ -fno-ident\n\n"])
            }
            _ => (
                ["-fsanitize-ignorelist=own", "-fsanitize=address", "-c", "a.c"],
                "own",
                ["fun:other\n", "fun:f\n"],
            ),
        };
        place.write(file, contents[0]);
        assert_change_is_seen(&place, compiler, &words, &["a.o"], |place| {
            place.write(file, contents[1]);
        });
    }
}

#[test]
fn the_seed_by_which_clang_lays_out_structures_decides_whoever_names_its_file() {
    // clang 14 does not know the option, and says so with us as without.
    for compiler in ["clang", "clang-16"].into_iter().filter(|compiler| has(compiler)) {
        let place = Place::new();
        place.write(
            "a.c",
            "struct s { int a; int b; char c; long d; int (*f)(void); } __attribute__((randomize_layout));\n\
             int get(struct s *p) { return p->b + p->a; }\n",
        );
        let mut seen = Vec::new();
        for (file, seed) in [("seed", "one"), ("seed", "two"), ("other", "two"), ("seed", "one")] {
            place.write(file, seed);
            let option = format!("-frandomize-layout-seed-file={file}");
            assert_equal(&place, compiler, &[&option, "-c", "a.c"], &["a.o"]);
            seen.push(fs::read(place.file("a.o")).ok());
        }
        let known = seen[0].is_some();
        assert!(known || compiler == "clang", "{compiler} knows the option");
        assert_eq!(seen[0] != seen[1], known, "{compiler}: the content decides");
        assert_eq!((&seen[1], &seen[0]), (&seen[2], &seen[3]), "{compiler}");
        // One that nobody can read is the compiler's to complain about.
        fs::remove_file(place.file("seed")).unwrap();
        assert_equal(&place, compiler, &["-frandomize-layout-seed-file=seed", "-c", "a.c"], &["a.o"]);
    }
}

#[test]
fn a_source_that_changes_between_preprocessor_and_compiler_is_not_stored() {
    let place = Place::new();
    place.write("a.c", "int x;\n");
    // A compiler proper that lets somebody edit the source once its preprocessor run is done.
    let real = Command::new("gcc").arg("-print-prog-name=cc1").output().unwrap();
    let real = text(&real.stdout).trim().to_owned();
    let shim = format!(
        "#include <stdio.h>\n#include <string.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
         int main(int c, char **v) {{ int e = 0; for (int i = 1; i < c; i++) e |= !strcmp(v[i], \"-E\") && access(\"edit\", F_OK) == 0;\n\
         v[0] = \"{real}\"; if (!e) {{ execv(v[0], v); return 1; }}\n\
         if (!fork()) {{ execv(v[0], v); _exit(1); }} int s; wait(&s);\n\
         FILE *f = fopen(\"a.c\", \"a\"); fputs(\"int y;\\n\", f); fclose(f); return WEXITSTATUS(s); }}\n"
    );
    let tools = place.root().join("tools");
    program(&place, &tools.join("cc1"), &shim);
    let option = format!("-B{}/", tools.display());
    let words = ["gcc", &option, "-c", "a.c"];
    let run = || {
        assert!(place.run(&words).status.success());
        fs::read(place.file("a.o")).unwrap()
    };
    let old = run();
    place.write("a.c", "int z;\n");
    place.write("edit", "");
    run();
    assert_eq!(place.stat("/not_stored/modified_input_file"), 1, "{}", place.explain());
    fs::remove_file(place.file("edit")).unwrap();
    place.write("a.c", "int z;\n");
    let now = run();
    assert!(
        now != old && !now.windows(2).any(|bytes| bytes == b"y\0"),
        "the object holds what the source says"
    );
}

#[test]
fn ways_of_preprocessing_that_hide_the_source_are_no_wrong_hits() {
    for compiler in compilers() {
        for option in ["-fdirectives-only", "-fpch-preprocess", "-traditional-cpp"] {
            if compiler == "clang" && option == "-fpch-preprocess" {
                continue;
            }
            let place = Place::new();
            place.write("h.h", "#define N 1\n");
            place.write("a.c", "#include \"h.h\"\nint f(void) { return N; }\n");
            let words = [option, "-c", "a.c"];
            if compiler == "gcc" && option != "-traditional-cpp" {
                assert_change_is_seen(&place, compiler, &words, &["a.o"], |place| {
                    place.write("h.h", "#define N 2\n");
                });
            } else {
                assert_equal(&place, compiler, &words, &["a.o"]);
            }
        }
    }
}

#[test]
fn a_comment_that_goes_away_can_add_a_warning() {
    for compiler in compilers().into_iter().filter(|compiler| *compiler == "gcc") {
        let place = Place::new();
        let source = |comment: &str| {
            format!(
                "int g(int);\nint f(int a) {{ switch (a) {{ case 1: a = g(a);\n{comment}\ncase 2: return a; }} return 0; }}\n"
            )
        };
        place.write("a.c", source("/* fallthrough */"));
        assert_change_is_seen(
            &place,
            compiler,
            &["-Wimplicit-fallthrough", "-c", "a.c"],
            &["a.o"],
            |place| {
                place.write("a.c", source(""));
            },
        );
    }
}

#[test]
fn a_compiler_or_its_library_exchanged_under_the_same_name_and_time_is_another_one() {
    if !has("clang") {
        return;
    }
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    let front = place.root().join("front");
    fs::create_dir(&front).unwrap();
    let real = fs::canonicalize(path_of("clang")).unwrap();
    let resources = Command::new("clang").arg("-print-resource-dir").output().unwrap();
    let resources = text(&resources.stdout).trim().to_owned();
    let list = text(&Command::new("ldd").arg(&real).output().unwrap().stdout);
    // The smallest of its libraries that is not the system's own: exchanging libLLVM means copying it each time.
    let libraries = list.lines().filter_map(|line| {
        let (name, rest) = line.split_once("=>")?;
        let path = PathBuf::from(rest.split_whitespace().next()?);
        let system = ["libc.", "libm.", "libdl.", "libpthread.", "librt.", "libgcc_s."];
        let own = !system.iter().any(|start| name.trim().starts_with(start));
        own.then(|| {
            (path.metadata().map_or(u64::MAX, |metadata| metadata.len()), name.trim().to_owned(), path)
        })
    });
    let (_, library, original) = libraries.min().expect("clang needs libraries");
    let replace = |at: &Path, from: &Path, tail: &[u8]| {
        let old = at.metadata().and_then(|metadata| metadata.modified()).ok();
        fs::write(at, [fs::read(from).unwrap().as_slice(), tail].concat()).unwrap();
        fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        if let Some(old) = old {
            fs::File::options().write(true).open(at).unwrap().set_modified(old).unwrap();
        }
    };
    let compile = || {
        let mut command = place.command(DCCACHE);
        command.arg(front.join("clang")).env("LD_LIBRARY_PATH", &front);
        let output = command.args(["-resource-dir", &resources, "-c", "a.c"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (place.stat("/hits/local"), place.stat("/misses"))
    };
    replace(&front.join("clang"), &real, b"1");
    replace(&front.join(&library), &original, b"1");
    assert_eq!(compile(), (0, 1), "{}", place.explain());
    assert_eq!(compile(), (1, 1));
    replace(&front.join("clang"), &real, b"2");
    assert_eq!(compile(), (1, 2), "the program: {}", place.explain());
    replace(&front.join(&library), &original, b"2");
    assert_eq!(compile(), (1, 3), "{library}: {}", place.explain());
    assert_eq!(compile(), (2, 3));
}

#[test]
fn code_for_another_device_is_called_after_the_file_that_it_is_compiled_from_now() {
    for compiler in compilers().into_iter().filter(|name| *name == "clang") {
        let place = Place::new();
        let source = "void g(int *);\nvoid f(void) { int a = 0;\n#pragma omp target\n{ a = 1; }\ng(&a); }\n";
        place.write("a.c", source);
        assert_change_is_seen(&place, compiler, &["-fopenmp", "-c", "a.c"], &["a.o"], |place| {
            // As an editor saves it: another inode under the same name, which clang writes into a symbol.
            place.write("saved.c", source);
            fs::rename(place.file("saved.c"), place.file("a.c")).unwrap();
        });
    }
}
