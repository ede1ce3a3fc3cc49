//! The directory of signers as a consumer keeps it: judged once, indexed by name.

use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::directory::{SignedDirectory, SignerRecord};
use dccache_protocol::ids::{ClusterId, SignerId};
use dccache_protocol::layout::Layout;
use dccache_protocol::signing::Purpose;
use dccache_ring::accept::{majority, votes};
use std::collections::HashMap;

/// Why a directory was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRejection {
    /// A bound or an order inside of it is violated.
    #[error("the directory is malformed")]
    Malformed(#[source] DecodeError),
    /// It belongs to another cluster.
    #[error("the directory belongs to another cluster")]
    ForeignCluster,
    /// It is the known one, or older: a compromised signer cannot be brought back.
    #[error("the directory's number {offered} is not above {known}")]
    NotNewer {
        /// Number known here.
        known: u64,
        /// Number offered.
        offered: u64,
    },
    /// Too few voters of the layout in force signed it.
    #[error("{good} of {needed} signatures hold")]
    TooFewSignatures {
        /// Voters whose signature holds.
        good: usize,
        /// Voters that are a majority.
        needed: usize,
    },
}

/// An accepted directory, with an index.
#[derive(Clone, Debug)]
pub struct Signers {
    signed: SignedDirectory,
    index: HashMap<SignerId, usize>,
}

impl Signers {
    /// Takes a directory from a source that is trusted itself: this machine's own disk, or the issuer that was pinned while joining.
    ///
    /// # Errors
    /// [`DirectoryRejection::Malformed`] and [`DirectoryRejection::ForeignCluster`].
    pub fn vouched(signed: SignedDirectory, cluster: ClusterId) -> Result<Self, DirectoryRejection> {
        signed.validate().map_err(DirectoryRejection::Malformed)?;
        if signed.directory.cluster != cluster {
            return Err(DirectoryRejection::ForeignCluster);
        }
        let records = signed.directory.signers.iter().enumerate();
        let index = records.map(|(at, record)| (record.key.signer_id(), at)).collect();
        Ok(Self { signed, index })
    }

    /// Judges a newer directory under the layout in force.
    ///
    /// # Errors
    /// When it is not believed; this one stays in force.
    pub fn accept(&self, candidate: SignedDirectory, layout: &Layout) -> Result<Self, DirectoryRejection> {
        let next = Self::vouched(candidate, self.signed.directory.cluster)?;
        let (known, offered) = (self.number(), next.number());
        if offered <= known {
            return Err(DirectoryRejection::NotNewer { known, offered });
        }
        let statement = next.signed.directory.to_bytes();
        let good = votes(layout, Purpose::Directory, &statement, &next.signed.signatures);
        let needed = majority(layout);
        if good < needed { Err(DirectoryRejection::TooFewSignatures { good, needed }) } else { Ok(next) }
    }

    /// Returns a signer by name.
    pub fn signer(&self, id: &SignerId) -> Option<&SignerRecord> {
        self.index.get(id).map(|&at| &self.signed.directory.signers[at])
    }

    /// Returns the directory's number, the trust epoch.
    pub fn number(&self) -> u64 {
        self.signed.directory.number
    }

    /// Returns the cluster.
    pub fn cluster(&self) -> ClusterId {
        self.signed.directory.cluster
    }

    /// Returns the directory with its signatures.
    pub fn signed(&self) -> &SignedDirectory {
        &self.signed
    }
}
