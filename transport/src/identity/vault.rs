//! Where an authority's parts are kept, each in files of its own so that the root can be carried away.
//!
//! ```text
//! DIRECTORY/root.key.pem            the root's key; belongs offline
//! DIRECTORY/root.pem                the root's certificate
//! DIRECTORY/issuer.key.pem          the issuer's key
//! DIRECTORY/issuer.pem              the root's certificate for it
//! DIRECTORY/administrator.key.pem   the administrator's key
//! ```

use super::authority::{Authority, AuthorityError, Issuer, Root};
use super::files::{self, FileError};
use super::key::KeyPair;
use super::leaf::{read_certificates, to_pem};
use dccache_protocol::ids::ClusterId;
use rustls_pki_types::CertificateDer;
use std::path::Path;

/// Why a part of an authority could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be read or written, or is damaged.
    #[error("files of the authority")]
    File(#[from] FileError),
    /// The files do not belong together.
    #[error("the authority's files do not belong together")]
    Authority(#[from] AuthorityError),
}

impl Authority {
    /// Writes all parts into a private directory.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn save(&self, directory: &Path) -> Result<(), VaultError> {
        self.root.save(directory)?;
        self.issuer.save(directory)?;
        self.administrator.save(&directory.join("administrator.key.pem"))?;
        Ok(())
    }
}

impl Root {
    /// Writes key and certificate into a private directory.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn save(&self, directory: &Path) -> Result<(), VaultError> {
        save(directory, "root", self.key(), self.certificate())
    }

    /// Reads what [`Root::save`] wrote.
    ///
    /// # Errors
    /// See [`VaultError`]; a root that lies elsewhere shows as a file that cannot be read.
    pub fn load(directory: &Path) -> Result<Self, VaultError> {
        let (key, certificate) = load(directory, "root")?;
        Ok(Self::from_parts(key, certificate)?)
    }
}

impl Issuer {
    /// Writes key and certificate into a private directory.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn save(&self, directory: &Path) -> Result<(), VaultError> {
        save(directory, "issuer", self.key(), self.certificate())
    }

    /// Reads what [`Issuer::save`] wrote.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn load(directory: &Path, cluster: ClusterId) -> Result<Self, VaultError> {
        let (key, certificate) = load(directory, "issuer")?;
        Ok(Self::new(cluster, key, certificate)?)
    }
}

impl KeyPair {
    /// Writes the key alone: an administrator's, or a signer's. The directory is made private.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        if let Some(directory) = path.parent() {
            files::create_private_dir(directory)?;
        }
        files::write_private(path, self.to_pem().as_bytes())
    }

    /// Reads what [`KeyPair::save`] wrote.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::from_pem(&files::read_private(path)?)
            .map_err(|_| FileError::Damaged { path: path.to_owned(), what: "a private key is expected" })
    }
}

fn save(
    directory: &Path,
    name: &str,
    key: &KeyPair,
    certificate: &CertificateDer<'static>,
) -> Result<(), VaultError> {
    key.save(&directory.join(format!("{name}.key.pem")))?;
    let pem = to_pem(std::slice::from_ref(certificate));
    Ok(files::write_private(&directory.join(format!("{name}.pem")), pem.as_bytes())?)
}

fn load(directory: &Path, name: &str) -> Result<(KeyPair, CertificateDer<'static>), VaultError> {
    let key = KeyPair::load(&directory.join(format!("{name}.key.pem")))?;
    let path = directory.join(format!("{name}.pem"));
    match <[_; 1]>::try_from(read_certificates(&path)?) {
        Ok([certificate]) => Ok((key, certificate)),
        Err(_) => Err(FileError::Damaged { path, what: "one certificate is expected" }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::ids::NodeId;
    use dccache_protocol::time::UnixMillis;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_authority_survives_its_files_which_only_its_owner_reads() {
        let authority = Authority::found(NodeId([1; 16]), UnixMillis(1_800_000_000_000)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("authority");
        authority.save(&place).unwrap();
        let root = Root::load(&place).unwrap();
        assert_eq!(root.fingerprint(), authority.root.fingerprint());
        let issuer = Issuer::load(&place, root.cluster()).unwrap();
        assert_eq!(issuer.certificate(), authority.issuer.certificate());
        let administrator = KeyPair::load(&place.join("administrator.key.pem")).unwrap();
        assert_eq!(administrator.public(), authority.administrator.public());
        for file in std::fs::read_dir(&place).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn parts_that_do_not_belong_together_and_missing_ones_are_told_apart() {
        let now = UnixMillis(1_800_000_000_000);
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = [1, 2].map(|number| Authority::found(NodeId([number; 16]), now).unwrap());
        first.save(directory.path()).unwrap();
        second.root.key().save(&directory.path().join("root.key.pem")).unwrap();
        assert!(matches!(Root::load(directory.path()), Err(VaultError::Authority(AuthorityError::Mismatch))));
        std::fs::remove_file(directory.path().join("root.key.pem")).unwrap();
        assert!(matches!(Root::load(directory.path()), Err(VaultError::File(FileError::Read { .. }))));
        assert!(Issuer::load(directory.path(), first.root.cluster()).is_ok());
    }
}
