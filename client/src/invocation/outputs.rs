//! The files that a call writes, under the names that this call gives them.

use super::arguments::DependOption;
use super::reason::{Bypass, Reason};
use super::side::{self, Naming, Wanted};
use super::{CompilerKind, Facts, FileKind, Files, depend};
use crate::depfile::DependRequest;
use dccache_protocol::entry::OutputRole;
use serde::{Deserialize, Serialize};

/// What the call makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// An object, `-c`.
    Object,
    /// Assembly, `-S`.
    Assembly,
    /// Nothing but messages, `-fsyntax-only`.
    SyntaxOnly,
    /// A precompiled header: what `-c` makes of a header.
    Precompiled,
}

impl Stage {
    /// Returns the role of the main output; `None` where there is none.
    pub const fn role(self) -> Option<OutputRole> {
        match self {
            Self::Object => Some(OutputRole::Object),
            Self::Assembly => Some(OutputRole::Assembly),
            Self::SyntaxOnly => None,
            Self::Precompiled => Some(OutputRole::PrecompiledHeader),
        }
    }

    /// Returns the extension of the main output where the call does not name one.
    pub const fn extension(self) -> &'static [u8] {
        match self {
            Self::Object | Self::SyntaxOnly => b"o",
            Self::Assembly => b"s",
            Self::Precompiled => b"gch",
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

/// Names the main one of some outputs; empty where there is none, or it is not written.
pub fn main_output(outputs: &[PlannedOutput]) -> Vec<u8> {
    let main = [OutputRole::Object, OutputRole::Assembly, OutputRole::PrecompiledHeader];
    let planned = outputs.iter().find(|planned| main.contains(&planned.role));
    planned.and_then(|planned| planned.path.clone()).unwrap_or_default()
}

/// All outputs, and the dependency file among them.
pub(super) struct Outputs {
    /// Main output as typed or derived, also where it is not written.
    pub(super) main: Vec<u8>,
    pub(super) files: Vec<PlannedOutput>,
    pub(super) depend: Option<DependRequest>,
}

/// What the options say about outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) kind: CompilerKind,
    pub(super) stage: Stage,
    pub(super) facts: Facts,
    pub(super) source: &'a [u8],
    /// Value of `-o`.
    pub(super) output: Option<&'a [u8]>,
    pub(super) depend: &'a [(DependOption, Vec<u8>)],
    pub(super) sides: &'a [Wanted],
}

impl Asked<'_> {
    /// Names every file that the call writes.
    ///
    /// # Errors
    /// A file that cannot be written as planned, or of which the name is not known.
    pub(super) fn plan(&self, files: &dyn Files) -> Result<Outputs, Bypass> {
        let main = match self.output {
            Some(b"-") => return Err(Bypass::new(Reason::OutputToStdout, "-")),
            Some(path) => path.to_vec(),
            None if self.stage == Stage::Precompiled => [self.source, b".gch"].concat(),
            None => with_extension(basename(self.source), self.stage.extension()),
        };
        let null = files.kind_of_name(&main) == FileKind::Null;
        let mut planned = Vec::new();
        if let Some(role) = self.stage.role() {
            if !null {
                check_output(&main, files)?;
            }
            planned.push(PlannedOutput { role, path: (!null).then(|| main.clone()) });
        }
        let depend = self.depend_file(null)?;
        planned.extend(
            depend
                .iter()
                .map(|request| PlannedOutput { role: OutputRole::Depend, path: Some(request.path.clone()) }),
        );
        let naming = Naming {
            kind: self.kind,
            stage: self.stage,
            facts: self.facts,
            source: self.source,
            main: (!null).then_some(main.as_slice()),
            typed: self.output.is_some(),
        };
        planned.extend(side::plan(self.sides, &naming)?);
        self.check_distinct(&planned, files)?;
        let beside = planned.iter().filter(|output| Some(output.role) != self.stage.role());
        beside.filter_map(|output| output.path.as_ref()).try_for_each(|path| check_output(path, files))?;
        planned.sort_by_key(|output| output.role);
        Ok(Outputs { main, files: planned, depend })
    }

    fn depend_file(&self, null: bool) -> Result<Option<DependRequest>, Bypass> {
        let request = depend::request(self.depend, self.output, self.source, self.kind)?;
        let Some(request) = request else { return Ok(None) };
        // What is derived from /dev/null lies in /dev; and the compilers make up a name where they have neither output nor file.
        let named = |option: &DependOption| matches!(option, DependOption::File | DependOption::PassedOn(_));
        let derived = !self.depend.iter().any(|(option, _)| named(option));
        let odd = match self.stage {
            Stage::SyntaxOnly => !self.kind.is_clang(),
            Stage::Precompiled => true,
            Stage::Object | Stage::Assembly => false,
        };
        let made_up = odd && self.output.is_none();
        if derived && (null || made_up) {
            return Err(Bypass::new(Reason::BadOutputFile, request.path));
        }
        Ok(Some(request))
    }

    /// Refuses outputs that are one file, or the source.
    fn check_distinct(&self, planned: &[PlannedOutput], files: &dyn Files) -> Result<(), Bypass> {
        let mut seen = vec![self.source];
        for path in planned.iter().filter_map(|output| output.path.as_deref()) {
            if seen.iter().any(|known| *known == path || files.same_file(known, path)) {
                return Err(Bypass::new(Reason::BadOutputFile, path));
            }
            seen.push(path);
        }
        Ok(())
    }
}

/// Checks that an output is absent or a regular file, in a directory that exists.
fn check_output(path: &[u8], files: &dyn Files) -> Result<(), Bypass> {
    let directory = match path.len() - basename(path).len() {
        0 => b".".as_slice(),
        end => &path[..end],
    };
    let writable = matches!(files.kind_of_name(path), FileKind::Regular | FileKind::Absent);
    if writable && !basename(path).is_empty() && files.kind(directory) == FileKind::Directory {
        return Ok(());
    }
    Err(Bypass::new(Reason::BadOutputFile, path))
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
