//! A cluster of real nodes in a directory of its own.

use crate::{Binaries, Site};
use dccache::loopback::{Interrupt, NodeProcess};
use std::path::Path;
use tempfile::TempDir;

/// Nodes, and the place for everything that a test makes. Fields drop in order: nodes end before their directory goes.
#[derive(Debug)]
pub struct Ring {
    /// The nodes; the first one founded the cluster.
    pub nodes: Vec<NodeProcess>,
    /// The programs under test.
    pub programs: Binaries,
    home: TempDir,
}

impl Ring {
    /// Starts a cluster of `count` nodes, 1 to 254.
    ///
    /// # Panics
    /// A node does not come up.
    pub fn of(count: u8) -> Self {
        let (home, programs) = (tempfile::tempdir().expect("a temporary directory"), Binaries::find());
        Self::below(home, programs, count)
    }

    /// As [`Ring::of`], in a directory that the test has prepared.
    ///
    /// # Panics
    /// A node does not come up.
    pub fn below(home: TempDir, programs: Binaries, count: u8) -> Self {
        let quiet = Interrupt::default();
        let founder =
            NodeProcess::found(&programs.node, home.path(), &quiet).expect("a node founds a cluster");
        let mut ring = Self { nodes: vec![founder], programs, home };
        for number in 2..=count {
            let token = ring.nodes[0].token("--node").expect("the founder gives tokens");
            let node = NodeProcess::join(&ring.programs.node, ring.home.path(), number, &token, &quiet);
            ring.nodes.push(node.expect("a node joins"));
        }
        ring
    }

    /// Returns the directory of everything.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Prepares a machine that is a writer of this cluster.
    pub fn site(&self, name: &str) -> Site {
        Site::joined(self.home.path(), name, &self.programs, &self.nodes[0])
    }

    /// Ends all nodes with SIGKILL.
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(NodeProcess::kill);
    }

    /// Starts a node again.
    ///
    /// # Panics
    /// It does not come up.
    pub fn restart(&mut self, index: usize) {
        self.nodes[index].restart(&Interrupt::default()).expect("a node comes up again");
    }

    /// Returns one number of a node's status.
    ///
    /// # Panics
    /// The node does not answer, or knows no such number.
    pub fn status(&self, index: usize, name: &str) -> u64 {
        let text = self.nodes[index].admin(&["status", "--json"]).expect("the node answers");
        let json: serde_json::Value = serde_json::from_str(&text).expect("the node prints JSON");
        json[name].as_u64().unwrap_or_else(|| panic!("{name}: {json}"))
    }
}
