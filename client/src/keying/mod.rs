//! From an invocation and what was found out around it to the keys under which its result is looked up and stored.
//!
//! A preprocessed key holds the text of `-E`, what the preprocessor said on stderr and, for clang, listed as dependencies, the raw
//! digests of the source and of every file that line markers or list name, and every argument that does not act through that text. Each compile has a key that binds it
//! to its directories; it also has one that every checkout shares, if nothing of the directories can show.
//!
//! Invariant: under a shared key the root is missing from the hash only where it stood in a line marker, in the source's name or in an
//! option's path, and then no option, builtin or output carries it on.

mod conditions;
mod declared;
mod layout;
mod object;
mod prefix_map;

#[cfg(test)]
mod tests;

pub use conditions::{
    Takes, messages_show_arguments, obstacle, offloading, plain, precompiled_headers, quarter_hour,
    unmarked_files,
};
pub use declared::{OVERLAY, debug_directories_show, declare, split_overlays, take_out_declared};
pub use layout::{SourceFile, file_forms};
pub use object::can_show;
pub use prefix_map::make_portable;

use crate::cpp::{FileFacts, Places, Preprocessed};
use crate::invocation::{Invocation, KeyRole, Stage};
use dccache_protocol::depend::{Depend, DependPath};
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{Namespace, ToolchainId};
use dccache_protocol::keys::{
    Common, FileForm, KeyField, ManifestInputs, ManifestKey, PreprocessedBase, PreprocessedKey, RootPath,
    Sharing, manifest_base, manifest_fields, preprocessed_base, spelled, tokens_base,
};
use prefix_map::PrefixMap;

/// Whether the compiler is made to write colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// It writes plain text.
    Plain,
    /// It writes for a terminal: the variables that shape that are in the key.
    Terminal,
}

/// What directories in debug information are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directories {
    /// They are to be right.
    #[default]
    Matter,
    /// They may be another checkout's.
    MayBeWrong,
}

/// What the keys hold beside the invocation and its text.
#[derive(Clone, Copy, Debug)]
pub struct Ingredients<'a> {
    /// Namespace of the project or team.
    pub namespace: &'a Namespace,
    /// Files that decide the output.
    pub toolchain: ToolchainId,
    /// What [`Invocation::native`] stands for on this machine; empty when that is empty.
    pub native: &'a [Vec<u8>],
    /// Digests of `extra_files_to_hash`, in the configured order.
    pub extra_files: &'a [Digest],
    /// Digests of [`Invocation::option_files`], in their order.
    pub option_files: &'a [Digest],
    /// Whether the compiler is to write colours.
    pub color: Color,
    /// Facts of all inputs, joined.
    pub facts: FileFacts,
    /// What the preprocessor wrote to stderr.
    pub messages: &'a [u8],
    /// What the preprocessor itself listed for [`Invocation::listing`].
    pub listed: Option<&'a Depend>,
    /// Whether a directory in debug information that is another checkout's would be wrong. Where not, compiles that show directories nowhere
    /// else are shared.
    pub debug_directories: Directories,
    /// Digests of the files of [`Preprocessed::files`], then of [`unmarked_files`] and of [`precompiled_headers`], in their order.
    pub raw: &'a [Digest],
    /// Whether there are any of the last, or an option names one.
    pub takes: Takes,
}

/// Keys of one compile. All are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Shared by every checkout; `None` when directories could show. A result in which [`Places::leak_into`] finds
    /// something is not stored under it.
    pub free: Option<PreprocessedKey>,
    /// Bound to root and working directory; sound unless [`messages_show_arguments`].
    pub bound: PreprocessedKey,
    /// Holds also the arguments that act through the text; always sound. `None` when there are none beside those in `bound`.
    pub exact: Option<PreprocessedKey>,
}

impl Keys {
    /// Lists the keys in order of preference.
    pub fn all(&self) -> impl Iterator<Item = PreprocessedKey> {
        [self.free, Some(self.bound), self.exact].into_iter().flatten()
    }
}

/// Makes the keys of a compile from its preprocessed text.
pub fn preprocessed_keys(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: &Preprocessed<'_>,
) -> Keys {
    let base = base(invocation, ingredients, places, text);
    let [root, working_directory] = [places.root.to_vec(), places.working_directory.to_vec()];
    let free = ingredients.takes == Takes::Headers
        && may_share(invocation, ingredients.debug_directories, places)
        && text_may_share(invocation, places, text);
    let hidden = hidden(invocation, ingredients.takes);
    let exact = (!hidden.is_empty()).then_some(Sharing::Exact { root, working_directory, hidden });
    Keys {
        free: free.then(|| base.shared(&Sharing::Free)),
        bound: base.shared(&bound(places)),
        exact: exact.map(|exact| base.shared(&exact)),
    }
}

