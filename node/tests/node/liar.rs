//! A node with a sound certificate that lies: what it sends is judged like anybody's.

use crate::support::*;
use dccache_protocol::codec::Format as _;
use dccache_protocol::ids::{Namespace, NodeId};
use dccache_protocol::keys::{DirectKey, RecordId};
use dccache_protocol::manifest::{Manifest, Suggestion};
use dccache_protocol::service::{Bytes, CacheClient, RecordKind, RecordMessage, Refusal, Replicate};
use dccache_protocol::signing::SigningKey;
use dccache_protocol::time::{Clock as _, ReceiptStamp};
use dccache_transport::clock::SystemClock;
use dccache_transport::dial::Dialer;
use dccache_transport::endpoint::Endpoint;
use dccache_transport::identity::Identity;
use dccache_transport::pool::Pool;
use dccache_transport::trust::Trust;
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;

/// Speaks with the certificate of a node that has ended.
struct Liar {
    pool: Pool,
    client: Client,
    victim: NodeId,
}

impl Liar {
    fn with(identity: &Path, client: Client, victim: NodeId) -> Self {
        let (identity, roots) = Identity::load(identity).unwrap();
        let trust = Trust::new(client.cluster, roots, Arc::new(SystemClock::from_environment())).unwrap();
        let dialer = Dialer::new(Endpoint::new(identity, trust)).from_address([127, 0, 0, 2].into());
        Self { pool: Pool::new(dialer), client, victim }
    }

    async fn replicate(
        &self,
        id: RecordId,
        kind: RecordKind,
        ahead_ms: u64,
        payload: Vec<u8>,
    ) -> Option<Refusal> {
        let now = SystemClock::from_environment().now().plus_ms(ahead_ms);
        let stamp = ReceiptStamp::next(ReceiptStamp(0), now);
        let record = RecordMessage { id, kind, stamp, payload: Bytes(payload) };
        let request = Replicate { epoch: self.client.layout().epoch, record, hint_for: None };
        let ask = async |cache: CacheClient, context| cache.replicate(context, request).await;
        let addresses = self.client.addresses(self.victim);
        let answer = self.pool.call(self.victim, &addresses, Instant::now() + DEADLINE, ask).await.unwrap();
        answer.result.err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_node_plants_nothing_and_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 2).await;
    let mut client = writer(&nodes, 1).await;
    assert_eq!(client.put(1).await.copies, 2);
    nodes.pop().unwrap().drain().await.unwrap();
    let liar = Liar::with(&dir.path().join("2/identity"), writer(&nodes, 2).await, nodes[0].id());
    let id = |number| key(number).record_id(&Namespace::default());
    let good = client.bundle(2, &content(2));
    let hour = 60 * 60 * 1000;

    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let bundle = RecordKind::Bundle;
    assert_eq!(liar.replicate(id(2), bundle, 0, altered).await, Some(Refusal::NotAuthentic));
    assert_eq!(liar.replicate(id(3), bundle, 0, good.clone()).await, Some(Refusal::NotAuthentic));
    assert_eq!(liar.replicate(id(2), bundle, 0, b"noise".to_vec()).await, Some(Refusal::Malformed));
    // A stamp that nobody could ever draw a later one after.
    assert_eq!(liar.replicate(id(2), bundle, 24 * 365 * hour, good.clone()).await, Some(Refusal::Malformed));
    // Nobody signs manifests; one in the place of a bundle would be a miss for everybody.
    let manifest = Manifest::default().to_bytes();
    assert_eq!(liar.replicate(id(1), RecordKind::Manifest, hour, manifest).await, Some(Refusal::Malformed));
    // A suggestion that would stay the newest for ever.
    let suggestion = Suggestion::new(Vec::new(), Vec::new(), DirectKey::from_digest(*id(9).digest()));
    let suggestion = Suggestion { received: ReceiptStamp(u64::MAX), ..suggestion };
    let manifest = Manifest { suggestions: vec![suggestion] }.to_bytes();
    assert_eq!(liar.replicate(id(9), RecordKind::Manifest, 0, manifest).await, Some(Refusal::Malformed));
    // It is a member and no voter, so it has nothing to say to the control plane's engine.
    let ask = async |cache: CacheClient, context| cache.raft(context, Bytes(vec![1, 2, 3])).await;
    let addresses = liar.client.addresses(liar.victim);
    let answer = liar.pool.call(liar.victim, &addresses, Instant::now() + DEADLINE, ask).await.unwrap();
    assert_eq!(answer.result, Err(Refusal::NotAllowed));

    for (number, held) in [(1, true), (2, false), (3, false)] {
        let found = client.find_at(nodes[0].id(), key(number)).await.unwrap().result.unwrap();
        assert_eq!(found.is_some(), held, "{number}");
    }
    // What holds is taken from it like from anybody.
    assert_eq!(liar.replicate(id(2), bundle, hour, good.clone()).await, None);
    assert_eq!(client.find(2).await, Some(good));
}

/// A hand-off skips what is forbidden; what is only not known yet it must pull again, or the copy would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_signer_that_is_not_known_yet_is_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 2).await;
    let client = writer(&nodes, 1).await;
    nodes.pop().unwrap().drain().await.unwrap();
    let mut liar = Liar::with(&dir.path().join("2/identity"), client, nodes[0].id());
    liar.client.signer = SigningKey::from_seed(&[77; 32]);
    let bundle = liar.client.bundle(1, &content(1));
    let id = key(1).record_id(&Namespace::default());
    assert_eq!(liar.replicate(id, RecordKind::Bundle, 0, bundle).await, Some(Refusal::Unavailable));
}
