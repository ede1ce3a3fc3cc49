//! The way of somebody new: what the programs print is typed as it stands, and it works.

use dccache::loopback::{Interrupt, NodeProcess};
use dccache_tests::{Binaries, Site};
use std::fs;

/// Returns the token of the printed line that begins with a command.
fn token_of(printed: &str, command: &str) -> String {
    let lines: Vec<&str> = printed.lines().filter_map(|line| line.trim().strip_prefix(command)).collect();
    assert_eq!(lines.len(), 1, "{command}: {printed}");
    lines[0].trim().to_owned()
}

#[test]
fn the_lines_that_a_founder_prints_make_a_node_and_a_client_and_the_next_client_is_served() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let quiet = Interrupt::default();
    let mut founder = NodeProcess::found(&programs.node, home.path(), &quiet).unwrap();
    let printed = || fs::read_to_string(home.path().join("node-1.log")).unwrap();
    let (for_node, for_client) =
        (token_of(&printed(), "dccache-node join "), token_of(&printed(), "dccache join "));
    let second = NodeProcess::join(&programs.node, home.path(), 2, &for_node, &quiet).unwrap();
    let one = Site::new(home.path(), "one", &programs);
    let joined = one.run(&["join", &for_client]);
    assert!(joined.code == Some(0) && joined.stdout.contains("joined cluster"), "{}", joined.shown());

    let units = one.write_units("unit", 4);
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    let two = Site::new(home.path(), "two", &programs);
    let more = founder.admin(&["ca", "token", "--client", "--count", "2"]).unwrap();
    let lines: Vec<&str> = more.lines().collect();
    assert_eq!(lines.len(), 2, "{more}");
    assert_eq!(two.run(&["join", &token_of(lines[1], "dccache join ")]).code, Some(0));
    two.write_units("unit", 4);
    two.assert_units_as_without(&units);
    assert_eq!(two.count("/hits/ring"), 4, "{}", two.stats());

    for node in [&founder, &second] {
        let status = node.admin(&["status"]).unwrap();
        assert!(status.contains("layout 2 of 2 nodes") && !status.contains("\n0 records"), "{status}");
    }
    let layout = founder.admin(&["layout", "show"]).unwrap();
    assert!(layout.matches("partitions 4096").count() == 2, "each of two nodes holds all: {layout}");
    let tokens = founder.admin(&["ca", "list"]).unwrap();
    assert_eq!((tokens.matches(" used ").count(), tokens.matches(" open ").count()), (3, 1), "{tokens}");

    // Only the first run founds.
    founder.restart(&quiet).unwrap();
    token_of(&printed(), "dccache join ");
}
