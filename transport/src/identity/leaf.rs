//! A machine's own identity: its key and the chain that certifies it, where it is kept, and when it is to be renewed.
//!
//! ```text
//! DIRECTORY/key.pem      PKCS#8, the machine's key, made once
//! DIRECTORY/chain.pem    leaf, issuer; replaced at every renewal
//! DIRECTORY/roots.pem    the roots that were trusted when the chain came
//! ```

use super::certificate::{CertificateError, Subject};
use super::files::{self, FileError};
use super::key::KeyPair;
use dccache_protocol::time::UnixMillis;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Life of a leaf, in ms: seven days, so that a stolen one is short-lived and a week of absence needs nothing special.
pub const LEAF_LIFE_MS: u64 = 7 * 24 * 3600 * 1000;

/// How long after its end an unrevoked leaf may still renew itself, in ms: ninety days, a long leave.
pub const RENEWAL_GRACE_MS: u64 = 90 * 24 * 3600 * 1000;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("identity files")]
    File(#[from] FileError),
    /// The leaf is none of ours.
    #[error("the machine's certificate is not usable")]
    Certificate(#[from] CertificateError),
    /// The leaf certifies another key, or the chain has not two certificates.
    #[error("the certificate chain does not belong to this machine's key")]
    Mismatch,
}

/// A machine's key and the chain that certifies it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    subject: Subject,
}

impl Identity {
    /// Joins a key and its chain: leaf, issuer.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] and [`IdentityError::Certificate`].
    pub fn new(key: Arc<KeyPair>, chain: Vec<CertificateDer<'static>>) -> Result<Self, IdentityError> {
        let [leaf, _issuer] = chain.as_slice() else { return Err(IdentityError::Mismatch) };
        let subject = Subject::parse(leaf)?;
        if subject.key != key.public() {
            return Err(IdentityError::Mismatch);
        }
        Ok(Self { key, chain, subject })
    }

    /// Reads what [`Identity::save`] wrote; the second value is the roots.
    ///
    /// # Errors
    /// Missing or damaged files, each by name.
    pub fn load(directory: &Path) -> Result<(Self, Vec<CertificateDer<'static>>), IdentityError> {
        let key = KeyPair::load(&directory.join("key.pem"))?;
        let chain = read_certificates(&directory.join("chain.pem"))?;
        let roots = read_certificates(&directory.join("roots.pem"))?;
        Ok((Self::new(Arc::new(key), chain)?, roots))
    }

    /// Writes key, chain and roots into a private directory, each whole or not at all.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn save(&self, directory: &Path, roots: &[CertificateDer<'_>]) -> Result<(), IdentityError> {
        files::create_private_dir(directory)?;
        files::write_private(&directory.join("key.pem"), self.key.to_pem().as_bytes())?;
        files::write_private(&directory.join("roots.pem"), to_pem(roots).as_bytes())?;
        files::write_private(&directory.join("chain.pem"), to_pem(&self.chain).as_bytes())?;
        Ok(())
    }

    /// Returns what the leaf says.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the key.
    pub fn key(&self) -> &Arc<KeyPair> {
        &self.key
    }

    /// Returns leaf and issuer.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Decides whether the leaf is to be renewed.
    pub fn renewal(&self, now: UnixMillis) -> Renewal {
        Renewal::of(&self.subject, now)
    }
}

/// What is to be done about a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing before this instant: two thirds of the leaf's life.
    NotBefore(UnixMillis),
    /// Renew now; it still counts until this instant.
    Due(UnixMillis),
    /// It has ended, but may renew itself until this instant.
    Expired(UnixMillis),
    /// It ended too long ago: join again with a new token.
    Lost,
}

