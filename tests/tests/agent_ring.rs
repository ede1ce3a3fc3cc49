//! The agent against real nodes: what is pushed arrives, what is found is what was pushed, and no fault costs more than its budget.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its functions share")]

use dccache::agent::ask;
use dccache::loopback::{Interrupt, NodeProcess};
use dccache_protocol::local::{Reply, Unavailable};
use dccache_tests::{Binaries, LONG, Machine, PLENTY_MS, Sample};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::{Duration, Instant};

fn found_cluster(home: &Path, programs: &Binaries) -> NodeProcess {
    NodeProcess::found(&programs.node, home, &Interrupt::default()).unwrap()
}

fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}

fn pid_of(node: &NodeProcess) -> Pid {
    Pid::from_raw(node.pid().cast_signed()).unwrap()
}

#[test]
fn what_one_machine_pushes_another_finds_small_and_large() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let node = found_cluster(home.path(), &programs);
    let (one, two) = (
        Machine::joined(home.path(), "one", &programs, &node),
        Machine::joined(home.path(), "two", &programs, &node),
    );
    let samples: Vec<Sample> = [10, 20_000, 300 << 10, 5 << 20]
        .iter()
        .zip(0..)
        .map(|(&size, seed)| Sample::new(seed, size))
        .collect();
    for sample in &samples {
        assert_eq!(two.find(sample.key, PLENTY_MS).0, Reply::Missed);
        assert_eq!(one.push(sample), Reply::Queued);
    }
    one.flush();
    for sample in &samples {
        sample.assert_found(sample.key, &two.find(sample.key, PLENTY_MS));
    }
    let status = ask::status(&one.starter.place).unwrap();
    assert_eq!((status.pushed, status.waiting, status.dropped), (samples.len() as u64, 0, 0));
    let members = ask::cluster(&two.starter.place).unwrap();
    let [(_, Some(counters))] = members.as_slice() else { panic!("{members:?}") };
    assert!(counters.puts >= 4 && counters.hits >= 4, "{counters:?}");
}

#[test]
fn an_agent_killed_between_queueing_and_pushing_loses_nothing() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut node = found_cluster(home.path(), &programs);
    let one = Machine::joined(home.path(), "one", &programs, &node);
    let two = Machine::joined(home.path(), "two", &programs, &node);
    node.kill();
    let samples: Vec<Sample> = (0..12).map(|seed| Sample::new(seed, 1000 * (seed as usize + 1))).collect();
    for sample in &samples {
        assert_eq!(one.push(sample), Reply::Queued);
    }
    signal(one.pid(), Signal::KILL);
    node.restart(&Interrupt::default()).unwrap();
    one.flush();
    for sample in &samples {
        sample.assert_found(sample.key, &two.find(sample.key, PLENTY_MS));
    }
    assert_eq!(std::fs::read_dir(one.starter.place.journal()).unwrap().count(), 0);
}

#[test]
fn a_node_that_accepts_and_never_answers_costs_one_budget_and_then_nothing() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let node = found_cluster(home.path(), &programs);
    let client = Machine::joined(home.path(), "one", &programs, &node);
    let key = Sample::new(1, 10).key;
    assert_eq!(client.find(key, PLENTY_MS).0, Reply::Missed);
    signal(pid_of(&node), Signal::STOP);
    let begin = Instant::now();
    assert_eq!(client.find(key, 300).0, Reply::Unavailable(Unavailable::TimedOut));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(client.find(key, 300).0, Reply::Unavailable(Unavailable::BreakerOpen));
    signal(pid_of(&node), Signal::CONT);
}

#[test]
fn a_dead_ring_is_unreachable_and_soon_not_asked_at_all() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut node = found_cluster(home.path(), &programs);
    let client = Machine::joined(home.path(), "one", &programs, &node);
    node.kill();
    let key = Sample::new(1, 10).key;
    let answers: Vec<Reply> = (0..8).map(|_| client.find(key, 300).0).collect();
    assert_eq!(answers[0], Reply::Unavailable(Unavailable::Unreachable));
    assert!(answers.contains(&Reply::Unavailable(Unavailable::BreakerOpen)), "{answers:?}");
}

