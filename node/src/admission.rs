//! Letting machines in: the issuer's side of the enrolment channel.
//!
//! Order, which is the point: rate limit, token, grant, connect-back, redemption in the control plane, and only then a signature. A
//! token whose answer got lost can be used again by the same key.

use crate::control::{Plane, ProposeError};
use crate::core::Core;
use crate::limiter::Limiter;
use crate::tokens::{Kept, Tokens};
use dccache_protocol::codec::Format as _;
use dccache_protocol::control::{Command, Grant, Outcome, Refusal, Signed, Subject};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::SignedDirectory;
use dccache_protocol::enrol::{
    Admission, Applicant, Challenge, ChallengeAnswer, EnrolAnswer, EnrolRefusal, EnrolRequest,
};
use dccache_protocol::layout::{Member, SignedLayout};
use dccache_protocol::limits::ADDRESSES_MAX;
use dccache_protocol::signing::{PublicKey, Purpose, SigningKey};
use dccache_protocol::token::{Role, TokenId, TokenSecret};
use dccache_ring::control::{Cluster, ControlState};
use dccache_ring::plan::{Wanted, plan_next};
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::identity::{CertificateRequest, KeyId, LeafTerms, is_identity_address};
use dccache_transport::stream::SecureStream;
use dccache_transport::trust::Trust;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long an applicant may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(10);

/// How long the claimed address may take to answer the challenge.
const CONNECT_BACK: Duration = Duration::from_secs(5);

/// How long the cluster may take to agree on a member; earlier hand-offs may have to end first.
const AGREEMENT: Duration = Duration::from_secs(60);

/// The issuer on a node.
pub(crate) struct Admissions {
    /// Keys and tokens.
    pub(crate) tokens: Tokens,
    /// Failed attempts by network.
    pub(crate) limiter: Limiter,
    /// Key with which this node countersigns.
    pub(crate) voter: SigningKey,
    /// Whose leaves may be renewed.
    pub(crate) trust: Arc<Trust>,
}

struct Join {
    token: TokenId,
    secret: TokenSecret,
    applicant: Applicant,
    request: Vec<u8>,
    key: PublicKey,
}

impl Admissions {
    /// Serves one connection of the enrolment channel.
    pub(crate) async fn serve(&self, core: &Arc<Core>, from: SocketAddr, mut stream: SecureStream) {
        // The request is read in any case: an applicant that is still sending would not see the answer.
        let request = timeout(REQUEST, read_value::<EnrolRequest>(&mut stream)).await;
        let admitted = self.limiter.admits(from.ip(), core.clock.now());
        let answer = match request {
            _ if !admitted => Err(EnrolRefusal::RateLimited),
            Ok(Ok(request)) => self.decide(core, request).await,
            _ => Err(EnrolRefusal::Malformed),
        };
        let answer = match answer {
            Ok(admission) => {
                tracing::info!(%from, "a machine was admitted");
                EnrolAnswer::Admitted(Box::new(admission))
            }
            Err(refusal) => {
                tracing::warn!(%from, %refusal, "a machine was not admitted");
                core.counters.refusals.add(1);
                if refusal != EnrolRefusal::Unavailable {
                    self.limiter.failed(from.ip(), core.clock.now());
                }
                EnrolAnswer::Refused(refusal)
            }
        };
        if let Err(error) = write_value(&mut stream, &answer).await {
            tracing::warn!(%from, %error, "an applicant did not wait for its answer");
        }
    }

    async fn decide(&self, core: &Arc<Core>, request: EnrolRequest) -> Result<Admission, EnrolRefusal> {
        let (token, secret, applicant, request) = match request {
            EnrolRequest::Join { token, secret, applicant, request } => (token, secret, applicant, request),
            EnrolRequest::Renew { leaf, addresses, request } => {
                let terms = crate::renewal::terms(core, &self.trust, leaf, &addresses, &request)?;
                return self.sign(core, &terms).await;
            }
        };
        let key = CertificateRequest::verify(&request).map_err(|_| EnrolRefusal::Malformed)?.key();
        let join = Join { token: TokenId(token), secret: TokenSecret(secret), applicant, request, key };
        let kept = self.tokens.check(join.token, &join.secret)?;
        let plane = core.control.get().ok_or(EnrolRefusal::Unavailable)?;
        let terms = match &join.applicant {
            Applicant::Node { .. } => self.admit_node(core, plane, &kept, &join).await?,
            Applicant::Client { signer, .. } => {
                self.admit_client(core, plane, &kept, &join, *signer).await?;
                LeafTerms::client(kept.role, join.key)
            }
        };
        self.sign(core, &terms).await
    }

