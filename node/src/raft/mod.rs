//! The replicated log under the control plane: openraft's types, their disk, their network.
//!
//! Nothing here knows what a command means: commands and outcomes are bytes, and [`Machine`] is what applies them.
//! The data plane never waits for anything in this module.

mod disk;
mod log;
mod machine;
mod network;

pub(crate) use disk::{Disk, DiskError};
pub(crate) use log::Log;
pub(crate) use machine::{Machine, Replica};
pub(crate) use network::{Carrier, Carriers, answer};

use dccache_protocol::ids::NodeId;
use dccache_protocol::service::Bytes;
use openraft::{Config, SnapshotPolicy};
use std::io::Cursor;

openraft::declare_raft_types!(
    /// The engine's types: commands and outcomes are encoded by `protocol::control`, members are found through the layout.
    pub(crate) Types:
        D = Bytes,
        R = Bytes,
        NodeId = u128,
        Node = (),
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// The engine.
pub(crate) type Raft = openraft::Raft<Types>;

/// Returns the engine's name of a node.
pub(crate) const fn raft_id(node: NodeId) -> u128 {
    u128::from_be_bytes(node.0)
}

/// Returns the node of an engine's name.
pub(crate) const fn node_id(raft: u128) -> NodeId {
    NodeId(raft.to_be_bytes())
}

/// Most bytes of entries in one append, so that a message stays below `CONTROL_MESSAGE_MAX` and travels in one frame.
const APPEND_BYTES_MAX: usize = 512 << 10;

/// Bytes of one chunk of a snapshot; for the same reason.
const SNAPSHOT_CHUNK: u64 = 512 << 10;

/// Entries between two snapshots: a replay of so many takes milliseconds.
const SNAPSHOT_EVERY: u64 = 256;

/// Heartbeats every 250 ms and elections after 1 s: agreement is about membership, which people change, not about requests.
pub(crate) fn config() -> Config {
    Config {
        cluster_name: "dccache".to_owned(),
        heartbeat_interval: 250,
        election_timeout_min: 1_000,
        election_timeout_max: 2_000,
        install_snapshot_timeout: 5_000,
        max_payload_entries: 64,
        snapshot_max_chunk_size: SNAPSHOT_CHUNK,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        max_in_snapshot_log_to_keep: SNAPSHOT_EVERY,
        ..Config::default()
    }
}

#[cfg(test)]
mod tests;