/// Makes the key of a compile from its text and what [`file_forms`] says of its files. It is shared where `keys` has one that is; a result
/// that does not lie under the first of the two that there are, or that has any message, is not to be stored under it.
pub fn tokens_key(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: &Preprocessed<'_>,
    keys: &Keys,
    forms: &[FileForm],
) -> PreprocessedKey {
    let base =
        with_text(invocation, ingredients, places, text, |common, pieces| tokens_base(common, pieces, forms));
    base.shared(&keys.free.map_or_else(|| bound(places), |_| Sharing::Free))
}

fn bound(places: &Places<'_>) -> Sharing {
    Sharing::Bound { root: places.root.to_vec(), working_directory: places.working_directory.to_vec() }
}

/// Keys of the manifests of one command. Both are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestKeys {
    /// Shared by every checkout; `None` when the command line alone rules that out.
    pub free: Option<ManifestKey>,
    /// Bound to root and working directory.
    pub bound: ManifestKey,
}

impl ManifestKeys {
    /// Lists the keys in order of preference.
    pub fn all(&self) -> impl Iterator<Item = ManifestKey> {
        [self.free, Some(self.bound)].into_iter().flatten()
    }
}

/// Makes the keys of a command's manifests. Of `ingredients`, what is only known from the inputs does not count. `directories` are the include
/// directories of the command line that exist.
pub fn manifest_keys(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    directories: &[RootPath],
) -> ManifestKeys {
    let base = with_command(invocation, ingredients, places, directories, manifest_base);
    // What a map does to names that lie elsewhere is seen in the text only.
    let mapped = PrefixMap::of(invocation, places).is_some();
    let free = !mapped && may_share(invocation, ingredients.debug_directories, places);
    let free = free.then(|| base.shared(&Sharing::Free));
    ManifestKeys { free, bound: base.shared(&bound(places)) }
}

/// Lists what those keys are made of, in order.
pub fn command_fields(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    directories: &[RootPath],
) -> Vec<KeyField> {
    with_command(invocation, ingredients, places, directories, manifest_fields)
}

fn with_command<T>(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    directories: &[RootPath],
    make: impl FnOnce(&Common<'_>, &ManifestInputs<'_>) -> T,
) -> T {
    let working_directory = root_path(places.root, places.working_directory);
    let inputs = ManifestInputs {
        working_directory: &working_directory,
        include_directories: directories,
        include_environment: &invocation.environment.include,
    };
    with_common(invocation, ingredients, places, TextArguments::Kept, |common| make(common, &inputs))
}

/// Tells what an absolute path hangs on.
pub fn root_path(root: &[u8], path: &[u8]) -> RootPath {
    match spelled(root, path).strip_prefix(b"\0") {
        Some(rest) => RootPath::Root(rest.to_vec()),
        None => RootPath::Absolute(path.to_vec()),
    }
}

/// Whether arguments that act through the text are in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextArguments {
    Kept,
    LeftToTheText,
}

/// Lists what acts through the text alone: nothing where there are no such arguments, or where the base holds them already.
fn hidden(invocation: &Invocation, takes: Takes) -> Vec<Vec<u8>> {
    if !conditions::hides_arguments(invocation, takes) {
        return Vec::new();
    }
    let arguments = invocation.arguments.iter().filter(|argument| argument.role == KeyRole::Text);
    let arguments = arguments.map(|argument| [b"a", argument.bytes.as_slice()].concat());
    let variables = invocation.environment.include.iter();
    arguments.chain(variables.map(|(name, value)| [b"e", name.as_slice(), b"=", value].concat())).collect()
}

/// Whether the result can be shared, as far as the options say: nothing that names a directory shows in any output, or one map takes it out.
fn may_share(invocation: &Invocation, debug_directories: Directories, places: &Places<'_>) -> bool {
    let facts = &invocation.facts;
    let unfit = invocation.language.is_preprocessed() || invocation.stage == Stage::Precompiled;
    if facts.leaks_output || unfit || !places.can_be_hidden() {
        return false;
    }
    if invocation.environment.adds_arguments() {
        return false;
    }
    let map = PrefixMap::of(invocation, places);
    let may_show = map.is_some() || debug_directories == Directories::MayBeWrong;
    if facts.leaks_directory && !(may_show && only_debug_information_shows(invocation)) {
        return false;
    }
    let kept = invocation.arguments.iter().enumerate();
    let kept = kept.filter(|(index, _)| map.is_none_or(|map| map.argument != *index));
    let mut kept = kept.filter(|(_, argument)| argument.role == KeyRole::Always);
    let names_place = |bytes: &[u8]| memchr::memmem::find(bytes, places.root).is_some();
    !kept.any(|(_, argument)| names_place(&argument.bytes))
}

/// Whether the text lets it be shared as well: the root stands in line markers only, and a map changes no name that lies elsewhere, and every
/// name below the root.
///
/// What it leaves could be divided in debug information, a directory here and the rest there, so that no search finds the root.
fn text_may_share(invocation: &Invocation, places: &Places<'_>, text: &Preprocessed<'_>) -> bool {
    let reaches =
        |map: PrefixMap<'_>| text.begins_no_other_name(map.old) && text.names_below(places.root, map.old);
    text.hides(places) && PrefixMap::of(invocation, places).is_none_or(reaches)
}

