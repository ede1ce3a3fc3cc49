//! `dccache join TOKEN`: this machine becomes a client of a cluster.
//!
//! Shape: parse the token, enrol over the pinned channel, write everything into a directory beside the final one, rename. Nothing
//! that is there is touched before the new membership is whole; the membership of another cluster only goes with `--force`.

use super::{ClusterError, Member, Membership, Signers, read_member};
use crate::agent::ask;
use crate::agent::place::{Place, PlaceError};
use dccache_protocol::codec::Format;
use dccache_protocol::directory::SignedDirectory;
use dccache_protocol::enrol::{Admission, Applicant, EnrolAnswer, EnrolRefusal, EnrolRequest};
use dccache_protocol::ids::{ClusterId, Label};
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::signing::SigningKey;
use dccache_protocol::time::Clock;
use dccache_protocol::token::{JoinToken, Role, RootFingerprint, TokenError};
use dccache_ring::accept::Trusted;
use dccache_transport::dial::{DialError, dial_enrolment};
use dccache_transport::frame::{FrameError, read_value, write_value};
use dccache_transport::identity::{
    AuthorityError, CertificateRequest, Identity, IdentityError, KeyError, KeyPair,
};
use rustls_pki_types::CertificateDer;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time for an enrolment with one address, its agreement with the control plane included.
const ENROL: Duration = Duration::from_secs(20);

/// What happens to the membership of another cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// It stays, and joining fails.
    Keep,
    /// It is moved aside, and pushes that wait for it are dropped.
    Replace,
}

/// Why a machine did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is for something else.
    #[error("this token makes a {0}; use one that `dccache-node ca token --client` printed")]
    Role(Role),
    /// This machine is in another cluster.
    #[error("this machine is a client of cluster {}; `--force` replaces that membership", &cluster.to_string()[..12])]
    OtherCluster {
        /// The cluster.
        cluster: ClusterId,
    },
    /// The cluster said no.
    #[error("the cluster refuses: {0}")]
    Refused(EnrolRefusal),
    /// No address of the issuer answered.
    #[error("cannot reach the node that made the token")]
    Dial(#[source] DialError),
    /// The node broke off.
    #[error("the node that made the token broke off")]
    Frame(#[from] FrameError),
    /// The node did not finish.
    #[error("the node that made the token did not finish in time; try again")]
    TimedOut,
    /// The answer does not fit the token.
    #[error("the node's answer does not fit the token: {0}")]
    Answer(&'static str),
    /// A key cannot be made.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// A certificate request cannot be made.
    #[error("cannot make a certificate request")]
    Request(#[from] AuthorityError),
    /// The certificate is not usable.
    #[error("the certificate that came is not usable")]
    Identity(#[from] IdentityError),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] ClusterError),
    /// A directory cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file cannot be moved.
    #[error("cannot write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl JoinError {
    /// Returns the exit code that stands for the kind of failure: 2 the token is no token, 3 the cluster refuses, 4 the cluster
    /// cannot be reached, 5 this machine is in another cluster, 1 anything else.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Token(_) | Self::Role(_) => 2,
            Self::Refused(_) => 3,
            Self::Dial(_) | Self::Frame(_) | Self::TimedOut => 4,
            Self::OtherCluster { .. } => 5,
            _ => 1,
        }
    }
}

/// Joins the cluster of a token, and ends a running agent so that the next one knows. Returns what the machine is now.
///
/// # Errors
/// [`JoinError`]; what was there before is then still there.
pub async fn join(
    place: &Place,
    token: &str,
    operator: Label,
    other: Other,
    clock: Arc<dyn Clock>,
) -> Result<Member, JoinError> {
    let token: JoinToken = token.parse()?;
    if !matches!(token.role, Role::Writer | Role::Reader) {
        return Err(JoinError::Role(token.role));
    }
    place.prepare()?;
    let before = read_member(&place.cluster());
    if let Ok(Some(Member { cluster, .. })) = before
        && cluster != token.cluster
        && other == Other::Keep
    {
        return Err(JoinError::OtherCluster { cluster });
    }
    // A signer is long-lived: joining the same cluster again keeps its name.
    let old = Membership::load(&place.cluster()).ok().flatten();
    let old = old.filter(|old| old.member.cluster == token.cluster);
    let is_foreign = matches!(before, Ok(Some(Member { cluster, .. })) if cluster != token.cluster);
    let membership = enrol(&token, operator, old.as_ref(), clock).await?;
    let membership = membership.not_older_than(old);
    install(place, &membership)?;
    if is_foreign {
        let _ = std::fs::remove_dir_all(place.journal());
    }
    // One that does not answer ends when it is idle; until then it speaks for the old membership.
    let _ = ask::stop(place);
    Ok(membership.member)
}

async fn enrol(
    token: &JoinToken,
    operator: Label,
    old: Option<&Membership>,
    clock: Arc<dyn Clock>,
) -> Result<Membership, JoinError> {
    let key = Arc::new(KeyPair::generate()?);
    let signer = match (token.role, old.and_then(|old| old.signer.as_ref())) {
        (Role::Reader, _) => None,
        (_, Some(signer)) => Some(SigningKey::from_seed(&signer.seed())),
        (_, None) => Some(new_signer()?),
    };
    let applicant =
        Applicant::Client { signer: signer.as_ref().map(SigningKey::public), operator: operator.clone() };
    let request = EnrolRequest::Join {
        token: token.id.0,
        secret: token.secret.0,
        applicant,
        request: CertificateRequest::create(&key)?,
    };
    let admission = apply(token, &request, clock).await?;
    let (identity, roots) = admitted(token, &admission, key)?;
    let layout = SignedLayout::from_bytes(&admission.layout).map_err(|_| JoinError::Answer("layout"))?;
    let layout = Trusted::vouched(layout, token.cluster).map_err(|_| JoinError::Answer("layout"))?;
    let signers =
        SignedDirectory::from_bytes(&admission.directory).map_err(|_| JoinError::Answer("directory"))?;
    let signers = Signers::vouched(signers, token.cluster).map_err(|_| JoinError::Answer("directory"))?;
    // Who answers for a signer is what the administrator granted, whatever was proposed.
    let record = signer.as_ref().and_then(|key| signers.signer(&key.public().signer_id()));
    let member = Member {
        cluster: token.cluster,
        administrator: admission.administrator,
        role: token.role,
        operator: record.map_or(operator, |record| record.operator.clone()),
    };
    Ok(Membership { member, identity, roots, signer, layout, signers })
}

fn new_signer() -> Result<SigningKey, JoinError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeyError::Entropy)?;
    Ok(SigningKey::from_seed(&seed))
}

