//! The per-user background process: networking, pushes, signing and verification at import.
//!
//! Shape: the blocking end, used by the wrapper and the command line, is [`place`], [`line`](mod@line), [`start`] and [`ask`]; it
//! knows no runtime. The process itself is [`run()`]: `server` takes requests, `find` asks the ring and `import` judges what it
//! answers, [`journal`] keeps pushes and `push` sends them, `renewal` keeps the certificate alive.
//!
//! Invariant: no fault of the agent reaches a compile. What it cannot answer it answers with a reason, or not at all, and
//! the wrapper's patience is the only thing that counts.

pub mod ask;
mod counters;
mod detach;
mod find;
mod flow;
pub mod frame;
pub mod import;
pub mod journal;
pub mod line;
mod log;
mod parts;
pub mod place;
pub mod policy;
mod push;
mod renewal;
mod ring;
mod run;
mod schedule;
mod server;
pub mod start;
mod state;
mod stop;
mod suggestions;

pub(crate) use run::chain;
pub use run::{RunError, Settings, Stay, run};
use state::Agent;
