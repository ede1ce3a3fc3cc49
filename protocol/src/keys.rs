//! The keys under which compiles are stored, and the one encoding that makes them.
//!
//! Every key is BLAKE3 in `derive_key` mode with a context of its own over a sequence of fields. A field is its tag
//! (one byte), its length (eight bytes, little-endian) and its bytes; a list is its tag, its number of items and the
//! items, each with its length; a set is a list sorted by its items' bytes. `docs/keys.md` is the written form; golden
//! vectors pin it.
//!
//! A key of a compile is made in two steps: a base over everything except who may share the result, then the key over
//! base and [`Sharing`]. The key's top 12 bits are its base's, so all keys of one compile have the
//! same owners and one request probes them; and the text is hashed once.
//!
//! Invariant: a change of what a field means, or of their order, changes [`KEY_VERSION`] and with it every context.

mod encoder;

use crate::codec::byte_run;
use crate::digest::{Digest, digest_type};
use crate::ids::{Namespace, Partition, ToolchainId};
pub use encoder::KeyField;
use encoder::{Field, KeyEncoder};
use serde::{Deserialize, Serialize};

/// Version of the key encoding; part of every context string.
pub const KEY_VERSION: u32 = 1;

const MANIFEST_CONTEXT: &str = "dccache 2026-11-22 key v1 manifest";
const DIRECT_CONTEXT: &str = "dccache 2026-11-22 key v1 direct";
const PREPROCESSED_CONTEXT: &str = "dccache 2026-11-22 key v1 preprocessed";
const TOKENS_CONTEXT: &str = "dccache 2026-11-26 key v1 tokens";
const SEALED_CONTEXT: &str = "dccache 2026-11-22 key v1 sealed";
const SHARING_CONTEXT: &str = "dccache 2026-11-22 key v1 sharing";
const RECORD_CONTEXT: &str = "dccache 2026-11-22 key v1 record";
const TOOLCHAIN_CONTEXT: &str = "dccache 2026-11-22 key v1 toolchain";

digest_type! {
    /// A [`ManifestKey`] before it is settled who may share the result.
    ManifestBase
}
digest_type! {
    /// A [`PreprocessedKey`] before it is settled who may share the result.
    PreprocessedBase
}
digest_type! {
    /// Names the manifest of a command: everything known before any input is read.
    ManifestKey
}
digest_type! {
    /// Names a compile by the content of every file that it read; derived by the client from what it hashed itself.
    DirectKey
}
digest_type! {
    /// Names a compile by its preprocessed text and the files behind it: by their raw digests, or by their tokens.
    PreprocessedKey
}
digest_type! {
    /// Names this machine's sealed record of one command line.
    SealedName
}
digest_type! {
    /// Where a node keeps a record: the key's partition, then a digest of namespace, kind and key, so that no namespace
    /// can write over another's record.
    RecordId
}

/// Either key under which a compile can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntryKey {
    /// By the content of every input.
    Direct(DirectKey),
    /// By the preprocessed text.
    Preprocessed(PreprocessedKey),
}

impl EntryKey {
    /// Returns the digest inside.
    pub const fn digest(&self) -> &Digest {
        match self {
            Self::Direct(key) => key.digest(),
            Self::Preprocessed(key) => key.digest(),
        }
    }

    /// Returns the partition that owns the key.
    pub const fn partition(&self) -> Partition {
        Partition::of(self.digest())
    }

    /// Returns where a node keeps the entry of this key in `namespace`.
    pub fn record_id(&self, namespace: &Namespace) -> RecordId {
        let kind = match self {
            Self::Direct(_) => b"direct".as_slice(),
            Self::Preprocessed(_) => b"preprocessed",
        };
        record_id(namespace, kind, self.digest())
    }
}

impl ManifestKey {
    /// Returns where a node keeps the manifest of this key in `namespace`.
    pub fn record_id(&self, namespace: &Namespace) -> RecordId {
        record_id(namespace, b"manifest", self.digest())
    }
}

impl RecordId {
    /// Returns the partition of the key that this id was made from.
    pub const fn partition(&self) -> Partition {
        Partition::of(self.digest())
    }
}

