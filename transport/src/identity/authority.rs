//! The cluster's certificate authority: a root, the issuers that it signs, and the leaves that they sign.
//!
//! Shape: `root -> issuer (path length 0) -> leaf`. The root signs issuers and nothing else; it is meant to lie offline, and only founding
//! and `ca issuer add` need it. The administrator's key stands beside it and signs grants and orders, never certificates.

use super::certificate::{self, CertificateError};
use super::key::{self, KeyError, KeyPair, Subjected};
use super::leaf::LEAF_LIFE_MS;
use super::name::{self, PeerName};
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{ClusterId, NodeId};
use dccache_protocol::limits;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::{Role, RootFingerprint};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use std::net::IpAddr;
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// How far back validity begins, in ms: clocks of a network may differ by this much.
const BACKDATED_MS: u64 = 3600 * 1000;

/// Life of a root, in ms: twenty years; a root is rotated, not renewed.
const ROOT_LIFE_MS: u64 = 20 * 365 * 24 * 3600 * 1000;

/// Life of an issuer, in ms: two years; longer than any absence of whoever holds the root.
const ISSUER_LIFE_MS: u64 = 2 * 365 * 24 * 3600 * 1000;

const ROOT_NAME: &str = "dccache root";

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// No key.
    #[error("no key could be made")]
    Key(#[from] KeyError),
    /// The certificate could not be encoded.
    #[error("the certificate could not be made")]
    Encode(#[from] rcgen::Error),
    /// A certificate that was given is damaged.
    #[error("the authority's certificate is damaged")]
    Certificate(#[from] CertificateError),
    /// The certificate belongs to another key.
    #[error("certificate and key do not belong together")]
    Mismatch,
    /// An address that names no one machine.
    #[error("{0} cannot be part of an identity: give the address under which other machines reach this one")]
    Address(IpAddr),
    /// A node without an address or with too many; or a client with one.
    #[error("a node has 1 to {} addresses, a client none", 2 * limits::ADDRESSES_MAX)]
    Addresses,
    /// Role and name of the terms contradict each other.
    #[error("role and name do not belong together")]
    Role,
    /// The request is malformed or not signed by its own key.
    #[error("the certificate request does not hold")]
    Request,
    /// The clock shows a year that certificates cannot express.
    #[error("the clock is out of range")]
    Clock,
}

/// Everything that founding a cluster makes.
#[derive(Debug)]
pub struct Authority {
    /// The root; to be moved offline.
    pub root: Root,
    /// The administrator's key.
    pub administrator: KeyPair,
    /// The founder's issuer.
    pub issuer: Issuer,
}

impl Authority {
    /// Founds a cluster whose first issuer lives on node `founder`.
    ///
    /// # Errors
    /// [`AuthorityError::Key`] and [`AuthorityError::Clock`].
    pub fn found(founder: NodeId, now: UnixMillis) -> Result<Self, AuthorityError> {
        let root = Root::create(KeyPair::generate()?, now)?;
        let issuer_key = KeyPair::generate()?;
        let certificate = root.certify_issuer(founder, issuer_key.public(), now)?;
        let issuer = Issuer::new(root.cluster(), issuer_key, certificate)?;
        Ok(Self { root, administrator: KeyPair::generate()?, issuer })
    }
}

/// The root's key and its self-signed certificate.
#[derive(Debug)]
pub struct Root {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

impl Root {
    /// Makes a root's certificate.
    ///
    /// # Errors
    /// [`AuthorityError::Clock`].
    pub fn create(key: KeyPair, now: UnixMillis) -> Result<Self, AuthorityError> {
        let mut params = params(ROOT_NAME, key.id().to_string(), now, ROOT_LIFE_MS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key.to_rcgen())?.der().clone();
        Ok(Self { key, certificate })
    }

    /// Puts together what was read from files.
    ///
    /// # Errors
    /// [`AuthorityError::Mismatch`] when the certificate is of another key.
    pub fn from_parts(key: KeyPair, certificate: CertificateDer<'static>) -> Result<Self, AuthorityError> {
        match certificate::key_id(&certificate)? == key.id() {
            true => Ok(Self { key, certificate }),
            false => Err(AuthorityError::Mismatch),
        }
    }

    /// Returns the name of the cluster that this root founded.
    pub fn cluster(&self) -> ClusterId {
        ClusterId::from_digest(Digest::of(&key::spki(self.key.public())))
    }

    /// Returns what join tokens pin.
    pub fn fingerprint(&self) -> RootFingerprint {
        RootFingerprint::of(&self.certificate)
    }

    /// Returns the certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns the key; it also signs the first layout and root orders.
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Signs the certificate of an issuer that lives on a node.
    ///
    /// # Errors
    /// [`AuthorityError::Clock`].
    pub fn certify_issuer(
        &self,
        node: NodeId,
        issuer: PublicKey,
        now: UnixMillis,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let name = format!("{node} {}", key::KeyId::of(issuer));
        let mut issued = params("dccache issuer", name, now, ISSUER_LIFE_MS)?;
        issued.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        issued.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = params(ROOT_NAME, self.key.id().to_string(), now, ROOT_LIFE_MS)?;
        let signer = rcgen::Issuer::new(own, self.key.to_rcgen());
        Ok(issued.signed_by(&Subjected(issuer), &signer)?.der().clone())
    }
}

/// An issuer: a key on a node, with the root's certificate for it.
pub struct Issuer {
    cluster: ClusterId,
    key: KeyPair,
    certificate: CertificateDer<'static>,
    signer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Puts together an issuer of a cluster.
    ///
    /// # Errors
    /// [`AuthorityError::Mismatch`] when the certificate is of another key.
    pub fn new(
        cluster: ClusterId,
        key: KeyPair,
        certificate: CertificateDer<'static>,
    ) -> Result<Self, AuthorityError> {
        if certificate::key_id(&certificate)? != key.id() {
            return Err(AuthorityError::Mismatch);
        }
        let mut own = CertificateParams::default();
        own.distinguished_name = certificate::subject_name(&certificate)?;
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let signer = rcgen::Issuer::new(own, key.to_rcgen());
        Ok(Self { cluster, key, certificate, signer })
    }

    /// Returns the root's certificate for this issuer.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns the key.
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Signs a leaf of seven days (shorter, when the issuer itself ends before); the answer is leaf, issuer.
    ///
    /// # Errors
    /// Terms that contradict each other, addresses that name no one machine, a clock out of range.
    pub fn issue(
        &self,
        terms: &LeafTerms,
        now: UnixMillis,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let addresses = terms.check()?;
        let left = certificate::expiry(&self.certificate)?.since(now);
        let name = format!("{} {}", terms.role, terms.name);
        let mut leaf = params("dccache", name, now, LEAF_LIFE_MS.min(left))?;
        leaf.subject_alt_names
            .push(SanType::URI(name::to_uri(self.cluster, terms.role, terms.name).try_into()?));
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let PeerName::Node(id) = terms.name {
            leaf.subject_alt_names.push(SanType::DnsName(name::node_dns_name(id).try_into()?));
            leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        leaf.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.is_ca = IsCa::ExplicitNoCa;
        let issued = leaf.signed_by(&Subjected(terms.key), &self.signer)?;
        Ok(vec![issued.der().clone(), self.certificate.clone()])
    }
}

/// What a leaf is to say.
#[derive(Clone, Debug)]
pub struct LeafTerms {
    /// What its holder may do.
    pub role: Role,
    /// Who its holder is; a client is named by the key below.
    pub name: PeerName,
    /// The holder's key.
    pub key: PublicKey,
    /// Where a node is reached and where it connects from; empty for clients.
    pub addresses: Vec<IpAddr>,
}

impl LeafTerms {
    /// Returns the terms of a client's leaf.
    pub fn client(role: Role, key: PublicKey) -> Self {
        Self { role, name: PeerName::Client(key::KeyId::of(key)), key, addresses: Vec::new() }
    }

    /// Returns the terms of a node's leaf.
    pub fn node(id: NodeId, key: PublicKey, addresses: Vec<IpAddr>) -> Self {
        Self { role: Role::Node, name: PeerName::Node(id), key, addresses }
    }

    /// Returns the canonical addresses, each once.
    fn check(&self) -> Result<Vec<IpAddr>, AuthorityError> {
        let is_node = match self.name {
            PeerName::Node(_) if self.role == Role::Node => true,
            PeerName::Client(id) if self.role != Role::Node && id == key::KeyId::of(self.key) => false,
            _ => return Err(AuthorityError::Role),
        };
        let mut addresses: Vec<IpAddr> = self.addresses.iter().map(IpAddr::to_canonical).collect();
        addresses.sort();
        addresses.dedup();
        if let Some(&bad) = addresses.iter().find(|&&address| !name::is_identity_address(address)) {
            return Err(AuthorityError::Address(bad));
        }
        let allowed = if is_node { 1..=2 * limits::ADDRESSES_MAX } else { 0..=0 };
        if allowed.contains(&addresses.len()) { Ok(addresses) } else { Err(AuthorityError::Addresses) }
    }
}

/// A PKCS#10 request whose signature holds: whoever sent it has the private half of the key.
///
/// Nothing else in a request counts: role, name and addresses come from the token's grant and from what the issuer saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    key: PublicKey,
}

impl CertificateRequest {
    /// Makes the request of a key, DER.
    ///
    /// # Errors
    /// [`AuthorityError::Encode`].
    pub fn create(key: &KeyPair) -> Result<Vec<u8>, AuthorityError> {
        let mut request = CertificateParams::default();
        request.distinguished_name = DistinguishedName::new();
        Ok(request.serialize_request(&key.to_rcgen())?.der().to_vec())
    }

    /// Reads a request, DER, and checks that its own key signed it.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn verify(der: &[u8]) -> Result<Self, AuthorityError> {
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
            return Err(AuthorityError::Request);
        };
        request.verify_signature().map_err(|_| AuthorityError::Request)?;
        let spki = request.certification_request_info.subject_pki.raw;
        key::from_spki(spki).map(|key| Self { key }).ok_or(AuthorityError::Request)
    }

    /// Returns the requesting key.
    pub fn key(&self) -> PublicKey {
        self.key
    }
}

fn params(
    organization: &str,
    common_name: String,
    now: UnixMillis,
    life_ms: u64,
) -> Result<CertificateParams, AuthorityError> {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::OrganizationName, organization);
    distinguished_name.push(DnType::CommonName, common_name);
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(KeyError::Entropy)?;
    serial[0] &= 0x7f; // a positive number in DER
    let mut params = CertificateParams::default();
    params.not_before = date(UnixMillis(now.0.saturating_sub(BACKDATED_MS)))?;
    params.not_after = date(now.plus_ms(life_ms))?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = distinguished_name;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn date(instant: UnixMillis) -> Result<OffsetDateTime, AuthorityError> {
    let seconds = i64::try_from(instant.0 / 1000).map_err(|_| AuthorityError::Clock)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| AuthorityError::Clock)
}

#[cfg(test)]
mod tests;
