//! Who is asked: measured times, load, decay, and failing nodes.

use super::*;
use crate::fixture::node_id;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn serve(balance: &mut Balance, node: NodeId, took: Duration, now: Duration) {
    balance.begun(node, now);
    balance.answered(node, took, now);
}

/// Asks for the first of `owners` with many values of the random bits and counts how often each comes first.
fn chosen(balance: &Balance, owners: &[NodeId], now: Duration) -> BTreeMap<NodeId, usize> {
    let mut counts = BTreeMap::new();
    for random in 0..600_u64 {
        *counts.entry(balance.order(owners, random, now)[0]).or_default() += 1;
    }
    counts
}

#[test]
fn of_two_the_faster_is_always_asked() {
    let (fast, slow) = (node_id(1), node_id(2));
    let mut balance = Balance::default();
    serve(&mut balance, fast, ms(1), ms(0));
    serve(&mut balance, slow, ms(5), ms(0));
    assert_eq!(chosen(&balance, &[slow, fast], ms(0)), BTreeMap::from([(fast, 600)]));
}

#[test]
fn requests_in_progress_make_a_fast_node_less_attractive() {
    let (fast, slow) = (node_id(1), node_id(2));
    let mut balance = Balance::default();
    serve(&mut balance, fast, ms(1), ms(0));
    serve(&mut balance, slow, Duration::from_micros(3500), ms(0));
    for _ in 0..3 {
        assert_eq!(balance.order(&[fast, slow], 7, ms(0))[0], fast);
        balance.begun(fast, ms(0));
    }
    assert_eq!(
        balance.order(&[fast, slow], 7, ms(0))[0],
        slow,
        "four in progress at 1 ms each are worse than one of 3.5 ms"
    );
    balance.cancelled(fast);
    balance.cancelled(fast);
    assert_eq!(balance.order(&[fast, slow], 7, ms(0))[0], fast);
}

#[test]
fn a_slow_answer_counts_at_once_and_fast_ones_gradually() {
    let node = node_id(1);
    let mut balance = Balance::default();
    serve(&mut balance, node, ms(1), ms(0));
    serve(&mut balance, node, ms(100), ms(10));
    assert!(balance.expected(node, ms(10)) >= 0.1);
    serve(&mut balance, node, ms(1), ms(20));
    assert!(balance.expected(node, ms(20)) > 0.05);
    for step in 1..=100 {
        serve(&mut balance, node, ms(1), ms(20 + step * 500));
    }
    assert!(balance.expected(node, ms(50_020)) < 0.002);
}

#[test]
fn an_estimate_decays_so_that_a_node_that_was_slow_once_is_tried_again() {
    let (steady, slow) = (node_id(1), node_id(2));
    let mut balance = Balance::default();
    serve(&mut balance, slow, ms(50), ms(0));
    serve(&mut balance, steady, ms(5), ms(0));
    assert_eq!(balance.order(&[steady, slow], 3, ms(0))[0], steady);
    serve(&mut balance, steady, ms(5), ms(60_000));
    assert_eq!(balance.order(&[steady, slow], 3, ms(60_000))[0], slow);
}

#[test]
fn an_unknown_node_is_explored_by_one_request_and_not_by_all() {
    let (known, unknown) = (node_id(1), node_id(2));
    let mut balance = Balance::default();
    serve(&mut balance, known, ms(1), ms(0));
    assert_eq!(balance.order(&[known, unknown], 0, ms(0))[0], unknown);
    balance.begun(unknown, ms(0));
    assert_eq!(balance.order(&[known, unknown], 0, ms(0))[0], known);
}

#[test]
fn among_many_replicas_all_share_the_load() {
    let owners: Vec<NodeId> = (1..=5).map(node_id).collect();
    let counts = chosen(&Balance::default(), &owners, ms(0));
    assert_eq!(counts.len(), 5);
    assert!(counts.values().all(|&count| count == 120), "{counts:?}");
}

#[test]
fn a_failing_node_goes_last_until_a_probe_finds_it_back() {
    let (dead, alive) = (node_id(1), node_id(2));
    let mut balance = Balance::default();
    serve(&mut balance, alive, ms(20), ms(0));
    for _ in 0..3 {
        balance.begun(dead, ms(0));
        balance.failed(dead, ms(1), ms(0));
    }
    assert_eq!(chosen(&balance, &[dead, alive], ms(100)), BTreeMap::from([(alive, 600)]));
    assert_eq!(
        balance.order(&[dead, alive], 0, ms(100)),
        vec![alive, dead],
        "with budget left it can still be tried"
    );
    assert_eq!(balance.order(&[dead, alive], 0, ms(600))[0], dead, "the probe");
    balance.begun(dead, ms(600));
    assert_eq!(balance.order(&[dead, alive], 0, ms(601))[0], alive, "one probe at a time");
    balance.answered(dead, ms(1), ms(602));
    assert_eq!(balance.order(&[dead, alive], 0, ms(603))[0], dead);
}

#[test]
fn order_names_every_owner_once_whatever_the_random_bits() {
    let balance = Balance::default();
    for count in 0..=5 {
        let owners: Vec<NodeId> = (0..count).map(node_id).collect();
        for random in [0, 1, u64::MAX, 0x1234_5678_9ABC_DEF0] {
            let mut order = balance.order(&owners, random, ms(0));
            order.sort_unstable();
            let mut sorted = owners.clone();
            sorted.sort_unstable();
            assert_eq!(order, sorted);
        }
    }
}

#[test]
fn nodes_of_no_layout_are_forgotten_and_ends_without_a_begin_are_harmless() {
    let mut balance = Balance::default();
    serve(&mut balance, node_id(1), ms(9), ms(0));
    balance.retain(|_| false);
    assert!(balance.nodes.is_empty());
    balance.answered(node_id(1), ms(1), ms(0));
    balance.failed(node_id(1), ms(1), ms(0));
    balance.cancelled(node_id(1));
    assert!(balance.nodes.is_empty());
}
