//! What a compile asked of the caches, and what it wrote: the counts that ccache has names for.

use serde::{Deserialize, Serialize};

/// How one way of looking went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Looked {
    /// It was not taken.
    #[default]
    Not,
    /// It led to nothing.
    Missed,
    /// It led to what was served.
    Found,
}

/// Reads and writes of results and manifests in one cache; a name under which a result lies a second time is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Reads that found something.
    pub found: u64,
    /// Reads that found nothing.
    pub missed: u64,
    /// Writes.
    pub written: u64,
}

/// What one compile did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// By what it reads.
    pub direct: Looked,
    /// By its preprocessed text.
    pub preprocessed: Looked,
    /// In the local store.
    pub local: Moves,
    /// On the ring, and in a shared directory.
    pub remote: Moves,
    /// Whether it was compiled although it may have been there.
    pub recached: bool,
}

impl Traffic {
    /// The traffic of a compile that a sealed record served: the record stands for a manifest, and the result was read.
    pub fn sealed() -> Self {
        Self { direct: Looked::Found, local: Moves { found: 2, ..Moves::default() }, ..Self::default() }
    }
}

impl Moves {
    /// Adds another count.
    pub fn join(&mut self, other: &Self) {
        self.found += other.found;
        self.missed += other.missed;
        self.written += other.written;
    }

    /// Counts one read.
    pub fn read(&mut self, found: bool) {
        if found { self.found += 1 } else { self.missed += 1 }
    }
}
