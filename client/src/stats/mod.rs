//! What happened to compiles: one appended record each, summed when somebody asks.
//!
//! Shape: the wrapper appends an [`Event`] to `stats/log`. A log that has grown is rolled over: the one before it is folded into
//! `stats/summary` by the hour, so that what is kept is bounded. `explain last` reads the newest event.
//!
//! Invariant: no compile depends on any of it. What cannot be written is not counted.

mod event;
pub(crate) mod frame;
mod log;
mod report;
mod totals;
mod traffic;

pub use event::{Event, Served, TEXT_MAX, Verdict};
pub use log::{append, clear, events_since, last, read, times};
pub use report::{as_json, as_text};
pub use totals::Totals;
pub use traffic::{Looked, Moves, Traffic};
