//! Profiles that a compile takes in: which file `-fprofile-use` means.

use super::outputs::{basename, with_extension};
use super::{CompilerKind, FileKind, Files};

/// Where a call with `-fprofile-use` stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProfileCall<'a> {
    pub(super) kind: CompilerKind,
    pub(super) working_directory: &'a [u8],
    /// Main output as typed or derived.
    pub(super) main: &'a [u8],
}

impl ProfileCall<'_> {
    /// Returns the one file that is read; `None` when it is absent, or when another version of the compiler could mean another file.
    pub(super) fn file(&self, value: &[u8], files: &dyn Files) -> Option<Vec<u8>> {
        let is_file = |path: &[u8]| files.kind(path) == FileKind::Regular;
        if self.kind.is_clang() {
            let path = match files.kind(value) {
                _ if value.is_empty() => b"default.profdata".to_vec(),
                FileKind::Directory => [value, b"/default.profdata"].concat(),
                _ => value.to_vec(),
            };
            return Some(path).filter(|path| is_file(path));
        }
        let data = with_extension(self.main, b"gcda");
        let absolute = match data.first() {
            Some(b'/') => data.clone(),
            _ => [self.working_directory, b"/", &data].concat(),
        };
        let mangled: Vec<u8> = absolute.iter().map(|&byte| if byte == b'/' { b'#' } else { byte }).collect();
        let inside = |name: &[u8]| [value, b"/", name].concat();
        let (meant, others) = match value {
            b"" => (absolute, vec![]),
            _ => (inside(&mangled), vec![value.to_vec(), inside(&data), inside(basename(&data))]),
        };
        (is_file(&meant) && !others.iter().any(|other| is_file(other))).then_some(meant)
    }
}
