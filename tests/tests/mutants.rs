//! Tests must be able to fail: each field of the keys, each guard, each probe and each rule about stamps is removed in turn, and a named
//! test then breaks.
//!
//! The long run makes every removal switchable in a copy of the sources, builds once, and runs each test with its removal on: `just
//! mutants`. The normal tests check that the table is complete and names what there is.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

#[path = "mutants/build.rs"]
mod build;
#[path = "mutants/layout.rs"]
mod layout;
#[path = "mutants/rules.rs"]
mod rules;
#[path = "mutants/table.rs"]
mod table;

use build::{Build, directory, root, switchable_files};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{GATHERED, KEYS, LEFT_OUT, MUTANTS, Mutant, Test};

fn all() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().copied().flatten()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

#[test]
fn each_field_of_the_encoding_has_a_mutant() {
    let text = read(KEYS);
    let (_, code) = text.split_once("use encoder::").unwrap();
    let is_removed = |line: &&str| all().any(|mutant| mutant.file == KEYS && line.contains(mutant.code));
    let kept: Vec<&str> =
        code.lines().filter(|line| line.contains("(Field::")).filter(|line| !is_removed(line)).collect();
    assert_eq!(kept, Vec::<&str>::new(), "tests/tests/mutants/table.rs removes each in turn");
    assert!(code.matches("(Field::").count() > 30, "the fields are really looked at");
}

#[test]
fn each_field_that_the_client_gathers_has_a_mutant_or_a_reason() {
    let text = read(GATHERED);
    for (start, least) in [("&Common {\n", 14), ("= ManifestInputs {\n", 3)] {
        let (_, block) = text.split_once(start).unwrap();
        let (block, _) = block.split_once("\n    }").unwrap();
        let fields: Vec<&str> =
            block.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0)).collect();
        assert!(fields.len() >= least, "{fields:?}");
        let is_removed = |name: &&str| {
            let lead = format!("{name}: ");
            all().any(|mutant| mutant.file == GATHERED && mutant.lead.starts_with(&lead))
        };
        let is_left_out =
            |name: &&str| LEFT_OUT.iter().any(|(left, reason)| left == name && !reason.is_empty());
        let kept = fields.into_iter().filter(|name| !is_removed(name)).filter(|name| !is_left_out(name));
        assert_eq!(kept.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

#[test]
fn each_mutant_is_found_once_and_its_test_exists() {
    let mut names = BTreeSet::new();
    for mutant in all() {
        assert!(names.insert(mutant.name), "{} is there twice", mutant.name);
        let name = mutant.test.name.rsplit("::").next().unwrap();
        assert!(read(&file_of(&mutant.test)).contains(&format!("fn {name}()")), "{:?}", mutant.test);
    }
    assert!(switchable_files().len() > 5);
}

/// The file in which a test lies.
fn file_of(test: &Test) -> String {
    let directory = directory(test.package);
    match test.target {
        "lib" => {
            let (module, _) = test.name.rsplit_once("::").unwrap();
            let whole = format!("{directory}/src/{}.rs", module.replace("::", "/"));
            let inner = whole.replace("/tests.rs", ".rs");
            if root().join(&whole).is_file() { whole } else { inner }
        }
        target => format!("{directory}/tests/{target}.rs"),
    }
}

#[test]
#[ignore = "builds the client once more; `just mutants` runs it"]
fn each_mutant_breaks_its_test() {
    let wanted = std::env::var("MUTANTS_ONLY").unwrap_or_default();
    let mutants: Vec<&Mutant> = all().filter(|mutant| mutant.name.contains(&wanted)).collect();
    let tests: BTreeSet<Test> = mutants.iter().map(|mutant| mutant.test).collect();
    let build = Build::new(tests.iter().copied());
    let runs: Vec<(Test, &str)> =
        tests.iter().map(|test| (*test, "")).chain(mutants.iter().map(|m| (m.test, m.name))).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((test, mutant)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = build.passes(test, mutant);
                    let said = if passed { "passes" } else { "breaks" };
                    let mutant = if mutant.is_empty() { "nothing removed" } else { mutant };
                    println!("{mutant}: {} {said}", test.name);
                    if passed != (mutant == "nothing removed") {
                        wrong.lock().unwrap().push((mutant, test.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} removals, {} tests, {} not as they should be", mutants.len(), tests.len(), wrong.len());
    assert_eq!(wrong, []);
}
