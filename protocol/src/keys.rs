//! The keys under which compiles are stored, and the one encoding that makes them.
//!
//! Every key is BLAKE3 in `derive_key` mode with a context of its own over a sequence of fields. A field is its tag
//! (one byte), its length (eight bytes, little-endian) and its bytes; a list is its tag, its number of items and the
//! items, each with its length; a set is a list sorted by its items' bytes. Nothing is concatenated without a length, so
//! two different inputs never give the same bytes. `docs/keys.md` is the written form; golden vectors pin it.
//!
//! Invariant: a change of what a field means, or of their order, changes [`KEY_VERSION`] and with it every context.

use crate::digest::{Digest, digest_type};
use crate::ids::{Namespace, Partition, ToolchainId};
use serde::{Deserialize, Serialize};

/// Version of the key encoding; part of every context string.
pub const KEY_VERSION: u32 = 1;

const MANIFEST_CONTEXT: &str = "dccache 2026-11-22 key v1 manifest";
const DIRECT_CONTEXT: &str = "dccache 2026-11-22 key v1 direct";
const PREPROCESSED_CONTEXT: &str = "dccache 2026-11-22 key v1 preprocessed";
const SEALED_CONTEXT: &str = "dccache 2026-11-22 key v1 sealed";
const RECORD_CONTEXT: &str = "dccache 2026-11-22 key v1 record";
const TOOLCHAIN_CONTEXT: &str = "dccache 2026-11-22 key v1 toolchain";

digest_type! {
    /// Names the manifest of a command: everything known before any input is read.
    ManifestKey
}
digest_type! {
    /// Names a compile by the content of every file that it read; derived by the client from what it hashed itself.
    DirectKey
}
digest_type! {
    /// Names a compile by its preprocessed text and the raw digests of the files behind it.
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
}

/// What every key of a compile begins with, in the order of the encoding.
#[derive(Clone, Debug)]
pub struct Common<'a> {
    /// Namespace of the project or team.
    pub namespace: &'a Namespace,
    /// Who may share the result.
    pub sharing: &'a Sharing,
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
    /// Which dependency output is asked for, as `docs/keys.md` numbers the modes.
    pub dependency_mode: u8,
    /// Whether the compiler is to write colours.
    pub color: bool,
    /// Arguments that reach a key, in order. For a preprocessed key without those that act only through the text.
    pub arguments: &'a [Vec<u8>],
    /// Contents of files that options name (plugins, specs, profiles), `(argument index, digest)`, in order.
    pub option_files: &'a [(u32, Digest)],
}

impl Common<'_> {
    fn encode(&self, encoder: &mut KeyEncoder) {
        encoder.field(Field::Namespace, self.namespace.0.as_str().as_bytes());
        match self.sharing {
            Sharing::Free => encoder.field(Field::Sharing, b"free"),
            Sharing::Bound { root, working_directory } => {
                encoder.list(Field::Sharing, [b"bound".as_slice(), root, working_directory]);
            }
        }
        encoder.field(Field::Language, self.language.as_bytes());
        encoder.field(Field::Toolchain, self.toolchain.digest().as_bytes());
        encoder.field(Field::Driver, self.driver);
        encoder.list(Field::Native, self.native);
        let pairs = self.environment.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat());
        encoder.set(Field::Environment, pairs.collect());
        encoder.list(Field::ExtraFiles, self.extra_files.iter().map(Digest::as_bytes));
        encoder.field(Field::DependencyMode, &[self.dependency_mode]);
        encoder.field(Field::Color, &[u8::from(self.color)]);
        encoder.list(Field::Arguments, self.arguments);
        let files = self.option_files.iter();
        let files = files.map(|(index, digest)| [index.to_le_bytes().as_slice(), digest.as_bytes()].concat());
        encoder.list(Field::OptionFiles, files);
    }
}

