//! Another toolchain is another key: whatever file of it is exchanged, and however.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::{DCCACHE, Place, text};

/// Compiles with `path` in front of the search path; returns hits and misses so far.
fn compile(place: &Place, front: &Path, variable: Option<(&str, &Path)>) -> (u64, u64) {
    let path = format!("{}:{}", front.display(), std::env::var("PATH").unwrap());
    let mut command = place.command(DCCACHE);
    command.env("PATH", path).args(["gcc", "-c", "a.c"]);
    if let Some((name, value)) = variable {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (place.stat("/hits/local"), place.stat("/misses"))
}

/// Returns the program that a name on PATH leads to.
fn real(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    fs::canonicalize(found.unwrap()).unwrap()
}

/// Writes a copy of an ELF file with bytes behind its end, which nobody reads, under the time that `at` had.
fn exchange(at: &Path, original: &Path, tail: &[u8]) {
    let old = at.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut bytes = fs::read(original).unwrap();
    bytes.extend_from_slice(tail);
    fs::write(at, bytes).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
    if let Some(old) = old {
        fs::File::options().write(true).open(at).unwrap().set_modified(old).unwrap();
    }
}

fn place() -> (Place, PathBuf) {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    let front = place.root().join("front");
    fs::create_dir(&front).unwrap();
    (place, front)
}

#[test]
fn an_assembler_that_appears_earlier_on_path_is_another_toolchain() {
    let (place, front) = place();
    assert_eq!(compile(&place, &front, None), (0, 1));
    assert_eq!(compile(&place, &front, None), (1, 1));
    exchange(&front.join("as"), &real("as"), b"tail");
    assert_eq!(compile(&place, &front, None), (1, 2), "{}", place.explain());
    fs::remove_file(front.join("as")).unwrap();
    assert_eq!(compile(&place, &front, None), (2, 2), "and the first one is known again");
}

#[test]
fn an_assembler_exchanged_under_the_same_path_size_and_time_is_another_toolchain() {
    let (place, front) = place();
    exchange(&front.join("as"), &real("as"), b"1");
    assert_eq!(compile(&place, &front, None), (0, 1));
    assert_eq!(compile(&place, &front, None), (1, 1));
    exchange(&front.join("as"), &real("as"), b"2");
    assert_eq!(compile(&place, &front, None), (1, 2), "{}", place.explain());
}

#[test]
fn equal_files_at_another_place_are_the_same_toolchain() {
    let (place, front) = place();
    assert_eq!(compile(&place, &front, None), (0, 1));
    exchange(&front.join("as"), &real("as"), b"");
    assert_eq!(compile(&place, &front, None), (1, 1), "{}", place.explain());
}

#[test]
fn a_shared_library_exchanged_under_the_same_path_size_and_time_is_another_toolchain() {
    let (place, front) = place();
    let list = std::process::Command::new("ldd").arg(real("as")).output().unwrap();
    let list = text(&list.stdout);
    let line = list.lines().find(|line| line.contains("libbfd")).expect("as needs libbfd");
    let mut words = line.split_whitespace();
    let (name, original) = (words.next().unwrap(), PathBuf::from(words.nth(1).unwrap()));
    let libraries = place.root().join("libraries");
    fs::create_dir(&libraries).unwrap();
    let variable = Some(("LD_LIBRARY_PATH", libraries.as_path()));
    assert_eq!(compile(&place, &front, variable), (0, 1));
    exchange(&libraries.join(name), &original, b"1");
    assert_eq!(compile(&place, &front, variable), (0, 2), "it appears: {}", place.explain());
    assert_eq!(compile(&place, &front, variable), (1, 2));
    exchange(&libraries.join(name), &original, b"2");
    assert_eq!(compile(&place, &front, variable), (1, 3), "it changes: {}", place.explain());
}

#[test]
fn a_script_as_an_assembler_is_left_alone() {
    let (place, front) = place();
    let script = place.script("as", &format!("#!/bin/sh\nexec {} \"$@\"\n", real("as").display()));
    fs::rename(script, front.join("as")).unwrap();
    assert_eq!(compile(&place, &front, None), (0, 0));
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 1);
}

#[test]
fn the_user_may_vouch_for_the_toolchain() {
    let (place, front) = place();
    fs::create_dir(place.home()).unwrap();
    fs::write(place.home().join("dccache.toml"), "compiler_check = \"string:one\"\n").unwrap();
    assert_eq!(compile(&place, &front, None), (0, 1));
    exchange(&front.join("as"), &real("as"), b"tail");
    assert_eq!(compile(&place, &front, None), (1, 1));
    fs::write(place.home().join("dccache.toml"), "compiler_check = \"string:two\"\n").unwrap();
    assert_eq!(compile(&place, &front, None), (1, 2));
}

#[test]
fn a_list_that_clangs_sanitizers_read_unasked_belongs_to_the_toolchain() {
    if !support::has("clang") {
        return;
    }
    let (place, _) = place();
    let compile = |words: &[&str]| {
        let fixed = ["-resource-dir", "resources", "-fsanitize=address", "-c", "a.c"];
        let words = [&fixed, words].concat();
        let plain = place.compare(&["clang"], &words, &["a.o"]);
        assert_eq!(place.compare(&[DCCACHE, "clang"], &words, &["a.o"]), plain);
        (place.stat("/hits/local"), place.stat("/misses"))
    };
    place.write("a.c", "int v[3];\nint a(int i) { return v[i]; }\n");
    place.write("resources/keep", "");
    assert_eq!(compile(&[]), (0, 1));
    assert_eq!(compile(&[]), (1, 1));
    place.write("resources/share/asan_ignorelist.txt", "");
    assert_eq!(compile(&[]), (1, 2), "it appears: {}", place.explain());
    place.write("resources/share/asan_ignorelist.txt", "fun:a\n");
    assert_eq!(compile(&[]), (1, 3), "it changes: {}", place.explain());
    assert_eq!(compile(&[]), (2, 3));
    fs::remove_dir_all(place.file("resources/share")).unwrap();
    assert_eq!(compile(&[]), (3, 3), "and the first one is known again");
}
