//! Dependencies of a compile as tokens: what a `.d` file lists, without targets, quoting or layout.
//!
//! A `.d` file is generated for each call from these tokens and from that call's own `-MF`, `-MT`, `-MQ` and `-MP`;
//! stored text is never replayed, so no make function and no other checkout's path can come in with a hit.

use crate::codec::{DecodeError, Format, at_most, byte_run, ensure};
use crate::limits;
use serde::{Deserialize, Serialize};

/// One prerequisite as the compiler spelled it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DependPath {
    /// Spelled relative to the working directory.
    Relative(#[serde(with = "byte_run")] Vec<u8>),
    /// Spelled absolute and inside the root; relative to it here.
    Root(#[serde(with = "byte_run")] Vec<u8>),
    /// Spelled absolute, outside the root.
    Absolute(#[serde(with = "byte_run")] Vec<u8>),
}

impl DependPath {
    /// Returns the bytes without what they hang on.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Relative(path) | Self::Root(path) | Self::Absolute(path) => path,
        }
    }
}

/// All prerequisites in the compiler's order; the first is the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depend {
    /// The paths.
    #[serde(deserialize_with = "at_most::<{ limits::DEPEND_PATHS_MAX }, _, _>")]
    pub paths: Vec<DependPath>,
}

impl Format for Depend {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::DEPEND_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        let fits = |path: &DependPath| path.bytes().len() <= limits::PATH_MAX && !path.bytes().contains(&0);
        ensure(self.paths.iter().all(fits), "path of a dependency")
    }
}
