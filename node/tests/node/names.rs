//! Second names: an alias under either kind of key leads to its bundle, on whichever node that is, and to nothing else.

use crate::support::*;
use dccache_node::Node;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Alias, AliasClaim, Claim, Entry, outcome_digest};
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::{DirectKey, EntryKey};
use dccache_protocol::service::{
    BulkAnswer, BulkRequest, Bytes, CacheClient, Content, PutAlias, Refusal, Stored,
};
use dccache_transport::bulk::transfer;
use dccache_transport::clock::SystemClock;
use std::sync::Arc;
use tokio::time::Instant;

/// A key in the partition of `number`.
pub(crate) fn direct(number: u32, last: u8) -> DirectKey {
    let mut bytes = *Digest::of(&number.to_be_bytes()).as_bytes();
    bytes[31] = last;
    DirectKey::from_digest(Digest::from_bytes(bytes))
}

/// The claim that the direct key of `number` leads to its bundle.
fn alias_claim(client: &Client, number: u32) -> AliasClaim {
    AliasClaim {
        cluster: client.cluster,
        namespace: Namespace::default(),
        key: EntryKey::Direct(direct(number, 0)),
        target: key(number),
        outcome: outcome_digest(&client.claim(number, &content(number)).outcome),
        signer: client.signer.public().signer_id(),
    }
}

async fn send_alias(client: &Client, alias: &Alias, key: EntryKey) -> Result<Stored, Refusal> {
    let put = PutAlias { epoch: client.layout().epoch, alias: Bytes(alias.to_bytes()) };
    let owner = client.owners(key)[0];
    let ask = async |cache: CacheClient, context| cache.put_alias(context, put).await;
    let deadline = Instant::now() + DEADLINE;
    client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap().result
}

/// Signs a claim, stores it, and returns it.
async fn put_alias(client: &Client, claim: AliasClaim) -> Alias {
    let (alias, key) = (Alias::sign(claim.clone(), &client.signer), claim.key);
    let stored = send_alias(client, &alias, key).await.unwrap();
    assert_eq!(usize::from(stored.copies), client.owners(key).len());
    alias
}

