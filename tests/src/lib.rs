//! Whole-system proof: what the tests of this package share to start real processes on real sources, and to break them.

mod agents;
mod binaries;
mod checkout;
mod impostor;
mod mount;
mod processes;
mod ring;
mod site;
mod sources;
mod waiting;

pub use agents::{LONG, Machine, Manifests, PLENTY_MS, Sample};
pub use binaries::Binaries;
pub use checkout::Checkout;
pub use impostor::{BlackHole, Impostor};
pub use mount::Mount;
pub use processes::{send, with_words, working_below};
pub use ring::Ring;
pub use site::{Effect, Site, files_below, wait_until_old};
pub use sources::{CodeBase, code_bases, package};
pub use waiting::{Dice, PATIENT, until};
