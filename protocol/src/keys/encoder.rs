//! The writer of the key encoding: tagged, length-prefixed fields, lists and sets into BLAKE3.
//!
//! Nothing is concatenated without a length, so two different sequences of fields never give the same bytes.

use crate::digest::Digest;

/// Tag of a field; the numbers are part of the encoding and are never used again for something else.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Field {
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
    Output = 23,
    Recorded = 24,
    FileForms = 25,
}

/// Writes fields into the hash.
pub(super) struct KeyEncoder(blake3::Hasher);

impl KeyEncoder {
    pub(super) fn new(context: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(context))
    }

    pub(super) fn field(&mut self, tag: Field, bytes: &[u8]) {
        self.chunks(tag, &[bytes]);
    }

    /// One field whose bytes lie in several pieces.
    pub(super) fn chunks(&mut self, tag: Field, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.0.update(&[tag as u8]).update(&(length as u64).to_le_bytes());
        for piece in pieces {
            self.0.update(piece);
        }
    }

    pub(super) fn list<I: AsRef<[u8]>>(
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

    pub(super) fn set(&mut self, tag: Field, mut items: Vec<Vec<u8>>) {
        items.sort_unstable();
        items.dedup();
        self.list(tag, items);
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from_bytes(*self.0.finalize().as_bytes())
    }
}
