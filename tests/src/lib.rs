//! Whole-system proof: what the tests of this package share to start real processes on real sources.

mod binaries;
mod sources;

pub use binaries::Binaries;
pub use sources::{CodeBase, code_bases};
