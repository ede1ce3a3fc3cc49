//! The house's own rules, asserted: arrows between crates, sizes, words, links. Each check is a pure function over text,
//! and each has a test that shows it can fail.

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use tree::File;

/// Fails with every complaint at once.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn over(files: &[File], check: fn(&File) -> Vec<String>) -> Vec<String> {
    files.iter().flat_map(check).collect()
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned(), test: false }
}

#[test]
fn crates_depend_along_the_arrows_only() {
    none(&over(&tree::manifests(), manifests::arrows));
    let bad = "[package]\nname = \"dccache-ring\"\n[dev-dependencies]\ndccache-storage.workspace = true\n";
    assert_eq!(manifests::arrows(&file("ring/Cargo.toml", bad)).len(), 1);
    let unknown = "[package]\nname = \"dccache-extra\"\n";
    assert_eq!(manifests::arrows(&file("extra/Cargo.toml", unknown)).len(), 1);
}

#[test]
fn every_crate_inherits_lints_and_version() {
    none(&over(&tree::manifests(), manifests::inheritance));
    assert_eq!(manifests::inheritance(&file("x/Cargo.toml", "[package]\nname = \"x\"\n")).len(), 4);
}

#[test]
fn every_file_says_what_it_is_for() {
    none(&over(&tree::rust(), rust::module_docs));
    assert_eq!(rust::module_docs(&file("a/src/b.rs", "use x;\n//! late\n")).len(), 1);
}

