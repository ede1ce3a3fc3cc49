//! Second names and manifests: an alias leads to its bundle on whichever node it is, suggestions merge on every replica.

use crate::support::*;
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Alias, AliasClaim, outcome_digest};
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use dccache_protocol::manifest::{Manifest, Suggestion};
use dccache_protocol::service::{Bytes, CacheClient, FindManifest, PutAlias, Suggest};
use dccache_protocol::time::ReceiptStamp;
use tokio::time::Instant;

/// A key in the partition of `number`.
fn direct(number: u32, last: u8) -> DirectKey {
    let mut bytes = *Digest::of(&number.to_be_bytes()).as_bytes();
    bytes[31] = last;
    DirectKey::from_digest(Digest::from_bytes(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_leads_to_a_bundle_of_other_owners() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 3).await;
    let mut client = writer(&nodes, 1).await;
    for number in 0..12 {
        client.put(number).await;
        let claim = AliasClaim {
            cluster: client.cluster,
            namespace: Namespace::default(),
            key: direct(number, 0),
            target: key(number),
            outcome: outcome_digest(&client.claim(number, &content(number)).outcome),
            signer: client.signer.public().signer_id(),
        };
        let alias = Alias::sign(claim, &client.signer);
        let epoch = client.layout().epoch;
        let put = PutAlias { epoch, alias: Bytes(alias.to_bytes()) };
        let second = EntryKey::Direct(direct(number, 0));
        let owner = client.owners(second)[0];
        let ask = async |cache: CacheClient, context| cache.put_alias(context, put).await;
        let deadline = Instant::now() + DEADLINE;
        let answer = client.pool.call(owner, &client.addresses(owner), deadline, ask).await.unwrap();
        assert_eq!(answer.result.unwrap().copies, 2);
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
