//! What is wrong with a configuration of ccache's, and where.

use std::fmt::Display;
use std::path::Path;

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub(super) struct ConfFault {
    place: String,
    problem: String,
}

impl ConfFault {
    /// Names a place and its problem.
    pub(super) fn new(place: impl Display, problem: impl Display) -> Self {
        Self { place: place.to_string(), problem: problem.to_string() }
    }

    /// Names a line of a file and its problem.
    pub(super) fn at(file: &Path, line: usize, problem: impl Display) -> Self {
        Self::new(format_args!("{}:{line}", file.display()), problem)
    }
}
