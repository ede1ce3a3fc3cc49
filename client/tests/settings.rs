//! Where settings come from and what they do to real compiles.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, text};

/// A project with one source.
fn project() -> Place {
    let place = Place::new();
    place.write(".git/HEAD", "");
    place.write("a.c", "int a(void) { return 1; }\n");
    place
}

fn counts(place: &Place) -> (u64, u64) {
    (place.stat("/hits/local"), place.stat("/misses"))
}

#[test]
fn words_before_the_compiler_hold_for_that_compile_alone() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, front) in [&[DCCACHE, "gcc"][..], &[DCCACHE, "namespace=x", "stats=true", "gcc"]]
        .into_iter()
        .cycle()
        .take(4)
        .enumerate()
    {
        assert_eq!(place.compare(front, &["-c", "a.c"], &["a.o"]), plain);
        let expected = [(0, 1), (0, 2), (1, 2), (2, 2)][turn];
        assert_eq!(counts(&place), expected, "{front:?}: {}", place.explain());
    }
}

#[test]
fn a_wrong_word_leaves_the_compile_to_the_compiler_and_is_counted() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, word) in ["namespce=x", "read_only=perhaps"].into_iter().enumerate() {
        assert_eq!(place.compare(&[DCCACHE, word, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(place.stat("/bypass_reasons/bad_configuration"), turn as u64 + 1);
    }
}

#[test]
fn a_projects_file_holds_in_all_of_its_directories_and_nowhere_else() {
    let place = project();
    place.write("dccache.toml", "namespace = \"ours\"\n");
    place.write("sub/a.c", "int a(void) { return 1; }\n");
    let list = |directory: &str| {
        let output =
            place.command(DCCACHE).current_dir(place.file(directory)).args(["config", "list"]).output();
        text(&output.unwrap().stdout)
    };
    let file = place.file("dccache.toml").canonicalize().unwrap();
    let line = format!("({}) namespace = ours\n", file.display());
    assert!(list(".").contains(&line) && list("sub").contains(&line), "{}", list("sub"));
    assert!(list("..").contains("(default) namespace = default\n"), "{}", list(".."));
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    fs::remove_file(place.file("dccache.toml")).unwrap();
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    assert_eq!(place.stat("/misses"), 2, "another namespace, another entry");
}

#[test]
fn a_projects_file_runs_no_program_and_moves_no_bound() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, line) in
        ["path = \"/nowhere\"", "max_size = \"1k\"", "sloppiness = \"time_macros\""].into_iter().enumerate()
    {
        place.write("dccache.toml", format!("# ours\n{line}\n"));
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        let output = place.run(&["config", "list"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        fs::remove_file(place.file("dccache.toml")).unwrap();
        assert_eq!(place.stat("/bypass_reasons/bad_configuration"), turn as u64 + 1);
        assert!(
            message.contains("dccache.toml:2: ") && message.contains("not in a project's file"),
            "{message}"
        );
    }
}
