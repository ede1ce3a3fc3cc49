//! The programs under test, as the same build made them.

use std::path::PathBuf;

/// Paths of the two binaries.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// Wrapper, agent and command line.
    pub dccache: PathBuf,
    /// The node.
    pub node: PathBuf,
}

impl Binaries {
    /// Finds them beside the running test.
    ///
    /// # Panics
    /// They are not there; a run of the whole workspace builds them.
    pub fn find() -> Self {
        let test = std::env::current_exe().expect("a running test has a path");
        let directory = test.ancestors().find(|path| path.join("dccache").is_file()).map(PathBuf::from);
        let directory = directory
            .expect("dccache is not built: run `cargo build --workspace` or test the whole workspace");
        let binaries = Self { dccache: directory.join("dccache"), node: directory.join("dccache-node") };
        assert!(binaries.node.is_file(), "dccache-node is not built: run `cargo build --workspace`");
        binaries
    }
}
