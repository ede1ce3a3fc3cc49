//! `docs/ccache.md` held against what both programs say of themselves, and against the tests that it names.

use crate::fronts::{Front, Place};
use crate::rules::{OLDER, RULES};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document() -> String {
    fs::read_to_string(root().join("docs/ccache.md")).unwrap()
}

/// Rows of all tables, as cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Words between backquotes.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_document_names_every_option_and_command_that_they_and_we_list() {
    let place = Place::new();
    let text = document();
    let first: BTreeSet<String> = rows(&text).iter().flat_map(|row| quoted(&row[0])).collect();
    let fronts = [Some(Front::ours(&place)), Some(Front::debians()), Front::newest()];
    for front in fronts.iter().flatten() {
        let (help, config) = (front.output(&place, "--help"), front.output(&place, "--show-config"));
        let options = config
            .lines()
            .filter_map(|line| line.split_once(") ")?.1.split_once(" = "))
            .map(|(name, _)| name);
        let missing: Vec<&str> = options.filter(|name| !first.contains(*name)).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", front.version());
        let words = help.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'));
        let long = words
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(|word| word.trim_end_matches('-'));
        let missing: BTreeSet<&str> = long.filter(|word| !first.contains(*word)).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", front.version());
    }
    let ours = fronts[0].as_ref().unwrap().output(&place, "--help");
    for command in first.iter().filter(|word| word.starts_with('-')) {
        assert!(ours.contains(command.as_str()), "{command} is no option of ours");
    }
}

#[test]
fn every_counter_that_they_print_is_one_of_ours() {
    let place = Place::new();
    let names = |front: &Front| -> BTreeSet<String> {
        front
            .output(&place, "--print-stats")
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let ours = names(&Front::ours(&place));
    if let Some(newest) = Front::newest() {
        assert_eq!(ours, names(&newest));
    }
    let theirs = names(&Front::debians());
    let missing: Vec<&String> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_tests_that_the_document_names_exist_and_its_differences_are_the_rules() {
    let text = document();
    let mut sources = String::new();
    for directory in
        ["client/tests", "client/src/ccache", "client/src/ccache/layers", "client/src/ccache/commands"]
    {
        for file in fs::read_dir(root().join(directory)).unwrap() {
            sources += &fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        }
    }
    let rules: BTreeSet<&str> =
        RULES.iter().map(|rule| rule.name).chain(OLDER.iter().map(|older| older.name)).collect();
    let (differences, tables): (Vec<_>, Vec<_>) =
        rows(&text).into_iter().partition(|row| row.len() == 3 && rules.contains(row[0].trim_matches('`')));
    assert_eq!(differences.len(), rules.len(), "a row for each rule");
    for row in tables {
        for test in quoted(row.last().unwrap()) {
            assert!(sources.contains(&format!("fn {test}()")), "{test} of {:?} is no test", row[0]);
        }
    }
}
