//! Options that drivers take from files: gcc's specs and clang's configuration files, named by the call or read unasked.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use support::{DCCACHE, LATER, Place, age, has, text};

const SOURCE: &str = "int g(int);\nstatic int f(int x) { return g(x) + 1; }\nint a(int x) { return f(x) + f(x + X); }\n#if defined __PIE__ && !defined __OPTIMIZE__\nint pie;\n#elif defined __PIE__\nint optimised_pie;\n#endif\n";

fn place() -> Place {
    let place = Place::new();
    place.write(".git/HEAD", "");
    place.write("a.c", SOURCE);
    place
}

fn counts(place: &Place) -> (u64, u64) {
    (place.stat("/hits/local"), place.stat("/misses"))
}

/// Writes a file of the same size under the time that it had.
fn exchange(path: &Path, content: &str) {
    let old = path.metadata().unwrap();
    assert_eq!(old.len(), content.len() as u64);
    fs::write(path, content).unwrap();
    age(path);
    fs::File::options().write(true).open(path).unwrap().set_modified(old.modified().unwrap()).unwrap();
}

/// Compiles with and without us; returns hits and misses so far.
fn compile(place: &Place, compiler: &str, words: &[&str]) -> (u64, u64) {
    let words = [words, &["-DX=1", "-c", "a.c"]].concat();
    let plain = place.compare(&[compiler], &words, &["a.o", "a.d", "a.gcno"]);
    let ours = place.compare_under(&[LATER], &[DCCACHE, compiler], &words, &["a.o", "a.d", "a.gcno"]);
    assert_eq!(ours, plain, "{compiler} {words:?}: {}", place.explain());
    assert!(plain.files[0].1.is_some() || plain.code != Some(0), "{plain:?}");
    counts(place)
}

/// Compiles with us where two compiles give two results; the same files must be there.
fn left_alone(place: &Place, compiler: &str, words: &[&str]) {
    let words = [words, &["-DX=1", "-c", "a.c"]].concat();
    let all = |program: &[&str]| {
        let result =
            place.compare_under(&[LATER], program, &words, &["a.o", "a.d", "a.gcno", "a.su", "a.dwo"]);
        let files = result.files.into_iter().map(|(name, content)| (name, content.is_some()));
        (result.code, result.stderr, files.collect::<Vec<_>>())
    };
    assert_eq!(all(&[DCCACHE, compiler]), all(&[compiler]), "{words:?}");
    assert_eq!(counts(place), (0, 0), "{words:?}: {}", place.explain());
}

/// Calls left alone because of what a file adds, or because the driver itself refuses the file.
fn bypassed(place: &Place) -> u64 {
    let reasons = ["unsupported_compiler_option", "unsupported_compiler"];
    reasons.map(|reason| place.stat(&format!("/bypass_reasons/{reason}"))).iter().sum()
}

/// The program that a name on PATH leads to.
fn real(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    fs::canonicalize(found.unwrap()).unwrap()
}

const PIE: &str = "*self_spec:\n+ %{!r:%{!fpie:%{!fPIE:%{!fpic:%{!fPIC:%{!fno-pic:-fno-PIE}}}}}}\n";

#[test]
fn compiles_with_specs_are_served_however_the_option_is_spelled() {
    let place = place();
    place.write("a.specs", "*link:\n%(anything) %{x}\n\n*cc1:\n+ %{!O0:-fno-inline} -fwrapv\n");
    place.write("pie.specs", PIE);
    let spellings: [&[&str]; 5] = [
        &["-specs=a.specs"],
        &["-specs", "a.specs"],
        &["--specs=./a.specs", "-O2"],
        &["--specs", "a.specs", "-O0", "-g"],
        &["-specs=pie.specs", "-specs=a.specs"],
    ];
    for words in spellings {
        let words = [words, &["-DX=1", "-MD", "-c", "a.c"]].concat();
        place.assert_differential("gcc", &words, &["a.o", "a.d"]);
    }
    let assembled = ["-specs=a.specs", "-DX=1", "-S", "a.c"];
    place.assert_differential("gcc", &assembled, &["a.s"]);
}

#[test]
fn specs_changed_under_the_same_name_size_and_time_are_other_ones() {
    let place = place();
    let with = |option: &str| format!("*cc1:\n+ {option}\n");
    let specs = place.write("a.specs", with("-O1 -fPIC"));
    let words = ["-specs=a.specs"];
    assert_eq!(compile(&place, "gcc", &words), (0, 1));
    assert_eq!(compile(&place, "gcc", &words), (1, 1), "{}", place.explain());
    assert_eq!(compile(&place, "gcc", &words), (2, 1), "by its sealed record");
    exchange(&specs, &with("-O2 -fPIC"));
    assert_eq!(compile(&place, "gcc", &words), (2, 2), "{}", place.explain());
    exchange(&specs, &with("-O1 -fPIC"));
    assert_eq!(compile(&place, "gcc", &words), (3, 2), "and the first ones are known again");
}

