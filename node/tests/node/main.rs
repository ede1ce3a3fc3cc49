//! Real nodes over real TLS on loopback addresses, with temporary directories.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod damage;
mod data;
mod enrolment;
mod handoff;
mod kill;
mod liar;
mod names;
mod process;
mod refusals;
mod suggestions;
mod support;
