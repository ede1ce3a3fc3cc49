//! Keeping the certificate alive: renewed at two thirds of its life, and for ninety days after its end.

use super::ring::{Node, Ring};
use super::state::Agent;
use dccache_protocol::enrol::{Admission, EnrolAnswer, EnrolRequest};
use dccache_protocol::token::RootFingerprint;
use dccache_transport::dial::dial_enrolment;
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::identity::{CertificateRequest, Identity, Renewal};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often the certificate is looked at: the wall clock may jump, so a long sleep is not trusted.
const LOOK: Duration = Duration::from_secs(600);

/// Pause after a renewal that no node did.
const AGAIN: Duration = Duration::from_secs(60);

/// Longest time for a renewal by one node.
const RENEW: Duration = Duration::from_secs(20);

/// Renews until the agent ends.
pub(super) async fn run(agent: Arc<Agent>, ring: Arc<Ring>) {
    loop {
        let pause = match ring.endpoint.identity().renewal(agent.clock.now()) {
            Renewal::NotBefore(due) => LOOK.min(Duration::from_millis(due.since(agent.clock.now()).max(1))),
            Renewal::Due(_) | Renewal::Expired(_) => {
                if renew(&agent, &ring).await {
                    LOOK
                } else {
                    AGAIN
                }
            }
            Renewal::Lost => {
                tracing::error!("the certificate ended too long ago; join again with a new token");
                LOOK
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = agent.stop.thrown() => return,
        }
    }
}

async fn renew(agent: &Agent, ring: &Arc<Ring>) -> bool {
    for node in ring.nodes() {
        match renew_at(agent, ring, &node).await {
            Ok(()) => {
                tracing::info!(node = %node.id, "the certificate is renewed");
                return true;
            }
            Err(error) => tracing::warn!(node = %node.id, error, "the certificate was not renewed"),
        }
    }
    false
}

async fn renew_at(agent: &Agent, ring: &Arc<Ring>, node: &Node) -> Result<(), String> {
    let identity = ring.endpoint.identity();
    let leaf = identity.chain().first().map(|leaf| leaf.to_vec()).unwrap_or_default();
    let request = CertificateRequest::create(identity.key()).map_err(|error| error.to_string())?;
    let request = EnrolRequest::Renew { leaf, addresses: Vec::new(), request };
    let mut last = "no address or root is known".to_owned();
    for root in ring.endpoint.trust().roots() {
        let root = RootFingerprint::of(&root);
        for &address in &node.addresses {
            let deadline = Instant::now() + RENEW;
            let clock = Arc::clone(&agent.clock);
            let mut stream = match dial_enrolment(root, node.id, address, clock, deadline).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = super::chain(&error);
                    continue;
                }
            };
            let exchange = async {
                write_value(&mut stream, &request).await?;
                read_value::<EnrolAnswer>(&mut stream).await
            };
            return match timeout_at(deadline, exchange).await {
                Err(_) => Err("no answer in time".into()),
                Ok(Err(error)) => Err(super::chain(&error)),
                Ok(Ok(EnrolAnswer::Refused(refusal))) => Err(refusal.to_string()),
                Ok(Ok(EnrolAnswer::Admitted(admission))) => take(ring, &identity, *admission).await,
            };
        }
    }
    Err(last)
}

/// Takes a renewed certificate into use and onto the disk.
async fn take(ring: &Arc<Ring>, old: &Identity, admission: Admission) -> Result<(), String> {
    if admission.cluster != ring.member.cluster {
        return Err("the answer is of another cluster".into());
    }
    let chain = admission.chain.into_iter().map(CertificateDer::from).collect();
    let renewed = Identity::new(Arc::clone(old.key()), chain).map_err(|error| super::chain(&error))?;
    if renewed.subject().not_after <= old.subject().not_after {
        return Err("the answer is no newer certificate".into());
    }
    let roots = ring.endpoint.trust().roots();
    renewed.save(ring.state(), &roots).map_err(|error| super::chain(&error))?;
    ring.endpoint.renew(renewed);
    ring.learn_encoded_layout(&admission.layout).await;
    ring.learn_signers(&admission.directory).await;
    Ok(())
}
