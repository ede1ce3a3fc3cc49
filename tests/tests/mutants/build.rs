//! One build that holds every mutant: a copy of the sources in which each can be switched on while the program runs.
//!
//! The sources themselves are built as ever. A wrapper around the Rust compiler lets it read the crates of this workspace from the copy; Cargo keeps what
//! such a wrapper makes apart from what it makes otherwise, and packages from outside are built once for both.

use super::table::{MUTANTS, Mutant, Test};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names the mutant to be.
const SWITCH: &str = "MUTANT";

/// Test programs in which every mutant sleeps.
pub(crate) struct Build {
    programs: BTreeMap<(&'static str, &'static str), PathBuf>,
}

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the directory of a package.
pub(crate) fn directory(package: &str) -> &str {
    package.strip_prefix("dccache-").unwrap_or("client")
}

impl Build {
    /// Copies, changes the copy, and builds the programs that hold `tests`.
    pub(crate) fn new(tests: impl Iterator<Item = Test>) -> Self {
        let test = std::env::current_exe().unwrap();
        let debug = test.ancestors().find(|path| path.ends_with("debug")).unwrap();
        let place = debug.parent().unwrap().join("mutants");
        copy_tree(&place.join("tree"));
        let marks = write_switches(&place.join("tree"));
        let program = place.join("dccache");
        let wrapper = place.join("rustc");
        let script = format!(
            "#!/bin/sh\ncd {:?} && CARGO_BIN_EXE_dccache={:?} exec \"$@\"\n",
            place.join("tree"),
            program
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).unwrap();
        let mut targets: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
        for test in tests {
            targets.entry(test.package).or_default().insert(test.target);
        }
        let mut programs = BTreeMap::new();
        keeping(&debug.join("dccache"), || {
            for (package, targets) in targets {
                programs.extend(build(package, &targets, &wrapper, &marks));
            }
            fs::copy(debug.join("dccache"), &program).unwrap();
        });
        Self { programs }
    }

    /// Runs one test with a mutant on, or none, and tells whether it passes.
    pub(crate) fn passes(&self, test: &Test, mutant: &str) -> bool {
        let mut command = Command::new(&self.programs[&(test.package, test.target)]);
        command.current_dir(root().join(directory(test.package))).args([test.name, "--exact"]);
        let output = command.env(SWITCH, mutant).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("running 1 test"), "{test:?}: {said}");
        output.status.success()
    }
}

/// Writes every file that a mutant changes, each mutant in it asleep. Returns a variable for each crate whose value tells this table from
/// another one; the crate names it, so that Cargo builds it anew when the table changes.
fn write_switches(tree: &Path) -> Vec<(String, String)> {
    let files = switchable_files();
    let crates: BTreeSet<&str> =
        files.keys().map(|file| file.split_once('/').expect("a file in a crate").0).collect();
    let mark = |name: &&str| {
        let mut hasher = DefaultHasher::new();
        files.iter().filter(|(file, _)| file.starts_with(*name)).for_each(|file| file.hash(&mut hasher));
        let variable = format!("MUTANTS_OF_{name}");
        let library = tree.join(name).join("src/lib.rs");
        let named = format!("\nconst _: Option<&str> = option_env!(\"{variable}\");\n");
        fs::write(&library, fs::read_to_string(&library).unwrap() + &named).unwrap();
        (variable, format!("{:016x}", hasher.finish()))
    };
    let marks = crates.iter().map(mark).collect();
    files.iter().for_each(|(file, text)| fs::write(tree.join(file), text).unwrap());
    marks
}

/// Returns every file that a mutant changes, each mutant in it asleep.
pub(crate) fn switchable_files() -> BTreeMap<&'static str, String> {
    let mut files = BTreeMap::new();
    for mutant in MUTANTS.iter().copied().flatten() {
        let text =
            files.entry(mutant.file).or_insert_with(|| fs::read_to_string(root().join(mutant.file)).unwrap());
        *text = switchable(mutant, text);
    }
    files
}

/// Makes one removal depend on the environment.
fn switchable(mutant: &Mutant, text: &str) -> String {
    let Mutant { name, lead, code, removed, .. } = mutant;
    let whole = [*lead, *code].concat();
    assert_eq!(text.matches(&whole).count(), 1, "{name}");
    let on = format!("std::env::var_os(\"{SWITCH}\").is_some_and(|on| on == \"{name}\")");
    let switch = format!("if {on} {{ {removed} }} else {{ {code} }}");
    // Where an expression begins a statement, only brackets keep what follows with it.
    let switch = if code.ends_with(';') { switch } else { format!("({switch})") };
    text.replace(&whole, &format!("{lead}{switch}"))
}

/// Copies the files that version control knows.
fn copy_tree(to: &Path) {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(listed.status.success());
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = std::str::from_utf8(name).unwrap();
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if root().join(name).is_file() {
            fs::copy(root().join(name), target).unwrap();
        }
    }
}

/// Lets `work` replace a file, and puts it back.
fn keeping(file: &Path, work: impl FnOnce()) {
    let kept = file.with_extension("kept");
    let _ = fs::remove_file(&kept);
    let is_kept = fs::hard_link(file, &kept).is_ok();
    work();
    if is_kept {
        fs::rename(&kept, file).unwrap();
        // Of two names of one file, the old one stays.
        let _ = fs::remove_file(&kept);
    }
}

/// Builds test programs of one package through the wrapper, by package and target.
fn build(
    package: &'static str,
    targets: &BTreeSet<&'static str>,
    wrapper: &Path,
    marks: &[(String, String)],
) -> Vec<((&'static str, &'static str), PathBuf)> {
    let mut cargo = Command::new(std::env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo")));
    cargo.current_dir(root()).env("RUSTC_WORKSPACE_WRAPPER", wrapper).envs(marks.iter().cloned());
    cargo.args([
        "test",
        "--no-run",
        "--locked",
        "--message-format",
        "json-render-diagnostics",
        "-p",
        package,
    ]);
    for target in targets {
        match *target {
            "lib" => cargo.arg("--lib"),
            target => cargo.args(["--test", target]),
        };
    }
    let output = cargo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let tests: Vec<_> = messages.filter(|message| message["profile"]["test"] == true).collect();
    let program = |target: &'static str| {
        let named = |message: &&serde_json::Value| match target {
            "lib" => message["target"]["kind"][0] == "lib",
            target => message["target"]["name"] == target,
        };
        let program = tests.iter().find(named).and_then(|message| message["executable"].as_str());
        ((package, target), PathBuf::from(program.unwrap_or_else(|| panic!("{package}: no {target}"))))
    };
    targets.iter().copied().map(program).collect()
}