fn record_id(namespace: &Namespace, kind: &[u8], key: &Digest) -> RecordId {
    let mut encoder = KeyEncoder::new(RECORD_CONTEXT);
    encoder.field(Field::Namespace, namespace.0.as_str().as_bytes());
    encoder.field(Field::Kind, kind);
    encoder.field(Field::Key, key.as_bytes());
    RecordId::from_digest(with_partition_of(encoder.finish(), key))
}

/// Replaces the top 12 bits of `digest` by those of `owner`, so that both have the same owners.
fn with_partition_of(digest: Digest, owner: &Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[0] = owner.as_bytes()[0];
    bytes[1] = owner.as_bytes()[1] & 0xF0 | bytes[1] & 0x0F;
    Digest::from_bytes(bytes)
}

/// Who may share an object: every checkout, or only the same directories.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sharing {
    /// Neither root nor working directory can show in any output or message.
    Free,
    /// Root and working directory may show, so both are in the key.
    Bound {
        /// Absolute root of the compile.
        root: Vec<u8>,
        /// Absolute working directory as the compiler sees it.
        working_directory: Vec<u8>,
    },
    /// As [`Sharing::Bound`], and what otherwise acts through the text alone shows in messages, so that it is in the key as well.
    Exact {
        /// Absolute root of the compile.
        root: Vec<u8>,
        /// Absolute working directory as the compiler sees it.
        working_directory: Vec<u8>,
        /// Arguments in order as typed, each behind one byte `a`; then `NAME=value` of variables, each behind one byte `e`.
        hidden: Vec<Vec<u8>>,
    },
}

impl Sharing {
    /// Makes the final digest of a key; its top 12 bits are the base's.
    fn apply(&self, base: &Digest) -> Digest {
        let mut encoder = KeyEncoder::new(SHARING_CONTEXT);
        encoder.field(Field::Key, base.as_bytes());
        match self {
            Self::Free => encoder.list(Field::Sharing, [b"free".as_slice()]),
            Self::Bound { root, working_directory } => {
                encoder.list(Field::Sharing, [b"bound".as_slice(), root, working_directory]);
            }
            Self::Exact { root, working_directory, hidden } => {
                let fixed = [b"exact".as_slice(), root, working_directory];
                let items: Vec<&[u8]> = fixed.into_iter().chain(hidden.iter().map(Vec::as_slice)).collect();
                encoder.list(Field::Sharing, items);
            }
        }
        with_partition_of(encoder.finish(), base)
    }
}

impl ManifestBase {
    /// Returns the manifest key for one way of sharing.
    pub fn shared(&self, sharing: &Sharing) -> ManifestKey {
        ManifestKey::from_digest(sharing.apply(self.digest()))
    }
}

impl PreprocessedBase {
    /// Returns the preprocessed key for one way of sharing.
    pub fn shared(&self, sharing: &Sharing) -> PreprocessedKey {
        PreprocessedKey::from_digest(sharing.apply(self.digest()))
    }
}

/// Spells a path as keys hold it: a NUL byte and the rest when it is absolute and lies in `root`, else as it is.
///
/// No argument and no path holds a NUL byte, so the two forms never meet. The rest has no leading slash; it is empty for the root itself.
pub fn spelled(root: &[u8], path: &[u8]) -> Vec<u8> {
    let inside = match path.strip_prefix(root) {
        Some(rest) if root.ends_with(b"/") || rest.is_empty() => Some(rest),
        Some(rest) => rest.strip_prefix(b"/"),
        None => None,
    };
    match inside {
        Some(rest) if root.starts_with(b"/") => [b"\0", rest].concat(),
        _ => path.to_vec(),
    }
}

