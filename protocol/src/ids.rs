//! Names of nodes, signers, clusters, toolchains, namespaces and partitions; no two can be mixed up.

use crate::digest::{Digest, digest_type};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::fmt;

digest_type! {
    /// Name of a cluster: digest of the DER of its first root certificate's public key.
    ClusterId
}
digest_type! {
    /// Name of a signer: digest of its Ed25519 public key.
    SignerId
}
digest_type! {
    /// Name of a toolchain: digest of the roles and contents of the files that decide its output.
    ToolchainId
}

/// Random name of a node, made once and kept in its data directory and certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", &self.to_string()[..8])
    }
}

impl NodeId {
    /// Parses 32 lower-case hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let padded = Digest::from_hex(&format!("{text}{}", "0".repeat(32)))?;
        (text.len() == 32).then(|| Self(std::array::from_fn(|i| padded.as_bytes()[i])))
    }
}

/// Number of a layout; each new layout has its parent's plus one. The first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Number of partitions of the key space: 12 bits.
pub const PARTITIONS: usize = 4096;

/// One of the [`PARTITIONS`] slices of the key space.
///
/// Invariant: below [`PARTITIONS`], also when a peer sent it; tables are indexed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Partition(u16);

/// A number that is no [`Partition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {0} is not below {PARTITIONS}")]
pub struct BadPartition(pub u16);

impl TryFrom<u16> for Partition {
    type Error = BadPartition;

    fn try_from(index: u16) -> Result<Self, BadPartition> {
        Self::new(index).ok_or(BadPartition(index))
    }
}

impl From<Partition> for u16 {
    fn from(partition: Partition) -> Self {
        partition.0
    }
}

impl Partition {
    /// Returns partition `index`; `None` at or above [`PARTITIONS`].
    pub const fn new(index: u16) -> Option<Self> {
        if (index as usize) < PARTITIONS { Some(Self(index)) } else { None }
    }

    /// Returns the partition of a key: its top 12 bits.
    pub const fn of(digest: &Digest) -> Self {
        let bytes = digest.as_bytes();
        Self((bytes[0] as u16) << 4 | (bytes[1] as u16) >> 4)
    }

    /// Returns the number, 0 to 4095.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Iterates over all partitions in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS as u16).map(Self)
    }
}

/// A short name that people choose: ASCII letters, digits, `.`, `_`, `-`, at most [`limits::LABEL_MAX`] bytes, not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A text that is no [`Label`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: use 1 to {max} of A-Z a-z 0-9 . _ -", max = limits::LABEL_MAX)]
pub struct BadLabel(pub String);

impl TryFrom<String> for Label {
    type Error = BadLabel;

    fn try_from(text: String) -> Result<Self, BadLabel> {
        let fits = (1..=limits::LABEL_MAX).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits && plain { Ok(Self(text)) } else { Err(BadLabel(text.chars().take(80).collect())) }
    }
}

impl std::str::FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        Self::try_from(text.to_owned())
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl Label {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Separates the keys of projects or teams within a cluster; in every key and every attestation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Namespace(pub Label);

impl Default for Namespace {
    fn default() -> Self {
        Self(Label("default".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_the_top_twelve_bits() {
        let mut bytes = [0; 32];
        (bytes[0], bytes[1]) = (0xAB, 0xCD);
        assert_eq!(Partition::of(&Digest::from_bytes(bytes)).index(), 0xABC);
        assert_eq!(Partition::new(4096), None);
    }

    #[test]
    fn labels_refuse_what_a_path_or_a_terminal_could_misread() {
        for good in ["default", "ci-1", "a.b_c"] {
            assert!(good.parse::<Label>().is_ok());
        }
        for bad in ["", "a/b", "a b", "ü", "\u{1b}[31m", &"a".repeat(65)] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn node_ids_survive_the_round_trip() {
        let id = NodeId(std::array::from_fn(|i| i as u8));
        assert_eq!(NodeId::from_hex(&id.to_string()), Some(id));
        assert_eq!(NodeId::from_hex(&"0".repeat(64)), None);
    }
}
