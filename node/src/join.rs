//! Becoming a node of a cluster: the applicant's side of the enrolment channel.
//!
//! The socket that the node will serve on answers the challenge, so the claimed address is proved with the very socket that counts.
//! Keys are drawn once per data directory: a repeated attempt with the same token is the same machine.

use crate::error::StartError;
use crate::handoff::Handoff;
use crate::home::{Home, HomeError, NodeFile, random};
use crate::layouts::{Book, Layouts};
use crate::settings::{DEFAULT_CAPACITY, DEFAULT_WEIGHT, Settings};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::SignedDirectory;
use dccache_protocol::enrol::{Admission, Applicant, Challenge, ChallengeAnswer, EnrolAnswer, EnrolRequest};
use dccache_protocol::ids::{ClusterId, NodeId};
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::signing::Purpose;
use dccache_protocol::token::{JoinToken, Role, RootFingerprint};
use dccache_ring::accept::Trusted;
use dccache_transport::dial::dial_enrolment;
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::identity::{CertificateRequest, Identity, KeyPair, read_private, write_private};
use dccache_transport::stream::SecureStream;
use rustls_pki_types::CertificateDer;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// How long one address of the issuer may take to answer.
const DIAL: Duration = Duration::from_secs(5);

/// How long admission may take: the cluster may have hand-offs to end first.
const ADMISSION: Duration = Duration::from_secs(90);

/// How long a connection to the temporary listener may take; whoever connects is not trusted.
const CHALLENGE: Duration = Duration::from_secs(5);

struct Keys {
    id: NodeId,
    tls: Arc<KeyPair>,
}

/// Enrols this machine and writes its data directory; the socket is the one to serve on afterwards.
pub(crate) async fn enrol(
    home: &Home,
    settings: &Settings,
    token: &JoinToken,
    listen: SocketAddr,
    socket: &TcpListener,
) -> Result<NodeFile, StartError> {
    if token.role != Role::Node {
        return Err(StartError::ClientToken);
    }
    let keys = keys(home)?;
    let voter = home.make_voter_key()?;
    let weight = settings.weight.unwrap_or(DEFAULT_WEIGHT);
    let zone = settings.first_zone();
    let request = CertificateRequest::create(&keys.tls)?;
    let applicant = Applicant::Node {
        id: keys.id,
        addresses: vec![listen],
        voter_key: voter.public(),
        weight,
        zone: zone.clone(),
    };
    let digest = Digest::of(&request);
    let join = EnrolRequest::Join { token: token.id.0, secret: token.secret.0, applicant, request };
    let mut stream = dial(settings, token).await?;
    let asked = timeout(ADMISSION, async {
        write_value(&mut stream, &join).await?;
        read_value::<EnrolAnswer>(&mut stream).await
    });
    let answer = tokio::select! {
        answer = asked => answer,
        never = answer_challenges(socket, token.cluster, listen, digest, &keys.tls) => match never {},
    };
    let no_issuer = |error| StartError::NoIssuer(Box::new(error));
    let answer = answer.map_err(|_| StartError::BadAdmission("none came in time"))?.map_err(no_issuer)?;
    let admission = match answer {
        EnrolAnswer::Admitted(admission) => *admission,
        EnrolAnswer::Refused(refusal) => return Err(refusal.into()),
    };
    let capacity = settings.capacity_bytes.unwrap_or(DEFAULT_CAPACITY);
    let node = NodeFile::new(keys.id, token.cluster, listen, zone, weight, capacity);
    save(home, token, &keys, admission)?;
    home.finish(&node)?;
    let _ = std::fs::remove_file(home.path("joining"));
    Ok(node)
}

/// Reads or draws the node's name and TLS key.
fn keys(home: &Home) -> Result<Keys, StartError> {
    let path = home.path("joining");
    if !path.exists() {
        write_private(&path, &random::<48>(home.root())?)?;
    }
    let bytes: [u8; 48] = read_private(&path)?.try_into().map_err(|_| HomeError::Damaged(path))?;
    let id = NodeId(std::array::from_fn(|i| bytes[i]));
    let seed: [u8; 32] = std::array::from_fn(|i| bytes[16 + i]);
    Ok(Keys { id, tls: Arc::new(KeyPair::from_seed(&seed)) })
}

async fn dial(settings: &Settings, token: &JoinToken) -> Result<SecureStream, StartError> {
    let mut last: Box<dyn std::error::Error + Send + Sync> = "the token names no address".into();
    for &address in &token.addresses {
        let deadline = Instant::now() + DIAL;
        match dial_enrolment(token.root, token.issuer, address, Arc::clone(&settings.clock), deadline).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Box::new(error),
        }
    }
    Err(StartError::NoIssuer(last))
}

/// Answers challenges for this machine's own request on the socket that it will serve on.
async fn answer_challenges(
    socket: &TcpListener,
    cluster: ClusterId,
    address: SocketAddr,
    request: Digest,
    key: &KeyPair,
) -> Infallible {
    loop {
        let Ok((stream, _)) = socket.accept().await else { continue };
        let _ = timeout(CHALLENGE, answer_challenge(stream, cluster, address, request, key)).await;
    }
}

async fn answer_challenge(
    mut stream: TcpStream,
    cluster: ClusterId,
    address: SocketAddr,
    request: Digest,
    key: &KeyPair,
) -> Option<()> {
    let challenge: Challenge = read_value(&mut stream).await.ok()?;
    let ours = challenge.cluster == cluster && challenge.address == address && challenge.request == request;
    if !ours {
        return None;
    }
    let signature = key.signing_key().sign(Purpose::Enrolment, &challenge.to_bytes());
    write_value(&mut stream, &ChallengeAnswer { signature }).await.ok()
}

/// Checks an admission against the token and writes what the node needs.
fn save(home: &Home, token: &JoinToken, keys: &Keys, admission: Admission) -> Result<(), StartError> {
    if admission.cluster != token.cluster {
        return Err(StartError::BadAdmission("it is for another cluster"));
    }
    if !admission.roots.iter().any(|root| RootFingerprint::of(root) == token.root) {
        return Err(StartError::BadAdmission("the token's root is not among the cluster's"));
    }
    let chain = admission.chain.into_iter().map(CertificateDer::from).collect();
    let roots: Vec<CertificateDer<'_>> = admission.roots.into_iter().map(CertificateDer::from).collect();
    let identity = Identity::new(Arc::clone(&keys.tls), chain)?;
    identity.save(&home.path("identity"), &roots)?;
    let layout = SignedLayout::from_bytes(&admission.layout);
    let layout = layout.map_err(|_| StartError::BadAdmission("its layout is malformed"))?;
    if layout.layout.member(keys.id).is_none() {
        return Err(StartError::BadAdmission("its layout does not have this node"));
    }
    let trusted = Trusted::vouched(layout, token.cluster);
    let trusted = trusted.map_err(|_| StartError::BadAdmission("its layout does not hold"))?;
    Handoff::create(&home.path("handoff"), keys.id, trusted.layout())?;
    Book::create(&home.path("layouts"), &Layouts::begin(trusted))?;
    let directory = SignedDirectory::from_bytes(&admission.directory);
    let directory = directory.map_err(|_| StartError::BadAdmission("its directory is malformed"))?;
    write_private(&home.path("signers"), &directory.to_bytes())?;
    Ok(())
}
