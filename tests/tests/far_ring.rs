//! A ring that is a network away: its round trips are real, its connections break, and builds see nothing of it.

use dccache::loopback::{Interrupt, NodeProcess};
use dccache_tests::{Binaries, Site};
use std::time::{Duration, Instant};

const UNITS: usize = 6;

/// Far enough that a look-up on the ring can be told from one that never left the machine.
const ROUND_TRIP: Duration = Duration::from_millis(20);

#[test]
fn a_far_ring_serves_hits_and_a_broken_connection_costs_a_compile_at_most() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let (node, proxy) =
        NodeProcess::found_behind_proxy(&programs.node, home.path(), ROUND_TRIP, &Interrupt::default())
            .unwrap();
    let first = Site::joined(home.path(), "first", &programs, &node);
    let units = first.write_units("unit", UNITS);
    first.assert_units_as_without(&units);
    first.workstation().flush().unwrap();

    let second = Site::joined(home.path(), "second", &programs, &node);
    second.write_units("unit", UNITS);
    let begin = Instant::now();
    second.assert_units_as_without(&units);
    assert_eq!(second.count("/hits/ring"), UNITS as u64, "{}", second.stats());
    assert!(begin.elapsed() >= ROUND_TRIP * UNITS as u32, "the look-ups did not pass the proxy");

    second.forget();
    for unit in &units {
        proxy.reset();
        second.assert_units_as_without(std::slice::from_ref(unit));
    }
    let (hits, misses) = (second.count("/hits/ring"), second.count("/misses"));
    assert_eq!(hits + misses, 2 * UNITS as u64, "{}", second.stats());
    assert!(proxy.accepted() > UNITS, "every reset needs a new connection");
}
