//! The list of revoked nodes and keys: signed, numbered, and without a way back.

use super::statement::{Signed, Statement};
use crate::codec::{DecodeError, Format, ensure};
use crate::digest::Digest;
use crate::ids::{ClusterId, NodeId};
use crate::limits;
use crate::signing::Purpose;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// Something whose certificates no longer count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Revoked {
    /// Every certificate of a node.
    Node(NodeId),
    /// Every certificate for a key, by the digest of its DER `SubjectPublicKeyInfo`.
    Key(Digest),
}

/// Everything that is revoked. A later list has a greater number and leaves nothing out: there is no way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// Cluster that it is for.
    pub cluster: ClusterId,
    /// Its number; the first is 1.
    pub number: u64,
    /// When it was signed; a list older than a leaf's life is not enough any more.
    pub issued: UnixMillis,
    /// What is revoked, ascending.
    pub revoked: Vec<Revoked>,
}

impl RevocationList {
    /// Says whether a node or a key is revoked.
    pub fn contains(&self, revoked: Revoked) -> bool {
        self.revoked.binary_search(&revoked).is_ok()
    }
}

impl Format for RevocationList {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::CONTROL_MESSAGE_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.revoked.len() <= limits::REVOCATIONS_MAX, "number of revocations")?;
        ensure(self.revoked.is_sorted_by(|a, b| a < b), "order of revocations")
    }
}

impl Statement for RevocationList {
    const PURPOSE: Purpose = Purpose::Revocation;

    fn signed_bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }
}

impl Format for Signed<RevocationList> {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::CONTROL_MESSAGE_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.statement.validate()
    }
}
