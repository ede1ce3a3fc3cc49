//! What a leaf certificate says, read strictly: one URI of ours, no address that names no machine, an Ed25519 key.

use super::key::{self, KeyId};
use super::name::{self, PeerName};
use dccache_protocol::ids::ClusterId;
use dccache_protocol::limits;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::Role;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// What a leaf says of its holder. Whether it may be believed is decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Cluster that the holder belongs to.
    pub cluster: ClusterId,
    /// What the holder may do.
    pub role: Role,
    /// Who the holder is.
    pub name: PeerName,
    /// Where a node is reached and where it connects from, canonical; empty for clients.
    pub addresses: Vec<IpAddr>,
    /// The holder's key.
    pub key: PublicKey,
    /// First instant of validity.
    pub not_before: UnixMillis,
    /// Last instant of validity.
    pub not_after: UnixMillis,
}

/// Why a certificate is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not one DER certificate.
    #[error("not a certificate")]
    Malformed,
    /// The key is not Ed25519.
    #[error("the certificate's key is not Ed25519")]
    Key,
    /// The names inside are not those of a member of a cluster.
    #[error("the certificate does not name a member of a cluster")]
    Names,
}

impl Subject {
    /// Reads a leaf, DER.
    ///
    /// # Errors
    /// Every certificate that an issuer of ours cannot have made.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let key = key::from_spki(certificate.public_key().raw).ok_or(CertificateError::Key)?;
        let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
        let names = &names.ok_or(CertificateError::Names)?.value.general_names;
        let (mut uri, mut addresses) = (None, Vec::new());
        for name in names {
            match name {
                GeneralName::URI(text) if uri.is_none() => uri = Some(*text),
                GeneralName::IPAddress(bytes) => addresses.push(read_address(bytes)?),
                GeneralName::DNSName(_) => {}
                _ => return Err(CertificateError::Names),
            }
        }
        let (cluster, role, name) = uri.and_then(name::from_uri).ok_or(CertificateError::Names)?;
        let holds = match name {
            PeerName::Node(_) => (1..=2 * limits::ADDRESSES_MAX).contains(&addresses.len()),
            PeerName::Client(id) => addresses.is_empty() && id == KeyId::of(key),
        };
        if !holds {
            return Err(CertificateError::Names);
        }
        let validity = certificate.validity();
        let (not_before, not_after) = (millis(&validity.not_before), millis(&validity.not_after));
        Ok(Self { cluster, role, name, addresses, key, not_before, not_after })
    }

    /// Tells whether the address seen is one of the certificate's. IPv4-mapped forms count as IPv4.
    pub fn covers(&self, seen: IpAddr) -> bool {
        let seen = seen.to_canonical();
        name::is_identity_address(seen) && self.addresses.contains(&seen)
    }
}

/// Returns the name of the key inside a certificate, DER.
pub(crate) fn key_id(der: &[u8]) -> Result<KeyId, CertificateError> {
    Ok(KeyId::of_spki(parse(der)?.public_key().raw))
}

/// Returns the Ed25519 key inside a certificate of any kind, DER; for example that of a root, which signs first layouts.
///
/// # Errors
/// [`CertificateError::Malformed`] and [`CertificateError::Key`].
pub fn certified_key(der: &[u8]) -> Result<PublicKey, CertificateError> {
    key::from_spki(parse(der)?.public_key().raw).ok_or(CertificateError::Key)
}

/// Returns the last instant of validity of a certificate, DER.
pub(super) fn expiry(der: &[u8]) -> Result<UnixMillis, CertificateError> {
    Ok(millis(&parse(der)?.validity().not_after))
}

/// Returns the distinguished name of an issuer's certificate, DER, as rcgen writes it into what the issuer signs.
pub(super) fn subject_name(der: &[u8]) -> Result<rcgen::DistinguishedName, CertificateError> {
    let certificate = parse(der)?;
    let subject = certificate.subject();
    let mut name = rcgen::DistinguishedName::new();
    let organization = subject.iter_organization().map(|part| (rcgen::DnType::OrganizationName, part));
    let common = subject.iter_common_name().map(|part| (rcgen::DnType::CommonName, part));
    for (kind, part) in organization.chain(common) {
        name.push(kind, part.as_str().map_err(|_| CertificateError::Malformed)?);
    }
    Ok(name)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

fn read_address(bytes: &[u8]) -> Result<IpAddr, CertificateError> {
    let address = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).map(IpAddr::from),
    };
    let address = address.map_err(|_| CertificateError::Names)?.to_canonical();
    if name::is_identity_address(address) { Ok(address) } else { Err(CertificateError::Names) }
}

fn millis(time: &x509_parser::time::ASN1Time) -> UnixMillis {
    UnixMillis(u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Authority, KeyPair, LeafTerms};
    use dccache_protocol::ids::NodeId;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static LEAF: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let now = UnixMillis(1_800_000_000_000);
        let authority = Authority::found(NodeId([1; 16]), now).unwrap();
        let key = KeyPair::from_seed(&[5; 32]).public();
        let terms = LeafTerms::node(NodeId([1; 16]), key, vec!["127.0.0.1".parse().unwrap()]);
        authority.issuer.issue(&terms, now).unwrap()[0].to_vec()
    });

    #[test]
    fn certificates_of_a_kind_that_we_do_not_make_are_refused() {
        let authority = Authority::found(NodeId([1; 16]), UnixMillis(1_800_000_000_000)).unwrap();
        assert_eq!(Subject::parse(authority.root.certificate()), Err(CertificateError::Names));
        assert_eq!(Subject::parse(b""), Err(CertificateError::Malformed));
        assert_eq!(Subject::parse(&[&LEAF[..], &[0]].concat()), Err(CertificateError::Malformed));
        assert_eq!(Subject::parse(&LEAF[..LEAF.len() - 1]), Err(CertificateError::Malformed));
    }

    proptest! {
        #[test]
        fn arbitrary_and_changed_certificates_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bits in 1u8..
        ) {
            let _ = Subject::parse(&bytes);
            let mut changed = LEAF.clone();
            let at = at.index(changed.len());
            changed[at] ^= bits;
            let _ = (Subject::parse(&changed), key_id(&changed), expiry(&changed));
        }
    }
}
