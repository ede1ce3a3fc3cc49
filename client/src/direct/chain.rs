//! The search chain of an invocation: its options, its environment and its toolchain.

use super::search::Groups;
use crate::invocation::{IncludeKind, Invocation};
use crate::toolchain::Toolchain;

/// Gathers the directories of a call; `None` when one of them is spelled in a way that only the compiler can read.
pub fn groups(invocation: &Invocation, toolchain: &Toolchain) -> Option<Groups> {
    if invocation.include_directories.iter().any(|directory| directory.hangs_on_sysroot()) {
        return None;
    }
    let typed = |kind: IncludeKind| {
        let directories =
            invocation.include_directories.iter().filter(move |directory| directory.kind == kind);
        directories.map(|directory| directory.path.clone())
    };
    let by_language = match invocation.language.name() {
        name if name.starts_with("objective-c++") => "OBJCPLUS_INCLUDE_PATH",
        name if name.starts_with("objective-c") => "OBJC_INCLUDE_PATH",
        name if name.starts_with("c++") => "CPLUS_INCLUDE_PATH",
        _ => "C_INCLUDE_PATH",
    };
    Some(Groups {
        quote: typed(IncludeKind::Quote).collect(),
        angled: typed(IncludeKind::Angled).chain(variable(invocation, "CPATH")).collect(),
        system: typed(IncludeKind::System)
            .chain(variable(invocation, by_language))
            .chain(toolchain.search.iter().cloned())
            .collect(),
        after: typed(IncludeKind::After).collect(),
    })
}

/// Splits a variable that lists directories; an empty place in it stands for the working directory.
fn variable(invocation: &Invocation, name: &str) -> Vec<Vec<u8>> {
    let variables = &invocation.environment.include;
    let Some((_, value)) = variables.iter().find(|(found, _)| found == name.as_bytes()) else {
        return Vec::new();
    };
    if value.is_empty() {
        return Vec::new();
    }
    let here = |part: &[u8]| if part.is_empty() { b".".to_vec() } else { part.to_vec() };
    value.split(|&byte| byte == b':').map(here).collect()
}