#[test]
fn files_stay_below_400_lines_without_their_tests() {
    none(&over(&tree::rust(), rust::file_size));
    let long = "//! x\n".repeat(401);
    assert_eq!(rust::file_size(&file("a/src/b.rs", &long)).len(), 1);
    let tests = format!("//! x\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(rust::file_size(&file("a/src/b.rs", &tests)).is_empty());
    let gated = format!("//! x\n#[cfg(test)]\nuse x;\n{long}");
    assert_eq!(rust::file_size(&file("a/src/b.rs", &gated)).len(), 1, "a gated import does not end the file");
}

#[test]
fn functions_stay_below_60_lines() {
    none(&over(&tree::rust(), rust::function_size));
    let body = "    let x = '{'; // {\n    let y = \"{\"; let z = r#\"{\"}\"#;\n".repeat(31);
    let long = format!("fn f() {{\n{body}}}\n");
    assert_eq!(rust::function_size(&file("a/src/b.rs", &long)).len(), 1);
    let short = format!("fn f() {{\n}}\n{}", "const A: u8 = 1;\n".repeat(80));
    assert!(rust::function_size(&file("a/src/b.rs", &short)).is_empty());
}

#[test]
fn no_module_is_a_drawer() {
    none(&over(&tree::rust(), rust::module_names));
    for bad in ["a/src/utils.rs", "a/src/common/mod.rs", "a/src/x/helpers.rs"] {
        assert_eq!(rust::module_names(&file(bad, "")).len(), 1, "{bad}");
    }
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    none(&over(&tree::rust(), rust::unwraps));
    assert_eq!(rust::unwraps(&file("a/src/b.rs", "fn f() { x.unwrap() }")).len(), 1);
    let test = "fn f() {}\n#[cfg(test)]\nmod tests {\n fn g() { x.unwrap() }\n}\n";
    assert!(rust::unwraps(&file("a/src/b.rs", test)).is_empty());
    let root = file("a/src/x.rs", "#[cfg(test)]\npub(crate) mod oracle;\n");
    assert_eq!(rust::test_modules(&root), ["a/src/x/oracle"]);
    assert!(rust::unwraps(&file("a/src/b.rs", "// never .unwrap() here\n")).is_empty());
}

#[test]
fn exceptions_from_lints_are_expected_with_a_reason() {
    none(&over(&tree::rust(), rust::exceptions));
    assert_eq!(rust::exceptions(&file("a/src/b.rs", "#[allow(dead_code)]\nfn f() {}")).len(), 1);
    assert_eq!(rust::exceptions(&file("a/src/b.rs", "#[expect(dead_code)]\nfn f() {}")).len(), 1);
    let good = "#[expect(dead_code, reason = \"x\")]\nfn f() {}";
    assert!(rust::exceptions(&file("a/src/b.rs", good)).is_empty());
}

#[test]
fn library_roots_hold_modules_and_names_only() {
    none(&over(&tree::rust(), rust::library_root));
    assert_eq!(rust::library_root(&file("a/src/lib.rs", "//! x\nfn f() {}\n")).len(), 1);
    assert!(
        rust::library_root(&file("a/src/lib.rs", "//! x\npub mod a;\npub use a::{\n    B,\n};\n")).is_empty()
    );
}

#[test]
fn nothing_names_the_workplace() {
    none(&over(&tree::all(), documents::workplace));
    for bad in ["see /wo~rk/x", "../sha~red/y", "iss~ue 2 says", "a hel~per session did"] {
        assert_eq!(documents::workplace(&file("a.md", &bad.replace('~', ""))).len(), 1, "{bad}");
    }
}

#[test]
fn links_in_documents_resolve() {
    let files = tree::all();
    let exists = |path: &str| tree::root().join(path).exists();
    let headings: BTreeMap<&str, &str> = files.iter().map(|f| (f.path.as_str(), f.text.as_str())).collect();
    let check = |file: &File| documents::links(file, &exists, &headings);
    none(&tree::markdown().iter().flat_map(check).collect::<Vec<_>>());
    let bad = file("docs/x.md", "[a](missing.md) [b](../README.md#no-such-heading) [c](https://example.org)");
    assert_eq!(check(&bad).len(), 2);
}

#[test]
fn ci_runs_the_readmes_test_command() {
    let files = tree::all();
    let named = |path: &str| files.iter().find(|file| file.path == path).expect("it is there");
    none(&documents::test_command(named("README.md"), named(".ci/check")));
    let run = &named(".ci/run").text;
    assert!(run.contains("\n.ci/setup\n") && run.trim_end().ends_with("\n.ci/check"), "{run}");
    let readme = file("README.md", "```\nbuild && demo\ncargo test\n```\n");
    assert_eq!(documents::test_command(&readme, &file(".ci/check", "step cargo test --lib\n")).len(), 1);
    assert!(documents::test_command(&readme, &file(".ci/check", "step a\nstep cargo test\n")).is_empty());
}

#[test]
fn decisions_are_numbered_once_and_listed() {
    let files = tree::markdown();
    none(&documents::decisions(&files));
    let twice = [file("docs/adr/0001-a.md", "# 1. A"), file("docs/adr/0001-b.md", "# 1. B")];
    assert!(documents::decisions(&twice).iter().any(|complaint| complaint.contains("twice")));
    let index = [file("docs/adr/0001-a.md", "# 1. A"), file("docs/adr/README.md", "nothing")];
    assert!(documents::decisions(&index).iter().any(|complaint| complaint.contains("not listed")));
}

#[test]
fn every_limit_is_used_and_gives_its_reason() {
    let files = tree::rust();
    none(&rust::limits(&files));
    let limits = file("protocol/src/limits.rs", "/// Why.\npub const A: u8 = 1;\npub const B: u8 = 1;\n");
    let user = file("x/src/y.rs", "use limits; fn f() { limits::B }");
    let complaints = rust::limits(&[limits, user]);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
}

#[test]
fn every_format_has_golden_bytes() {
    none(&rust::unpinned_formats(&tree::rust()));
    let format = file("a/src/b.rs", "impl Format for Signed<A> {\n}\nimpl Format for B {\n}\n");
    let test = file("a/tests/golden.rs", "fn x() { sample::<Signed<A>>(\"a\", &a()); }");
    assert_eq!(rust::unpinned_formats(&[format, test]).len(), 1);
}

#[test]
fn the_tree_is_really_looked_at() {
    assert!(tree::rust().len() > 50 && tree::manifests().len() >= 8 && tree::markdown().len() > 5);
    assert!(tree::all().iter().any(|file| file.path == ".ci/run"));
}
