//! What is refused, and counted: by role, by signer, by digest, by namespace.

use crate::support::*;
use dccache_node::Node;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::entry::{Claim, Entry};
use dccache_protocol::ids::ClusterId;
use dccache_protocol::keys::EntryKey;
use dccache_protocol::service::{Bytes, CacheClient, Fetch, Refusal};
use dccache_protocol::signing::SigningKey;
use tokio::time::Instant;

async fn refusal(client: &Client, node: &Node, bundle: Vec<u8>) -> Refusal {
    let answer = client.put_at(node.id(), client.layout().epoch, bundle).await.unwrap();
    answer.result.unwrap_err()
}

fn signed(client: &Client, change: impl FnOnce(&mut Claim), signer: &SigningKey) -> Vec<u8> {
    let mut claim = client.claim(1, b"object");
    change(&mut claim);
    let body = Body::pack([b"object".as_slice(), b"", b""]);
    encode(&Entry::sign(claim, signer), &body.table, &body.bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_hold_is_refused_and_counted_and_honest_traffic_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let node = &nodes[0];
    let mut client = writer(&nodes, 1).await;
    let good = client.bundle(1, b"object");

    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&client, node, flipped).await, Refusal::NotAuthentic);

    let stranger = SigningKey::from_seed(&[99; 32]);
    assert_eq!(refusal(&client, node, signed(&client, |_| {}, &stranger)).await, Refusal::SignerNotAllowed);

    let foreign = |claim: &mut Claim| {
        claim.cluster = ClusterId::from_digest(dccache_protocol::digest::Digest::of(b"x"))
    };
    assert_eq!(refusal(&client, node, signed(&client, foreign, &client.signer)).await, Refusal::NotAuthentic);

    // An entry moved under another key keeps the signature of the first.
    let body = Body::pack([b"object".as_slice(), b"", b""]);
    let mut moved = Entry::sign(client.claim(1, b"object"), &client.signer);
    moved.claim.key = key(2);
    assert_eq!(refusal(&client, node, encode(&moved, &body.table, &body.bytes)).await, Refusal::NotAuthentic);

    assert_eq!(refusal(&client, node, b"noise".to_vec()).await, Refusal::Malformed);
    assert_eq!(node.status().await.refusals, 5);
    assert_eq!(client.find(1).await, None);
    client.put(1).await;
    assert!(client.find(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_push_and_clients_do_not_call_what_nodes_call() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let token = nodes[0].token(&for_reader()).unwrap().unwrap();
    let reader = Client::join(&token, 2).await.unwrap();
    assert_eq!(refusal(&reader, &nodes[0], reader.bundle(1, b"object")).await, Refusal::NotAllowed);

    let client = writer(&nodes, 1).await;
    let (node, addresses) = (nodes[0].id(), client.addresses(nodes[0].id()));
    let (epoch, deadline) = (client.layout().epoch, Instant::now() + DEADLINE);
    let id = key(1).record_id(&dccache_protocol::ids::Namespace::default());
    let fetch = async |client: CacheClient, context| client.fetch(context, Fetch { epoch, id }).await;
    let fetched = client.pool.call(node, &addresses, deadline, fetch).await.unwrap();
    assert_eq!(fetched.result, Err(Refusal::NotAllowed));
    let raft = async |client: CacheClient, context| client.raft(context, Bytes(vec![1, 2, 3])).await;
    let answer = client.pool.call(node, &addresses, deadline, raft).await.unwrap();
    assert_eq!(answer.result, Err(Refusal::NotAllowed));
    let command = dccache_protocol::control::Command::Acknowledge { epoch, node }.to_bytes();
    let propose = async |client: CacheClient, context| client.propose(context, Bytes(command)).await;
    let answer = client.pool.call(node, &addresses, deadline, propose).await.unwrap();
    assert_eq!(answer.result, Err(Refusal::NotAllowed));
    let EntryKey::Preprocessed(_) = key(1) else { panic!("tests put preprocessed keys") };
}