async fn apply(
    token: &JoinToken,
    request: &EnrolRequest,
    clock: Arc<dyn Clock>,
) -> Result<Admission, JoinError> {
    let mut last = None;
    for &address in &token.addresses {
        let deadline = Instant::now() + ENROL;
        let dialled = dial_enrolment(token.root, token.issuer, address, Arc::clone(&clock), deadline).await;
        let mut stream = match dialled {
            Ok(stream) => stream,
            Err(error) => {
                last = Some(JoinError::Dial(error));
                continue;
            }
        };
        let exchange = async {
            write_value(&mut stream, request).await?;
            read_value::<EnrolAnswer>(&mut stream).await
        };
        let answer = timeout_at(deadline, exchange).await.map_err(|_| JoinError::TimedOut)??;
        return match answer {
            EnrolAnswer::Admitted(admission) => Ok(*admission),
            EnrolAnswer::Refused(refusal) => Err(JoinError::Refused(refusal)),
        };
    }
    Err(last.unwrap_or(JoinError::Answer("address")))
}

/// Checks an admission against the token and this machine's key.
pub(crate) fn admitted(
    token: &JoinToken,
    admission: &Admission,
    key: Arc<KeyPair>,
) -> Result<(Identity, Vec<CertificateDer<'static>>), JoinError> {
    if admission.cluster != token.cluster {
        return Err(JoinError::Answer("cluster"));
    }
    if !admission.roots.iter().any(|root| RootFingerprint::of(root) == token.root) {
        return Err(JoinError::Answer("root certificate"));
    }
    let chain = admission.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let identity = Identity::new(key, chain)?;
    if identity.subject().role != token.role || identity.subject().cluster != token.cluster {
        return Err(JoinError::Answer("certificate"));
    }
    let roots = admission.roots.iter().map(|der| CertificateDer::from(der.clone())).collect();
    Ok((identity, roots))
}

impl Membership {
    /// Keeps the newer of two states of one cluster, so that joining again cannot take this machine back.
    fn not_older_than(mut self, old: Option<Self>) -> Self {
        if let Some(old) = old {
            if old.layout.layout().epoch > self.layout.layout().epoch {
                self.layout = old.layout;
            }
            if old.signers.number() > self.signers.number() {
                self.signers = old.signers;
            }
        }
        self
    }
}

/// Puts a membership in place; what was there is kept beside it until the next time.
fn install(place: &Place, membership: &Membership) -> Result<(), JoinError> {
    let target = place.cluster();
    let (new, old) = (target.with_extension("new"), target.with_extension("old"));
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| JoinError::File { path, source }
    };
    remove(&new).map_err(at(&new))?;
    membership.save(&new)?;
    if target.exists() {
        remove(&old).map_err(at(&old))?;
        std::fs::rename(&target, &old).map_err(at(&old))?;
    }
    std::fs::rename(&new, &target).map_err(at(&target))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
