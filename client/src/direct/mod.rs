//! Direct mode: a compile found by what it reads, without a preprocessor.

pub mod guard;
pub mod prove;
pub mod search;
pub mod spelling;
pub mod view;
