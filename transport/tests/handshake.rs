//! Who gets in and who does not: every attack on the handshake, over real sockets.

mod testbed;

use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::Role;
use dccache_transport::dial::{DialError, Dialer};
use dccache_transport::endpoint::Endpoint;
use dccache_transport::identity::PeerName;
use dccache_transport::listener::Limits;
use dccache_transport::peer::Refused;
use testbed::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn peers_of_one_cluster_meet_and_know_each_other() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let node = cluster.dialling_node(3);
    let client = cluster.client(Role::Writer);
    let (mut outbound, mut inbound) = meet(&mut listener, &node, 2, address).await.unwrap();
    assert_eq!(outbound.peer.node(), Some(node_id(2)));
    assert_eq!((inbound.peer.node(), inbound.peer.seen.ip()), (Some(node_id(3)), host(3)));
    outbound.stream.write_all(b"ping").await.unwrap();
    outbound.stream.flush().await.unwrap();
    let mut heard = [0; 4];
    inbound.stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    let (_, inbound) = meet(&mut listener, &client, 2, address).await.unwrap();
    assert_eq!(inbound.peer.role(), Role::Writer);
    assert!(matches!(inbound.peer.name(), PeerName::Client(_)));
    assert_eq!(listener.counters().accepted, 2);
}

#[tokio::test]
async fn a_client_may_call_from_anywhere() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    for from in 4..7 {
        let client = cluster.client(Role::Reader).from_address(host(from));
        let (_, inbound) = meet(&mut listener, &client, 2, address).await.unwrap();
        assert_eq!(inbound.peer.seen.ip(), host(from));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_both_ends() {
    let (ours, theirs) = (Cluster::found(), Cluster::found());
    let (mut listener, address) = ours.listen(2, Limits::default()).await;
    let refused = meet(&mut listener, &theirs.client(Role::Writer), 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Handshake { .. }), "{refused:?}");
    // One that trusts us but shows their certificate is refused by our side.
    let imposter = Endpoint::new(theirs.client_identity(Role::Writer), ours.trust(ours.clock.clone()));
    let refused = meet(&mut listener, &Dialer::new(imposter), 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Handshake { .. }), "{refused:?}");
    assert_eq!((listener.counters().failed, listener.counters().accepted), (2, 0));
    meet(&mut listener, &ours.client(Role::Writer), 2, address).await.unwrap();
}

#[tokio::test]
async fn certificates_count_only_between_their_dates_by_our_clock() {
    const DAY: u64 = 24 * 3_600_000;
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let client_clock = TestClock::at(NOW);
    let trust = cluster.trust(client_clock);
    let client = Dialer::new(Endpoint::new(cluster.client_identity(Role::Writer), trust));
    for wrong in [UnixMillis(NOW.0 - DAY), NOW.plus_ms(8 * DAY)] {
        cluster.clock.set(wrong);
        let refused = meet(&mut listener, &client, 2, address).await.unwrap_err();
        let DialError::Handshake { source, .. } = &refused else { panic!("{refused:?}") };
        assert!(source.to_string().contains("xpired"), "{source}");
    }
    for right in [UnixMillis(NOW.0 - 3_000_000), NOW, NOW.plus_ms(6 * DAY)] {
        cluster.clock.set(right);
        meet(&mut listener, &client, 2, address).await.unwrap();
    }
    assert_eq!(listener.counters().failed, 2);
}

#[tokio::test]
async fn a_nodes_certificate_is_refused_from_another_address() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let stolen = Dialer::new(cluster.node(3)).from_address(host(4));
    let refused = meet(&mut listener, &stolen, 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::RefusedByPeer { source: Refused::Address, .. }), "{refused:?}");
    assert_eq!(listener.counters().refused[&Refused::Address], 1);
    // The other way round: a node that listens where its certificate does not say.
    let (mut listener, address) = listen(cluster.node(5), host(6), Limits::default()).await;
    let refused = meet(&mut listener, &cluster.client(Role::Reader), 5, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Untrusted { source: Refused::Address, .. }), "{refused:?}");
}
