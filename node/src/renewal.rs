//! Certificates that go on: the issuer renews leaves that it knows, a node renews its own at two thirds of its life.
//!
//! Invariant: a renewed leaf says what the old one said. A change of address is no renewal.

use crate::admission::Admissions;
use crate::core::Core;
use crate::home::Home;
use dccache_protocol::control::Revoked;
use dccache_protocol::enrol::{EnrolAnswer, EnrolRefusal, EnrolRequest};
use dccache_protocol::ids::NodeId;
use dccache_protocol::token::RootFingerprint;
use dccache_transport::dial::dial_enrolment;
use dccache_transport::endpoint::Endpoint;
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::identity::{
    CertificateRequest, Identity, KeyId, LeafTerms, PeerName, Renewal, Subject,
};
use dccache_transport::trust::Trust;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often a leaf's age is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// How long one issuer may take.
const RENEW: Duration = Duration::from_secs(20);

/// Says what a renewed leaf is to say.
///
/// # Errors
/// [`EnrolRefusal::NotRenewable`] for a leaf that is not ours, revoked, too old, or of another key; [`EnrolRefusal::OutsideGrant`] for other
/// addresses than the old ones.
pub(crate) fn terms(
    core: &Core,
    trust: &Trust,
    leaf: Vec<u8>,
    addresses: &[SocketAddr],
    request: &[u8],
) -> Result<LeafTerms, EnrolRefusal> {
    let refused = EnrolRefusal::NotRenewable;
    let key = CertificateRequest::verify(request).map_err(|_| EnrolRefusal::Malformed)?.key();
    let subject = Subject::parse(&leaf).map_err(|_| refused)?;
    let lost = Renewal::of(&subject, core.clock.now()) == Renewal::Lost;
    let foreign = subject.key != key || subject.cluster != core.cluster;
    if lost || foreign || is_revoked(trust, &subject) || !is_ours(core, trust, &leaf.into(), &subject) {
        return Err(refused);
    }
    let asked: Vec<IpAddr> = addresses.iter().map(|address| address.ip().to_canonical()).collect();
    if asked.iter().any(|address| !subject.addresses.contains(address)) {
        return Err(EnrolRefusal::OutsideGrant);
    }
    Ok(LeafTerms { role: subject.role, name: subject.name, key, addresses: subject.addresses })
}

fn is_revoked(trust: &Trust, subject: &Subject) -> bool {
    let view = trust.revocations();
    let node = matches!(subject.name, PeerName::Node(id) if view.is_revoked(Revoked::Node(id)));
    node || view.is_revoked(Revoked::Key(*KeyId::of(subject.key).digest()))
}

/// Says whether an issuer of the cluster made a leaf, judged at the instant when it began to count.
fn is_ours(core: &Core, trust: &Trust, leaf: &CertificateDer<'_>, subject: &Subject) -> bool {
    let mut roots = RootCertStore::empty();
    for root in trust.roots() {
        if roots.add(root).is_err() {
            return false;
        }
    }
    let state = core.control.get().map(crate::control::Plane::now);
    let Some(cluster) = state.as_ref().and_then(|state| state.cluster()) else { return false };
    let issuers: Vec<CertificateDer<'_>> =
        cluster.issuers().iter().map(|issuer| issuer.certificate.clone().into()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    // Certificates count whole seconds, so the first instant that surely lies inside is the next one.
    let began =
        UnixTime::since_unix_epoch(Duration::from_millis(subject.not_before.0) + Duration::from_secs(1));
    verifier.is_ok_and(|verifier| verifier.verify_client_cert(leaf, &issuers, began).is_ok())
}

/// Renews this node's leaf until the node ends.
pub(crate) async fn run(
    core: Arc<Core>,
    home: Arc<Home>,
    endpoint: Arc<Endpoint>,
    admissions: Option<Arc<Admissions>>,
) {
    loop {
        let identity = endpoint.identity();
        if !matches!(identity.renewal(core.clock.now()), Renewal::NotBefore(_)) {
            match renewed(&core, &endpoint, &identity, admissions.as_deref()).await {
                Some(identity) => take(&home, &endpoint, identity),
                None => tracing::warn!(
                    "this node's certificate could not be renewed; it is tried again in a minute"
                ),
            }
        }
        tokio::select! {
            () = core.draining.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn take(home: &Home, endpoint: &Endpoint, identity: Identity) {
    if let Err(error) = identity.save(&home.path("identity"), &endpoint.trust().roots()) {
        tracing::error!(%error, "a renewed certificate cannot be written to the data directory");
    }
    endpoint.renew(identity);
    tracing::info!("this node's certificate was renewed");
}

async fn renewed(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    identity: &Identity,
    admissions: Option<&Admissions>,
) -> Option<Identity> {
    let request = CertificateRequest::create(identity.key()).ok()?;
    let leaf = identity.chain().first()?.to_vec();
    let chain = match admissions {
        Some(admissions) => {
            let terms = terms(core, endpoint.trust(), leaf, &[], &request).ok()?;
            admissions.tokens.issuer().issue(&terms, core.clock.now()).ok()?
        }
        None => ask_issuers(core, endpoint, leaf, request).await?,
    };
    Identity::new(Arc::clone(identity.key()), chain).ok()
}

async fn ask_issuers(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    leaf: Vec<u8>,
    request: Vec<u8>,
) -> Option<Vec<CertificateDer<'static>>> {
    let state = core.control.get()?.now();
    let root = RootFingerprint::of(endpoint.trust().roots().first()?);
    let renew = EnrolRequest::Renew { leaf, addresses: Vec::new(), request };
    for issuer in state.cluster()?.issuers() {
        for address in core.book.now().addresses(issuer.node).unwrap_or_default() {
            if let Some(chain) = ask(core, root, issuer.node, address, &renew).await {
                return Some(chain);
            }
        }
    }
    None
}

async fn ask(
    core: &Core,
    root: RootFingerprint,
    issuer: NodeId,
    address: SocketAddr,
    renew: &EnrolRequest,
) -> Option<Vec<CertificateDer<'static>>> {
    let deadline = Instant::now() + RENEW;
    let mut stream = dial_enrolment(root, issuer, address, Arc::clone(&core.clock), deadline).await.ok()?;
    let answer = timeout(RENEW, async {
        write_value(&mut stream, renew).await.ok()?;
        read_value::<EnrolAnswer>(&mut stream).await.ok()
    });
    match answer.await.ok()?? {
        EnrolAnswer::Admitted(admission) => {
            Some(admission.chain.into_iter().map(CertificateDer::from).collect())
        }
        EnrolAnswer::Refused(refusal) => {
            tracing::warn!(%refusal, "an issuer does not renew this node's certificate");
            None
        }
    }
}
