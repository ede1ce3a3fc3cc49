//! The store through its public API: behaviour, eviction, damage, full disks, crashes.

mod behaviour;
mod crash;
mod damage;
mod eviction;
mod faults;
mod fixtures;
mod kill;
mod recording;
