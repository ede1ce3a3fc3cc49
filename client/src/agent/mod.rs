//! The per-user background process: networking, pushes, signing and verification at import.
//!
//! Shape: the blocking end, used by the wrapper and the command line, is [`place`], [`line`](mod@line), [`start`] and [`ask`]; it
//! knows no runtime. The process itself is [`run`]: [`server`] takes requests, [`journal`] keeps pushes.
//!
//! Invariant: no fault of the agent reaches a compile. What it cannot answer it answers with a reason, or not at all, and
//! the wrapper's patience is the only thing that counts.

pub mod ask;
mod counters;
mod detach;
pub mod frame;
pub mod journal;
pub mod line;
mod log;
pub mod place;
pub mod policy;
mod run;
mod server;
pub mod start;
mod state;
mod stop;

pub use run::{RunError, Settings, Stay, run};
use state::Agent;
