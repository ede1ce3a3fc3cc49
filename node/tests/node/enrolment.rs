//! Who gets in: tokens once, in time, unguessed, within their grant, from where they say.

use crate::support::*;
use dccache_node::{Node, Settings};
use dccache_protocol::enrol::{Applicant, EnrolAnswer, EnrolRefusal, EnrolRequest};
use dccache_protocol::ids::NodeId;
use dccache_protocol::limits::TOKEN_LIFE_S;
use dccache_protocol::signing::SigningKey;
use dccache_protocol::time::{Clock, UnixMillis};
use dccache_protocol::token::{JoinToken, TokenSecret};
use dccache_transport::identity::{CertificateRequest, KeyPair};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that a test moves.
#[derive(Debug)]
struct Moved(AtomicU64);

impl Clock for Moved {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

fn refusal(answer: &EnrolAnswer) -> EnrolRefusal {
    match answer {
        EnrolAnswer::Refused(refusal) => *refusal,
        EnrolAnswer::Admitted(_) => panic!("admitted"),
    }
}

async fn founder(data: &std::path::Path) -> Node {
    Node::serve(settings(data, 1)).await.unwrap()
}

fn token(node: &Node) -> JoinToken {
    node.token(&for_writer()).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_and_again_only_for_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let node = founder(dir.path()).await;
    let token = token(&node);
    let key = KeyPair::generate().unwrap();
    assert!(matches!(ask_to_enrol(&token, client(None), &key).await, EnrolAnswer::Admitted(_)));
    assert!(matches!(ask_to_enrol(&token, client(None), &key).await, EnrolAnswer::Admitted(_)));
    let other = KeyPair::generate().unwrap();
    assert_eq!(refusal(&ask_to_enrol(&token, client(None), &other).await), EnrolRefusal::TokenUsed);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_are_refused_and_then_slowed_down() {
    let dir = tempfile::tempdir().unwrap();
    let node = founder(dir.path()).await;
    let mut token = token(&node);
    token.secret = TokenSecret([9; 32]);
    let key = KeyPair::generate().unwrap();
    for _ in 0..10 {
        assert_eq!(refusal(&ask_to_enrol(&token, client(None), &key).await), EnrolRefusal::UnknownToken);
    }
    assert_eq!(refusal(&ask_to_enrol(&token, client(None), &key).await), EnrolRefusal::RateLimited);
    assert_eq!(node.status().await.refusals, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let begin = Settings::new(dir.path().to_owned()).clock.now();
    let clock = Arc::new(Moved(AtomicU64::new(begin.0)));
    let mut settings = settings(dir.path(), 1);
    settings.clock = clock.clone();
    let node = Node::serve(settings).await.unwrap();
    let token = token(&node);
    clock.0.fetch_add(TOKEN_LIFE_S * 1000 + 1, Ordering::Relaxed);
    let key = KeyPair::generate().unwrap();
    assert_eq!(refusal(&ask_to_enrol(&token, client(None), &key).await), EnrolRefusal::TokenExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stays_within_its_grant_and_answers_where_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let node = founder(dir.path()).await;
    let key = KeyPair::generate().unwrap();
    let applicant = |weight, address: &str| Applicant::Node {
        id: NodeId([7; 16]),
        addresses: vec![address.parse().unwrap()],
        voter_key: SigningKey::from_seed(&[7; 32]).public(),
        weight,
        zone: "b".parse().unwrap(),
    };
    let token = node.token(&for_node()).unwrap().unwrap();
    let heavy = ask_to_enrol(&token, applicant(1001, "127.0.0.2:1"), &key).await;
    assert_eq!(refusal(&heavy), EnrolRefusal::OutsideGrant);
    let elsewhere = ask_to_enrol(&token, applicant(1, "192.0.2.7:1"), &key).await;
    assert_eq!(refusal(&elsewhere), EnrolRefusal::OutsideGrant);
    // Nothing listens there with the enrolling key.
    let absent = ask_to_enrol(&token, applicant(1, "127.0.0.2:1"), &key).await;
    assert_eq!(refusal(&absent), EnrolRefusal::ConnectBack);
    // A client's token makes no node, and the other way round.
    let as_client = ask_to_enrol(&token, client(None), &key).await;
    assert_eq!(refusal(&as_client), EnrolRefusal::OutsideGrant);
    assert_eq!(node.layout().members.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_is_renewed_for_its_own_key_and_not_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let node = founder(dir.path()).await;
    let token = token(&node);
    let key = KeyPair::generate().unwrap();
    let EnrolAnswer::Admitted(admission) = ask_to_enrol(&token, client(None), &key).await else {
        panic!("not admitted")
    };
    let leaf = admission.chain[0].clone();
    let renew = |key: &KeyPair, leaf: &[u8]| EnrolRequest::Renew {
        leaf: leaf.to_vec(),
        addresses: Vec::new(),
        request: CertificateRequest::create(key).unwrap(),
    };
    let EnrolAnswer::Admitted(renewed) = ask(&token, &renew(&key, &leaf)).await else {
        panic!("not renewed")
    };
    assert_ne!(renewed.chain[0], leaf);
    let other = KeyPair::generate().unwrap();
    assert_eq!(refusal(&ask(&token, &renew(&other, &leaf)).await), EnrolRefusal::NotRenewable);
    // A leaf of another cluster's issuer.
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Node::serve(settings(elsewhere.path(), 2)).await.unwrap();
    let invited = foreign.token(&for_writer()).unwrap().unwrap();
    let EnrolAnswer::Admitted(admission) = ask_to_enrol(&invited, client(None), &key).await else {
        panic!("not admitted")
    };
    let answer = ask(&token, &renew(&key, &admission.chain[0])).await;
    assert_eq!(refusal(&answer), EnrolRefusal::NotRenewable);
}
