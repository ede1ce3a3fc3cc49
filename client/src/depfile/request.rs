//! What a call asks of its dependency file.

use serde::{Deserialize, Serialize};

/// Which headers a dependency file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DependMode {
    /// All, `-MD`.
    All,
    /// Those that are not system headers, `-MMD`.
    User,
}

/// Whether each header also gets a rule without prerequisites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phony {
    /// No.
    Omitted,
    /// Yes, `-MP`.
    Added,
}

/// Which compiler's layout and quoting a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// GCC's.
    Gcc,
    /// Clang's.
    Clang,
}

/// Everything that shapes the dependency file of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DependRequest {
    /// Which headers are listed.
    pub mode: DependMode,
    /// Whether headers get rules of their own.
    pub phony: Phony,
    /// Whose layout.
    pub dialect: Dialect,
    /// Where it goes, as this call names or derives it.
    pub path: Vec<u8>,
    /// Targets in the order and quoting in which the compiler writes them.
    pub targets: Vec<Vec<u8>>,
}

/// Where a preprocessor writes the list that it is asked for beside its text: its standard input is a file in memory.
const LISTING: &[u8] = b"/proc/self/fd/0";

impl DependRequest {
    /// Returns the list that the preprocessor is to write beside its text, so that the key holds all that the dependency file will name.
    ///
    /// `None` for gcc, whose dependency files follow from the text.
    pub fn of_preprocessor(&self) -> Option<Self> {
        (self.dialect == Dialect::Clang).then(|| Self {
            mode: self.mode,
            phony: Phony::Omitted,
            dialect: self.dialect,
            path: LISTING.to_vec(),
            targets: vec![b"x".to_vec()],
        })
    }

    /// Returns the arguments that make a driver write the list of [`DependRequest::of_preprocessor`].
    pub(crate) fn arguments(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mode: &[u8] = match self.mode {
            DependMode::All => b"-MD",
            DependMode::User => b"-MMD",
        };
        let targets = self.targets.iter().flat_map(|target| [b"-MT".as_slice(), target]);
        [mode, b"-MF", &self.path].into_iter().chain(targets).map(<[u8]>::to_vec)
    }

    /// Returns the number of the mode in keys: 1 for all and 2 for user headers, plus 4 with rules for headers.
    /// Without a dependency file it is 0.
    pub const fn key_mode(&self) -> u8 {
        let mode = match self.mode {
            DependMode::All => 1,
            DependMode::User => 2,
        };
        match self.phony {
            Phony::Omitted => mode,
            Phony::Added => mode + 4,
        }
    }
}