/// What every key of a compile begins with, in the order of the encoding.
#[derive(Clone, Debug)]
pub struct Common<'a> {
    /// Namespace of the project or team.
    pub namespace: &'a Namespace,
    /// Language as `-x` spells it, for example `c++-cpp-output`.
    pub language: &'a str,
    /// Files that decide the output.
    pub toolchain: ToolchainId,
    /// Basename under which the driver was called; drivers act on it.
    pub driver: &'a [u8],
    /// What `-march=native` and its like stand for on this machine; empty when none is used.
    pub native: &'a [Vec<u8>],
    /// Environment variables that decide an output, `(name, value)`; absent ones are left out. A set.
    pub environment: &'a [(Vec<u8>, Vec<u8>)],
    /// Digests of `extra_files_to_hash`, in the configured order.
    pub extra_files: &'a [Digest],
    /// Which dependency output is asked for: 0 none, 1 `-MD`, 2 `-MMD`; with `-MP` plus 4, with `-MG` plus 8.
    pub dependency_mode: u8,
    /// Whether the compiler is to write colours.
    pub color: bool,
    /// The source as the command line spells it, through [`spelled`]: `__FILE__`, `.file` and debug information repeat it.
    pub source: &'a [u8],
    /// `-o` as the command line spells it, when an option makes it show in an output; else `None`.
    pub output: Option<&'a [u8]>,
    /// The whole command line as typed, when an option records it in the object; else empty.
    pub recorded: &'a [Vec<u8>],
    /// Arguments that reach a key, in order, without source and `-o`; values that are paths through [`spelled`]. For a
    /// preprocessed key without those that act only through the text.
    pub arguments: &'a [Vec<u8>],
    /// Contents of files that options name (plugins, specs, profiles), `(argument index, digest)`, in order.
    pub option_files: &'a [(u32, Digest)],
}

impl Common<'_> {
    fn encode(&self, encoder: &mut KeyEncoder) {
        encoder.field(Field::Namespace, self.namespace.0.as_str().as_bytes());
        encoder.field(Field::Language, self.language.as_bytes());
        encoder.field(Field::Toolchain, self.toolchain.digest().as_bytes());
        encoder.field(Field::Driver, self.driver);
        encoder.list(Field::Native, self.native);
        let pairs = self.environment.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat());
        encoder.set(Field::Environment, pairs.collect());
        encoder.list(Field::ExtraFiles, self.extra_files.iter().map(Digest::as_bytes));
        encoder.field(Field::DependencyMode, &[self.dependency_mode]);
        encoder.field(Field::Color, &[u8::from(self.color)]);
        encoder.field(Field::Source, self.source);
        encoder.list(Field::Output, self.output);
        encoder.list(Field::Recorded, self.recorded);
        encoder.list(Field::Arguments, self.arguments);
        let files = self.option_files.iter();
        let files = files.map(|(index, digest)| [index.to_le_bytes().as_slice(), digest.as_bytes()].concat());
        encoder.list(Field::OptionFiles, files);
    }
}

/// What a [`ManifestKey`] holds beside [`Common`].
#[derive(Clone, Debug)]
pub struct ManifestInputs<'a> {
    /// The working directory, relative to the root when it lies inside.
    pub working_directory: &'a RootPath,
    /// Include directories of the command line that exist, in order.
    pub include_directories: &'a [RootPath],
    /// `CPATH` and its like, `(name, value)`. A set.
    pub include_environment: &'a [(Vec<u8>, Vec<u8>)],
}

fn encode_command(inputs: &ManifestInputs<'_>, encoder: &mut KeyEncoder) {
    encoder.field(Field::WorkingDirectory, &inputs.working_directory.encoded());
    encoder.list(Field::IncludeDirectories, inputs.include_directories.iter().map(RootPath::encoded));
    let pairs =
        inputs.include_environment.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat());
    encoder.set(Field::IncludeEnvironment, pairs.collect());
}

/// Makes the key of the manifest of a command, but for who may share it.
pub fn manifest_base(common: &Common<'_>, inputs: &ManifestInputs<'_>) -> ManifestBase {
    let mut encoder = KeyEncoder::new(MANIFEST_CONTEXT);
    common.encode(&mut encoder);
    encode_command(inputs, &mut encoder);
    ManifestBase::from_digest(encoder.finish())
}

/// Lists what that key is made of, in order.
pub fn manifest_fields(common: &Common<'_>, inputs: &ManifestInputs<'_>) -> Vec<KeyField> {
    let mut encoder = KeyEncoder::showing();
    common.encode(&mut encoder);
    encode_command(inputs, &mut encoder);
    encoder.into_fields()
}

