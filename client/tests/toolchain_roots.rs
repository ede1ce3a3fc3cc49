//! Whole toolchains below prefixes of their own: equal files give equal keys, whatever the place, and any exchange gives another.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{DCCACHE, Place, has, text};

/// A copy of this machine's gcc below a prefix: driver, compiler proper and assembler, which find each other.
struct Prefix {
    bin: PathBuf,
    /// Directory of the compiler proper.
    proper: PathBuf,
}

fn answer(words: &[&str]) -> String {
    text(&Command::new("gcc").args(words).output().unwrap().stdout).trim().to_owned()
}

/// Returns the program that a name on PATH leads to.
fn real(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut all = std::env::split_paths(&path).map(|directory| directory.join(name));
    fs::canonicalize(all.find(|file| file.is_file()).unwrap()).unwrap()
}

impl Prefix {
    fn new(place: &Place, name: &str) -> Self {
        let proper = PathBuf::from(answer(&["-print-prog-name=cc1"]));
        let below = proper.parent().unwrap().strip_prefix("/usr").expect("gcc lies below /usr");
        let prefix =
            Self { bin: place.root().join(name).join("bin"), proper: place.root().join(name).join(below) };
        for directory in [&prefix.bin, &prefix.proper] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::copy(real("gcc"), prefix.bin.join("gcc")).unwrap();
        fs::copy(real("as"), prefix.bin.join("as")).unwrap();
        fs::copy(&proper, prefix.proper.join("cc1")).unwrap();
        prefix
    }

    fn path(&self) -> String {
        format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap())
    }
}

/// Compiles plainly and with dccache; both give the same. Returns hits and misses so far.
fn compile(place: &Place, path: &str, compiler: &str, variables: &[(&str, &Path)]) -> (u64, u64) {
    let run = |front: &[&str]| {
        let _ = fs::remove_file(place.file("a.o"));
        let mut command = place.command(front[0]);
        // Records are kept only once their files are old enough.
        command.env("PATH", path).envs([support::LATER]).envs(variables.iter().copied());
        let output = command.args(&front[1..]).args(["-O1", "-c", "a.c"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read(place.file("a.o")).unwrap()
    };
    let plain = run(&[compiler]);
    assert!(run(&[DCCACHE, compiler]) == plain, "{}", place.explain());
    (place.stat("/hits/local"), place.stat("/misses"))
}

fn place() -> Place {
    let place = Place::new();
    place.write("a.c", "int f(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * x; return s; }\n");
    place
}

/// Gives a program bytes behind its end that nobody reads; from the second time on its size and time stay the same.
fn exchange(file: &Path, tail: u8) {
    let time = file.metadata().unwrap().modified().unwrap();
    let mut bytes = fs::read(file).unwrap();
    const MARK: &[u8] = b"dccache-tail-";
    let mark = bytes.len() - MARK.len() - 1;
    if bytes[mark..].starts_with(MARK) {
        bytes.truncate(mark);
    }
    bytes.extend([MARK, &[tail]].concat());
    fs::write(file, bytes).unwrap();
    fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn equal_files_below_two_prefixes_are_one_toolchain() {
    let place = place();
    let (one, two) = (Prefix::new(&place, "one"), Prefix::new(&place, "another"));
    assert_eq!(compile(&place, &one.path(), "gcc", &[]), (0, 1));
    assert_eq!(compile(&place, &two.path(), "gcc", &[]), (1, 1), "{}", place.explain());
    // The system's own compiler is a file of the same content too.
    assert_eq!(compile(&place, &std::env::var("PATH").unwrap(), "gcc", &[]), (2, 1), "{}", place.explain());
}

#[test]
fn a_driver_a_compiler_proper_or_an_assembler_under_the_same_path_size_and_time_is_another_toolchain() {
    let place = place();
    let prefix = Prefix::new(&place, "one");
    let files = [prefix.bin.join("gcc"), prefix.proper.join("cc1"), prefix.bin.join("as")];
    files.iter().for_each(|file| exchange(file, b'0'));
    let mut misses = 1;
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (0, misses));
    for file in &files {
        let before = file.metadata().unwrap();
        exchange(file, b'1');
        let after = file.metadata().unwrap();
        assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
        misses += 1;
        assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (0, misses), "{}", file.display());
    }
    files.iter().for_each(|file| exchange(file, b'0'));
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (1, misses), "the first one is known again");
}

