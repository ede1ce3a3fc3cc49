//! Whom this machine believes: the cluster's roots, its revocations, and the clock by which certificates are judged.

use crate::revocation::RevocationView;
use dccache_protocol::ids::ClusterId;
use dccache_protocol::time::Clock;
use dccache_protocol::token::RootFingerprint;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Roots that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A root is no certificate.
    #[error("a root certificate is damaged")]
    Root(#[source] rustls::Error),
    /// There is none.
    #[error("no root certificate is given")]
    NoRoot,
    /// No root has the fingerprint that was asked for.
    #[error("the issuer does not belong to the token's cluster")]
    Fingerprint,
}

/// Whom to believe. Shared by everything that opens or accepts connections; roots can be replaced while it is used.
#[derive(Debug)]
pub struct Trust {
    cluster: ClusterId,
    clock: Arc<dyn Clock>,
    anchors: RwLock<Arc<Anchors>>,
    revocations: RevocationView,
}

/// Verifiers over one set of roots.
#[derive(Debug)]
pub(crate) struct Anchors {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) clients: Arc<dyn ClientCertVerifier>,
    pub(crate) servers: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// Trusts some roots, at least one; several at once while a root is being rotated.
    ///
    /// # Errors
    /// [`TrustError::Root`] and [`TrustError::NoRoot`].
    pub fn new(
        cluster: ClusterId,
        roots: Vec<CertificateDer<'static>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, TrustError> {
        let anchors = RwLock::new(Arc::new(Anchors::new(roots)?));
        Ok(Arc::new(Self { cluster, clock, anchors, revocations: RevocationView::default() }))
    }

    /// Replaces the roots; open connections stay, new handshakes use the new ones.
    ///
    /// # Errors
    /// As [`Trust::new`]; the old roots then stay.
    pub fn set_roots(&self, roots: Vec<CertificateDer<'static>>) -> Result<(), TrustError> {
        let anchors = Arc::new(Anchors::new(roots)?);
        *self.anchors.write().unwrap_or_else(PoisonError::into_inner) = anchors;
        Ok(())
    }

    /// Returns the roots in force.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.anchors().roots.clone()
    }

    /// Returns the cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Returns the clock by which certificates are judged.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns the revocations in force.
    pub fn revocations(&self) -> &RevocationView {
        &self.revocations
    }

    pub(crate) fn anchors(&self) -> Arc<Anchors> {
        self.anchors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the clock's time as rustls wants it.
    pub(crate) fn unix_time(&self) -> UnixTime {
        unix_time(&*self.clock)
    }
}

/// Returns a clock's time as rustls wants it.
pub(crate) fn unix_time(clock: &dyn Clock) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(clock.now().0))
}

/// Returns the cryptography that everything here uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Anchors {
    pub(crate) fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        if roots.is_empty() {
            return Err(TrustError::NoRoot);
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(TrustError::Root)?;
        }
        let store = Arc::new(store);
        let clients = WebPkiClientVerifier::builder_with_provider(store.clone(), provider())
            .clear_root_hint_subjects()
            .build()
            .expect(
                "the builder only refuses empty roots and damaged revocation lists, and neither is given",
            );
        let servers = WebPkiServerVerifier::builder_with_provider(store, provider()).build().expect(
            "the builder only refuses empty roots and damaged revocation lists, and neither is given",
        );
        Ok(Self { roots, clients, servers })
    }

    /// Trusts the one certificate of a presented chain that has the fingerprint.
    pub(crate) fn pinned(
        fingerprint: RootFingerprint,
        presented: &[CertificateDer<'_>],
    ) -> Result<Self, TrustError> {
        let root = presented.iter().find(|der| RootFingerprint::of(der) == fingerprint);
        Self::new(vec![root.ok_or(TrustError::Fingerprint)?.clone().into_owned()])
    }
}

/// Switches off everything that would let a connection begin without a full handshake.
pub(crate) fn without_resumption(mut config: ServerConfig) -> ServerConfig {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config
}
