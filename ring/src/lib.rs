//! Where a key lives: layouts, the partition table, planning of moves, control state and balance. Decisions only.
//!
//! This crate is pure: no clock, no randomness, no file, no socket, no environment, no task. `now` and random bits
//! are arguments.

pub mod accept;
pub mod balance;
pub mod control;
#[cfg(test)]
mod fixture;
pub mod moves;
pub mod plan;
mod position;
