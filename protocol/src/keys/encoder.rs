//! The writer of the key encoding: tagged, length-prefixed fields, lists and sets into BLAKE3.
//!
//! Nothing is concatenated without a length, so two different sequences of fields never give the same bytes.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

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

impl Field {
    /// Names the fields of a command in words.
    fn name(tag: u8) -> &'static str {
        const NAMES: [(Field, &str); 17] = [
            (Field::Namespace, "namespace"),
            (Field::Language, "language"),
            (Field::Toolchain, "toolchain"),
            (Field::Driver, "driver"),
            (Field::Native, "native"),
            (Field::Environment, "environment"),
            (Field::ExtraFiles, "extra files"),
            (Field::DependencyMode, "dependency mode"),
            (Field::Color, "colour"),
            (Field::Source, "source"),
            (Field::Output, "output"),
            (Field::Recorded, "recorded"),
            (Field::Arguments, "arguments"),
            (Field::OptionFiles, "option files"),
            (Field::WorkingDirectory, "working directory"),
            (Field::IncludeDirectories, "include directories"),
            (Field::IncludeEnvironment, "include environment"),
        ];
        NAMES.iter().find(|(field, _)| *field as u8 == tag).map_or("another", |(_, name)| name)
    }
}

/// One field as it goes into a key: its tag and its items; a field that is no list has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyField {
    /// Tag of the field, as `docs/keys.md` numbers them.
    pub tag: u8,
    /// What it holds, in the order of the encoding.
    pub items: Vec<Vec<u8>>,
}

impl KeyField {
    /// Returns the field's name, as `docs/keys.md` writes it.
    pub fn name(&self) -> &'static str {
        Field::name(self.tag)
    }
}

/// Writes fields into the hash.
pub(super) struct KeyEncoder {
    hash: blake3::Hasher,
    /// What was written, for who wants to show it.
    shown: Option<Vec<KeyField>>,
}

impl KeyEncoder {
    pub(super) fn new(context: &str) -> Self {
        Self { hash: blake3::Hasher::new_derive_key(context), shown: None }
    }

    /// Keeps also what it writes.
    pub(super) fn showing() -> Self {
        Self { hash: blake3::Hasher::new(), shown: Some(Vec::new()) }
    }

    pub(super) fn into_fields(self) -> Vec<KeyField> {
        self.shown.unwrap_or_default()
    }

    pub(super) fn field(&mut self, tag: Field, bytes: &[u8]) {
        self.chunks(tag, &[bytes]);
    }

    /// One field whose bytes lie in several pieces.
    pub(super) fn chunks(&mut self, tag: Field, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.hash.update(&[tag as u8]).update(&(length as u64).to_le_bytes());
        for piece in pieces {
            self.hash.update(piece);
        }
        if let Some(shown) = &mut self.shown {
            shown.push(KeyField { tag: tag as u8, items: vec![pieces.concat()] });
        }
    }

    pub(super) fn list<I: AsRef<[u8]>>(
        &mut self,
        tag: Field,
        items: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator>,
    ) {
        let items = items.into_iter();
        self.hash.update(&[tag as u8]).update(&(items.len() as u64).to_le_bytes());
        let mut shown = self.shown.as_ref().map(|_| Vec::new());
        for item in items {
            self.hash.update(&(item.as_ref().len() as u64).to_le_bytes()).update(item.as_ref());
            shown.iter_mut().for_each(|shown| shown.push(item.as_ref().to_vec()));
        }
        if let (Some(all), Some(items)) = (&mut self.shown, shown) {
            all.push(KeyField { tag: tag as u8, items });
        }
    }

    pub(super) fn set(&mut self, tag: Field, mut items: Vec<Vec<u8>>) {
        items.sort_unstable();
        items.dedup();
        self.list(tag, items);
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from_bytes(*self.hash.finalize().as_bytes())
    }
}