/// Makes the key of a compile from what the client hashed itself. Order and repetition of the inputs do not matter.
pub fn direct_key(manifest: ManifestKey, inputs: &[(RootPath, Digest)], absent: &[RootPath]) -> DirectKey {
    let mut encoder = KeyEncoder::new(DIRECT_CONTEXT);
    encoder.field(Field::Key, manifest.digest().as_bytes());
    let pairs = inputs.iter().map(|(path, digest)| [digest.as_bytes().as_slice(), &path.encoded()].concat());
    encoder.set(Field::Inputs, pairs.collect());
    encoder.set(Field::Absent, absent.iter().map(RootPath::encoded).collect());
    DirectKey::from_digest(with_partition_of(encoder.finish(), manifest.digest()))
}

/// Makes the key of a compile from its preprocessed text, but for who may share it.
///
/// `text` is what the preprocessor wrote, with each file name of a line marker through [`spelled`]. `raw` are the digests of the
/// source and of every file that the line markers name, in the order of first appearance, then of the precompiled headers in
/// use; or empty where the text alone decides.
pub fn preprocessed_base(common: &Common<'_>, text: &[&[u8]], raw: &[Digest]) -> PreprocessedBase {
    let mut encoder = KeyEncoder::new(PREPROCESSED_CONTEXT);
    common.encode(&mut encoder);
    encoder.list(Field::RawDigests, raw.iter().map(Digest::as_bytes));
    encoder.chunks(Field::Text, text);
    PreprocessedBase::from_digest(encoder.finish())
}

/// What of one file enters a key that blanks and comments do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// Its content as it is.
    Raw(Digest),
    /// What is left of it without its comments and with its blanks made alike.
    Tokens(Digest),
}

impl FileForm {
    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Raw(digest) => [b"r", digest.as_bytes().as_slice()].concat(),
            Self::Tokens(digest) => [b"t", digest.as_bytes().as_slice()].concat(),
        }
    }
}

/// Makes the key of a compile in whose outputs and messages neither blanks nor comments can show, but for who may share it.
///
/// `pieces` are the text as for [`preprocessed_base`]; `files` are the source and every file that the line markers name, in the order of
/// first appearance.
pub fn tokens_base(common: &Common<'_>, pieces: &[&[u8]], files: &[FileForm]) -> PreprocessedBase {
    let mut encoder = KeyEncoder::new(TOKENS_CONTEXT);
    common.encode(&mut encoder);
    encoder.list(Field::FileForms, files.iter().map(FileForm::encoded));
    encoder.chunks(Field::Text, pieces);
    PreprocessedBase::from_digest(encoder.finish())
}

/// Names the sealed record of a command line as typed, the working directory and the environment that decides anything. A set.
pub fn sealed_name(
    argv: &[Vec<u8>],
    working_directory: &[u8],
    environment: &[(Vec<u8>, Vec<u8>)],
) -> SealedName {
    let mut encoder = KeyEncoder::new(SEALED_CONTEXT);
    encoder.list(Field::Arguments, argv);
    encoder.field(Field::WorkingDirectory, working_directory);
    let pairs = environment.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat());
    encoder.set(Field::Environment, pairs.collect());
    SealedName::from_digest(encoder.finish())
}

/// Names a toolchain by the roles and contents of its files; paths and order do not matter.
pub fn toolchain_id(files: &[(&str, Digest)]) -> ToolchainId {
    let mut encoder = KeyEncoder::new(TOOLCHAIN_CONTEXT);
    let pairs = files.iter().map(|(role, digest)| [digest.as_bytes().as_slice(), role.as_bytes()].concat());
    encoder.set(Field::Toolchain, pairs.collect());
    ToolchainId::from_digest(encoder.finish())
}

/// A path in a key or a suggestion, told apart by what it hangs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RootPath {
    /// Relative to the root of the compile, without a leading slash; empty for the root itself.
    Root(#[serde(with = "byte_run")] Vec<u8>),
    /// Absolute, outside the root.
    Absolute(#[serde(with = "byte_run")] Vec<u8>),
}

impl RootPath {
    /// Returns the path's bytes in a key: one byte for the kind, then the path.
    pub fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Root(path) => [b"r", path.as_slice()].concat(),
            Self::Absolute(path) => [b"a", path.as_slice()].concat(),
        }
    }
}
