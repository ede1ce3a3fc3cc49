//! Ed25519 signatures over domain-separated, length-prefixed statements.
//!
//! The signed message is a context string with its length, then the statement's encoding with its length. A statement
//! of one kind can therefore never be taken for one of another. Source: RFC 8032; verification is strict (no small-order keys).

use crate::digest::Digest;
use crate::ids::{ClusterId, SignerId};
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a signature is about; a closed set, each with a context string of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An entry: this key gives these outputs.
    Entry,
    /// An alias: this key names that bundle.
    Alias,
    /// A layout, by a voter of its parent.
    Layout,
    /// A directory of signers, by a voter.
    Directory,
    /// A grant or another administrator's statement.
    Administration,
    /// A statement by the cluster's root.
    Root,
    /// A removal of records by their signer or namespace.
    Tombstone,
    /// A list of revoked certificates.
    Revocation,
    /// Proof of possession in enrolment.
    Enrolment,
}

impl Purpose {
    const fn context(self) -> &'static [u8] {
        match self {
            Self::Entry => b"dccache v1 entry",
            Self::Alias => b"dccache v1 alias",
            Self::Layout => b"dccache v1 layout",
            Self::Directory => b"dccache v1 directory",
            Self::Administration => b"dccache v1 administration",
            Self::Root => b"dccache v1 root",
            Self::Tombstone => b"dccache v1 tombstone",
            Self::Revocation => b"dccache v1 revocation",
            Self::Enrolment => b"dccache v1 enrolment",
        }
    }
}

/// 64 bytes of Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

impl Signature {
    /// Returns the signature's bytes.
    pub fn to_bytes(self) -> [u8; 64] {
        std::array::from_fn(|i| if i < 32 { self.0[i] } else { self.1[i - 32] })
    }

    /// Wraps 64 bytes.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        Self(std::array::from_fn(|i| bytes[i]), std::array::from_fn(|i| bytes[i + 32]))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature-{:02x}{:02x}", self.0[0], self.0[1])
    }
}

/// An Ed25519 public key in its 32-byte form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Returns the name of the signer that holds the private half.
    pub fn signer_id(&self) -> SignerId {
        SignerId::from_digest(Digest::of(&self.0))
    }

    /// Returns the key in DER `SubjectPublicKeyInfo` form, as certificates carry it (RFC 8410).
    pub fn to_spki_der(&self) -> [u8; 44] {
        const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        std::array::from_fn(|i| if i < 12 { ED25519[i] } else { self.0[i - 12] })
    }

    /// Returns the name of the cluster whose first root has this key: the digest of [`PublicKey::to_spki_der`].
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId::from_digest(Digest::of(&self.to_spki_der()))
    }

    /// Checks a signature; `false` for a key that is no curve point as well.
    pub fn verifies(&self, purpose: Purpose, statement: &[u8], signature: &Signature) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&self.0) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
        key.verify_strict(&message(purpose, statement), &signature).is_ok()
    }
}

/// The private half of a long-lived key. It is wiped when dropped and never shown.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Makes a key from 32 random bytes that the caller drew from the operating system.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Returns the seed, to be written to a file that only its owner reads.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a statement.
    pub fn sign(&self, purpose: Purpose, statement: &[u8]) -> Signature {
        Signature::from_bytes(&self.0.sign(&message(purpose, statement)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public())
    }
}

fn message(purpose: Purpose, statement: &[u8]) -> Vec<u8> {
    let context = purpose.context();
    let mut message = Vec::with_capacity(16 + context.len() + statement.len());
    message.extend((context.len() as u64).to_le_bytes());
    message.extend(context);
    message.extend((statement.len() as u64).to_le_bytes());
    message.extend(statement);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_purpose_statement_and_key_only() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign(Purpose::Entry, b"statement");
        assert!(key.public().verifies(Purpose::Entry, b"statement", &signature));
        assert!(!key.public().verifies(Purpose::Alias, b"statement", &signature));
        assert!(!key.public().verifies(Purpose::Entry, b"statemenT", &signature));
        assert!(!SigningKey::from_seed(&[8; 32]).public().verifies(Purpose::Entry, b"statement", &signature));
        assert!(!PublicKey([0; 32]).verifies(Purpose::Entry, b"statement", &signature));
    }
}
