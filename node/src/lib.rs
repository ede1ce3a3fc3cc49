//! A node of the cluster: one request path behind every front, replication, hand-off and the control plane.
//!
//! Shape: [`Node`] puts everything together. `front` and `service` turn connections into requests; `read`, `write` and `ingest` are the data
//! plane over `shelf` (the store), `layouts` and `signers` (what the node believes); `hints`, `handoff` and `catchup` see to copies;
//! `raft`, `control` and `steward` are the control plane, for which the data plane never waits; `founding`, `admission`, `join` and `tokens`
//! let machines in; `admin` is the administrator's socket.

mod admin;
mod admission;
mod assemble;
mod catchup;
mod control;
mod core;
mod counters;
mod error;
mod founding;
mod front;
mod gate;
mod handoff;
mod hints;
mod home;
mod ingest;
mod join;
mod layouts;
mod limiter;
mod node;
mod peers;
mod raft;
mod read;
mod renewal;
mod service;
mod settings;
mod shelf;
mod signers;
mod stamps;
mod steward;
mod tokens;
mod upkeep;
mod write;

pub use admin::{
    AdminAnswer, AdminRequest, LayoutReport, MemberReport, StatusReport, TOKENS_AT_ONCE_MAX, TokenReport, ask,
};
pub use error::{EXIT_CODES, StartError};
pub use home::{Home, HomeError, NodeFile};
pub use node::{Founded, Node};
pub use settings::{DEFAULT_CAPACITY, DEFAULT_PORT, DEFAULT_REPLICAS, DEFAULT_WEIGHT, Settings};
pub use tokens::{Ci, DEFAULT_LARGEST_WEIGHT, TokenKind};
