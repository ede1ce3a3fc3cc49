//! Second names and manifests: an alias leads to its bundle on whichever node it is, suggestions merge on every replica.

use crate::support::*;
use dccache_node::Node;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Alias, AliasClaim, Claim, Entry, outcome_digest};
use dccache_protocol::ids::{Namespace, NodeId};
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use dccache_protocol::limits::SUGGESTIONS_PER_PUSHER_MAX;
use dccache_protocol::manifest::{Manifest, Pusher, Suggestion};
use dccache_protocol::service::{
    Bytes, CacheClient, FindManifests, FoundManifests, PutAlias, Stored, Suggest,
};
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
        key: EntryKey::Direct(direct(number, 0)),
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

/// A compile of the command of `manifest_key` that read `paths`.
fn suggestion(paths: &[&str], direct: DirectKey) -> Suggestion {
    let input =
        |path: &&str| (RootPath::Root(path.as_bytes().to_vec()), Digest::of(direct.digest().as_bytes()));
    let suggestion = Suggestion::new(paths.iter().map(input).collect(), Vec::new(), direct);
    // What a client says about these is not believed.
    Suggestion { received: ReceiptStamp(u64::MAX), pusher: Pusher(77), ..suggestion }
}

async fn suggest(client: &Client, owner: NodeId, key: ManifestKey, suggestion: Suggestion) -> Stored {
    let manifest = Bytes(Manifest { suggestions: vec![suggestion] }.to_bytes());
    let (epoch, namespace) = (client.layout().epoch, Namespace::default());
    let suggest = Suggest { epoch, namespace, key, manifest };
    let ask = async |cache: CacheClient, context| cache.suggest(context, suggest).await;
    let deadline = Instant::now() + DEADLINE;
    let answer = client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap();
    answer.result.unwrap()
}

async fn manifests(client: &Client, owner: NodeId, keys: &[ManifestKey]) -> FoundManifests {
    let (epoch, namespace) = (client.layout().epoch, Namespace::default());
    let find = FindManifests { epoch, namespace, keys: keys.to_vec() };
    let ask = async |cache: CacheClient, context| cache.manifests(context, find).await;
    let deadline = Instant::now() + DEADLINE;
    let answer = client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap();
    answer.result.unwrap()
}

fn decoded(found: &FoundManifests) -> Vec<(ManifestKey, Manifest)> {
    let decode = |(key, bytes): &(ManifestKey, Bytes)| (*key, Manifest::from_bytes(&bytes.0).unwrap());
    found.manifests.iter().map(decode).collect()
}

fn manifest_key(last: u8) -> ManifestKey {
    ManifestKey::from_digest(*direct(1, last).digest())
}

#[tokio::test(flavor = "multi_thread")]
async fn suggestions_of_both_owners_merge_and_keep_no_stamp_or_name_of_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let client = writer(&nodes, 1).await;
    let owners = client.owners(EntryKey::Direct(direct(1, 9)));
    for (at, &owner) in owners.iter().enumerate() {
        let suggestion = suggestion(&["a.c", &format!("{at}.h")], direct(1, at as u8));
        assert_eq!(suggest(&client, owner, manifest_key(9), suggestion).await.copies, 2);
    }
    for owner in owners {
        let found = decoded(&manifests(&client, owner, &[manifest_key(8), manifest_key(9)]).await);
        let [(key, manifest)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*key, manifest_key(9));
        let keys: Vec<DirectKey> = manifest.suggestions.iter().map(|suggestion| suggestion.direct).collect();
        assert_eq!(keys, [direct(1, 1), direct(1, 0)], "newest first");
        let honest = |suggestion: &Suggestion| {
            suggestion.received < ReceiptStamp(u64::MAX) && suggestion.pusher != Pusher(77)
        };
        assert!(manifest.suggestions.iter().all(honest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_read_the_same_paths_share_one_suggestion_and_the_newest_content_leads() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let (one, two) = (writer(&nodes, 1).await, writer(&nodes, 2).await);
    let owners = one.owners(EntryKey::Direct(direct(1, 9)));
    for (client, owner, last) in
        [(&one, owners[0], 1), (&two, owners[1], 2), (&one, owners[1], 3), (&two, owners[0], 3)]
    {
        suggest(client, owner, manifest_key(9), suggestion(&["a.c", "a.h"], direct(1, last))).await;
    }
    suggest(&two, owners[0], manifest_key(9), suggestion(&["a.c"], direct(1, 4))).await;
    for owner in owners {
        let found = decoded(&manifests(&one, owner, &[manifest_key(9)]).await);
        let keys: Vec<DirectKey> =
            found[0].1.suggestions.iter().map(|suggestion| suggestion.direct).collect();
        assert_eq!(keys, [direct(1, 4), direct(1, 3)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_a_manifest_does_not_drive_out_what_others_suggest() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let (honest, hostile) = (writer(&nodes, 1).await, writer(&nodes, 2).await);
    let owners = honest.owners(EntryKey::Direct(direct(1, 9)));
    suggest(&honest, owners[0], manifest_key(9), suggestion(&["a.c", "a.h"], direct(1, 1))).await;
    for number in 0..40u8 {
        let absurd = format!("dev/{number}");
        let owner = owners[usize::from(number) % 2];
        suggest(&hostile, owner, manifest_key(9), suggestion(&[&absurd], direct(1, 100 + number))).await;
    }
    for owner in owners {
        let found = decoded(&manifests(&honest, owner, &[manifest_key(9)]).await);
        let keys: Vec<DirectKey> =
            found[0].1.suggestions.iter().map(|suggestion| suggestion.direct).collect();
        let flood = (100..140).rev().take(SUGGESTIONS_PER_PUSHER_MAX).map(|last| direct(1, last));
        assert_eq!(keys, flood.chain([direct(1, 1)]).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_bundle_that_either_manifest_suggests_comes_along() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let client = writer(&nodes, 1).await;
    let owners = client.owners(EntryKey::Direct(direct(1, 9)));
    let keys = [manifest_key(8), manifest_key(9)];
    let stored = |last| {
        let claim = Claim { key: EntryKey::Direct(direct(1, last)), ..client.claim(1, &[last; 100]) };
        let body = Body::pack([[last; 100].as_slice(), b"", b""]);
        encode(&Entry::sign(claim, &client.signer), &body.table, &body.bytes)
    };
    for (key, last) in [(keys[1], 1), (keys[0], 2), (keys[1], 3)] {
        if last < 3 {
            let put = client.put_at(owners[0], client.layout().epoch, stored(last)).await.unwrap();
            assert!(put.result.unwrap().is_acknowledged());
        }
        suggest(&client, owners[0], key, suggestion(&["a.c"], direct(1, last))).await;
    }
    for owner in owners {
        let found = manifests(&client, owner, &keys).await;
        assert_eq!(decoded(&found).iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys);
        let newest = found.newest.unwrap();
        // The one that was suggested last has no bundle.
        assert_eq!(newest.key, EntryKey::Direct(direct(1, 2)));
        assert_eq!(inline(&newest), stored(2));
    }
}