#[test]
fn a_new_node_is_learned_without_a_restart_and_one_of_two_may_die() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let first = found_cluster(home.path(), &programs);
    let client = Machine::joined(home.path(), "one", &programs, &first);
    let old = Sample::new(1, 1000);
    assert_eq!(client.push(&old), Reply::Queued);
    client.flush();
    let before = ask::status(&client.starter.place).unwrap().epoch;
    let token = first.token("--node").unwrap();
    let mut second =
        NodeProcess::join(&programs.node, home.path(), 2, &token, &Interrupt::default()).unwrap();
    let samples: Vec<Sample> = (10..30).map(|seed| Sample::new(seed, 2000)).collect();
    for sample in &samples {
        assert_eq!(client.push(sample), Reply::Queued);
    }
    client.flush();
    let status = ask::status(&client.starter.place).unwrap();
    assert!(status.epoch > before && status.nodes.len() == 2, "{status:?}");
    second.kill();
    for sample in samples.iter().chain([&old]) {
        sample.assert_found(sample.key, &client.find(sample.key, PLENTY_MS));
    }
}

#[test]
fn a_replica_that_does_not_answer_in_time_is_passed_over_for_the_other_one() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let first = found_cluster(home.path(), &programs);
    let token = first.token("--node").unwrap();
    let second = NodeProcess::join(&programs.node, home.path(), 2, &token, &Interrupt::default()).unwrap();
    let (one, two) = (
        Machine::joined(home.path(), "one", &programs, &first),
        Machine::joined(home.path(), "two", &programs, &first),
    );
    let samples: Vec<Sample> = (0..16).map(|seed| Sample::new(seed, 2000)).collect();
    for sample in &samples {
        assert_eq!(one.push(sample), Reply::Queued);
    }
    one.flush();
    signal(pid_of(&second), Signal::STOP);
    for sample in &samples {
        sample.assert_found(sample.key, &two.find(sample.key, PLENTY_MS));
    }
    signal(pid_of(&second), Signal::CONT);
}

#[test]
fn what_only_one_of_two_nodes_took_stays_in_the_journal_until_both_have_it() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut first = found_cluster(home.path(), &programs);
    let token = first.token("--node").unwrap();
    let mut second =
        NodeProcess::join(&programs.node, home.path(), 2, &token, &Interrupt::default()).unwrap();
    let client = Machine::joined(home.path(), "one", &programs, &first);
    let (warm, sample) = (Sample::new(1, 1000), Sample::new(2, 1000));
    assert_eq!(client.push(&warm), Reply::Queued);
    client.flush();
    second.kill();
    assert_eq!(client.push(&sample), Reply::Queued);
    assert_eq!(client.code(&["agent", "flush", "--timeout", "2"]).0, Some(1), "accepted is not acknowledged");
    let status = ask::status(&client.starter.place).unwrap();
    assert_eq!((status.pushed, status.waiting), (1, 1), "{status:?}");
    sample.assert_found(sample.key, &client.find(sample.key, PLENTY_MS));

    second.restart(&Interrupt::default()).unwrap();
    client.flush();
    let status = ask::status(&client.starter.place).unwrap();
    assert_eq!((status.pushed, status.waiting), (2, 0), "{status:?}");
    // Acknowledged is kept: either node may go now.
    first.kill();
    sample.assert_found(sample.key, &client.find_at_last(sample.key));
}

