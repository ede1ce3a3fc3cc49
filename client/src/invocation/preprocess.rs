//! The preprocessor run that belongs to a compile.

use super::arguments::{Argument, Class};
use super::{Command, Language};
use crate::depfile::DependRequest;

/// Turns the call into one that writes the preprocessed text to stdout, and the files that it names where that goes by what `depend` asks for.
pub(super) fn arguments(
    typed: &[Argument<'_>],
    command: &Command<'_>,
    language: Language,
    depend: Option<&DependRequest>,
) -> Vec<Vec<u8>> {
    let mut argv = vec![b"-E".to_vec()];
    let listing = depend.and_then(DependRequest::of_preprocessor);
    argv.extend(listing.iter().flat_map(DependRequest::arguments));
    if !command.kind.is_clang() && !language.is_assembly() {
        // The text then names the precompiled header that is taken, and goes on from the macros in it.
        argv.push(b"-fpch-preprocess".to_vec());
    }
    if command.kind.is_clang() {
        // Options of later stages would be warned about here, and with -Werror refused.
        argv.push(b"-Qunused-arguments".to_vec());
    }
    let kept = |argument: &&Argument<'_>| {
        !matches!(
            argument.class,
            Class::Stage(_) | Class::Output | Class::Depend(_) | Class::Writes(_) | Class::Assembler
        )
    };
    argv.extend(typed.iter().filter(kept).flat_map(|argument| argument.words.iter().cloned()));
    argv
}