impl Renewal {
    /// Decides for a leaf. Its life is counted from an hour after `not_before`, when it was made, but the hour does not matter here.
    pub fn of(leaf: &Subject, now: UnixMillis) -> Self {
        let life = leaf.not_after.since(leaf.not_before);
        let due = leaf.not_before.plus_ms(life / 3 * 2);
        let lost = leaf.not_after.plus_ms(RENEWAL_GRACE_MS);
        match now {
            now if now < due => Self::NotBefore(due),
            now if now <= leaf.not_after => Self::Due(leaf.not_after),
            now if now <= lost => Self::Expired(lost),
            _ => Self::Lost,
        }
    }
}

/// Reads a file of PEM certificates, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = files::read_private(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| FileError::Damaged { path: path.to_owned(), what: "certificates are expected" })
}

/// Writes certificates as PEM.
pub(super) fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut pem = String::new();
    for certificate in certificates {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in certificate.chunks(48) {
            for group in line.chunks(3) {
                let held = group.iter().fold(0u32, |held, &byte| held << 8 | u32::from(byte));
                let held = held << (8 * (3 - group.len()));
                for at in 0..4 {
                    let letter = ALPHABET[(held >> (18 - 6 * at) & 63) as usize];
                    pem.push(if at <= group.len() { char::from(letter) } else { '=' });
                }
            }
            pem.push('\n');
        }
        let _ = writeln!(pem, "-----END CERTIFICATE-----");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Authority, LeafTerms};
    use dccache_protocol::ids::NodeId;
    use dccache_protocol::token::Role;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: u64 = 24 * 3_600_000;

    fn identity() -> (Identity, Authority) {
        let authority = Authority::found(NodeId([1; 16]), NOW).unwrap();
        let key = Arc::new(KeyPair::from_seed(&[5; 32]));
        let chain = authority.issuer.issue(&LeafTerms::client(Role::Writer, key.public()), NOW).unwrap();
        (Identity::new(key, chain).unwrap(), authority)
    }

    #[test]
    fn an_identity_survives_its_files() {
        let (identity, authority) = identity();
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("identity");
        identity.save(&place, &[authority.root.certificate().clone()]).unwrap();
        let (loaded, roots) = Identity::load(&place).unwrap();
        assert_eq!((loaded.chain(), loaded.subject()), (identity.chain(), identity.subject()));
        assert_eq!(roots, [authority.root.certificate().clone()]);
    }

    #[test]
    fn a_damaged_file_is_called_by_its_name() {
        let (identity, authority) = identity();
        let directory = tempfile::tempdir().unwrap();
        identity.save(directory.path(), &[authority.root.certificate().clone()]).unwrap();
        for name in ["key.pem", "chain.pem", "roots.pem"] {
            let path = directory.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let error = Identity::load(directory.path()).unwrap_err();
            let IdentityError::File(error) = error else { panic!("{name}: {error}") };
            assert!(error.to_string().contains(name), "{error}");
            std::fs::write(&path, whole).unwrap();
        }
        assert!(Identity::load(directory.path()).is_ok());
    }

    #[test]
    fn a_chain_of_another_key_is_refused() {
        let (identity, _) = identity();
        let other = Arc::new(KeyPair::from_seed(&[6; 32]));
        assert!(matches!(Identity::new(other, identity.chain().to_vec()), Err(IdentityError::Mismatch)));
        let short = identity.chain()[..1].to_vec();
        assert!(matches!(Identity::new(identity.key().clone(), short), Err(IdentityError::Mismatch)));
    }

    #[test]
    fn a_leaf_renews_at_two_thirds_and_for_ninety_days_after_its_end() {
        let (identity, _) = identity();
        assert!(matches!(identity.renewal(NOW), Renewal::NotBefore(_)));
        assert!(matches!(identity.renewal(NOW.plus_ms(4 * DAY)), Renewal::NotBefore(_)));
        let end = NOW.plus_ms(7 * DAY);
        assert_eq!(identity.renewal(NOW.plus_ms(5 * DAY)), Renewal::Due(end));
        assert_eq!(identity.renewal(end.plus_ms(1)), Renewal::Expired(end.plus_ms(90 * DAY)));
        assert_eq!(identity.renewal(end.plus_ms(91 * DAY)), Renewal::Lost);
    }
}
