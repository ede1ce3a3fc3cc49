//! What dccache machines say to each other, and the bytes that they say it in.
//!
//! This crate is pure: no clock, no randomness, no file, no socket, no environment, no task. Everything here is
//! a type, an encoding or a check. The written form of the key encodings is `docs/keys.md`; that of every stored
//! or transmitted format is `docs/formats.md`.

pub mod bundle;
pub mod codec;
pub mod control;
pub mod depend;
pub mod digest;
pub mod directory;
pub mod enrol;
pub mod entry;
pub mod ids;
pub mod keys;
pub mod layout;
pub mod limits;
pub mod local;
pub mod manifest;
pub mod service;
pub mod signing;
pub mod time;
pub mod token;
