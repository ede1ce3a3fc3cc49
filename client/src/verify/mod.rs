//! Holding what was found against what the compiler gives: comparing, reporting, keeping both, and remembering what is not to be taken again.
//!
//! ```text
//! verify/lock             held by whoever writes one of these
//! verify/kept/ID.cached   one output as it was found       verify/kept/ID.compiled   the same as the compiler wrote it
//! verify/refused          digests of 32 bytes: contents that are not taken from others again
//! verify/build-ID         what became of each compile of one `dccache verify`, a line of JSON each
//! ```
//!
//! Invariant: no compile depends on any of it. What cannot be written is said in the report, and the compile goes on.

mod build;
mod compare;
mod kept;
mod refused;
mod report;
mod summary;

pub use build::{Build, Line, Lines, Outcome, VARIABLE, is_recorded};
pub use compare::{Actual, Difference, Expected, Varies, compare};
pub use kept::{Kept, keep};
pub use refused::Refused;
pub use report::{Differs, Report, Shown, Taken};
pub use summary::Summary;
