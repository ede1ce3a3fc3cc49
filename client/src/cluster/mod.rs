//! What this machine knows about its cluster: who it is there, whom it believes, where things lie.
//!
//! ```text
//! DIRECTORY/key.pem, chain.pem, roots.pem   the TLS identity, see dccache_transport::identity
//! DIRECTORY/member.json                     cluster, administrator's key, role, operator
//! DIRECTORY/signer.key                      seed of the long-lived signing key, 64 digits; absent for a reader
//! DIRECTORY/layout, directory               the last ones that were accepted, encoded
//! ```
//!
//! Every file has mode 0600 in a directory of 0700 and is replaced whole or not at all.
//! Invariant: epoch and directory number never go back, neither in memory nor on disk.

pub mod join;
mod signers;

pub use signers::{DirectoryRejection, Signers};

use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::SignedDirectory;
use dccache_protocol::ids::{ClusterId, Label};
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::signing::{PublicKey, SigningKey};
use dccache_protocol::token::Role;
use dccache_ring::accept::{Rejection, Trusted};
use dccache_transport::identity::{
    CertificateError, FileError, Identity, IdentityError, certified_key, read_private, write_private,
};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const MEMBER: &str = "member.json";
const SIGNER: &str = "signer.key";
const LAYOUT: &str = "layout";
const DIRECTORY: &str = "directory";

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The TLS identity.
    #[error("the identity in {path} cannot be used")]
    Identity {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else than its name says.
    #[error("{0} is damaged; `dccache join TOKEN` writes it anew")]
    Damaged(PathBuf),
    /// An encoding does not hold.
    #[error("{path} cannot be decoded; `dccache join TOKEN` writes it anew")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// The layout is not of this cluster.
    #[error("the stored layout cannot be used")]
    Layout(#[from] Rejection),
    /// The directory is not of this cluster.
    #[error("the stored directory cannot be used")]
    Directory(#[from] DirectoryRejection),
    /// A root certificate holds no key.
    #[error("a root certificate cannot be used")]
    Root(#[from] CertificateError),
}

/// What a machine is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The cluster.
    pub cluster: ClusterId,
    /// The administrator's key.
    pub administrator: PublicKey,
    /// What the machine may do.
    pub role: Role,
    /// Who answers for it.
    pub operator: Label,
}

#[derive(Serialize, Deserialize)]
struct RawMember {
    cluster: String,
    administrator: String,
    role: String,
    operator: String,
}

/// Everything that a machine needs to take part in its cluster.
#[derive(Debug)]
pub struct Membership {
    /// What the machine is.
    pub member: Member,
    /// Its TLS identity.
    pub identity: Identity,
    /// Certificates that it believes in.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its signing key; `None` for a reader.
    pub signer: Option<SigningKey>,
    /// The last layout that it accepted.
    pub layout: Trusted,
    /// The last directory that it accepted.
    pub signers: Signers,
}

impl Membership {
    /// Tells whether this machine is in a cluster, by one look at the disk.
    pub fn exists(directory: &Path) -> bool {
        directory.join(MEMBER).is_file()
    }

    /// Reads the state; `None` when this machine is in no cluster.
    ///
    /// # Errors
    /// The first file that is missing or damaged.
    pub fn load(directory: &Path) -> Result<Option<Self>, ClusterError> {
        let Some(member) = read_member(directory)? else { return Ok(None) };
        let identity = Identity::load(directory)
            .map_err(|source| ClusterError::Identity { path: directory.to_owned(), source });
        let (identity, roots) = identity?;
        let signer = match member.role {
            Role::Writer => Some(read_signer(&directory.join(SIGNER))?),
            _ => None,
        };
        let layout = Trusted::vouched(read_format::<SignedLayout>(&directory.join(LAYOUT))?, member.cluster)?;
        let signed = read_format::<SignedDirectory>(&directory.join(DIRECTORY))?;
        let signers = Signers::vouched(signed, member.cluster)?;
        Ok(Some(Self { member, identity, roots, signer, layout, signers }))
    }

    /// Writes everything into a directory of its own.
    ///
    /// # Errors
    /// The first file that cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), ClusterError> {
        self.identity
            .save(directory, &self.roots)
            .map_err(|source| ClusterError::Identity { path: directory.to_owned(), source })?;
        if let Some(signer) = &self.signer {
            let seed = Digest::from_bytes(signer.seed()).to_string();
            write_private(&directory.join(SIGNER), seed.as_bytes())?;
        }
        save_layout(directory, &self.layout)?;
        save_signers(directory, &self.signers)?;
        // Last: a directory without it is no membership.
        write_private(&directory.join(MEMBER), self.member.to_json().as_bytes())?;
        Ok(())
    }

    /// Returns the keys of the roots.
    ///
    /// # Errors
    /// A root certificate that holds no Ed25519 key.
    pub fn root_keys(&self) -> Result<Vec<PublicKey>, ClusterError> {
        self.roots.iter().map(|root| Ok(certified_key(root)?)).collect()
    }
}

impl Member {
    fn to_json(&self) -> String {
        let raw = RawMember {
            cluster: self.cluster.to_string(),
            administrator: Digest::from_bytes(self.administrator.0).to_string(),
            role: self.role.as_str().to_owned(),
            operator: self.operator.to_string(),
        };
        serde_json::to_string_pretty(&raw).expect("four texts always serialize") + "\n"
    }

    fn from_json(text: &[u8]) -> Option<Self> {
        let raw: RawMember = serde_json::from_slice(text).ok()?;
        Some(Self {
            cluster: ClusterId::from_digest(Digest::from_hex(&raw.cluster)?),
            administrator: PublicKey(*Digest::from_hex(&raw.administrator)?.as_bytes()),
            role: Role::from_word(&raw.role)?,
            operator: raw.operator.parse().ok()?,
        })
    }
}

/// Reads what this machine is; `None` when it is in no cluster.
///
/// # Errors
/// The file is there and cannot be read, or is damaged.
pub fn read_member(directory: &Path) -> Result<Option<Member>, ClusterError> {
    let path = directory.join(MEMBER);
    match read_private(&path) {
        Ok(text) => Ok(Some(Member::from_json(&text).ok_or(ClusterError::Damaged(path))?)),
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes an accepted layout.
///
/// # Errors
/// The file cannot be written; the older one stays.
pub fn save_layout(directory: &Path, layout: &Trusted) -> Result<(), FileError> {
    write_private(&directory.join(LAYOUT), &layout.signed().to_bytes())
}

/// Writes an accepted directory of signers.
///
/// # Errors
/// The file cannot be written; the older one stays.
pub fn save_signers(directory: &Path, signers: &Signers) -> Result<(), FileError> {
    write_private(&directory.join(DIRECTORY), &signers.signed().to_bytes())
}

fn read_signer(path: &Path) -> Result<SigningKey, ClusterError> {
    let text = read_private(path)?;
    let seed = std::str::from_utf8(&text).ok().and_then(|text| Digest::from_hex(text.trim()));
    Ok(SigningKey::from_seed(seed.ok_or_else(|| ClusterError::Damaged(path.to_owned()))?.as_bytes()))
}

fn read_format<T: Format>(path: &Path) -> Result<T, ClusterError> {
    // Layouts and directories can be larger than identity files, so their own limit counts.
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > T::LIMIT as u64 {
        return Err(ClusterError::Damaged(path.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    T::from_bytes(&bytes).map_err(|source| ClusterError::Decode { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
