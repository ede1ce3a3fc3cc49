//! A compiler cache cluster: wrapper, agent and command line.

pub mod commands;
pub mod demo;
pub mod front;
pub mod process;
pub mod resolve;
