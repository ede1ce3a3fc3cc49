//! Direct mode: a compile found by what it reads, without a preprocessor.

pub mod chain;
pub mod digests;
pub mod guard;
pub mod listing;
pub mod manifest;
pub mod observe;
pub mod prove;
pub mod sealed;
pub mod search;
pub mod spelling;
mod standing;
pub mod view;
