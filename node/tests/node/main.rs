//! Real nodes over real TLS on loopback addresses, with temporary directories.

mod data;
mod enrolment;
mod handoff;
mod kill;
mod process;
mod refusals;
mod support;
