//! The files that a call writes, under the names that this call gives them.

use dccache_protocol::entry::OutputRole;
use serde::{Deserialize, Serialize};

/// What the call makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// An object, `-c`.
    Object,
    /// Assembly, `-S`.
    Assembly,
}

impl Stage {
    /// Returns the role of the main output.
    pub const fn role(self) -> OutputRole {
        match self {
            Self::Object => OutputRole::Object,
            Self::Assembly => OutputRole::Assembly,
        }
    }

    /// Returns the extension of the main output where the call does not name one.
    pub const fn extension(self) -> &'static [u8] {
        match self {
            Self::Object => b"o",
            Self::Assembly => b"s",
        }
    }
}

/// One file that the call writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// What it is.
    pub role: OutputRole,
    /// Where it goes, as this call spells it; `None` for `/dev/null`: it is stored, and nothing is written on a hit.
    pub path: Option<Vec<u8>>,
}

/// Returns what follows the last slash.
pub(crate) fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Replaces the extension of the last component, or appends one where there is none.
pub(crate) fn with_extension(path: &[u8], extension: &[u8]) -> Vec<u8> {
    let start = path.len() - basename(path).len();
    let stem = match path[start..].iter().rposition(|&byte| byte == b'.') {
        Some(dot) => &path[..start + dot],
        None => path,
    };
    [stem, b".", extension].concat()
}
