//! Judging what a node answered to a look-up, before any of it reaches a compile. Pure: bytes, directory and policy in, verdict out.
//!
//! Invariant: an [`Imported`] names a key that was asked for, in the namespace and cluster that were asked in, was signed by a signer whom the
//! policy accepts, and says which digest each of its bytes must have. Who takes them out checks that, once, and asks for [`Contents::Checked`] where
//! they have another one. Nothing that the node itself says is believed, except for the receipt stamp.

use super::policy::Policy;
use crate::cluster::Signers;
use dccache_protocol::bundle::Bundle;
use dccache_protocol::codec::Format;
use dccache_protocol::directory::SignerRecord;
use dccache_protocol::entry::{Alias, Claim, Entry};
use dccache_protocol::ids::{Namespace, SignerId};
use dccache_protocol::keys::EntryKey;
use dccache_protocol::local::{Distrust, Vetted};
use dccache_protocol::time::ReceiptStamp;

/// Who checks the bytes of an entry against the digests that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Whoever takes them out.
    Unchecked,
    /// The agent, which then knows which node lied.
    Checked,
}

/// What was asked for, and by whom an answer is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Signers of the cluster.
    pub signers: &'a Signers,
    /// Whose word suffices.
    pub policy: &'a Policy,
    /// This machine's signer.
    pub own: Option<SignerId>,
    /// Namespace that was asked in.
    pub namespace: &'a Namespace,
    /// Keys that were asked for.
    pub keys: &'a [EntryKey],
    /// Whether contents are looked at.
    pub contents: Contents,
}

/// What a node answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Key under which it claims to have found it.
    pub key: EntryKey,
    /// Encoded alias, when the key is a second name.
    pub alias: Option<&'a [u8]>,
    /// When the ring received the bundle.
    pub stamp: ReceiptStamp,
    /// Encoded bundle.
    pub bundle: &'a [u8],
}

/// An entry that passed verification and policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The entry.
    pub vetted: Vetted,
    /// The blobs as stored.
    pub body: Vec<u8>,
}

/// Why an answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For this reason.
    Distrusted(Distrust),
    /// The directory knows nothing of its signer: a newer one may.
    UnknownSigner(SignerId),
}

impl From<Verdict> for Distrust {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Distrusted(reason) => reason,
            Verdict::UnknownSigner(_) => Self::Signer,
        }
    }
}

const MALFORMED: Verdict = Verdict::Distrusted(Distrust::Malformed);
const SIGNATURE: Verdict = Verdict::Distrusted(Distrust::Signature);
const SIGNER: Verdict = Verdict::Distrusted(Distrust::Signer);

impl Judge<'_> {
    /// Judges an answer. Costs a signature check or two, and a digest over all of its content where that is checked.
    ///
    /// # Errors
    /// The first reason why it is not used.
    pub fn import(&self, answered: &Answered<'_>) -> Result<Imported, Verdict> {
        if !self.keys.contains(&answered.key) {
            return Err(SIGNATURE);
        }
        let bundle = Bundle::parse(answered.bundle).map_err(|_| MALFORMED)?;
        let entry = &bundle.head.entry;
        let named = match answered.alias {
            None => answered.key,
            Some(bytes) => self.alias_target(answered.key, bytes, &entry.claim)?,
        };
        self.entry(entry, named, answered.stamp)?;
        if self.contents == Contents::Checked {
            bundle.verify().map_err(|_| Verdict::Distrusted(Distrust::Digest))?;
        }
        let body = bundle.body.to_vec();
        let vetted = Vetted {
            key: answered.key,
            lies: named,
            signer: entry.claim.signer,
            trust_epoch: self.signers.number(),
            outcome: bundle.head.entry.claim.outcome,
            table: bundle.head.table,
        };
        Ok(Imported { vetted, body })
    }

    fn entry(&self, entry: &Entry, key: EntryKey, stamp: ReceiptStamp) -> Result<(), Verdict> {
        let claim = &entry.claim;
        if !claim.answers(self.signers.cluster(), self.namespace, key) {
            return Err(SIGNATURE);
        }
        let signer = self.known(claim.signer)?;
        if !entry.is_signed_by(&signer.key) {
            return Err(SIGNATURE);
        }
        let accepted = self.policy.accepts(signer, self.own, self.namespace, stamp);
        if accepted { Ok(()) } else { Err(SIGNER) }
    }

    /// Judges an alias and returns the key whose bundle it names.
    fn alias_target(&self, key: EntryKey, bytes: &[u8], entry: &Claim) -> Result<EntryKey, Verdict> {
        let alias = Alias::from_bytes(bytes).map_err(|_| MALFORMED)?;
        let claim = &alias.claim;
        if !claim.leads(self.signers.cluster(), self.namespace, key, entry) {
            return Err(SIGNATURE);
        }
        let signer = self.known(claim.signer)?;
        if !alias.is_signed_by(&signer.key) {
            return Err(SIGNATURE);
        }
        // The answer carries the bundle's receipt stamp, not the alias's.
        if !self.policy.accepts_now(signer, self.own, self.namespace) {
            return Err(SIGNER);
        }
        Ok(claim.target)
    }

    fn known(&self, id: SignerId) -> Result<&SignerRecord, Verdict> {
        self.signers.signer(&id).ok_or(Verdict::UnknownSigner(id))
    }
}

#[cfg(test)]
mod tests;
