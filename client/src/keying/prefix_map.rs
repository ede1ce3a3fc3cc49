//! The one prefix map that takes root or working directory out of what a compile writes.
//!
//! The compilers compare bytes, not components, and let several maps interact. So only a map that is alone counts, and only where no other
//! name begins with its old side. What it leaves in debug information is the working directory below the root, which is then in the key.

use crate::cpp::Places;
use crate::invocation::{Invocation, KeyArgument, KeyRole};

/// Options that map prefixes of what reaches debug information.
const REACHING: [&[u8]; 2] = [b"-ffile-prefix-map=", b"-fdebug-prefix-map="];

/// Maps what the preprocessor writes; enough where there is no debug information.
const MACROS: &[u8] = b"-fmacro-prefix-map=";

/// Parts of options after which a map is not alone.
const OTHERS: [&[u8]; 2] = [b"-prefix-map", b"-compilation-dir"];

/// What stands for the root under `portable_paths`.
const PORTABLE: &[u8] = b"=.";

/// A prefix map whose old side is the root or the working directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixMap<'a> {
    /// Index among the arguments.
    pub(super) argument: usize,
    /// The option with its `=`.
    pub(super) option: &'a [u8],
    /// What is replaced.
    pub(super) old: &'a [u8],
    /// The rest: `=` and what stands for it.
    pub(super) new: &'a [u8],
}

impl<'a> PrefixMap<'a> {
    /// Finds it; `None` where there is none, or where it does not stand alone.
    pub(super) fn of(invocation: &'a Invocation, places: &Places<'_>) -> Option<Self> {
        let mut maps = invocation.arguments.iter().enumerate().filter(|(_, argument)| is_map(argument));
        let (argument, found) = maps.next().filter(|_| places.can_be_hidden())?;
        if maps.next().is_some() {
            return None;
        }
        let macros = (!invocation.facts.debug_info).then_some(MACROS);
        let mut options = REACHING.into_iter().chain(macros);
        let option = options.find(|option| found.bytes.starts_with(option))?;
        let value = &found.bytes[option.len()..];
        let (old, new) = value.split_at(memchr::memchr(b'=', value)?);
        let whole = old == places.root || old == places.working_directory;
        whole.then_some(Self { argument, option, old, new })
    }
}

fn is_map(argument: &KeyArgument) -> bool {
    OTHERS.iter().any(|part| memchr::memmem::find(&argument.bytes, part).is_some())
}

/// Adds the map of `portable_paths` to a call: debug information and `__FILE__` then name files from the root. Returns the argument
/// that the compile gets; `None` where the call maps names itself, or where the root cannot be told apart.
pub fn make_portable(invocation: &mut Invocation, places: &Places<'_>) -> Option<Vec<u8>> {
    let preprocessor = invocation.preprocessor.as_mut().filter(|_| places.can_be_hidden())?;
    if invocation.arguments.iter().any(is_map) {
        return None;
    }
    let word = [REACHING[0], places.root, PORTABLE].concat();
    preprocessor.push(word.clone());
    invocation.arguments.push(KeyArgument { bytes: word.clone(), path_at: None, role: KeyRole::Always });
    Some(word)
}
