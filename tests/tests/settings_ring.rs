//! Settings that say what goes to the ring and what stays here.

use dccache_tests::{Ring, Site};

const OUTPUTS: [&str; 1] = ["a.o"];

/// Compiles both ways; what a build sees is the same.
fn compile(site: &Site, source: &str) {
    site.assert_as_without(&["gcc", "-O1", "-c", source, "-o", "a.o"], &OUTPUTS);
}

fn write_sources(site: &Site) {
    for name in ["kept", "shared", "read"] {
        site.write(&format!("{name}.c"), &format!("int {name}(int x) {{ return x * 3; }}\n"));
    }
}

fn flush(site: &Site) {
    site.workstation().flush().expect("the agent pushes what waits");
}

#[test]
fn what_was_compiled_before_a_cluster_was_there_is_pushed_by_who_reshares() {
    let ring = Ring::of(1);
    let (mut one, two) = (Site::new(ring.home(), "one", &ring.programs), ring.site("two"));
    for site in [&one, &two] {
        write_sources(site);
    }
    ["kept.c", "shared.c", "read.c"].iter().for_each(|source| compile(&one, source));
    assert_eq!((one.count("/misses"), one.count("/stored")), (3, 3));
    one.join(&ring.nodes[0]);
    compile(&one, "kept.c");
    flush(&one);
    one.set("DCCACHE_RESHARE", "true");
    // One is found by what it reads, the other one by its text.
    compile(&one, "shared.c");
    flush(&one);
    one.set("DCCACHE_DIRECT_MODE", "false");
    compile(&one, "read.c");
    assert_eq!(
        (one.count("/hits/local"), one.count("/hits/direct")),
        (3, 2),
        "{}",
        one.run(&["explain"]).stdout
    );
    flush(&one);
    compile(&two, "kept.c");
    assert_eq!((two.count("/hits/ring"), two.count("/misses")), (0, 1), "a hit alone pushes nothing");
    for (hits, source) in [(1, "shared.c"), (2, "read.c")] {
        compile(&two, source);
        assert_eq!(
            (two.count("/hits/ring"), two.count("/misses")),
            (hits, 1),
            "{source}: {}",
            two.run(&["explain"]).stdout
        );
    }
}

#[test]
fn who_uses_the_ring_only_shares_through_it_and_keeps_nothing_here() {
    let ring = Ring::of(1);
    let (mut one, two) = (ring.site("one"), ring.site("two"));
    for site in [&one, &two] {
        write_sources(site);
    }
    one.set("DCCACHE_REMOTE_ONLY", "true");
    compile(&one, "kept.c");
    flush(&one);
    for hits in 1..3 {
        compile(&one, "kept.c");
        let counts = (one.count("/hits/ring"), one.count("/hits/local"), one.count("/misses"));
        assert_eq!(counts, (hits, 0, 1), "{}", one.run(&["explain"]).stdout);
    }
    assert_eq!(one.count("/store/files"), 0, "nothing is kept here");
    compile(&two, "kept.c");
    assert_eq!((two.count("/hits/ring"), two.count("/misses")), (1, 0), "{}", two.run(&["explain"]).stdout);
}