    async fn sign(&self, core: &Arc<Core>, terms: &LeafTerms) -> Result<Admission, EnrolRefusal> {
        let chain = self.tokens.issuer().issue(terms, core.clock.now()).map_err(|error| {
            tracing::error!(%error, "no certificate can be issued");
            EnrolRefusal::Unavailable
        })?;
        let plane = core.control.get().ok_or(EnrolRefusal::Unavailable)?;
        admission(core, plane, chain.into_iter().map(|der| der.to_vec()).collect()).await
    }

    async fn admit_node(
        &self,
        core: &Arc<Core>,
        plane: &Plane,
        kept: &Kept,
        join: &Join,
    ) -> Result<LeafTerms, EnrolRefusal> {
        let Applicant::Node { id, addresses, voter_key, weight, zone } = &join.applicant else {
            return Err(EnrolRefusal::Malformed);
        };
        let grant = self.tokens.grant_in(kept, zone)?;
        within(&grant.statement, addresses, *weight)?;
        for &address in addresses {
            connect_back(core, address, join).await?;
        }
        redeem(core, plane, &grant, join.key).await?;
        let member = Member {
            id: *id,
            addresses: addresses.clone(),
            weight: *weight,
            zone: zone.clone(),
            voter_key: *voter_key,
        };
        self.admit(core, plane, grant, member).await?;
        Ok(LeafTerms::node(*id, join.key, addresses.iter().map(SocketAddr::ip).collect()))
    }

    /// Has the cluster agree on a layout with the new member; tries again while others change it.
    async fn admit(
        &self,
        core: &Arc<Core>,
        plane: &Plane,
        grant: Signed<Grant>,
        member: Member,
    ) -> Result<(), EnrolRefusal> {
        let node = member.id;
        let deadline = Instant::now() + AGREEMENT;
        let mut state = plane.watch();
        while Instant::now() < deadline {
            let now = state.borrow_and_update().clone();
            let cluster = now.cluster().ok_or(EnrolRefusal::Unavailable)?;
            if cluster.node(node).is_some_and(|known| known.voter_key == member.voter_key) {
                return in_force(plane, deadline, |cluster| cluster.in_force().layout.member(node).is_some())
                    .await;
            }
            let layout = Box::new(self.plan(core, cluster, member.clone()).await?);
            let command = Command::Admit { grant: grant.clone(), node, layout };
            match plane.propose(core, &command).await.map_err(unavailable)? {
                Outcome::Refused(refusal) if !is_passing(refusal) => {
                    tracing::warn!(%refusal, "the cluster does not take a new member");
                    return Err(EnrolRefusal::OutsideGrant);
                }
                Outcome::Refused(_) => {
                    // Whatever is in the way changes the state when it goes.
                    let _ = timeout(Duration::from_millis(500), state.changed()).await;
                }
                _ => {}
            }
        }
        Err(EnrolRefusal::Unavailable)
    }

    async fn plan(
        &self,
        core: &Arc<Core>,
        cluster: &Cluster,
        member: Member,
    ) -> Result<SignedLayout, EnrolRefusal> {
        let parent = cluster.in_force().layout.clone();
        let votes = parent.voters.binary_search(&core.id).is_ok();
        let planned = tokio::task::spawn_blocking(move || {
            let mut wanted = Wanted::of(&parent);
            wanted.members.push(member);
            plan_next(&parent, wanted)
        });
        let layout =
            planned.await.map_err(|_| EnrolRefusal::Unavailable)?.map_err(|_| EnrolRefusal::OutsideGrant)?;
        let signed = SignedLayout { layout, signatures: Vec::new() };
        Ok(if votes { signed.countersigned(core.id, &self.voter) } else { signed })
    }

    async fn admit_client(
        &self,
        core: &Arc<Core>,
        plane: &Plane,
        kept: &Kept,
        join: &Join,
        signer: Option<PublicKey>,
    ) -> Result<(), EnrolRefusal> {
        let Subject::Client { roles, .. } = &kept.grant.statement.subject else {
            return Err(EnrolRefusal::OutsideGrant);
        };
        if kept.role == Role::Node {
            return Err(EnrolRefusal::OutsideGrant);
        }
        redeem(core, plane, &kept.grant, join.key).await?;
        let Some(key) = signer.filter(|_| !roles.is_empty()) else { return Ok(()) };
        let command = Command::RegisterSigner { grant: kept.grant.clone(), key };
        match plane.propose(core, &command).await.map_err(unavailable)? {
            // The token's second use by the same key, or a machine that joins again with the signing key that it has.
            Outcome::Registered(_) | Outcome::Refused(Refusal::KnownSigner | Refusal::TokenNotOpen) => {}
            outcome => {
                tracing::warn!(?outcome, "a signer is not registered");
                return Err(EnrolRefusal::OutsideGrant);
            }
        }
        let deadline = Instant::now() + AGREEMENT;
        let id = key.signer_id();
        let listed = |directory: &SignedDirectory| directory.directory.signer(&id).is_some();
        in_force(plane, deadline, |cluster| cluster.signed_directory().is_some_and(listed)).await
    }
}

