//! The ring fails in every way that a network and a stranger can make it fail; builds end as without dccache, and soon pay nothing for it.
//!
//! What "soon" means is counted, not timed: of many compiles in a row only a few may wait for the ring, the breaker answers the others.

use dccache::loopback::{Interrupt, NodeProcess};
use dccache_tests::{BlackHole, Impostor, Ring, Site};
use std::time::Instant;

/// Compiles in a row against a ring that fails.
const UNITS: usize = 24;

/// Their look-ups: each compile asks for what led to entries before, and then for its entry.
const LOOK_UPS: u64 = 2 * UNITS as u64;

/// First pause of the breaker at its shortest, jitter included, in ms.
const PAUSE_MS: u64 = 375;

/// Of these, how many may wait for some nodes within some time: fast faults open a node's breaker at the third, then pauses double.
fn waits_within(nodes: u64, ms: u64) -> u64 {
    nodes * (4 + u64::from((ms / PAUSE_MS + 1).ilog2()))
}

const HOUR_MS: i64 = 3_600_000;

/// Milliseconds by which a clock runs ahead, as the seam's variable takes it.
const CLOCK: &str = "DCCACHE_TEST_CLOCK_OFFSET_MS";

/// Asserts that every compile ended well, that the ring failed for each, and that only a few waited for it.
fn assert_outage_is_paid_once(site: &mut Site, nodes: u64, first_reasons: &[&str]) {
    site.hurry();
    let units = site.write_units("unit", UNITS);
    let begin = Instant::now();
    site.assert_units_as_without(&units);
    let most = waits_within(nodes, begin.elapsed().as_millis() as u64);
    let stats = site.stats();
    assert_eq!(site.count("/misses"), UNITS as u64, "{stats}");
    let waited: u64 = first_reasons.iter().map(|name| site.faults(name)).sum();
    let spared = site.faults("ring_breaker_open");
    assert!((1..=most).contains(&waited), "{waited} of at most {most} waited: {stats}");
    // One by what it reads for each, and one by its text for each that was preprocessed.
    assert!((UNITS as u64..=LOOK_UPS).contains(&(waited + spared)), "{stats}");
}

#[test]
fn dead_nodes_cost_a_few_refused_connections_and_work_again_when_they_are_back() {
    let mut ring = Ring::of(3);
    let mut site = ring.site("one");
    ring.kill();
    assert_outage_is_paid_once(&mut site, 3, &["ring_unreachable"]);
    site.assert_doctor_names("node", "refuses the connection");
    (0..3).for_each(|index| ring.restart(index));
    site.workstation().flush().unwrap();
    site.forget();
    site.assert_units_as_without(&["unit0".to_owned()]);
    assert_eq!(
        site.agent()["pushed"],
        UNITS,
        "what was compiled meanwhile reaches the ring: {}",
        site.agent()
    );
}

#[test]
fn an_address_that_swallows_every_packet_is_waited_for_a_few_times() {
    let mut ring = Ring::of(1);
    let mut site = ring.site("one");
    ring.kill();
    let _hole = BlackHole::at(ring.nodes[0].address());
    assert_outage_is_paid_once(&mut site, 1, &["ring_timed_out"]);
    site.assert_doctor_names("node", "in time");
}

#[test]
fn a_node_that_accepts_and_never_answers_is_waited_for_a_few_times() {
    let mut ring = Ring::of(1);
    let mut site = ring.site("one");
    ring.kill();
    let silent = Impostor::silent(ring.nodes[0].address());
    assert_outage_is_paid_once(&mut site, 1, &["ring_timed_out"]);
    // Look-ups and the pushes behind them; each is one connection, and no compile makes one of its own.
    assert!((1..UNITS).contains(&silent.attempts()), "{}", silent.attempts());
    site.assert_doctor_names("node", "in time");
}

#[test]
fn a_node_that_talks_nonsense_is_asked_a_few_times() {
    let mut ring = Ring::of(1);
    let mut site = ring.site("one");
    ring.kill();
    let address = ring.nodes[0].address();
    let nonsense = Impostor::saying(address, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_outage_is_paid_once(&mut site, 1, &["ring_unreachable", "ring_not_trusted"]);
    assert!((1..UNITS).contains(&nonsense.attempts()), "{}", nonsense.attempts());
    site.assert_doctor_names("node", "");
}

#[test]
fn another_clusters_node_at_the_same_address_is_not_believed() {
    let mut ring = Ring::of(1);
    let mut site = ring.site("one");
    ring.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let address = ring.nodes[0].address();
    let foreign =
        NodeProcess::found_at(&ring.programs.node, elsewhere.path(), address, &Interrupt::default());
    let _foreign = foreign.unwrap();
    assert_outage_is_paid_once(&mut site, 1, &["ring_not_trusted"]);
    site.assert_doctor_names("node", "another CA");
    assert_eq!(site.agent()["pushed"], 0);
}

#[test]
fn expired_certificates_end_no_build_and_are_named() {
    let ring = Ring::of(1);
    let mut site = ring.site("one");
    // Leaves last a week; for this machine two have passed.
    site.set(CLOCK, &(14 * 24 * HOUR_MS).to_string());
    assert_outage_is_paid_once(&mut site, 1, &["ring_not_trusted"]);
    site.assert_doctor_names("certificate", "expired");
    site.assert_doctor_names("node", "expired");
}

#[test]
fn clocks_hours_apart_end_no_build_and_a_client_that_runs_ahead_still_hits() {
    let ring = Ring::of(1);
    let source = ring.site("source");
    let units = source.write_units("unit", 3);
    source.assert_units_as_without(&units);
    source.workstation().flush().unwrap();

    let mut ahead = ring.site("ahead");
    ahead.set(CLOCK, &(6 * HOUR_MS).to_string());
    ahead.write_units("unit", 3);
    ahead.assert_units_as_without(&units);
    assert_eq!(ahead.count("/hits/ring"), 3, "{}", ahead.stats());

    // Certificates begin an hour back; for this machine they are not valid yet, which is the safe side.
    let mut behind = ring.site("behind");
    behind.set(CLOCK, &(-6 * HOUR_MS).to_string());
    assert_outage_is_paid_once(&mut behind, 1, &["ring_not_trusted"]);
    behind.assert_doctor_names("node", "not valid yet");
    behind.assert_doctor_names("clock", "");
}

#[test]
fn a_node_whose_clock_is_hours_off_ends_no_build() {
    for offset in [6 * HOUR_MS, -6 * HOUR_MS] {
        let mut ring = Ring::of(1);
        let (one, two) = (ring.site("one"), ring.site("two"));
        ring.nodes[0].set(CLOCK, &offset.to_string());
        ring.restart(0);
        let units = one.write_units("unit", 3);
        two.write_units("unit", 3);
        one.assert_units_as_without(&units);
        if offset > 0 {
            one.workstation().flush().unwrap();
        }
        two.assert_units_as_without(&units);
        // A node that runs ahead sees valid certificates; one that runs behind sees them begin in its future.
        let expected = if offset > 0 { ("/hits/ring", 3) } else { ("/misses", 3) };
        assert_eq!(two.count(expected.0), expected.1, "{offset}: {}", two.stats());
        assert_eq!(two.faults("ring_not_trusted") > 0, offset < 0, "{offset}: {}", two.stats());
    }
}