#[test]
fn every_failed_join_says_why_in_one_line_with_its_own_code_and_changes_nothing() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut node = found_cluster(home.path(), &programs);
    let client = Machine::new(home.path(), "one", &programs);
    let said = |arguments: &[&str], code: i32, part: &str| {
        let (found, line) = client.code(arguments);
        assert_eq!(found, Some(code), "{line}");
        assert!(line.starts_with("dccache: ") && line.contains(part) && line.lines().count() == 1, "{line}");
    };
    let (used, other) = (node.token("--client").unwrap(), node.token("--node").unwrap());
    said(&["join", "rubbish"], 2, "a token starts with");
    said(&["join", &used[..used.len() - 9]], 2, "cut off");
    said(&["join", &other], 2, "makes a node");
    assert!(!client.starter.place.cluster().exists());
    assert_eq!(client.code(&["join", &used]).0, Some(0));
    said(&["join", &used], 3, "used already");
    let member = std::fs::read(client.starter.place.cluster().join("member.json")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = found_cluster(elsewhere.path(), &programs);
    let foreign = foreign.token("--client").unwrap();
    said(&["join", &foreign], 5, "--force");
    let fresh = node.token("--client").unwrap();
    node.kill();
    said(&["join", &fresh], 4, "cannot reach");
    assert_eq!(std::fs::read(client.starter.place.cluster().join("member.json")).unwrap(), member);
}

#[test]
fn force_replaces_the_membership_of_another_cluster_and_joining_again_keeps_the_signer() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let elsewhere = tempfile::tempdir().unwrap();
    let (one, two) = (found_cluster(home.path(), &programs), found_cluster(elsewhere.path(), &programs));
    let client = Machine::joined(home.path(), "one", &programs, &one);
    let signer = |client: &Machine| {
        client.line();
        ask::status(&client.starter.place).unwrap().signer
    };
    let first = signer(&client);
    client.workstation.join(&one.token("--client").unwrap()).unwrap();
    assert_eq!(signer(&client), first);
    client.workstation.run(&["join", "--force", &two.token("--client").unwrap()]).unwrap();
    assert_ne!(signer(&client), first);
    let sample = Sample::new(1, 10);
    assert_eq!(client.push(&sample), Reply::Queued);
    client.flush();
    sample.assert_found(sample.key, &client.find(sample.key, PLENTY_MS));
}

#[test]
fn a_reader_finds_and_its_pushes_are_refused_before_they_cost_anything() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let node = found_cluster(home.path(), &programs);
    let writer = Machine::joined(home.path(), "writer", &programs, &node);
    let reader = Machine::new(home.path(), "reader", &programs);
    reader.workstation.join(&node.token("--reader").unwrap()).unwrap();
    let sample = Sample::new(1, 1000);
    assert_eq!(writer.push(&sample), Reply::Queued);
    writer.flush();
    sample.assert_found(sample.key, &reader.find(sample.key, PLENTY_MS));
    assert_eq!(reader.push(&sample), Reply::Unavailable(Unavailable::Refused));
}

#[test]
fn a_stricter_policy_distrusts_what_it_does_not_name() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let node = found_cluster(home.path(), &programs);
    let writer = Machine::joined(home.path(), "writer", &programs, &node);
    let strict = Machine::joined(home.path(), "strict", &programs, &node);
    strict.workstation.run(&["config", "set", "trust_accept", "self,role:ci"]).unwrap();
    let (own, foreign) = (Sample::new(1, 1000), Sample::new(2, 1000));
    assert_eq!((strict.push(&own), writer.push(&foreign)), (Reply::Queued, Reply::Queued));
    strict.flush();
    writer.flush();
    own.assert_found(own.key, &strict.find(own.key, PLENTY_MS));
    let reply = strict.find(foreign.key, PLENTY_MS).0;
    assert_eq!(reply, Reply::Distrusted(dccache_protocol::local::Distrust::Signer));
    assert_eq!(ask::status(&strict.starter.place).unwrap().distrusted, 1);
}

/// Runs the doctor and returns the line about the first node, the exit code and the names of everything that fails.
fn doctor(client: &Machine, variables: &[(&str, &str)]) -> (String, Option<i32>, Vec<String>) {
    let mut command = client.workstation.command();
    let output = command.args(["doctor", "--json"]).envs(variables.iter().copied()).output().unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &serde_json::Value, field: &str| check[field].as_str().unwrap().to_owned();
    let node = checks.iter().find(|check| text(check, "name").starts_with("node ")).unwrap();
    let failing = checks.iter().filter(|check| check["state"] == "fail");
    (text(node, "found"), output.status.code(), failing.map(|check| text(check, "name")).collect())
}

