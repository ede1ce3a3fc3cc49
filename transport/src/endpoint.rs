//! This machine's end of every connection: its credentials and its trust as TLS configurations.
//!
//! TLS 1.3 only, no tickets, no resumption, no early data; both sides show certificates, except on the enrolment channel. Certificates are
//! verified by webpki with our clock and our roots; what webpki does not know is checked after the handshake ([`crate::peer`]).

use crate::identity::{Identity, node_dns_name};
use crate::trust::{Anchors, Trust, provider, unix_time, without_resumption};
use dccache_protocol::ids::NodeId;
use dccache_protocol::time::Clock;
use dccache_protocol::token::RootFingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WantsServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};

/// What a connection is for; each has its own ALPN name and so its own version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Small requests over tarpc.
    Rpc,
    /// Large values.
    Bulk,
    /// Liveness between nodes.
    Control,
}

/// ALPN name of the enrolment channel, the only one without a client certificate.
pub(crate) const ENROLMENT: &[u8] = b"dccache-enrol/1";

impl Channel {
    /// All channels that need a client certificate.
    pub const ALL: [Self; 3] = [Self::Rpc, Self::Bulk, Self::Control];

    /// Returns the ALPN name.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Rpc => b"dccache/1",
            Self::Bulk => b"dccache-bulk/1",
            Self::Control => b"dccache-control/1",
        }
    }

    pub(crate) fn from_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.alpn() == name)
    }
}

/// This machine's end of every connection. Shared; its leaf can be replaced while it is used.
#[derive(Debug)]
pub struct Endpoint {
    trust: Arc<Trust>,
    credentials: Arc<Credentials>,
    mutual: Arc<ServerConfig>,
    enrolment: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 3],
}

impl Endpoint {
    /// Joins an identity and a trust.
    pub fn new(identity: Identity, trust: Arc<Trust>) -> Arc<Self> {
        let credentials =
            Arc::new(Credentials { trust: trust.clone(), current: RwLock::new(Current::new(identity)) });
        let mut mutual =
            server_builder(Arc::new(ClientsOf(trust.clone()))).with_cert_resolver(Arc::new(ServerChain {
                credentials: credentials.clone(),
                with_roots: false,
            }));
        mutual.alpn_protocols = Channel::ALL.map(|channel| channel.alpn().to_vec()).to_vec();
        let mut enrolment = server_builder(Arc::new(rustls::server::NoClientAuth))
            .with_cert_resolver(Arc::new(ServerChain { credentials: credentials.clone(), with_roots: true }));
        enrolment.alpn_protocols = vec![ENROLMENT.to_vec()];
        let clients = Channel::ALL.map(|channel| {
            let config = client_builder(Arc::new(NodesOf(trust.clone())))
                .with_client_cert_resolver(Arc::new(ClientChain(credentials.clone())));
            Arc::new(finish_client(config, channel.alpn()))
        });
        let mutual = Arc::new(without_resumption(mutual));
        let enrolment = Arc::new(without_resumption(enrolment));
        Arc::new(Self { trust, credentials, mutual, enrolment, clients })
    }

    /// Replaces the leaf; new handshakes show it, open connections stay.
    pub fn renew(&self, identity: Identity) {
        let current = Current::new(identity);
        *self.credentials.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// Returns the identity in use.
    pub fn identity(&self) -> Identity {
        self.credentials.current.read().unwrap_or_else(PoisonError::into_inner).identity.clone()
    }

    /// Returns the trust.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    pub(crate) fn server_config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let enrols = hello.alpn().is_some_and(|mut names| names.any(|name| name == ENROLMENT));
        if enrols { self.enrolment.clone() } else { self.mutual.clone() }
    }

    pub(crate) fn client_config(&self, channel: Channel) -> Arc<ClientConfig> {
        self.clients[channel as usize].clone()
    }
}

/// Returns the TLS configuration of a machine that has no certificate yet and pins a root.
pub(crate) fn enrolling_config(fingerprint: RootFingerprint, clock: Arc<dyn Clock>) -> Arc<ClientConfig> {
    let config = client_builder(Arc::new(Pinned { fingerprint, clock })).with_no_client_auth();
    Arc::new(finish_client(config, ENROLMENT))
}

/// Returns the name by which webpki pins a node.
pub(crate) fn server_name(node: NodeId) -> ServerName<'static> {
    ServerName::try_from(node_dns_name(node)).expect("hexadecimal digits under a fixed domain are a DNS name")
}

fn server_builder(clients: Arc<dyn ClientCertVerifier>) -> ConfigBuilder<ServerConfig, WantsServerCert> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .expect("the ring provider has TLS 1.3 suites")
        .with_client_cert_verifier(clients)
}

fn client_builder(servers: Arc<dyn ServerCertVerifier>) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .expect("the ring provider has TLS 1.3 suites")
        .dangerous() // The verifiers of this file do verify, through webpki.
        .with_custom_certificate_verifier(servers)
}

fn finish_client(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

#[derive(Debug)]
struct Credentials {
    trust: Arc<Trust>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    identity: Identity,
    key: Arc<CertifiedKey>,
}

impl Current {
    fn new(identity: Identity) -> Self {
        let key = rustls::crypto::ring::sign::any_eddsa_type(&identity.key().to_pkcs8())
            .expect("ring takes every Ed25519 key in this form");
        let key = Arc::new(CertifiedKey::new(identity.chain().to_vec(), key));
        Self { identity, key }
    }
}

impl Credentials {
    fn key(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).key.clone()
    }
}

#[derive(Debug)]
struct ServerChain {
    credentials: Arc<Credentials>,
    /// On the enrolment channel the roots come along, for those who know only a fingerprint.
    with_roots: bool,
}

impl ResolvesServerCert for ServerChain {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut key = self.credentials.key();
        if self.with_roots {
            let own = Arc::make_mut(&mut key);
            own.cert.extend(self.credentials.trust.roots());
        }
        Some(key)
    }
}

#[derive(Debug)]
struct ClientChain(Arc<Credentials>);

impl rustls::client::ResolvesClientCert for ClientChain {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Verifies clients and dialling nodes against the roots in force.
#[derive(Debug)]
struct ClientsOf(Arc<Trust>);

impl ClientCertVerifier for ClientsOf {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _system_time: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.anchors().clients.verify_client_cert(leaf, intermediates, self.0.unix_time())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.anchors().clients.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Verifies nodes against the roots in force.
#[derive(Debug)]
struct NodesOf(Arc<Trust>);

impl ServerCertVerifier for NodesOf {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        _system_time: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let servers = &self.0.anchors().servers;
        servers.verify_server_cert(leaf, intermediates, name, ocsp, self.0.unix_time())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.anchors().servers.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Verifies an issuer of which only the root's fingerprint is known.
#[derive(Debug)]
struct Pinned {
    fingerprint: RootFingerprint,
    clock: Arc<dyn Clock>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        _system_time: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let anchors = Anchors::pinned(self.fingerprint, intermediates)
            .map_err(|_| rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))?;
        anchors.servers.verify_server_cert(leaf, intermediates, name, ocsp, unix_time(&*self.clock))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

fn only_tls13() -> rustls::Error {
    rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled)
}
