//! What is refused, and counted: by role, by signer, by digest, by namespace.

use crate::support::*;
use dccache_node::{Node, TokenKind};
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::entry::{Claim, Entry};
use dccache_protocol::ids::{ClusterId, Namespace};
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::service::{
    Answer, BulkAnswer, BulkRequest, Bytes, CacheClient, Fetch, Find, FindManifests, Pull, Put, PutAlias,
    RecordKind, RecordMessage, Refusal, Replicate, Suggest,
};
use dccache_protocol::signing::SigningKey;
use dccache_protocol::time::ReceiptStamp;
use dccache_transport::bulk::transfer;
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
    let id = key(1).record_id(&Namespace::default());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_of_one_namespace_pushes_into_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let namespace = |name: &str| Namespace(name.parse().unwrap());
    let kind = TokenKind::Writer {
        operator: "office".parse().unwrap(),
        ci: None,
        namespaces: vec![namespace("games")],
    };
    let client = Client::join(&nodes[0].token(&kind).unwrap().unwrap(), 3).await.unwrap();
    let into = |name: &str| {
        let change = |claim: &mut Claim| claim.namespace = namespace(name);
        signed(&client, change, &client.signer)
    };
    assert_eq!(refusal(&client, &nodes[0], into("office")).await, Refusal::SignerNotAllowed);
    assert_eq!(refusal(&client, &nodes[0], client.bundle(1, b"object")).await, Refusal::SignerNotAllowed);
    let answer = client.put_at(nodes[0].id(), client.layout().epoch, into("games")).await.unwrap();
    assert_eq!(answer.result.unwrap().copies, 1);
    // What lies in one namespace is not read through another, by its key or by its id.
    assert!(client.find_at(nodes[0].id(), key(1)).await.unwrap().result.unwrap().is_none());
    let id = key(1).record_id(&namespace("games"));
    for (named, expected) in [("games", true), ("office", false)] {
        let deadline = Instant::now() + DEADLINE;
        let addresses = client.addresses(nodes[0].id());
        let mut stream = client.pool.bulk(nodes[0].id(), &addresses, deadline).await.unwrap();
        let get = BulkRequest::Get { epoch: client.layout().epoch, namespace: namespace(named), id };
        let (answer, _) = transfer(&mut stream, &get, &[]).await.unwrap();
        assert_eq!(matches!(answer, BulkAnswer::Record { .. }), expected, "{named}: {answer:?}");
    }
}

/// What each role may ask for; the certificates are real.
#[tokio::test(flavor = "multi_thread")]
async fn every_method_and_every_role_is_allowed_or_refused_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let reader = Client::join(&nodes[0].token(&for_reader()).unwrap().unwrap(), 2).await.unwrap();
    let writer = writer(&nodes, 1).await;
    for (client, writes) in [(&reader, false), (&writer, true)] {
        let rows = [
            ("find", true),
            ("manifests", true),
            ("layouts", true),
            ("directory", true),
            ("status", true),
            ("put", writes),
            ("put_alias", writes),
            ("suggest", writes),
            ("replicate", false),
            ("fetch", false),
            ("pull", false),
            ("raft", false),
            ("propose", false),
        ];
        for (method, allowed) in rows {
            let refusal = call(client, &nodes[0], method).await;
            assert_eq!(refusal != Some(Refusal::NotAllowed), allowed, "{method}, may write: {writes}");
        }
        for (request, allowed) in bulk_requests(client, writes) {
            let deadline = Instant::now() + DEADLINE;
            let addresses = client.addresses(nodes[0].id());
            let mut stream = client.pool.bulk(nodes[0].id(), &addresses, deadline).await.unwrap();
            let (answer, _) = transfer(&mut stream, &request, b"noise").await.unwrap();
            let refused = matches!(answer, BulkAnswer::Refused(Refusal::NotAllowed));
            assert_eq!(!refused, allowed, "{request:?}, may write: {writes}");
        }
    }
}

fn bulk_requests(client: &Client, writes: bool) -> [(BulkRequest, bool); 2] {
    let (epoch, length) = (client.layout().epoch, 5);
    let id = key(1).record_id(&Namespace::default());
    let (kind, stamp) = (RecordKind::Bundle, ReceiptStamp(1));
    let copy = BulkRequest::Replicate { epoch, id, kind, stamp, hint_for: None, length };
    [(BulkRequest::Put { epoch, length }, writes), (copy, false)]
}

/// Calls a method with arguments that lead nowhere, and returns why it was refused.
async fn call(client: &Client, node: &Node, method: &str) -> Option<Refusal> {
    let (epoch, namespace) = (client.layout().epoch, Namespace::default());
    let (id, noise) = (key(1).record_id(&namespace), || Bytes(b"noise".to_vec()));
    let manifest_key = ManifestKey::from_digest(dccache_protocol::digest::Digest::of(b"m"));
    let (addresses, deadline) = (client.addresses(node.id()), Instant::now() + DEADLINE);
    let ask = async |cache: CacheClient, context| {
        Ok(match method {
            "find" => cache.find(context, Find { epoch, namespace, keys: vec![key(1)] }).await?.map_unit(),
            "manifests" => {
                let find = FindManifests { epoch, namespace, keys: vec![manifest_key] };
                cache.manifests(context, find).await?.map_unit()
            }
            "layouts" => cache.layouts(context, epoch).await?.map_unit(),
            "directory" => cache.directory(context, 0).await?.map_unit(),
            "status" => cache.status(context).await?.map_unit(),
            "put" => cache.put(context, Put { epoch, bundle: noise() }).await?.map_unit(),
            "put_alias" => cache.put_alias(context, PutAlias { epoch, alias: noise() }).await?.map_unit(),
            "suggest" => {
                let suggest = Suggest { epoch, namespace, key: manifest_key, manifest: noise() };
                cache.suggest(context, suggest).await?.map_unit()
            }
            "replicate" => {
                let (kind, stamp) = (RecordKind::Bundle, ReceiptStamp(1));
                let record = RecordMessage { id, kind, stamp, payload: noise() };
                cache.replicate(context, Replicate { epoch, record, hint_for: None }).await?.map_unit()
            }
            "fetch" => cache.fetch(context, Fetch { epoch, id }).await?.map_unit(),
            "pull" => {
                let pull = Pull { epoch, partition: id.partition(), after: None };
                cache.pull(context, pull).await?.map_unit()
            }
            "raft" => cache.raft(context, noise()).await?.map_unit(),
            "propose" => cache.propose(context, noise()).await?.map_unit(),
            other => panic!("{other} is no method"),
        })
    };
    client.pool.call(node.id(), &addresses, deadline, ask).await.unwrap().result.err()
}

/// Forgets what was answered.
trait Unit {
    fn map_unit(self) -> Answer<()>;
}

impl<T> Unit for Answer<T> {
    fn map_unit(self) -> Answer<()> {
        Answer { epoch: self.epoch, newer: self.newer, result: self.result.map(drop) }
    }
}
