//! Manifests: suggestions merge on every replica, nobody drives out what others suggest, and the newest bundle comes along.

use crate::names::direct;
use crate::support::*;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Claim, Entry};
use dccache_protocol::ids::{Namespace, NodeId};
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use dccache_protocol::limits::SUGGESTIONS_PER_PUSHER_MAX;
use dccache_protocol::manifest::{Manifest, Pusher, Suggestion};
use dccache_protocol::service::{
    Bytes, CacheClient, FindManifests, FoundManifests, Refusal, Stored, Suggest,
};
use dccache_protocol::time::ReceiptStamp;
use tokio::time::Instant;

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
async fn two_machines_that_suggest_at_both_owners_at_once_overwrite_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let clients = [writer(&nodes, 1).await, writer(&nodes, 2).await];
    let owners = clients[0].owners(EntryKey::Direct(direct(1, 9)));
    // As many shapes of each machine as it may have, half of them at each owner.
    let each = SUGGESTIONS_PER_PUSHER_MAX / 2;
    for round in 0..16 {
        let key = manifest_key(round);
        let push = async |number: usize| {
            let (client, owner) = (&clients[number % 2], owners[number / 2 % 2]);
            let shape = suggestion(&["a.c", &format!("{number}.h")], direct(1, number as u8));
            suggest(client, owner, key, shape).await
        };
        let all = futures::future::join_all((0..4 * each).map(push)).await;
        assert!(all.iter().all(|stored| stored.copies == 2), "{all:?}");
        for &owner in &owners {
            let found = decoded(&manifests(&clients[0], owner, &[key]).await);
            let mut keys: Vec<DirectKey> =
                found[0].1.suggestions.iter().map(|suggestion| suggestion.direct).collect();
            keys.sort_unstable();
            let expected: Vec<DirectKey> = (0..4 * each).map(|number| direct(1, number as u8)).collect();
            assert_eq!(keys, expected, "round {round}, {owner:?}");
        }
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

#[tokio::test(flavor = "multi_thread")]
async fn absurd_suggestions_are_refused_and_absurd_paths_are_only_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let client = writer(&nodes, 1).await;
    let (owner, key) = (nodes[0].id(), manifest_key(9));
    let send = async |manifest: Vec<u8>| {
        let (epoch, namespace) = (client.layout().epoch, Namespace::default());
        let suggest = Suggest { epoch, namespace, key, manifest: Bytes(manifest) };
        let ask = async |cache: CacheClient, context| cache.suggest(context, suggest).await;
        let deadline = Instant::now() + DEADLINE;
        client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap().result
    };
    let of = |suggestions: Vec<Suggestion>| Manifest { suggestions }.to_bytes();
    let good = suggestion(&["a.c"], direct(1, 1));
    let many: Vec<String> = (0..6_000).map(|number| format!("{number:0>20}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let unsorted =
        Suggestion { absent: vec![RootPath::Root(vec![98]), RootPath::Root(vec![97])], ..good.clone() };
    let nul = Suggestion { absent: vec![RootPath::Absolute(vec![47, 0])], ..good.clone() };
    for (what, manifest) in [
        ("none", of(Vec::new())),
        ("two", of(vec![suggestion(&["b.c"], direct(1, 2)), good.clone()])),
        ("a key of other owners", of(vec![suggestion(&["a.c"], direct(2, 1))])),
        ("too large", of(vec![suggestion(&many, direct(1, 1))])),
        ("out of order", of(vec![unsorted])),
        ("a path with a NUL", of(vec![nul])),
        ("noise", b"noise".to_vec()),
    ] {
        assert_eq!(send(manifest).await, Err(Refusal::Malformed), "{what}");
    }
    assert!(manifests(&client, owner, &[key]).await.manifests.is_empty());
    let absurd = ["", "../../../etc/shadow", "/dev/zero", "a\nb", "\u{1b}[31m"];
    assert!(send(of(vec![suggestion(&absurd, direct(1, 1))])).await.is_ok());
    let found = decoded(&manifests(&client, owner, &[key]).await);
    assert_eq!(found[0].1.suggestions[0].inputs.len(), absurd.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_manifests_are_cut_to_their_newest_suggestions_and_both_keys_get_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let client = writer(&nodes, 1).await;
    let (owner, keys) = (nodes[0].id(), [manifest_key(8), manifest_key(9)]);
    for number in 0..4u8 {
        let paths: Vec<String> = (0..2000).map(|path| format!("{number}/{path:0>60}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        for key in keys {
            suggest(&client, owner, key, suggestion(&paths, direct(1, number))).await;
        }
    }
    let found = manifests(&client, owner, &keys).await;
    let bytes: usize = found.manifests.iter().map(|(_, manifest)| manifest.0.len()).sum();
    assert!(bytes <= dccache_protocol::limits::SUGGESTED_MAX, "{bytes}");
    for (_, manifest) in decoded(&found) {
        assert_eq!(manifest.suggestions.first().unwrap().direct, direct(1, 3));
    }
}