/// Checks what a node asks for against its grant.
fn within(grant: &Grant, addresses: &[SocketAddr], weight: u32) -> Result<(), EnrolRefusal> {
    let Subject::Node { largest_weight, ranges, .. } = &grant.subject else {
        return Err(EnrolRefusal::OutsideGrant);
    };
    let reachable = |address: &SocketAddr| {
        is_identity_address(address.ip()) && ranges.iter().any(|range| range.contains(address.ip()))
    };
    let fits = (1..=ADDRESSES_MAX).contains(&addresses.len()) && addresses.iter().all(reachable);
    if fits && (1..=*largest_weight).contains(&weight) { Ok(()) } else { Err(EnrolRefusal::OutsideGrant) }
}

/// Dials a claimed address and has the enrolling key sign a nonce there.
async fn connect_back(core: &Arc<Core>, address: SocketAddr, join: &Join) -> Result<(), EnrolRefusal> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| EnrolRefusal::Unavailable)?;
    let challenge = Challenge { nonce, cluster: core.cluster, address, request: Digest::of(&join.request) };
    let asked = timeout(CONNECT_BACK, async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        write_value(&mut stream, &challenge).await.ok()?;
        read_value::<ChallengeAnswer>(&mut stream).await.ok()
    });
    let answer = asked.await.ok().flatten().ok_or(EnrolRefusal::ConnectBack)?;
    let holds = join.key.verifies(Purpose::Enrolment, &challenge.to_bytes(), &answer.signature);
    if holds { Ok(()) } else { Err(EnrolRefusal::ConnectBack) }
}

async fn redeem(
    core: &Arc<Core>,
    plane: &Plane,
    grant: &Signed<Grant>,
    key: PublicKey,
) -> Result<(), EnrolRefusal> {
    let by = *KeyId::of(key).digest();
    let command = Command::Redeem { grant: grant.clone(), by, now: core.clock.now() };
    match plane.propose(core, &command).await.map_err(unavailable)? {
        Outcome::Redeemed => Ok(()),
        Outcome::Refused(Refusal::TokenUsed { by: earlier }) if earlier == by => Ok(()),
        Outcome::Refused(Refusal::TokenUsed { .. }) => Err(EnrolRefusal::TokenUsed),
        Outcome::Refused(Refusal::TokenExpired) => Err(EnrolRefusal::TokenExpired),
        Outcome::Refused(Refusal::TooManyTokens) => Err(EnrolRefusal::Unavailable),
        outcome => {
            tracing::warn!(?outcome, "a token is not redeemed");
            Err(EnrolRefusal::UnknownToken)
        }
    }
}

fn unavailable(_: ProposeError) -> EnrolRefusal {
    EnrolRefusal::Unavailable
}

/// Says whether a refusal only means that the cluster changes at this moment.
fn is_passing(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::LayoutWaiting
            | Refusal::HandoffsUnfinished
            | Refusal::WrongEpoch { .. }
            | Refusal::WrongParent
            | Refusal::WrongMembers
            | Refusal::KnownNode
    )
}

/// Waits until the agreed state is as wanted.
async fn in_force(
    plane: &Plane,
    deadline: Instant,
    holds: impl Fn(&Cluster) -> bool,
) -> Result<(), EnrolRefusal> {
    let mut state = plane.watch();
    let wanted = |state: &Arc<ControlState>| state.cluster().is_some_and(&holds);
    match tokio::time::timeout_at(deadline, state.wait_for(wanted)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(EnrolRefusal::Unavailable),
    }
}

async fn admission(core: &Arc<Core>, plane: &Plane, chain: Vec<Vec<u8>>) -> Result<Admission, EnrolRefusal> {
    let deadline = Instant::now() + AGREEMENT;
    in_force(plane, deadline, |cluster| cluster.signed_directory().is_some()).await?;
    let state = plane.now();
    let cluster = state.cluster().ok_or(EnrolRefusal::Unavailable)?;
    let directory = cluster.signed_directory().ok_or(EnrolRefusal::Unavailable)?;
    Ok(Admission {
        cluster: core.cluster,
        chain,
        roots: cluster.roots().iter().map(|root| root.certificate.clone()).collect(),
        administrator: cluster.administrator(),
        layout: cluster.in_force().to_bytes(),
        directory: directory.to_bytes(),
    })
}
