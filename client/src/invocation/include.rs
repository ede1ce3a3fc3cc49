//! Directories of the command line in which headers are looked for.

/// Part of the search chain in which a directory stands. Searched in the order of the variants; within one part in order as typed.
///
/// The toolchain's own directories stand between [`IncludeKind::System`] and [`IncludeKind::After`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncludeKind {
    /// `-iquote`: for `#include "..."` only, behind the directory of the file that includes.
    Quote,
    /// `-I`. `CPATH` stands behind these.
    Angled,
    /// `-isystem`. `C_INCLUDE_PATH` and its like stand behind these.
    System,
    /// `-idirafter`.
    After,
}

/// One directory of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeDirectory {
    /// Which part of the search it belongs to.
    pub kind: IncludeKind,
    /// As spelled.
    pub path: Vec<u8>,
}

impl IncludeDirectory {
    /// Whether the compiler puts the system root in place of the beginning of the path: `=dir` and, for gcc, `$SYSROOT/dir`.
    pub fn hangs_on_sysroot(&self) -> bool {
        self.path.starts_with(b"=") || self.path.starts_with(b"$SYSROOT")
    }
}
