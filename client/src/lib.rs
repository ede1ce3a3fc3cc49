//! A compiler cache cluster: wrapper, agent and command line.

pub mod commands;
pub mod demo;
pub mod depfile;
pub mod front;
pub mod invocation;
pub mod loopback;
pub mod process;
pub mod resolve;
