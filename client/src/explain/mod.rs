//! What was done with one compile, why, and what to do about it.
//!
//! Shape: the statistics' event says what was done. A [`Record`] beside it says what the compile was made of. A miss is held against the nearest
//! record before it ([`causes`]), and what differs is the reason.
//!
//! Invariant: nothing here is read by a compile, and nothing that is read here is believed by one.

mod advice;
mod build;
mod cause;
mod difference;
mod fields;
mod nearest;
mod record;
mod report;
pub(crate) mod texts;
pub(crate) mod toolchains;
mod verified;
mod words;

pub use advice::advice;
pub use build::{Build, PAUSE_MS};
pub use cause::{Cause, Kind};
pub use difference::{Changed, Differences, How, Read};
pub(crate) use fields::spelled_out;
pub use nearest::{Known, causes, causes_of};
pub use record::{Record, Sharing, append, read};
pub use report::{Explained, as_json, as_text, build_as_json, build_as_text, signer_name};
pub use verified::{DIFFERS, differing};
pub use words::{explain, found};