#[test]
fn a_specs_file_that_appears_changes_or_goes_is_another_toolchain() {
    let place = place();
    let prefix = Prefix::new(&place, "one");
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (0, 1));
    let specs = prefix.proper.join("specs");
    let with = |option: &str| {
        fs::write(&specs, format!("*cc1:\n+ {option}\n")).unwrap();
    };
    with("-fno-unroll-loops -fwrapv");
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (0, 2), "it appears: {}", place.explain());
    let size = specs.metadata().unwrap().len();
    let time = specs.metadata().unwrap().modified().unwrap();
    with("-fno-unroll-loops -ftrapv");
    fs::File::options().write(true).open(&specs).unwrap().set_modified(time).unwrap();
    assert_eq!(specs.metadata().unwrap().len(), size);
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (0, 3), "it changes: {}", place.explain());
    fs::remove_file(&specs).unwrap();
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (1, 3), "it goes: {}", place.explain());
    // One that says everything anew, as gcc itself shows it, is not understood.
    fs::write(&specs, answer(&["-dumpspecs"]) + "\n").unwrap();
    assert_eq!(compile(&place, &prefix.path(), "gcc", &[]), (1, 3));
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler_option"), 1, "{}", place.explain());
}

#[test]
fn clangs_llvm_library_under_the_same_path_size_and_time_is_another_toolchain() {
    if !has("clang") {
        return;
    }
    let place = place();
    let list = Command::new("ldd").arg(real("clang")).output().unwrap();
    let list = text(&list.stdout);
    let line = list.lines().find(|line| line.contains("libLLVM")).expect("clang needs libLLVM");
    let mut words = line.split_whitespace();
    let (name, original) = (words.next().unwrap(), words.nth(1).unwrap());
    let libraries = place.root().join("libraries");
    fs::create_dir(&libraries).unwrap();
    let library = libraries.join(name);
    fs::copy(original, &library).unwrap();
    let path = std::env::var("PATH").unwrap();
    let variables = [("LD_LIBRARY_PATH", libraries.as_path())];
    exchange(&library, b'0');
    assert_eq!(compile(&place, &path, "clang", &variables), (0, 1));
    exchange(&library, b'1');
    assert_eq!(compile(&place, &path, "clang", &variables), (0, 2), "{}", place.explain());
    exchange(&library, b'0');
    assert_eq!(compile(&place, &path, "clang", &variables), (1, 2));
}

/// A driver that is a script, as distributions with a store of packages have them.
fn script(place: &Place, line: &str) -> PathBuf {
    let directory = place.root().join("scripts");
    fs::create_dir_all(&directory).unwrap();
    let script = directory.join("gcc");
    fs::write(&script, format!("#!/bin/sh\n{line}\nexec {} \"$@\"\n", real("gcc").display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_script_as_a_driver_is_left_alone_unless_somebody_vouches_for_it() {
    let place = place();
    let path = format!("{}:{}", script(&place, "").display(), std::env::var("PATH").unwrap());
    assert_eq!(compile(&place, &path, "gcc", &[]), (0, 0));
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 1);
    for (turn, check) in ["mtime", "none", "string:one", "%compiler% -dumpversion"].into_iter().enumerate() {
        let with = [("DCCACHE_COMPILER_CHECK", Path::new(check))];
        assert_eq!(
            compile(&place, &path, "gcc", &with),
            (turn as u64, turn as u64 + 1),
            "{check}: {}",
            place.explain()
        );
        assert_eq!(compile(&place, &path, "gcc", &with), (turn as u64 + 1, turn as u64 + 1), "{check}");
    }
    // What was learned under a promise is not believed without it.
    let before = (place.stat("/hits/local"), place.stat("/misses"));
    assert_eq!(compile(&place, &path, "gcc", &[]), before);
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 2);
}

#[test]
fn commands_tell_compilers_apart_by_what_they_write() {
    let place = place();
    let path = std::env::var("PATH").unwrap();
    fs::write(place.file("version"), "1\n").unwrap();
    let check = [("DCCACHE_COMPILER_CHECK", Path::new("%compiler% -dumpmachine; cat version"))];
    assert_eq!(compile(&place, &path, "gcc", &check), (0, 1));
    assert_eq!(compile(&place, &path, "gcc", &check), (1, 1));
    fs::write(place.file("version"), "2\n").unwrap();
    assert_eq!(compile(&place, &path, "gcc", &check), (1, 2), "{}", place.explain());
    fs::remove_file(place.file("version")).unwrap();
    assert_eq!(compile(&place, &path, "gcc", &check), (1, 2), "a command that fails tells nothing");
    assert_eq!(place.stat("/bypass_reasons/compiler_check_failed"), 1, "{}", place.explain());
}

#[test]
fn a_compiler_that_is_neither_gcc_nor_clang_is_asked_once() {
    if !has("tcc") || !has("strace") {
        return;
    }
    let place = place();
    let words = ["-c", "a.c", "-o", "a.o"];
    let plain = place.compare(&["tcc"], &words, &["a.o"]);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let log = place.root().join("log");
    // Programs that a call starts: ourselves, the compiler, and whatever is asked.
    let started = || {
        let front = ["strace", "-f", "-e", "trace=execve", "-o", log.to_str().unwrap(), DCCACHE, "tcc"];
        assert_eq!(place.compare_under(&[support::LATER], &front, &words, &["a.o"]), plain);
        let log = fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains("execve(") && line.ends_with(" = 0")).count()
    };
    assert_eq!((started(), started(), started()), (3, 2, 2), "{}", place.explain());
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 3, "{}", place.explain());
}
