//! Files beside the main output: which options make the compiler write them, and under which names.
//!
//! Names follow what gcc 12 and clang 14 do; tests ask the compilers themselves. Where a name or a content cannot be known, the call is left
//! alone: a hit never leaves a file out.

use super::outputs::{PlannedOutput, Stage, basename, with_extension};
use super::reason::{Bypass, Reason};
use super::{CompilerKind, Facts};
use dccache_protocol::entry::OutputRole;

/// A file that the compiler writes beside the main output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideFile {
    /// `.gcno`: notes for coverage.
    CoverageNotes,
    /// `.dwo`: debug information, split off.
    SplitDwarf,
    /// `.su`: stack usage.
    StackUsage,
    /// `.ci`: call graph.
    CallGraph,
    /// Serialized messages, where the option says.
    Diagnostics,
    /// Listing of the assembler, where the option says.
    Listing,
    /// `.opt-record.json.gz` or `.opt.yaml`: what was optimised.
    OptimizationRecord,
    /// Prototypes, where the option says.
    Prototypes,
}

/// An option that asks for such a file.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) side: SideFile,
    /// Its value.
    pub(super) value: Vec<u8>,
    /// The option as typed.
    pub(super) word: Vec<u8>,
}

/// What decides the names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming<'a> {
    pub(super) kind: CompilerKind,
    pub(super) stage: Stage,
    pub(super) facts: Facts,
    pub(super) source: &'a [u8],
    /// Main output as typed or derived; `None` for `/dev/null`.
    pub(super) main: Option<&'a [u8]>,
    /// `-o` names it.
    pub(super) typed: bool,
}

impl SideFile {
    /// Returns its role in an entry.
    pub(super) const fn role(self) -> OutputRole {
        match self {
            Self::CoverageNotes => OutputRole::CoverageNotes,
            Self::SplitDwarf => OutputRole::SplitDwarf,
            Self::StackUsage => OutputRole::StackUsage,
            Self::CallGraph => OutputRole::CallGraph,
            Self::Diagnostics => OutputRole::Diagnostics,
            Self::Listing => OutputRole::Listing,
            Self::OptimizationRecord => OutputRole::OptimizationRecord,
            Self::Prototypes => OutputRole::Prototypes,
        }
    }

    /// Whether the compiler writes it in a call of this kind, under the name that [`SideFile::path`] gives.
    fn is_certain(self, naming: &Naming<'_>) -> bool {
        match self {
            Self::Diagnostics => true,
            _ if matches!(naming.stage, Stage::SyntaxOnly | Stage::Precompiled) => false,
            Self::CoverageNotes | Self::Prototypes => true,
            // With link-time optimisation the linker writes them, or nobody.
            _ if naming.facts.lto => false,
            Self::Listing => naming.stage == Stage::Object,
            // GCC writes it in any case, clang where there is something to split.
            Self::SplitDwarf => {
                naming.stage == Stage::Object && (naming.facts.debug_info || !naming.kind.is_clang())
            }
            Self::OptimizationRecord | Self::StackUsage | Self::CallGraph => true,
        }
    }

    /// Names the file; `None` where that is not known.
    fn path(self, value: &[u8], naming: &Naming<'_>) -> Option<Vec<u8>> {
        if matches!(self, Self::Diagnostics | Self::Listing | Self::Prototypes) {
            let special = value.is_empty() || value == b"-";
            return (!special).then(|| value.to_vec());
        }
        let main = naming.main?;
        let name = basename(main);
        if name.starts_with(b".") || name.ends_with(b".") {
            return None;
        }
        let extension: Vec<u8> = match self {
            Self::CoverageNotes => b"gcno".to_vec(),
            Self::SplitDwarf => b"dwo".to_vec(),
            Self::StackUsage => b"su".to_vec(),
            Self::CallGraph => b"ci".to_vec(),
            _ => record_extension(naming)?,
        };
        Some(with_extension(main, &extension))
    }
}

/// Returns the extension of the record of optimisations: gcc puts that of the source before it, clang drops two of a source's.
fn record_extension(naming: &Naming<'_>) -> Option<Vec<u8>> {
    let name = basename(naming.source);
    let dots = name.iter().filter(|&&byte| byte == b'.').count();
    if naming.kind.is_clang() {
        return (naming.typed || dots == 1).then(|| b"opt.yaml".to_vec());
    }
    let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    Some([&name[dot + 1..], b".opt-record.json.gz"].concat())
}

/// Plans all files that are asked for.
///
/// # Errors
/// A file that the compiler may not write in such a call, or whose name is not known; the same one asked for twice by name.
pub(super) fn plan(wanted: &[Wanted], naming: &Naming<'_>) -> Result<Vec<PlannedOutput>, Bypass> {
    let mut planned: Vec<PlannedOutput> = Vec::new();
    for Wanted { side, value, word } in wanted {
        let refused = || Bypass::new(Reason::UnsupportedCompilerOption, word.as_slice());
        let path = side.path(value, naming).filter(|_| side.is_certain(naming)).ok_or_else(refused)?;
        match planned.iter().find(|other| other.role == side.role()) {
            Some(other) if other.path.as_ref() == Some(&path) => {}
            Some(_) => return Err(refused()),
            None => planned.push(PlannedOutput { role: side.role(), path: Some(path) }),
        }
    }
    Ok(planned)
}

/// Returns the file of a listing that `-Wa,` asks for; `None` for all else.
///
/// Only one option may follow, in GNU as's form `-aLETTERS=FILE`. With `g` the listing holds the time.
pub(super) fn listing(word: &[u8]) -> Option<&[u8]> {
    let (letters, file) = {
        let rest = word.strip_prefix(b"-Wa,-a")?;
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        (&rest[..equals], &rest[equals + 1..])
    };
    let known = letters.iter().all(|letter| b"cdhlmns".contains(letter));
    (known && !file.is_empty() && !file.contains(&b',')).then_some(file)
}
