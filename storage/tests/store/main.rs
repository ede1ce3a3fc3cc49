//! The store through its public API: behaviour, eviction, damage, full disks, crashes.

mod behaviour;
mod fixtures;
