//! A node of the cluster: one request path behind every front, replication, hand-off and the control plane.

mod raft;
