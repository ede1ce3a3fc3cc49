//! `dccache stats --cluster`: the counters of every node, and their sum.

use crate::agent::ask::{self, Members};
use crate::agent::chain;
use crate::agent::place::Place;
use crate::agent::start::Starter;
use crate::home::Home;
use crate::say::{complain, say};
use dccache_protocol::service::NodeStatus;
use dccache_protocol::time::Clock;
use dccache_transport::clock::SystemClock;
use serde_json::{Value, json};
use std::time::Duration;

/// How long starting an agent may take here, where a person waits.
const START: Duration = Duration::from_secs(10);

/// Asks and prints; exit code 1 when no node answers.
pub(super) fn run(home: &Home, as_json: bool) -> i32 {
    let place = Place::new(home.path());
    let now = SystemClock::from_environment().now();
    let reached = Starter::of_this_program(place.clone())
        .map_err(|error| error.to_string())
        .inspect(Starter::forget_failures)
        .and_then(|starter| starter.reach(START, now).map_err(|error| chain(&error)));
    let members = reached.and_then(|_| ask::cluster(&place).map_err(|error| chain(&error)));
    let members = match members {
        Ok(members) => members,
        Err(error) => {
            complain!("dccache: {error}");
            return 1;
        }
    };
    if as_json {
        say!("{:#}", to_json(&members));
    } else {
        print(&members);
    }
    i32::from(members.iter().all(|(_, status)| status.is_none()))
}

fn to_json(members: &Members) -> Value {
    let nodes = members.iter().map(|(name, status)| match status {
        Some(status) => json!({ "node": name, "answers": true, "counters": status }),
        None => json!({ "node": name, "answers": false }),
    });
    json!({ "nodes": nodes.collect::<Vec<_>>(), "sum": sum(members) })
}

/// Adds up what can be added; `node` stays empty, `uptime_s` is the shortest.
fn sum(members: &Members) -> NodeStatus {
    let mut sum = NodeStatus::default();
    let mut uptimes = Vec::new();
    for status in members.iter().filter_map(|(_, status)| status.as_ref()) {
        uptimes.push(status.uptime_s);
        for (into, from) in [
            (&mut sum.records, status.records),
            (&mut sum.bytes, status.bytes),
            (&mut sum.capacity_bytes, status.capacity_bytes),
            (&mut sum.finds, status.finds),
            (&mut sum.hits, status.hits),
            (&mut sum.bytes_out, status.bytes_out),
            (&mut sum.puts, status.puts),
            (&mut sum.bytes_in, status.bytes_in),
            (&mut sum.replicas, status.replicas),
            (&mut sum.refusals, status.refusals),
            (&mut sum.quarantined, status.quarantined),
            (&mut sum.evicted, status.evicted),
            (&mut sum.hints, status.hints),
            (&mut sum.pending_partitions, status.pending_partitions),
        ] {
            *into = into.saturating_add(from);
        }
    }
    sum.uptime_s = uptimes.into_iter().min().unwrap_or_default();
    sum
}

fn print(members: &Members) {
    say!(
        "{:<56} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "node",
        "records",
        "MiB",
        "look-ups",
        "hits",
        "puts",
        "copies"
    );
    let line = |name: &str, status: &NodeStatus| {
        say!(
            "{name:<56} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            status.records,
            status.bytes >> 20,
            status.finds,
            status.hits,
            status.puts,
            status.replicas
        );
    };
    for (name, status) in members {
        match status {
            Some(status) => line(name, status),
            None => say!("{name:<56} does not answer; `dccache doctor` says why"),
        }
    }
    line("sum", &sum(members));
}