/// Stores content under a key of its own choice.
async fn put_under(client: &Client, key: EntryKey, content: &[u8]) -> (Claim, Vec<u8>) {
    let claim = Claim { key, ..client.claim(0, content) };
    let body = Body::pack([content, b"", b""]);
    let bundle = encode(&Entry::sign(claim.clone(), &client.signer), &body.table, &body.bytes);
    let answer = client.put_at(client.owners(key)[0], client.layout().epoch, bundle.clone()).await.unwrap();
    assert!(answer.result.unwrap().is_acknowledged());
    (claim, bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_replaces_an_alias_also_after_the_clock_went_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    client.put(1).await;
    put_alias(&client, alias_claim(&client, 1)).await;
    nodes.pop().unwrap().drain().await.unwrap();
    let mut settings = settings(dir.path(), 1);
    (settings.listen, settings.clock) = (None, Arc::new(SystemClock::with_offset_ms(-30 * 60 * 1000)));
    // Within one process a task that ends may hold the files of the old node a moment longer.
    let until = Instant::now() + DEADLINE;
    let node = loop {
        match Node::serve(settings.clone()).await {
            Ok(node) => break node,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    nodes.push(node);

    let second = EntryKey::Direct(direct(1, 0));
    let claim = Claim { key: second, ..client.claim(1, b"of its own") };
    let body = Body::pack([b"of its own".as_slice(), b"", b""]);
    let bundle = encode(&Entry::sign(claim, &client.signer), &body.table, &body.bytes);
    let answer = client.put_at(nodes[0].id(), client.layout().epoch, bundle.clone()).await.unwrap();
    assert!(answer.result.unwrap().is_acknowledged());
    let found = client.find_at(nodes[0].id(), second).await.unwrap().result.unwrap().unwrap();
    assert_eq!((found.alias.is_none(), inline(&found)), (true, bundle));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_leads_to_a_bundle_of_other_owners() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 3).await;
    let mut client = writer(&nodes, 1).await;
    for number in 0..12 {
        client.put(number).await;
        let alias = put_alias(&client, alias_claim(&client, number)).await;
        let second = EntryKey::Direct(direct(number, 0));
        for owner in client.owners(second) {
            let found = client.find_at(owner, second).await.unwrap().result.unwrap().unwrap();
            assert_eq!(found.alias, Some(Bytes(alias.to_bytes())));
            assert_eq!(inline(&found), client.bundle(number, &content(number)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_under_a_preprocessed_key_leads_to_the_bundle_of_a_direct_one() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 3).await;
    let client = writer(&nodes, 1).await;
    for number in 0..12 {
        let target = EntryKey::Direct(direct(number, 0));
        let (claim, bundle) = put_under(&client, target, &content(number)).await;
        let outcome = outcome_digest(&claim.outcome);
        let second = AliasClaim { key: key(number), target, outcome, ..alias_claim(&client, number) };
        let alias = put_alias(&client, second).await;
        for owner in client.owners(key(number)) {
            let found = client.find_at(owner, key(number)).await.unwrap().result.unwrap().unwrap();
            assert_eq!((&found.alias, found.key), (&Some(Bytes(alias.to_bytes())), key(number)));
            assert_eq!(inline(&found), bundle);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_target_of_other_owners_is_named_and_fetched_from_them() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 3).await;
    let client = writer(&nodes, 1).await;
    let mut large = Vec::new();
    while large.len() < 400 << 10 {
        large.extend_from_slice(Digest::of(&large.len().to_le_bytes()).as_bytes());
    }
    let mut hops = 0;
    for number in 0..12 {
        let target = EntryKey::Direct(direct(number, 0));
        let claim = Claim { key: target, ..client.claim(0, &large) };
        let body = Body::pack([large.as_slice(), b"", b""]);
        let bundle = encode(&Entry::sign(claim.clone(), &client.signer), &body.table, &body.bytes);
        let (epoch, deadline, owner) =
            (client.layout().epoch, Instant::now() + DEADLINE, client.owners(target)[0]);
        let mut stream = client.pool.bulk(owner, &client.addresses(owner), deadline).await.unwrap();
        let put = BulkRequest::Put { epoch, length: bundle.len() as u64 };
        assert!(matches!(transfer(&mut stream, &put, &bundle).await.unwrap().0, BulkAnswer::Stored(_)));
        let outcome = outcome_digest(&claim.outcome);
        put_alias(&client, AliasClaim { key: key(number), target, outcome, ..alias_claim(&client, number) })
            .await;
        for asked in client.owners(key(number)) {
            hops += usize::from(!client.owners(target).contains(&asked));
            let found = client.find_at(asked, key(number)).await.unwrap().result.unwrap().unwrap();
            let Content::Bulk { id, length } = found.bundle.content else { panic!("it is large") };
            assert_eq!((id, length), (target.record_id(&Namespace::default()), bundle.len() as u64));
            let get = BulkRequest::Get { epoch, namespace: Namespace::default(), id };
            let (answer, bytes) = transfer(&mut stream, &get, b"").await.unwrap();
            assert!(matches!(answer, BulkAnswer::Record { .. }) && bytes == bundle, "{answer:?}");
        }
    }
    assert!(hops > 0, "no alias lies apart from its target");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_does_not_fit_its_target_is_a_miss_until_one_that_does_comes() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    client.put(1).await;
    let second = EntryKey::Direct(direct(1, 0));
    let found = async |client: &Client| client.find_at(nodes[0].id(), second).await.unwrap().result.unwrap();
    let good = alias_claim(&client, 1);
    for (number, bad) in [
        AliasClaim { outcome: Digest::of(b"other outputs"), ..good.clone() },
        AliasClaim { target: key(2), ..good.clone() },
        AliasClaim { target: second, ..good.clone() },
    ]
    .into_iter()
    .enumerate()
    {
        put_alias(&client, bad).await;
        assert!(found(&client).await.is_none(), "{number}");
    }
    put_alias(&client, good).await;
    assert!(found(&client).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_another_cluster_signer_namespace_or_key_is_refused_or_found_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    client.put(1).await;
    let good = alias_claim(&client, 1);
    let foreign = AliasClaim {
        cluster: dccache_protocol::ids::ClusterId::from_digest(Digest::of(b"theirs")),
        ..good.clone()
    };
    let foreign = Alias::sign(foreign, &client.signer);
    assert_eq!(send_alias(&client, &foreign, good.key).await, Err(Refusal::NotAuthentic));
    let mut bent = Alias::sign(good.clone(), &client.signer);
    bent.claim.key = EntryKey::Direct(direct(1, 7));
    assert_eq!(send_alias(&client, &bent, bent.claim.key).await, Err(Refusal::NotAuthentic));
    bent = Alias::sign(good.clone(), &client.signer);
    bent.claim.target = key(9);
    assert_eq!(send_alias(&client, &bent, good.key).await, Err(Refusal::NotAuthentic));
    let stranger = Alias::sign(good.clone(), &dccache_protocol::signing::SigningKey::from_seed(&[66; 32]));
    assert_eq!(send_alias(&client, &stranger, good.key).await, Err(Refusal::SignerNotAllowed));
    // Well signed, in another namespace: it lies where nobody of this one looks.
    let elsewhere = Namespace("elsewhere".parse().unwrap());
    put_alias(&client, AliasClaim { namespace: elsewhere, ..good.clone() }).await;
    assert!(client.find_at(nodes[0].id(), good.key).await.unwrap().result.unwrap().is_none());
}
