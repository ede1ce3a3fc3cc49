//! Plugins of the compilers, which can read and write anything: served only where the user vouches for them.

use super::arguments::Class;
use super::reason::{Bypass, Reason};
use super::{CompilerKind, FileKind, Files, OptionFile};

/// What the user says about plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plugins {
    /// Nothing: a call that loads one is left alone.
    #[default]
    LeftAlone,
    /// What they do follows from the compile, from their arguments, and from the files that those name; they write no files.
    Vouched,
}

/// A plugin or an argument for one, as a call names it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Index among the arguments of the invocation.
    pub(super) argument: usize,
    pub(super) class: Class,
    pub(super) value: Vec<u8>,
}

/// Returns the plugins as named.
pub(super) fn loaded(named: Vec<Named>) -> Vec<Vec<u8>> {
    named.into_iter().filter(|named| named.class == Class::Plugin).map(|named| named.value).collect()
}

/// Lists the files that plugins and their arguments name.
pub(super) fn option_files(
    named: &[Named],
    said: Plugins,
    kind: CompilerKind,
    files: &dyn Files,
) -> Result<Vec<OptionFile>, Bypass> {
    let mut found = Vec::new();
    for Named { argument, class, value } in named {
        let refused = || Bypass::new(Reason::UnsupportedCompilerOption, value.as_slice());
        let path = match (said, class) {
            (Plugins::LeftAlone, _) => return Err(refused()),
            (_, Class::Plugin) if value.contains(&b'/') => Some(value.clone()),
            // GCC's driver knows where it lies, clang leaves that to the loader.
            (_, Class::Plugin) if !kind.is_clang() => None,
            (_, Class::Plugin) => return Err(refused()),
            _ => argument_file(value, files).map_err(|()| refused())?,
        };
        found.extend(path.map(|path| OptionFile { argument: *argument, path }));
    }
    Ok(found)
}

/// Returns the file that an argument names: the whole of it, or what follows a dash or an equals sign. The error is more than one name, or a
/// name of anything else.
fn argument_file(value: &[u8], files: &dyn Files) -> Result<Option<Vec<u8>>, ()> {
    let separators = b"-=,:;";
    let starts = value.iter().enumerate().filter(|(_, byte)| separators.contains(byte)).map(|(at, _)| at + 1);
    let starts: Vec<usize> = [0].into_iter().chain(starts).collect();
    let ends = value.iter().enumerate().filter(|(_, byte)| separators.contains(byte)).map(|(at, _)| at);
    let ends: Vec<usize> = ends.chain([value.len()]).collect();
    let names = starts
        .iter()
        .flat_map(|&start| ends.iter().filter(move |&&end| end > start).map(move |&end| &value[start..end]));
    let mut names = names.filter(|name| files.kind(name) != FileKind::Absent);
    match (names.next(), names.next()) {
        (None, _) => Ok(None),
        (Some(name), None) if files.kind(name) == FileKind::Regular && value.ends_with(name) => {
            Ok(Some(name.to_vec()))
        }
        _ => Err(()),
    }
}
