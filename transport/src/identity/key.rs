//! Ed25519 key pairs as PKCS#8 and as X.509 wants them.
//!
//! Source: RFC 8410 (Ed25519 in PKIX), RFC 5958 (PKCS#8). One seed serves TLS, X.509 and our own signatures: the three sign messages
//! that cannot be mistaken for each other (64 spaces first, a DER sequence, a length-prefixed context).

use dccache_protocol::digest::Digest;
use dccache_protocol::signing::{PublicKey, SigningKey};
use rcgen::PublicKeyData;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;

/// DER in front of the 32 bytes of an Ed25519 seed in PKCS#8 version 1.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// DER in front of the 32 bytes of an Ed25519 public key in a SubjectPublicKeyInfo.
const SPKI_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Name of a key: the digest of its DER `SubjectPublicKeyInfo`. Revocations name keys by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Digest);

impl KeyId {
    /// Wraps a digest that was read as a key's name.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// Returns the digest inside.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }

    /// Names a DER `SubjectPublicKeyInfo`.
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Digest::of(spki))
    }

    /// Names a public key.
    pub fn of(key: PublicKey) -> Self {
        Self::of_spki(&spki(key))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    Entropy(#[source] getrandom::Error),
    /// Not a PKCS#8 file with an Ed25519 key.
    #[error("not a PEM file with an Ed25519 private key (PKCS#8)")]
    Malformed,
}

/// A private key with its public half. Wiped when dropped and never shown.
#[derive(Debug)]
pub struct KeyPair(SigningKey);

impl KeyPair {
    /// Draws a new key from the operating system.
    ///
    /// # Errors
    /// [`KeyError::Entropy`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Entropy)?;
        Ok(Self::from_seed(&seed))
    }

    /// Makes a key from 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_seed(seed))
    }

    /// Reads a key that [`KeyPair::to_pem`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?;
        let seed = der.secret_pkcs8_der().strip_prefix(&PKCS8_PREFIX).ok_or(KeyError::Malformed)?;
        Ok(Self::from_seed(seed.try_into().map_err(|_| KeyError::Malformed)?))
    }

    /// Writes the key as PKCS#8 PEM, to be kept in a file that only its owner reads.
    pub fn to_pem(&self) -> String {
        self.to_rcgen().serialize_pem()
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// Returns the key's name.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.public())
    }

    /// Returns the key for signing statements of the protocol.
    pub fn signing_key(&self) -> &SigningKey {
        &self.0
    }

    /// Returns the key as rustls takes it.
    pub(crate) fn to_pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &self.0.seed()].concat())
    }

    /// Returns the key as rcgen takes it.
    pub(super) fn to_rcgen(&self) -> rcgen::KeyPair {
        rcgen::KeyPair::try_from(&self.to_pkcs8()).expect("32 bytes behind this prefix are an Ed25519 key")
    }
}

/// Returns the DER `SubjectPublicKeyInfo` of a public key.
pub(super) fn spki(key: PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.0].concat()
}

/// Reads an Ed25519 public key out of a DER `SubjectPublicKeyInfo`.
pub(super) fn from_spki(spki: &[u8]) -> Option<PublicKey> {
    spki.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok()).map(PublicKey)
}

/// A public key for rcgen, which otherwise only knows those of key pairs.
pub(super) struct Subjected(pub(super) PublicKey);

impl PublicKeyData for Subjected {
    fn der_bytes(&self) -> &[u8] {
        &self.0.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_names_itself_as_x509_does() {
        let key = KeyPair::from_seed(&[9; 32]);
        let pem = key.to_pem();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(KeyPair::from_pem(pem.as_bytes()).unwrap().public(), key.public());
        assert_eq!(spki(key.public()), key.to_rcgen().subject_public_key_info());
        assert_eq!(from_spki(&spki(key.public())), Some(key.public()));
        assert!(KeyPair::from_pem(&pem.as_bytes()[..60]).is_err());
        assert!(KeyPair::from_pem(b"").is_err());
    }
}
