//! Every option that the compilers of this machine list is known: in the table, in a family that is hashed, or left alone on purpose.

use super::arguments::{Class, Found, JOINED, lookup};
use super::{CompilerKind, assembler};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What the compilers are asked for.
const GCC_LISTS: [&str; 7] = ["common", "optimizers", "warnings", "target", "params", "c", "c++"];

fn answer(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).env("LC_ALL", "C").output();
    let Ok(output) = output else {
        eprintln!("NOT TESTED: {program} is not installed");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// Takes the options out of a list: words at the beginning of a line behind two spaces.
fn listed(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    lines
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split([' ', '\t', ',']).next())
        .collect()
}

/// Writes a listed option as one types it: `-fx=<n>` and `-fx=[a|b]` with some value, `-fx[=n]` without.
fn typed(option: &str) -> String {
    let option = option.split('[').next().unwrap_or(option);
    let end = option.find(['<', '{', '(']).unwrap_or(option.len());
    let stem = &option[..end];
    let choice = stem.split_once('=').filter(|(_, value)| value.contains('|'));
    match choice {
        Some((name, _)) => format!("{name}=v"),
        None if end < option.len() || stem.ends_with('=') => format!("{stem}v"),
        None => stem.to_owned(),
    }
}

/// Says what is done with an option; `None` where nothing was decided.
fn decided(word: &str, kind: CompilerKind) -> Option<&'static str> {
    if let Some((entry, found)) = lookup(word.as_bytes(), kind) {
        assert!(found != Found::Joined || entry.forms & JOINED != 0);
        return Some(match entry.class {
            Class::Bypass(_) | Class::WritesFile | Class::DependOnly | Class::Preprocess => {
                "left alone on purpose"
            }
            _ => "in the table",
        });
    }
    let long = word.len() > 2;
    match word.as_bytes() {
        [b'-', b'W', ..] => Some("-W family"),
        [b'-', b'f', ..] if long => Some("-f family"),
        [b'-', b'm', ..] if long => Some("-m family"),
        _ => None,
    }
}

/// Decides every option and prints how many of each kind there are; fails with all that are undecided.
fn assert_decided(what: &str, options: &BTreeSet<&str>, kind: CompilerKind) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut undecided = Vec::new();
    for option in options {
        match decided(&typed(option), kind) {
            Some(kind) => *counts.entry(kind).or_default() += 1,
            None => undecided.push(*option),
        }
    }
    println!("{what}: {} options: {counts:?}", options.len());
    assert!(undecided.is_empty(), "{what}: undecided: {undecided:?}");
}

#[test]
fn every_option_that_gcc_lists_is_decided() {
    for list in GCC_LISTS {
        let Some(text) = answer("gcc", &[&format!("--help={list}")]) else { return };
        let options = listed(&text);
        assert!(options.len() > 100, "{list}: {}", options.len());
        assert_decided(&format!("gcc --help={list}"), &options, CompilerKind::Gcc);
    }
}

#[test]
fn every_option_that_gcc_lists_for_its_driver_and_programs_is_decided() {
    let Some(text) = answer("gcc", &["-v", "--help"]) else { return };
    let (compiler, programs) = text.split_once("\nUsage: as ").expect("the assembler's options");
    let (assembler_options, _) = programs.split_once("collect2").unwrap_or((programs, ""));
    // Those of other languages come in sections of their own.
    let mut of_others = BTreeSet::new();
    let mut ours = BTreeSet::new();
    for (number, section) in compiler.split("The following options ").enumerate() {
        let other = section.strip_prefix("are specific to just the language ").is_some_and(|rest| {
            !["C:", "C++:", "ObjC:", "ObjC++:"].iter().any(|name| rest.starts_with(name))
        });
        // Options of the language family list those of Fortran and others too, which gcc's own list for C does not.
        let shared = section.starts_with("are language-related");
        let into = if number > 0 && (other || shared) { &mut of_others } else { &mut ours };
        into.extend(listed(section));
    }
    println!("{} options of other languages, not walked", of_others.len());
    assert!(ours.len() > 1000, "{}", ours.len());
    assert_decided("gcc -v --help", &ours, CompilerKind::Gcc);
    let options = listed(assembler_options);
    let known = options.iter().filter(|option| assembler::option(typed(option).as_bytes()).is_some()).count();
    println!("as: {} options, {known} known to be harmless, all others left alone", options.len());
    assert!(options.len() > 50 && known > 10);
}

#[test]
fn every_option_that_clang_lists_is_decided() {
    let Some(text) = answer("clang", &["--help-hidden"]) else { return };
    let options = listed(&text);
    assert!(options.len() > 500, "{}", options.len());
    assert_decided("clang --help-hidden", &options, CompilerKind::Clang);
}

#[test]
fn a_listed_option_is_typed_with_a_value_where_it_takes_one() {
    for (option, word) in [
        ("-fx=<n>", "-fx=v"),
        ("-fx=[a|b]", "-fx=v"),
        ("-fx=a|b", "-fx=v"),
        ("-fx[=<n>]", "-fx"),
        ("-B", "-B"),
        ("-std=c11", "-std=c11"),
        ("-fopt{-x}", "-foptv"),
    ] {
        assert_eq!(typed(option), word);
    }
}
