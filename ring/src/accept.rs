//! Which layouts a client or a node believes.
//!
//! Invariants:
//! 1. A layout is believed when a majority of the *trusted* layout's voters signed it, or a root did (the first layout, and
//!    recovery from a lost majority). What the candidate says about itself counts for nothing.
//! 2. Epochs only grow; another content under a known epoch is a conflict, never an update.
//! 3. The child of the trusted layout must name it as its parent.
//!
//! A member that fell behind a change of voters needs the layouts in between ([`Trusted::accept_chain`]).

use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::control::{ROOT_SIGNER, root_layout_bytes};
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{ClusterId, Epoch, NodeId};
use dccache_protocol::layout::{Layout, SignedLayout};
use dccache_protocol::signing::{PublicKey, Purpose, Signature};
use std::collections::BTreeSet;

/// Why a layout was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A bound or an order inside of it is violated.
    #[error("the layout is malformed")]
    Malformed(#[source] DecodeError),
    /// It belongs to another cluster.
    #[error("the layout belongs to another cluster")]
    ForeignCluster,
    /// It is the trusted layout, or older.
    #[error("the layout's epoch {offered:?} is not above {trusted:?}")]
    NotNewer {
        /// Epoch in force here.
        trusted: Epoch,
        /// Epoch offered.
        offered: Epoch,
    },
    /// It has the trusted layout's epoch and another content. Somebody reused an epoch: an attack, or a split control plane.
    #[error("another layout has epoch {0:?}")]
    Conflict(Epoch),
    /// It has the next epoch and another parent.
    #[error("the layout does not follow the trusted one")]
    WrongParent,
    /// Too few of the trusted layout's voters signed it, and no root did.
    #[error("{good} of {needed} signatures hold")]
    TooFewSignatures {
        /// Voters of the trusted layout whose signature holds.
        good: usize,
        /// Voters that are a majority.
        needed: usize,
    },
    /// It is the first, and no trusted root signed it.
    #[error("no trusted root signed the layout")]
    NotByRoot,
}

/// A layout that was checked, or that its holder vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    signed: SignedLayout,
    digest: Digest,
}

impl Trusted {
    /// Takes a layout from a source that is trusted itself: this machine's own disk, or the issuer that was pinned while joining.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] and [`Rejection::ForeignCluster`].
    pub fn vouched(signed: SignedLayout, cluster: ClusterId) -> Result<Self, Rejection> {
        signed.validate().map_err(Rejection::Malformed)?;
        if signed.layout.cluster != cluster {
            return Err(Rejection::ForeignCluster);
        }
        Ok(Self { digest: signed.layout.digest(), signed })
    }

    /// Takes a layout that a root signed.
    ///
    /// # Errors
    /// When it is malformed, of another cluster, or no root of `roots` signed it.
    pub fn by_root(signed: SignedLayout, cluster: ClusterId, roots: &[PublicKey]) -> Result<Self, Rejection> {
        let trusted = Self::vouched(signed, cluster)?;
        if is_signed_by_root(&trusted.signed, roots) { Ok(trusted) } else { Err(Rejection::NotByRoot) }
    }

    /// Returns the layout.
    pub fn layout(&self) -> &Layout {
        &self.signed.layout
    }

    /// Returns the layout with its signatures, to be passed on.
    pub fn signed(&self) -> &SignedLayout {
        &self.signed
    }

    /// Returns the digest of the layout's encoding.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Judges a newer layout.
    ///
    /// # Errors
    /// When it is not believed; the trusted layout stays in force.
    pub fn accept(&self, candidate: SignedLayout, roots: &[PublicKey]) -> Result<Self, Rejection> {
        let trusted = self.layout();
        let next = Self::vouched(candidate, trusted.cluster)?;
        let offered = next.layout().epoch;
        if offered <= trusted.epoch {
            let conflict = offered == trusted.epoch && next.digest != self.digest;
            let stale = Rejection::NotNewer { trusted: trusted.epoch, offered };
            return Err(if conflict { Rejection::Conflict(offered) } else { stale });
        }
        if is_signed_by_root(&next.signed, roots) {
            return Ok(next);
        }
        if offered.0 == trusted.epoch.0.saturating_add(1) && next.layout().parent != self.digest {
            return Err(Rejection::WrongParent);
        }
        let (good, needed) = (
            votes(trusted, Purpose::Layout, &next.signed.layout.to_bytes(), &next.signed.signatures),
            majority(trusted),
        );
        if good < needed { Err(Rejection::TooFewSignatures { good, needed }) } else { Ok(next) }
    }

    /// Judges layouts one after the other, oldest first, and returns the last. Those that are not newer are passed over.
    ///
    /// # Errors
    /// The first rejection other than [`Rejection::NotNewer`].
    pub fn accept_chain(
        self,
        chain: impl IntoIterator<Item = SignedLayout>,
        roots: &[PublicKey],
    ) -> Result<Self, Rejection> {
        chain.into_iter().try_fold(self, |trusted, candidate| match trusted.accept(candidate, roots) {
            Err(Rejection::NotNewer { .. }) => Ok(trusted),
            judged => judged,
        })
    }
}

/// Returns how many voters of a layout are a majority.
pub fn majority(layout: &Layout) -> usize {
    layout.voters.len() / 2 + 1
}

/// Counts the voters of `layout` whose signature over `statement` holds. A key counts once, under however many names it signs.
pub fn votes(
    layout: &Layout,
    purpose: Purpose,
    statement: &[u8],
    signatures: &[(NodeId, Signature)],
) -> usize {
    let keys: BTreeSet<PublicKey> = signatures
        .iter()
        .filter(|(voter, _)| layout.voters.binary_search(voter).is_ok())
        .filter_map(|(voter, signature)| Some((layout.member(*voter)?.voter_key, signature)))
        .filter(|(key, signature)| key.verifies(purpose, statement, signature))
        .map(|(key, _)| key)
        .collect();
    keys.len()
}

/// Says whether one of `roots` signed a layout.
pub fn is_signed_by_root(signed: &SignedLayout, roots: &[PublicKey]) -> bool {
    let by_root = signed.signatures.iter().filter(|(name, _)| *name == ROOT_SIGNER);
    let bytes = root_layout_bytes(&signed.layout);
    by_root
        .into_iter()
        .any(|(_, signature)| roots.iter().any(|root| root.verifies(Purpose::Root, &bytes, signature)))
}

#[cfg(test)]
mod tests;