#[test]
fn specs_that_others_take_in_count_and_so_does_where_they_could_appear() {
    let place = place();
    place.write("tools/keep", "");
    let nested = place.write("nested.specs", "*cc1:\n+ -O1\n");
    place.write("a.specs", "%include <nested.specs>\n%include_noerr <more.specs>\n");
    let words = ["-B./tools", "-specs=a.specs"];
    let mut misses = 0;
    let mut changed = |what: &str| {
        misses += 1;
        let hits = place.stat("/hits/local");
        assert_eq!(compile(&place, "gcc", &words), (hits, misses), "{what}: {}", place.explain());
        assert_eq!(compile(&place, "gcc", &words), (hits + 1, misses), "{what}: {}", place.explain());
    };
    changed("first");
    exchange(&nested, "*cc1:\n+ -O2\n");
    changed("the nested one changes");
    let more = place.write("tools/more.specs", "*cc1:\n+ -fno-inline\n");
    changed("one appears that need not be there");
    fs::remove_file(&more).unwrap();
    place.write("tools/a.specs", "*cc1:\n+ -O3\n");
    changed("one is found earlier");
    place.write("tools/specs", "*cc1:\n+ -fwrapv\n");
    changed("default ones appear");
}

#[test]
fn specs_that_do_more_than_add_code_generation_leave_the_call_alone() {
    let place = place();
    place.write("x.h", "int from_header;\n");
    let bodies = [
        "*cc1:\n+ -g",
        "*cc1:\n+ -fdebug-prefix-map=a=b",
        "*cc1:\n+ -include x.h",
        "*cc1:\n+ -DX=3",
        "*cc1:\n+ -march=native",
        "*cc1:\n+ -m64",
        "*self_spec:\n+ -MD",
        "*self_spec:\n+ --coverage",
        "*self_spec:\n+ -fstack-usage",
        "*self_spec:\n+ -fplugin=absent",
        "*self_spec:\n+ %<DX*",
        "*self_spec:\n+ %{c:-O2}",
        "*self_spec:\n+ %{!E:-O2}",
        "*self_spec:\n+ %{M*:-O2}",
        "*self_spec:\n+ %:getenv(HOME -O2)",
        "*cpp_options:\n+ -O2",
        "*cc1_options:\n+ -fPIE",
        "%rename cc1 old_cc1\n\n*cc1:\n%(old_cc1) -O2",
    ];
    for (turn, body) in bodies.into_iter().enumerate() {
        place.write("a.specs", format!("{body}\n"));
        left_alone(&place, "gcc", &["-specs=a.specs", "-MD"]);
        assert_eq!(bypassed(&place), turn as u64 + 1, "{body}: {}", place.explain());
    }
    left_alone(&place, "gcc", &["-specs=absent.specs"]);
}

/// A project, a directory of clang's own programs, in which it looks for configuration files, and the command to run.
struct Clang {
    place: Place,
    bin: PathBuf,
    program: String,
    /// Names under which it takes one unasked; the second is preferred.
    unasked: [String; 2],
}

/// Copies the clangs of this machine: links to one do not change where it looks. Newer ones read configuration files unasked.
fn clangs(name: &str) -> impl Iterator<Item = Clang> {
    ["clang", "clang-16"].into_iter().filter(|installed| has(installed)).map(move |installed| {
        let place = place();
        let bin = place.root().join("llvm/bin");
        fs::create_dir_all(&bin).unwrap();
        let program = bin.join(name);
        fs::copy(real(installed), &program).unwrap();
        symlink(real(installed).parent().unwrap().join("../lib"), place.root().join("llvm/lib")).unwrap();
        let program = program.to_str().unwrap().to_owned();
        let asked = place.command(&program).arg("-print-target-triple").output().unwrap();
        let target = text(&asked.stdout).trim().to_owned();
        let unasked = match installed {
            "clang" => ["x86_64-linux-gnu.cfg", "x86_64-linux-gnu-clang.cfg"].map(str::to_owned),
            _ => ["clang.cfg".to_owned(), format!("{target}-clang.cfg")],
        };
        Clang { place, bin, program, unasked }
    })
}

#[test]
fn compiles_with_configuration_files_of_clang_are_served() {
    for Clang { place, bin, program, .. } in clangs("clang") {
        place.write("inc/keep.h", "");
        place.write("more/b.cfg", "-fno-inline\n");
        place.write("a.cfg", "# why\n-O2 -Wall\n  -g @more/b.cfg\n-DY=2 -I<CFGDIR>/inc\n");
        fs::write(bin.join("there.cfg"), "-O1\n").unwrap();
        for name in ["./a.cfg", "there.cfg"] {
            let all = ["--config", name, "-DX=1", "-MD", "-c", "a.c"];
            place.assert_differential(&program, &all, &["a.o", "a.d"]);
        }
        assert_eq!(place.stat("/misses"), 2, "{}", place.stats());
    }
}