/// What a [`ManifestKey`] holds beside [`Common`].
#[derive(Clone, Debug)]
pub struct ManifestInputs<'a> {
    /// Path of the source, relative to the root when it lies inside.
    pub source: &'a RootPath,
    /// Digest of the working directory relative to the root, as bytes of the path.
    pub working_directory: &'a RootPath,
    /// Include directories of the command line that exist, in order.
    pub include_directories: &'a [RootPath],
    /// `CPATH` and its like, `(name, value)`. A set.
    pub include_environment: &'a [(Vec<u8>, Vec<u8>)],
}

/// Makes the key of the manifest of a command.
pub fn manifest_key(common: &Common<'_>, inputs: &ManifestInputs<'_>) -> ManifestKey {
    let mut encoder = KeyEncoder::new(MANIFEST_CONTEXT);
    common.encode(&mut encoder);
    encoder.field(Field::Source, &inputs.source.encoded());
    encoder.field(Field::WorkingDirectory, &inputs.working_directory.encoded());
    encoder.list(Field::IncludeDirectories, inputs.include_directories.iter().map(RootPath::encoded));
    let pairs =
        inputs.include_environment.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat());
    encoder.set(Field::IncludeEnvironment, pairs.collect());
    ManifestKey::from_digest(encoder.finish())
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

/// Makes the key of a compile from its preprocessed text.
///
/// `text` is what the preprocessor wrote, with line markers rewritten as `docs/keys.md` says; `raw` are the digests of the source
/// and of every file that the line markers name, in the order of first appearance, or empty where the text alone decides.
pub fn preprocessed_key(common: &Common<'_>, text: &[&[u8]], raw: &[Digest]) -> PreprocessedKey {
    let mut encoder = KeyEncoder::new(PREPROCESSED_CONTEXT);
    common.encode(&mut encoder);
    encoder.list(Field::RawDigests, raw.iter().map(Digest::as_bytes));
    encoder.chunks(Field::Text, text);
    PreprocessedKey::from_digest(encoder.finish())
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
    Root(Vec<u8>),
    /// Absolute, outside the root.
    Absolute(Vec<u8>),
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

/// Tag of a field; the numbers are part of the encoding and are never used again for something else.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Field {
    Namespace = 1,
    Sharing = 2,
    Language = 3,
    Toolchain = 4,
    Driver = 5,
    Native = 6,
    Environment = 7,
    ExtraFiles = 8,
    DependencyMode = 9,
    Color = 10,
    Arguments = 11,
    OptionFiles = 12,
    Source = 13,
    WorkingDirectory = 14,
    IncludeDirectories = 15,
    IncludeEnvironment = 16,
    Key = 17,
    Inputs = 18,
    Absent = 19,
    RawDigests = 20,
    Text = 21,
    Kind = 22,
}

/// Writes fields into the hash.
struct KeyEncoder(blake3::Hasher);

impl KeyEncoder {
    fn new(context: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(context))
    }

    fn field(&mut self, tag: Field, bytes: &[u8]) {
        self.chunks(tag, &[bytes]);
    }

    /// One field whose bytes lie in several pieces.
    fn chunks(&mut self, tag: Field, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.0.update(&[tag as u8]).update(&(length as u64).to_le_bytes());
        for piece in pieces {
            self.0.update(piece);
        }
    }

    fn list<I: AsRef<[u8]>>(
        &mut self,
        tag: Field,
        items: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator>,
    ) {
        let items = items.into_iter();
        self.0.update(&[tag as u8]).update(&(items.len() as u64).to_le_bytes());
        for item in items {
            self.0.update(&(item.as_ref().len() as u64).to_le_bytes()).update(item.as_ref());
        }
    }

    fn set(&mut self, tag: Field, mut items: Vec<Vec<u8>>) {
        items.sort_unstable();
        items.dedup();
        self.list(tag, items);
    }

    fn finish(self) -> Digest {
        Digest::from_bytes(*self.0.finalize().as_bytes())
    }
}
