//! Three nodes, two clients, five thousand bundles, one node killed and restarted in the middle.
//!
//! Invariant under test: nothing acknowledged is lost, no byte is wrong, no compile fails.

#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache::loopback::{Interrupt, NodeProcess, Workstation};
use dccache_tests::{Binaries, PATIENT};
use std::path::{Path, PathBuf};

/// Bundles of the test, all clients together.
const BUNDLES: usize = 5_000;

/// After which share of its units a client lets the node die, and come back.
const KILL_AT: usize = 2;
const RESTART_AT: usize = 4;
const PHASES: usize = 5;

/// How often the hints are looked at while they drain, and how many times at most: ten minutes.
const POLL: std::time::Duration = std::time::Duration::from_millis(200);
const POLLS: usize = 3_000;

/// A client and the units that it compiles.
struct Client {
    workstation: Workstation,
    directory: PathBuf,
    units: Vec<String>,
}

impl Client {
    fn new(home: &Path, name: &str, programs: &Binaries, founder: &NodeProcess) -> Self {
        let workstation = Workstation::new(&home.join(format!("client-{name}")), &programs.dccache);
        workstation.join(&founder.token("--client").unwrap()).unwrap();
        let directory = home.join(format!("work-{name}"));
        std::fs::create_dir_all(&directory).unwrap();
        let units: Vec<String> = (0..BUNDLES / 2).map(|index| format!("{name}{index}")).collect();
        for (index, unit) in units.iter().enumerate() {
            let text = format!("int value_{unit}(int x) {{ return x * {index} + {}; }}\n", unit.len());
            std::fs::write(directory.join(format!("{unit}.c")), text).unwrap();
        }
        Self { workstation, directory, units }
    }

    /// Compiles units in the directory of `owner` through this client's wrapper; objects get `suffix`.
    fn compile(&self, owner: &Self, units: &[String], suffix: &str) {
        for unit in units {
            let mut command = self.workstation.command();
            command.env(PATIENT.0, PATIENT.1).current_dir(&owner.directory).args(["gcc", "-O1", "-c"]);
            command.arg(format!("{unit}.c")).arg("-o").arg(format!("{unit}.{suffix}"));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stderr.is_empty(), "{unit}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn number(&self, pointer: &str) -> u64 {
        let json = self.workstation.json(&["stats", "--json"]).unwrap();
        json.pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {json}"))
    }

    fn forget(&self) {
        std::fs::remove_dir_all(self.workstation.directory().join("objects")).unwrap();
    }
}

/// Runs the same phase on both clients at once.
fn both(clients: &[Client; 2], phase: impl Fn(&Client, &Client) + Sync) {
    std::thread::scope(|scope| {
        scope.spawn(|| phase(&clients[0], &clients[1]));
        scope.spawn(|| phase(&clients[1], &clients[0]));
    });
}

fn assert_same_objects(client: &Client, suffix: &str, step: usize) {
    for unit in client.units.iter().step_by(step) {
        let read = |suffix: &str| std::fs::read(client.directory.join(format!("{unit}.{suffix}"))).unwrap();
        assert_eq!(read("o"), read(suffix), "{unit}.{suffix}");
    }
}

fn wait_until_no_hints(nodes: &[NodeProcess]) {
    for _ in 0..POLLS {
        let waiting: u64 =
            nodes.iter().map(|node| status(node, "hints") + status(node, "pending_partitions")).sum();
        if waiting == 0 {
            return;
        }
        std::thread::sleep(POLL);
    }
    panic!("hints are still waiting");
}

fn status(node: &NodeProcess, name: &str) -> u64 {
    let text = node.admin(&["status", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json.get(name).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{name}: {json}"))
}

#[test]
fn a_node_killed_and_restarted_among_five_thousand_bundles_loses_nothing_and_breaks_nothing() {
    let programs = Binaries::find();
    let home = tempfile::tempdir().unwrap();
    let quiet = Interrupt::default();
    let mut nodes = vec![NodeProcess::found(&programs.node, home.path(), &quiet).unwrap()];
    for number in [2, 3] {
        let token = nodes[0].token("--node").unwrap();
        nodes.push(NodeProcess::join(&programs.node, home.path(), number, &token, &quiet).unwrap());
    }
    let clients = ["a", "b"].map(|name| Client::new(home.path(), name, &programs, &nodes[0]));

    for phase in 0..PHASES {
        if phase == KILL_AT {
            nodes[1].kill();
        }
        if phase == RESTART_AT {
            nodes[1].restart(&quiet).unwrap();
        }
        let share = BUNDLES / 2 / PHASES;
        both(&clients, |own, _| own.compile(own, &own.units[phase * share..][..share], "o"));
    }
    for client in &clients {
        client.workstation.flush().unwrap();
        let agent = client.workstation.json(&["agent", "status", "--json"]).unwrap();
        assert_eq!(agent["waiting"], 0, "{agent}");
        assert_eq!(agent["dropped"], 0, "{agent}");
        assert_eq!(client.number("/misses"), client.units.len() as u64);
    }

    // Each client, its own store gone, gets the other's whole work from the ring.
    clients.iter().for_each(Client::forget);
    both(&clients, |own, other| own.compile(other, &other.units, "ring"));
    for client in &clients {
        assert_same_objects(client, "ring", 1);
        assert_eq!(client.number("/hits/ring"), client.units.len() as u64);
    }

    // Once the node that was away has what it missed, any other may die.
    wait_until_no_hints(&nodes);
    nodes[2].kill();
    clients.iter().for_each(Client::forget);
    let sample = |units: &[String]| units.iter().step_by(10).cloned().collect::<Vec<_>>();
    both(&clients, |own, other| own.compile(other, &sample(&other.units), "survivors"));
    for client in &clients {
        assert_same_objects(client, "survivors", 10);
        let hits = client.units.len() + client.units.len() / 10;
        assert_eq!(client.number("/hits/ring"), hits as u64);
    }
}
