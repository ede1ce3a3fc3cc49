//! A compiler cache cluster: wrapper, agent and command line.

pub mod agent;
pub mod ccache;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod cpp;
pub mod demo;
pub mod depfile;
pub mod direct;
pub mod doctor;
pub mod explain;
pub mod front;
pub mod home;
pub mod invocation;
pub mod keying;
pub mod link;
pub mod loopback;
pub mod process;
pub mod project;
pub mod resolve;
#[cfg(test)]
mod samples;
mod say;
pub mod stats;
pub mod store;
pub mod toolchain;
pub mod verify;
pub mod wrapper;
