//! Looking into a file of the store, for people.

use super::{Found, LocalEntry, Look, Side, Store, side};
use dccache_protocol::codec::{Format, decode_exact};
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::OutputRole;
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, PreprocessedKey, RootPath};
use dccache_protocol::manifest::Manifest;
use std::fmt;

/// What one file holds.
#[derive(Debug)]
pub enum Inspected {
    /// A result.
    Entry(EntryKey, Box<LocalEntry>),
    /// A second name of a result, and which that is.
    Alias(Option<EntryKey>, EntryKey),
    /// What compiles of one command read.
    Manifest(Manifest),
}

impl Inspected {
    /// Returns what a result holds, by output; `None` where it is none or damaged.
    pub fn contents(&self) -> Option<Vec<(String, Vec<u8>)>> {
        let Self::Entry(_, entry) = self else { return None };
        let names = entry.outcome.outputs.iter().map(|output| role_name(output.role));
        let names = names.chain(["stdout".to_owned(), "stderr".to_owned()]);
        let contents = entry.contents().ok()?;
        Some(names.zip(contents.iter().map(|content| AsRef::<[u8]>::as_ref(content).to_vec())).collect())
    }
}

fn role_name(role: OutputRole) -> String {
    format!("{role:?}").to_lowercase()
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(key, entry) => {
                writeln!(f, "result of a compile\nkey:       {}", key.digest())?;
                writeln!(f, "origin:    {:?}\ntoolchain: {:?}", entry.origin, entry.outcome.toolchain)?;
                writeln!(f, "took:      {} ms", entry.outcome.wall_ms)?;
                for output in &entry.outcome.outputs {
                    writeln!(
                        f,
                        "{}: {} bytes, {}",
                        role_name(output.role),
                        output.content.size,
                        output.content.blob
                    )?;
                }
                writeln!(f, "stderr: {} bytes", entry.outcome.stderr.size)
            }
            Self::Alias(key, target) => {
                writeln!(f, "second name of a result")?;
                key.iter().try_for_each(|key| writeln!(f, "key:    {}", key.digest()))?;
                writeln!(f, "result: {}", target.digest())
            }
            Self::Manifest(manifest) => {
                writeln!(f, "manifest: what {} compiles of one command read", manifest.suggestions.len())?;
                for (index, suggestion) in manifest.suggestions.iter().enumerate() {
                    let (read, absent) = (suggestion.inputs.len(), suggestion.absent.len());
                    writeln!(f, "compile {index}: {read} files, {absent} names that must be absent")?;
                    for (path, digest) in &suggestion.inputs {
                        let (below, name) = match path {
                            RootPath::Root(name) => ("below the root", name),
                            RootPath::Absolute(name) => ("", name),
                        };
                        writeln!(f, "  {digest} {} {below}", String::from_utf8_lossy(name).escape_debug())?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Store<'_> {
    /// Reads the file of this name; `None` unless this store wrote it.
    pub fn inspect(&self, name: &str) -> Option<Inspected> {
        let (kind, digest) = name.split_once('-')?;
        let digest = parse_digest(digest)?;
        let key = match kind {
            "d" => EntryKey::Direct(DirectKey::from_digest(digest)),
            "p" => EntryKey::Preprocessed(PreprocessedKey::from_digest(digest)),
            "m" => {
                let bytes = self.side(Side::Manifest(ManifestKey::from_digest(digest))).body()?;
                return Manifest::from_bytes(&bytes).ok().map(Inspected::Manifest);
            }
            _ => return None,
        };
        match self.look(&key) {
            Look::Found(Found::Entry { key, entry }) => Some(Inspected::Entry(key, entry)),
            Look::Alias(target) => Some(Inspected::Alias(Some(key), target)),
            Look::Found(_) => None,
        }
    }
}

impl Inspected {
    /// Reads what a file of any store holds, wherever it lies now; `None` for other files. Nobody vouches for what it says but for contents, which
    /// are checked against it.
    pub fn anywhere(bytes: Vec<u8>) -> Option<Self> {
        let beside = side::body_of(&bytes);
        if bytes.first() == Some(&side::ALIAS_VERSION) {
            return Some(Self::Alias(None, decode_exact(beside?).ok()?));
        }
        if let Some(manifest) = beside.and_then(|body| Manifest::from_bytes(body).ok()) {
            return Some(Self::Manifest(manifest));
        }
        let (key, entry) = LocalEntry::parse_unsealed(bytes)?;
        Some(Self::Entry(key, Box::new(entry)))
    }
}

/// Reads 64 hexadecimal digits.
fn parse_digest(text: &str) -> Option<Digest> {
    let bytes: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(Digest::from_bytes(digest))
}