/// Whether directories show in debug information only, as text that a search finds. Names of macros are digested there.
fn only_debug_information_shows(invocation: &Invocation) -> bool {
    let facts = &invocation.facts;
    !facts.beyond_debug_info && !facts.macro_debug_info
}

/// Arguments of one key, and where in it the option files are named.
struct KeyArguments {
    words: Vec<Vec<u8>>,
    /// Index in `words` of each of [`Invocation::option_files`].
    option_files: Vec<u32>,
}

fn arguments(
    invocation: &Invocation,
    places: &Places<'_>,
    text: TextArguments,
    takes: Takes,
) -> KeyArguments {
    let with_text = text == TextArguments::Kept || conditions::text_arguments_show(invocation, takes);
    let map = PrefixMap::of(invocation, places);
    let mut chosen = KeyArguments { words: Vec::new(), option_files: Vec::new() };
    for (index, argument) in invocation.arguments.iter().enumerate() {
        if argument.role == KeyRole::Text && !with_text {
            continue;
        }
        if invocation.option_files.iter().any(|file| file.argument == index) {
            chosen.option_files.push(chosen.words.len() as u32);
        }
        if let Some(map) = map.filter(|map| map.argument == index) {
            chosen.words.push([map.option, &spelled(places.root, map.old), map.new].concat());
            continue;
        }
        let (option, path) = argument.bytes.split_at(argument.path_at.unwrap_or(argument.bytes.len()));
        chosen.words.push(match argument.path_at {
            Some(_) => [option, &spelled(places.root, path)].concat(),
            None => option.to_vec(),
        });
    }
    chosen
}

fn base(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: &Preprocessed<'_>,
) -> PreprocessedBase {
    with_text(invocation, ingredients, places, text, |common, pieces| {
        preprocessed_base(common, pieces, ingredients.raw)
    })
}

/// Gathers what a key of the text holds beside the files behind it.
fn with_text(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: &Preprocessed<'_>,
    make: impl FnOnce(&Common<'_>, &[&[u8]]) -> PreprocessedBase,
) -> PreprocessedBase {
    // The lengths in front keep messages, list and text apart.
    let listed = ingredients.listed.map(list_bytes).unwrap_or_default();
    let lengths = [ingredients.messages.len(), listed.len()].map(|length| (length as u64).to_le_bytes());
    let mut pieces = vec![lengths[0].as_slice(), ingredients.messages, &lengths[1], &listed];
    pieces.extend(text.pieces(places));
    with_common(invocation, ingredients, places, TextArguments::LeftToTheText, |common| make(common, &pieces))
}

/// Gathers what every key begins with.
fn with_common<T>(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: TextArguments,
    make: impl FnOnce(&Common<'_>) -> T,
) -> T {
    let arguments = arguments(invocation, places, text, ingredients.takes);
    let environment = environment(invocation, ingredients, places);
    let option_files = arguments.option_files.iter().copied().zip(ingredients.option_files.iter().copied());
    let option_files: Vec<_> = option_files.collect();
    let output = invocation.shown_output.as_ref().map(|path| spelled(places.root, path));
    make(&Common {
        namespace: ingredients.namespace,
        language: invocation.language.name(),
        toolchain: ingredients.toolchain,
        driver: &invocation.driver,
        native: ingredients.native,
        environment: &environment,
        extra_files: ingredients.extra_files,
        dependency_mode: invocation.depend.as_ref().map_or(0, |depend| depend.key_mode()),
        color: ingredients.color == Color::Terminal,
        source: &spelled(places.root, &invocation.source),
        output: output.as_deref(),
        recorded: &[],
        arguments: &arguments.words,
        option_files: &option_files,
    })
}

/// Encodes a list of dependencies: each path with its length (u64 LE) in front, as [`spelled`] makes it.
fn list_bytes(listed: &Depend) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in &listed.paths {
        let mark: &[u8] = if matches!(path, DependPath::Root(_)) { b"\0" } else { b"" };
        bytes.extend(((mark.len() + path.bytes().len()) as u64).to_le_bytes());
        bytes.extend(mark);
        bytes.extend(path.bytes());
    }
    bytes
}

/// Name beside the variables under which a mapped working directory is keyed; no variable that enters a key has a colon.
const MAPPED_DIRECTORY: &[u8] = b"dccache:directory";

fn environment(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let chosen = &invocation.environment;
    let facts = &ingredients.facts;
    let mut environment = chosen.always.clone();
    if facts.date || facts.time || facts.timestamp {
        environment.extend_from_slice(&chosen.time);
    }
    if ingredients.color == Color::Terminal {
        environment.extend_from_slice(&chosen.terminal);
    }
    if conditions::text_arguments_show(invocation, ingredients.takes) {
        environment.extend_from_slice(&chosen.include);
    }
    if PrefixMap::of(invocation, places).is_some() {
        environment.push((MAPPED_DIRECTORY.to_vec(), spelled(places.root, places.working_directory)));
    }
    environment
}
