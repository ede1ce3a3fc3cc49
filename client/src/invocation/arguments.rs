//! One entry an option: how it is spelled, how it takes its value, what it does to a cached compile.

use super::reason::Reason;

/// What an option does to a compile that may be served from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// In the key; shows no path.
    PathFree,
}

/// How an argument enters a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// In every key.
    Always,
    /// Acts through the preprocessed text; in a preprocessed key only where that text does not show everything.
    Text,
}

/// One argument that can enter a key; a separate value is an argument of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArgument {
    /// As spelled.
    pub bytes: Vec<u8>,
    /// When it enters.
    pub role: KeyRole,
}

pub(super) const UNKNOWN: Reason = Reason::UnsupportedCompilerOption;
