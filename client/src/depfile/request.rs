//! What a call asks of its dependency file.

/// Which headers a dependency file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependMode {
    /// All, `-MD`.
    All,
    /// Those that are not system headers, `-MMD`.
    User,
}

/// Whether each header also gets a rule without prerequisites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phony {
    /// No.
    Omitted,
    /// Yes, `-MP`.
    Added,
}

/// Which compiler's layout and quoting a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// GCC's.
    Gcc,
    /// Clang's.
    Clang,
}

/// Everything that shapes the dependency file of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

impl DependRequest {
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
