//! From `-MD`, `-MF`, `-MT` and their like to what the dependency file of this call is.
//!
//! Names and targets follow what gcc 12 and clang 14 do; tests ask the compilers themselves.

use super::CompilerKind;
use super::arguments::DependOption;
use super::outputs::{basename, with_extension};
use super::reason::{Bypass, Reason};
use crate::depfile::{self, DependMode, DependRequest, Dialect, Phony};

/// Where the mode comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Driver,
    /// `-Wp,`: gcc's driver does not know of it, and tells the preprocessor no target.
    PassedOn,
}

/// Works out the dependency file; `None` when none is asked for.
///
/// # Errors
/// Combinations that the compilers refuse, or in which they differ from version to version.
pub(super) fn request(
    options: &[(DependOption, Vec<u8>)],
    output: Option<&[u8]>,
    source: &[u8],
    kind: CompilerKind,
) -> Result<Option<DependRequest>, Bypass> {
    let Some((first, value)) = options.first() else { return Ok(None) };
    let refused = || Bypass::new(Reason::UnsupportedCompilerOption, describe(*first, value));
    let (mode, origin) = mode(options).ok_or_else(refused)?;
    let file = options.iter().rev().find_map(|(option, value)| match option {
        DependOption::File | DependOption::PassedOn(_) => Some(value.clone()),
        _ => None,
    });
    let named = options.iter().any(|(option, _)| *option == DependOption::File);
    if origin == Origin::PassedOn && (named || file.as_ref().is_some_and(|file| file.contains(&b','))) {
        return Err(refused());
    }
    let dialect = if kind.is_clang() { Dialect::Clang } else { Dialect::Gcc };
    let derived = || with_extension(output.unwrap_or(basename(source)), b"d");
    let path = file.unwrap_or_else(derived);
    if path.is_empty() || path == b"-" {
        return Err(refused());
    }
    let phony = options.iter().any(|(option, _)| *option == DependOption::Phony);
    Ok(Some(DependRequest {
        mode,
        phony: if phony { Phony::Added } else { Phony::Omitted },
        dialect,
        path,
        targets: targets(options, output, source, dialect, origin),
    }))
}

/// Finds the one mode; `None` without a mode and for two.
fn mode(options: &[(DependOption, Vec<u8>)]) -> Option<(DependMode, Origin)> {
    let mut modes = options.iter().filter_map(|(option, _)| match option {
        DependOption::Mode(mode) => Some((*mode, Origin::Driver)),
        DependOption::PassedOn(mode) => Some((*mode, Origin::PassedOn)),
        _ => None,
    });
    let first = modes.next()?;
    // The same option twice is harmless when the driver sees both.
    modes.all(|other| other == first && first.1 == Origin::Driver).then_some(first)
}

/// Lists the targets as the compiler orders and quotes them.
fn targets(
    options: &[(DependOption, Vec<u8>)],
    output: Option<&[u8]>,
    source: &[u8],
    dialect: Dialect,
    origin: Origin,
) -> Vec<Vec<u8>> {
    let target = |(option, value): &(DependOption, Vec<u8>)| match option {
        DependOption::Target => Some((DependOption::Target, stripped(value, dialect).to_vec())),
        DependOption::QuotedTarget => {
            Some((DependOption::QuotedTarget, depfile::quote(stripped(value, dialect))))
        }
        _ => None,
    };
    let mut named: Vec<_> = options.iter().filter_map(target).collect();
    if dialect == Dialect::Gcc {
        // GCC's driver passes all -MT before all -MQ.
        named.sort_by_key(|(option, _)| *option == DependOption::QuotedTarget);
    }
    if !named.is_empty() {
        return named.into_iter().map(|(_, value)| value).collect();
    }
    let default = match output {
        Some(output) if origin == Origin::Driver || dialect == Dialect::Clang => output.to_vec(),
        _ => with_extension(basename(source), b"o"),
    };
    vec![depfile::quote(stripped(&default, dialect))]
}

/// Drops `./` at the beginning where the compiler is gcc, which does so with targets.
fn stripped(mut target: &[u8], dialect: Dialect) -> &[u8] {
    while let Some(rest) = target.strip_prefix(b"./").filter(|_| dialect == Dialect::Gcc) {
        let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
        target = &rest[slashes..];
    }
    target
}

fn describe(option: DependOption, value: &[u8]) -> Vec<u8> {
    let spelling: &[u8] = match option {
        DependOption::Mode(DependMode::All) => b"-MD",
        DependOption::Mode(DependMode::User) => b"-MMD",
        DependOption::PassedOn(DependMode::All) => b"-Wp,-MD,",
        DependOption::PassedOn(DependMode::User) => b"-Wp,-MMD,",
        DependOption::Phony => b"-MP",
        DependOption::File => b"-MF",
        DependOption::Target => b"-MT",
        DependOption::QuotedTarget => b"-MQ",
    };
    match option {
        DependOption::PassedOn(_) => [spelling, value].concat(),
        _ => spelling.to_vec(),
    }
}
