//! Second names and manifests: an alias leads to its bundle on whichever node it is, suggestions merge on every replica.

use crate::support::*;
use dccache_node::Node;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Alias, AliasClaim, Claim, Entry, outcome_digest};
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use dccache_protocol::manifest::{Manifest, Suggestion};
use dccache_protocol::service::{Bytes, CacheClient, FindManifest, PutAlias, Suggest};
use dccache_protocol::time::ReceiptStamp;
use dccache_transport::clock::SystemClock;
use std::sync::Arc;
use tokio::time::Instant;

/// A key in the partition of `number`.
fn direct(number: u32, last: u8) -> DirectKey {
    let mut bytes = *Digest::of(&number.to_be_bytes()).as_bytes();
    bytes[31] = last;
    DirectKey::from_digest(Digest::from_bytes(bytes))
}

/// Gives the bundle of `number` a second name, and returns it.
async fn put_alias(client: &Client, number: u32) -> Alias {
    let claim = AliasClaim {
        cluster: client.cluster,
        namespace: Namespace::default(),
        key: direct(number, 0),
        target: key(number),
        outcome: outcome_digest(&client.claim(number, &content(number)).outcome),
        signer: client.signer.public().signer_id(),
    };
    let alias = Alias::sign(claim, &client.signer);
    let put = PutAlias { epoch: client.layout().epoch, alias: Bytes(alias.to_bytes()) };
    let owners = client.owners(EntryKey::Direct(direct(number, 0)));
    let ask = async |cache: CacheClient, context| cache.put_alias(context, put).await;
    let deadline = Instant::now() + DEADLINE;
    let answer = client.pool.call(owners[0], &client.addresses(owners[0]), deadline, ask).await.unwrap();
    assert_eq!(answer.result.unwrap().copies as usize, owners.len());
    alias
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_replaces_an_alias_also_after_the_clock_went_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    client.put(1).await;
    put_alias(&client, 1).await;
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
        let alias = put_alias(&client, number).await;
        let second = EntryKey::Direct(direct(number, 0));
        for owner in client.owners(second) {
            let found = client.find_at(owner, second).await.unwrap().result.unwrap().unwrap();
            assert_eq!(found.alias, Some(Bytes(alias.to_bytes())));
            assert_eq!(inline(&found), client.bundle(number, &content(number)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suggestions_of_both_owners_merge_and_keep_no_stamp_of_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let client = writer(&nodes, 1).await;
    let manifest_key = ManifestKey::from_digest(*direct(1, 9).digest());
    let owners = client.owners(EntryKey::Direct(direct(1, 9)));
    let (namespace, epoch) = (Namespace::default(), client.layout().epoch);
    for (at, &owner) in owners.iter().enumerate() {
        let suggestion = Suggestion {
            inputs: vec![(RootPath::Root(b"a.c".to_vec()), Digest::of(b"a"))],
            absent: Vec::new(),
            direct: direct(1, at as u8),
            received: ReceiptStamp(u64::MAX),
        };
        let manifest = Bytes(Manifest { suggestions: vec![suggestion] }.to_bytes());
        let suggest = Suggest { epoch, namespace: namespace.clone(), key: manifest_key, manifest };
        let ask = async |cache: CacheClient, context| cache.suggest(context, suggest).await;
        let deadline = Instant::now() + DEADLINE;
        let answer = client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap();
        assert_eq!(answer.result.unwrap().copies, 2);
    }
    for owner in owners {
        let find = FindManifest { epoch, namespace: namespace.clone(), key: manifest_key };
        let ask = async |cache: CacheClient, context| cache.manifest(context, find).await;
        let deadline = Instant::now() + DEADLINE;
        let answer = client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap();
        let manifest = Manifest::from_bytes(&answer.result.unwrap().unwrap().manifest.0).unwrap();
        let keys: Vec<DirectKey> = manifest.suggestions.iter().map(|suggestion| suggestion.direct).collect();
        assert_eq!(keys, [direct(1, 1), direct(1, 0)], "newest first");
        assert!(manifest.suggestions.iter().all(|suggestion| suggestion.received < ReceiptStamp(u64::MAX)));
    }
}
