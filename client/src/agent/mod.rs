//! The per-user background process: networking, pushes, signing and verification at import.
//!
//! Shape: the blocking end, used by the wrapper and the command line, is [`place`], [`line`](mod@line) and [`start`]; it knows no runtime. The
//! process itself is `run`.

pub mod frame;
pub mod line;
pub mod place;
pub mod start;
pub mod journal;
