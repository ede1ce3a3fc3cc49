//! Who a machine is: its key, its certificates, the authority that makes them, and the files that hold them.
//!
//! Shape: a cluster has a root (meant to lie offline), an administrator's key that is no certificate at all, issuers (certificates of
//! the root, on nodes) and leaves of [`LEAF_LIFE_MS`]. Every key is Ed25519. A chain is always leaf, issuer; the root is known beforehand.

mod authority;
mod certificate;
mod files;
mod key;
mod leaf;
mod name;
mod vault;

pub(crate) use certificate::key_id;

pub use authority::{Authority, AuthorityError, CertificateRequest, Issuer, LeafTerms, Root};
pub use certificate::{CertificateError, Subject, certified_key};
pub use files::{FileError, create_private_dir, read_private, write_private};
pub use key::{KeyError, KeyId, KeyPair};
pub use leaf::{Identity, IdentityError, LEAF_LIFE_MS, RENEWAL_GRACE_MS, Renewal};
pub use name::{PeerName, is_identity_address, node_dns_name};
pub use vault::VaultError;
