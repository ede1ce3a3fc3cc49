//! Every scenario works with whatever caches are installed here: it gives numbers, and every object is the compiler's. No time is asserted.

use std::process::Command;

/// Runs some scenarios in their quick form and returns the page.
fn page(only: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dccache-bench"));
    let output =
        command.args(["compare", "--quick", "--only", only]).output().expect("the bench can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("a page is text")
}

/// Asserts that a scenario's own table has a row with a time for each of these.
fn assert_measured(page: &str, scenario: &str, rows: &[&str]) {
    let section = page.split("\n## ").find(|section| section.starts_with(scenario));
    let section = section.unwrap_or_else(|| panic!("{scenario} is missing:\n{page}"));
    for row in rows {
        let line = section.lines().find(|line| line.starts_with(&format!("| {row}")));
        let line = line.unwrap_or_else(|| panic!("{scenario}: {row} is missing:\n{section}"));
        assert!([" ms |", " s |", " us |"].iter().any(|unit| line.contains(unit)), "no time: {line}");
    }
}

#[test]
fn local_hits_are_measured_in_every_mode() {
    let page = page("local hit;preprocessed hit");
    for scenario in
        ["local hit, C++", "local hit, C with few", "local hit, object of 1 MiB", "preprocessed hit"]
    {
        assert_measured(&page, scenario, &["dccache", "ccache", "plain compiler"]);
    }
    assert!(page.starts_with("# ") && page.contains("Machine: ") && page.contains("Command: "));
    assert!(page.contains("| system calls | instructions |"), "what a hit does is counted: {page}");
}

#[test]
fn ring_hits_are_measured_over_a_distance() {
    let page = page("ring hit, 1 ms");
    let rows = ["dccache, digests known", "dccache, digests unknown", "ccache", "plain compiler"];
    assert_measured(&page, "ring hit, 1 ms", &rows);
}

#[test]
fn misses_and_bypasses_are_measured() {
    let page = page("miss;bypass");
    assert_measured(&page, "miss, C++", &["dccache", "ccache", "plain compiler"]);
    assert_measured(&page, "miss in depend mode", &["dccache", "ccache", "plain compiler"]);
    assert_measured(&page, "bypass", &["dccache", "ccache", "plain compiler"]);
}

#[test]
fn whole_builds_are_measured_cold_warm_and_from_the_ring() {
    let rows = ["plain compiler", "dccache, cold", "dccache, warm", "dccache, ring", "ccache"];
    assert_measured(&page("build, meshoptimizer"), "build, meshoptimizer", &rows);
}

#[test]
fn costs_are_measured_against_every_size() {
    let page = page("cost");
    assert_measured(&page, "cost against headers", &["dccache", "ccache"]);
    assert_measured(&page, "cost against object size", &["dccache", "ccache"]);
    assert_measured(&page, "cost against entries", &["dccache"]);
}

#[test]
fn a_node_is_measured_beside_redis() {
    let page = page("node GET, 4 KiB;node PUT, 4 KiB");
    assert_measured(&page, "node GET", &["dccache-node", "dccache-node, digests checked", "Redis with TLS"]);
    assert_measured(&page, "node PUT", &["dccache-node", "Redis with TLS"]);
}
