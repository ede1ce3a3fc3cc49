//! What a node serves, against Redis with TLS: equal connections, no pipelining, one core for the server and one for the client.

use super::stage::Scene;
use super::{Extent, Measured, Operation, Rounds};
use crate::front::Family;
use crate::load::What;
use crate::measure::Samples;
use crate::report::Reference;
use crate::servers::{Pem, Redis};
use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use dccache::loopback::{Interrupt, NodeProcess, Workstation};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Connections of each client.
const CONNECTIONS: u32 = 8;

/// Bytes that one round moves, about.
const ROUND_BYTES: usize = 64 << 20;

/// Objects that are read in turn; they fit into a node's hot set.
const OBJECTS: u32 = 32;

/// Measures one operation at one size, in rounds that alternate; the times are those of one request.
pub(super) fn serve(scene: &Scene<'_>, operation: Operation, size: usize, rounds: Rounds) -> Measured {
    let requests = match rounds.extent {
        Extent::Full => (ROUND_BYTES / size).clamp(64, 4096) as u32,
        Extent::Quick => 2 * CONNECTIONS,
    };
    let client = Client::of_new_node(scene, size, requests)?;
    let redis = TlsRedis::start(scene, size, requests)?;
    let (mut unchecked, mut checked) = (
        Samples::new("dccache-node", Family::Ours),
        Samples::new("dccache-node, digests checked", Family::Ours),
    );
    let mut theirs = Samples::new("Redis with TLS", Family::Peer);
    client.call(What::Put, 0, OBJECTS, OBJECTS)?;
    redis.iter().try_for_each(|redis| redis.call("set").map(drop))?;
    for round in 0..=rounds.long.rounds as u32 {
        let mut times = Vec::new();
        match operation {
            Operation::Put => {
                // Objects that the node has never seen.
                times.push((
                    &mut unchecked,
                    client.call(What::Put, OBJECTS + round * requests, requests, requests)?,
                ));
            }
            Operation::Get => {
                times.push((&mut unchecked, client.call(What::Get, 0, OBJECTS, requests)?));
                times.push((&mut checked, client.call(What::Checked, 0, OBJECTS, requests)?));
            }
        }
        if let Some(redis) = &redis {
            let word = if operation == Operation::Put { "set" } else { "get" };
            times.push((&mut theirs, redis.call(word)?));
        }
        times.into_iter().filter(|_| round > 0).for_each(|(samples, seconds)| samples.wall.push(seconds));
    }
    let samples = [unchecked, checked, theirs].into_iter().filter(|samples| !samples.wall.is_empty());
    Ok((Reference::FastestPeer, samples.collect()))
}

/// A node on one core and what calls it on another.
struct Client {
    _node: NodeProcess,
    workstation: Workstation,
    size: usize,
}

impl Client {
    fn of_new_node(scene: &Scene<'_>, size: usize, requests: u32) -> anyhow::Result<Self> {
        let program = scene.path("pinned-node");
        let node = scene.programs.node.display();
        std::fs::write(&program, format!("#!/bin/sh\nexec taskset -c 0 '{node}' \"$@\"\n"))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        ensure!(requests >= CONNECTIONS, "every connection has something to do");
        let node = NodeProcess::found(&program, scene.directory(), &Interrupt::default())?;
        let workstation = Workstation::new(&scene.path("client"), &scene.programs.dccache);
        workstation.join(&node.token("--client")?)?;
        Ok(Self { _node: node, workstation, size })
    }

    /// Returns the seconds of one request.
    fn call(&self, what: What, seed: u32, objects: u32, requests: u32) -> anyhow::Result<f64> {
        let what = what.to_possible_value().context("every kind has a name")?;
        let mut command = pinned(&std::env::current_exe()?);
        command
            .args(["load", what.get_name(), "--cluster"])
            .arg(self.workstation.directory().join("cluster"));
        for (name, value) in [
            ("--requests", requests),
            ("--objects", objects),
            ("--seed", seed),
            ("--connections", CONNECTIONS),
        ] {
            command.arg(name).arg(value.to_string());
        }
        Ok(output(command.arg("--size").arg(self.size.to_string()))?.trim().parse()?)
    }
}

/// A Redis on one core that syncs its log every second, as a node does, and its own benchmark on another.
struct TlsRedis {
    redis: Redis,
    size: usize,
    requests: u32,
}

impl TlsRedis {
    fn start(scene: &Scene<'_>, size: usize, requests: u32) -> anyhow::Result<Option<Self>> {
        let Some(program) = &scene.programs.redis else { return Ok(None) };
        let directory = scene.path("redis");
        std::fs::create_dir_all(&directory)?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let pem = Pem { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
        std::fs::write(&pem.certificate, made.cert.pem())?;
        std::fs::write(&pem.key, made.signing_key.serialize_pem())?;
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        Ok(Some(Self { redis: Redis::start_tls(command, &directory, &pem)?, size, requests }))
    }

    /// Returns the seconds of one request.
    fn call(&self, test: &str) -> anyhow::Result<f64> {
        let mut command = pinned(&PathBuf::from("redis-benchmark"));
        command.args(["--tls", "--insecure", "--csv", "-h", "127.0.0.1", "-t", test]);
        for (name, value) in [
            ("-p", self.redis.address.port().into()),
            ("-c", CONNECTIONS as usize),
            ("-n", self.requests as usize),
            ("-d", self.size),
        ] {
            command.arg(name).arg(value.to_string());
        }
        let text = output(&mut command)?;
        per_second(&text).map(|rate| 1.0 / rate).with_context(|| format!("no rate in {text}"))
    }
}

/// Reads the rate out of the last line, `"SET","12345.67",...`.
fn per_second(text: &str) -> Option<f64> {
    let rate = text.lines().rev().find(|line| line.starts_with('"'))?.split(',').nth(1)?;
    rate.trim_matches('"').parse().ok().filter(|rate| *rate > 0.0)
}

/// Begins a command on the clients' core; the servers' is 0.
fn pinned(program: &std::path::Path) -> Command {
    let core =
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { "1" } else { "0" };
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_out_of_what_redis_benchmark_prints() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"12500.00\",\"0.6\"\n";
        assert_eq!(per_second(text), Some(12_500.0));
        assert_eq!(per_second("nothing"), None);
    }
}