#[test]
fn the_doctor_names_a_dead_a_silent_and_a_foreign_node_and_clocks_that_are_wrong() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut node = found_cluster(home.path(), &programs);
    let client = Machine::joined(home.path(), "one", &programs, &node);
    let (found, code, failing) = doctor(&client, &[]);
    assert!(found.contains("answers in") && code == Some(0) && failing.is_empty(), "{found} {failing:?}");
    let at = |hours: i64| (hours * 3_600_000).to_string();
    let (found, code, failing) = doctor(&client, &[("DCCACHE_TEST_CLOCK_OFFSET_MS", &at(24 * 30))]);
    assert!(found.contains("expired certificate") && code == Some(1), "{found}");
    assert!(failing.contains(&"certificate".to_owned()), "{failing:?}");
    let (found, _, failing) = doctor(&client, &[("DCCACHE_TEST_CLOCK_OFFSET_MS", &at(-24))]);
    assert!(found.contains("not valid yet") && failing.contains(&"clock".to_owned()), "{found} {failing:?}");
    signal(pid_of(&node), Signal::STOP);
    assert!(doctor(&client, &[]).0.contains("did not answer in time"));
    signal(pid_of(&node), Signal::CONT);
    node.kill();
    assert!(doctor(&client, &[]).0.contains("refuses the connection"));
    // Another cluster at the same address.
    let elsewhere = tempfile::tempdir().unwrap();
    let listen = node.address().to_string();
    let mut foreign = std::process::Command::new(&programs.node)
        .args(["serve", "--listen", &listen, "--data"])
        .arg(elsewhere.path().join("data"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let mut found = String::new();
    while !found.contains("another CA") && begin.elapsed() < LONG {
        found = doctor(&client, &[]).0;
    }
    // The agent that runs still remembers the dead node.
    client.workstation.stop();
    let unavailable = client.find(Sample::new(1, 10).key, PLENTY_MS).0;
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(found.contains("another CA"), "{found}");
    assert_eq!(unavailable, Reply::Unavailable(Unavailable::NotTrusted));
}

#[test]
fn statistics_of_the_ring_are_summed_over_its_nodes() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let mut nodes = vec![found_cluster(home.path(), &programs)];
    for number in [2, 3] {
        let token = nodes[0].token("--node").unwrap();
        let node = NodeProcess::join(&programs.node, home.path(), number, &token, &Interrupt::default());
        nodes.push(node.unwrap());
    }
    let client = Machine::joined(home.path(), "one", &programs, &nodes[0]);
    for seed in 0..12 {
        assert_eq!(client.push(&Sample::new(seed, 1000)), Reply::Queued);
    }
    client.flush();
    let json = client.workstation.json(&["stats", "--cluster", "--json"]).unwrap();
    let parts = |counter: &str| -> Vec<u64> {
        let nodes = json["nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["counters"][counter].as_u64().unwrap()).collect()
    };
    assert_eq!(parts("puts").iter().sum::<u64>(), 12);
    assert!(parts("replicas").iter().sum::<u64>() >= 12, "one more copy of each: {json}");
    assert!(parts("puts").iter().filter(|puts| **puts > 0).count() > 1, "{json}");
    for counter in ["puts", "replicas", "records", "bytes", "bytes_in", "finds", "capacity_bytes"] {
        assert_eq!(json["sum"][counter], parts(counter).iter().sum::<u64>(), "{counter}: {json}");
    }

    nodes[2].kill();
    let json = client.workstation.json(&["stats", "--cluster", "--json"]).unwrap();
    let answers: Vec<bool> =
        json["nodes"].as_array().unwrap().iter().map(|node| node["answers"].as_bool().unwrap()).collect();
    assert_eq!((answers.len(), answers.iter().filter(|answers| **answers).count()), (3, 2), "{json}");
    let text = client.workstation.run(&["stats", "--cluster"]).unwrap();
    assert!(text.contains("does not answer") && text.lines().last().unwrap().starts_with("sum"), "{text}");
    nodes.iter_mut().for_each(NodeProcess::kill);
    assert_eq!(client.code(&["stats", "--cluster"]).0, Some(1));
}