#[test]
fn a_configuration_changed_under_the_same_name_size_and_time_is_another_one() {
    for Clang { place, program, .. } in clangs("clang") {
        let nested = place.write("more/b.cfg", "-O1\n");
        let configuration = place.write("a.cfg", "@more/b.cfg\n-DY=1\n");
        let words = ["--config", "./a.cfg"];
        let mut misses = 0;
        let mut changed = |what: &str| {
            misses += 1;
            let hits = place.stat("/hits/local");
            assert_eq!(compile(&place, &program, &words), (hits, misses), "{what}: {}", place.explain());
            for more in 1..3 {
                assert_eq!(
                    compile(&place, &program, &words),
                    (hits + more, misses),
                    "{what}: {}",
                    place.explain()
                );
            }
        };
        changed("first");
        exchange(&nested, "-O2\n");
        changed("the one that it names");
        exchange(&configuration, "@more/b.cfg\n-DX=9\n");
        changed("itself");
    }
}

#[test]
fn a_configuration_that_would_now_be_found_earlier_is_taken() {
    for Clang { place, bin, program, .. } in clangs("clang") {
        fs::write(bin.join("a.cfg"), "-O1\n").unwrap();
        for name in ["user/keep", "system/keep"] {
            place.write(name, "");
        }
        let (user, system) = ("--config-user-dir=user", "--config-system-dir=system");
        let words = [user, system, "--config", "a.cfg"];
        assert_eq!(compile(&place, &program, &words), (0, 1));
        assert_eq!(compile(&place, &program, &words), (1, 1), "{}", place.explain());
        place.write("system/a.cfg", "-O2\n");
        assert_eq!(compile(&place, &program, &words), (1, 2), "{}", place.explain());
        assert_eq!(compile(&place, &program, &words), (2, 2), "{}", place.explain());
        place.write("user/a.cfg", "-O3 -fno-inline\n");
        assert_eq!(compile(&place, &program, &words), (2, 3), "{}", place.explain());
        fs::remove_file(place.file("user/a.cfg")).unwrap();
        assert_eq!(compile(&place, &program, &words), (3, 3), "{}", place.explain());
    }
}

#[test]
fn a_configuration_that_does_more_than_is_understood_leaves_the_call_alone() {
    for Clang { place, program, .. } in clangs("clang") {
        place.write("x.h", "int from_header;\n");
        let bodies = [
            "-include x.h",
            "-Iinc",
            "-MD",
            "--coverage",
            "-gsplit-dwarf",
            "-o b.o",
            "-Xclang -fsyntax-only",
            "-fplugin=./absent.so",
            "-save-temps",
            "-march=native",
            "-DY='a b'",
            "-DY=\\\"a\\\"",
            "-x c++",
            "a.c",
            "@absent.cfg",
        ];
        for (turn, body) in bodies.into_iter().enumerate() {
            place.write("a.cfg", format!("{body}\n"));
            left_alone(&place, &program, &["--config", "./a.cfg"]);
            assert_eq!(bypassed(&place), turn as u64 + 1, "{body}: {}", place.explain());
        }
    }
}

#[test]
fn a_configuration_read_unasked_counts_from_the_moment_that_it_appears() {
    // Clang looks for one by its own name where that names a target; newer ones always do.
    for Clang { place, bin, program, unasked } in clangs("x86_64-linux-gnu-clang") {
        assert_eq!(compile(&place, &program, &[]), (0, 1));
        assert_eq!(compile(&place, &program, &[]), (1, 1), "{}", place.explain());
        let mut misses = 1;
        for (name, option) in [(&unasked[0], "-O2"), (&unasked[1], "-O1")] {
            fs::write(bin.join(name), option).unwrap();
            misses += 1;
            let hits = place.stat("/hits/local");
            assert_eq!(compile(&place, &program, &[]), (hits, misses), "{name}: {}", place.explain());
            assert_eq!(compile(&place, &program, &[]), (hits + 1, misses), "{name}: {}", place.explain());
        }
        fs::remove_file(bin.join(&unasked[1])).unwrap();
        let hits = place.stat("/hits/local");
        assert_eq!(compile(&place, &program, &[]), (hits + 1, misses), "{}", place.explain());
    }
}

#[test]
fn directories_that_an_unasked_configuration_maps_away_are_no_other_checkouts() {
    for Clang { place, bin, program, unasked } in clangs("x86_64-linux-gnu-clang") {
        let one = place.file("one");
        fs::write(bin.join(&unasked[0]), format!("-g -fdebug-prefix-map={}=/mapped\n", one.display()))
            .unwrap();
        for name in ["one", "two"] {
            place.write(&format!("{name}/.git/HEAD"), "");
            place.write(&format!("{name}/a.c"), SOURCE);
        }
        let compile = |name: &str, front: &[&str]| {
            let object = place.file(name).join("a.o");
            let _ = fs::remove_file(&object);
            let mut command = place.command(front[0]);
            let command =
                command.args(&front[1..]).args(["-DX=1", "-c", "a.c"]).current_dir(place.file(name));
            let output = command.env("PWD", place.file(name)).env(LATER.0, LATER.1).output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
            fs::read(object).unwrap()
        };
        for name in ["one", "two", "one"] {
            let plain = compile(name, &[&program]);
            assert_eq!(compile(name, &[DCCACHE, &program]), plain, "{name}: {}", place.explain());
        }
        assert_eq!(counts(&place), (1, 2), "{}", place.stats());
    }
}
