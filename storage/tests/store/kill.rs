//! A process that is killed in the middle of writing, again and again on one directory.

use crate::fixtures::{Dice, TestClock, bundle, id, stored};
use dccache_storage::{Config, Durability, Store};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const DIRECTORY: &str = "STORE_KILL_TEST_DIRECTORY";
const FIRST: &str = "STORE_KILL_TEST_FIRST";
const NAME: &str = "kill::a_killed_process_loses_nothing_acknowledged_and_reads_nothing_wrong";
const ROUNDS: u64 = 25;

/// Numbers that one round may use.
const PER_ROUND: u64 = 100_000;

fn config() -> Config {
    Config { segment_bytes: 128 << 10, sync_interval_ms: 5, ..Config::with_capacity(256 << 20) }
}

fn size(number: u64) -> usize {
    Dice(number).roll(9000) as usize
}

/// Writes until killed; says each record that is durable, and only then.
fn write_until_killed(directory: &Path, first: u64) {
    let (store, _) = Store::open(directory, config(), TestClock::new()).expect("it opens after a kill");
    let mut out = std::io::stdout().lock();
    for number in first..first + PER_ROUND {
        let durability = if number.is_multiple_of(4) { Durability::Now } else { Durability::Grouped };
        store.put(bundle(number, number + 1, size(number)), durability).expect("the disk has room");
        if durability == Durability::Now {
            writeln!(out, "\ndurable {number}").and_then(|()| out.flush()).expect("the parent listens");
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_reads_nothing_wrong() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let first = std::env::var(FIRST).expect("set with it").parse().expect("a number");
        return write_until_killed(Path::new(&directory), first);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut dice = Dice(2026);
    // Per round: first number and the last one that was acknowledged.
    let mut rounds: Vec<(u64, u64)> = Vec::new();
    for round in 0..ROUNDS {
        let first = round * PER_ROUND;
        let mut child = Command::new(std::env::current_exe().expect("a test binary"))
            .args(["--exact", NAME, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut acknowledged =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let wanted = dice.roll(60) as usize;
        let mut last = acknowledged.nth(wanted).expect("the child writes until killed");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        // What it said before it died counts.
        last = acknowledged.last().unwrap_or(last);
        rounds.push((first, last));
        check(directory.path(), &rounds);
    }
    let written: u64 = rounds.iter().map(|(first, last)| last - first + 1).sum();
    println!("{ROUNDS} kills, {written} records acknowledged");
}

fn check(directory: &Path, rounds: &[(u64, u64)]) {
    let (store, _) = Store::open(directory, config(), TestClock::new()).expect("it opens after a kill");
    let mut present = 0;
    for &(first, last) in rounds {
        // A durable record carries everything that was put before it.
        for number in first..=last {
            let wanted = stored(&bundle(number, number + 1, size(number)));
            assert_eq!(store.get(&id(number)), Some(wanted), "{number} of {first}..={last}");
        }
        present += last - first + 1;
        for number in last + 1..last + 200 {
            let found = store.get(&id(number));
            present += u64::from(found.is_some());
            assert!(found.is_none_or(|r| r == stored(&bundle(number, number + 1, size(number)))), "{number}");
        }
    }
    let stats = store.stats();
    assert_eq!(stats.quarantined, 0);
    assert!(stats.records >= present);
}
