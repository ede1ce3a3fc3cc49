//! The directory: who may sign what, as the control plane agreed, countersigned like a layout.
//!
//! Consumers judge entries by it. It is numbered; a consumer never goes back to a smaller number, so a compromised signer cannot be
//! brought back by an old copy.

use crate::codec::{DecodeError, Format, ensure};
use crate::ids::{ClusterId, Label, Namespace, NodeId};
use crate::limits;
use crate::signing::{PublicKey, Signature};
use crate::time::ReceiptStamp;
use serde::{Deserialize, Serialize};

/// What a signer, and the machine behind it, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SignerRole {
    /// Pushes what it compiles.
    Writer,
    /// A build server; policies can accept it alone.
    Ci,
    /// Signs verdicts of audits.
    Auditor,
}

/// Whether a signer's word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// It does.
    Active,
    /// What nodes received up to this stamp stays good; nothing newer is taken.
    Retired(ReceiptStamp),
    /// What nodes received at or after this stamp is a miss everywhere.
    CompromisedSince(ReceiptStamp),
}

impl Standing {
    /// Tells whether an entry received at `stamp` counts.
    pub fn allows(self, stamp: ReceiptStamp) -> bool {
        match self {
            Self::Active => true,
            Self::Retired(last) => stamp <= last,
            Self::CompromisedSince(first) => stamp < first,
        }
    }
}

/// A registered signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerRecord {
    /// Its public key; its name is [`PublicKey::signer_id`].
    pub key: PublicKey,
    /// Person or organisation that answers for it; quorums count distinct operators.
    pub operator: Label,
    /// What it may do; ascending.
    pub roles: Vec<SignerRole>,
    /// Namespaces it may write to; ascending. Empty: all.
    pub namespaces: Vec<Namespace>,
    /// Whether its word counts.
    pub standing: Standing,
}

impl SignerRecord {
    /// Tells whether the signer may write to `namespace`.
    pub fn covers(&self, namespace: &Namespace) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }
}

/// All signers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Cluster that it belongs to.
    pub cluster: ClusterId,
    /// Grows with every change; the trust epoch that local records remember.
    pub number: u64,
    /// The signers, ascending by key.
    pub signers: Vec<SignerRecord>,
}

impl Directory {
    /// Returns a signer by its public key's name. Costs a scan; build an index where it is asked often.
    pub fn signer(&self, id: &crate::ids::SignerId) -> Option<&SignerRecord> {
        self.signers.iter().find(|signer| signer.key.signer_id() == *id)
    }
}

impl Format for Directory {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::DIRECTORY_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.signers.len() <= limits::SIGNERS_MAX, "number of signers")?;
        ensure(self.signers.is_sorted_by(|a, b| a.key < b.key), "order of signers")
    }
}

/// A directory with the signatures of voters of the layout in force, [`crate::signing::Purpose::Directory`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDirectory {
    /// The directory.
    pub directory: Directory,
    /// Who countersigned its encoding, ascending by [`NodeId`].
    pub signatures: Vec<(NodeId, Signature)>,
}

impl Format for SignedDirectory {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::DIRECTORY_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.signatures.len() <= limits::VOTERS_MAX, "number of signatures")?;
        ensure(self.signatures.is_sorted_by(|a, b| a.0 < b.0), "order of signatures")?;
        self.directory.validate()
    }
}
