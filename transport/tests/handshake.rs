//! Who gets in and who does not: every attack on the handshake, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod testbed;

use dccache_protocol::control::Revoked;
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::Role;
use dccache_transport::dial::{DialError, DialFault, Dialer, dial_enrolment};
use dccache_transport::endpoint::{Channel, Endpoint};
use dccache_transport::identity::{Identity, Issuer, KeyPair, LeafTerms, PeerName};
use dccache_transport::listener::{BindError, Inbound, Limits, Listener};
use dccache_transport::peer::{Refused, Route};
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
    assert_eq!(refused.fault(), DialFault::NodeForeign, "{refused:?}");
    // One that trusts us but shows their certificate is refused by our side.
    let imposter = Endpoint::new(theirs.client_identity(Role::Writer), ours.trust(ours.clock.clone()));
    let refused = meet(&mut listener, &Dialer::new(imposter), 2, address).await.unwrap_err();
    assert_eq!(refused.fault(), DialFault::OwnForeign, "{refused:?}");
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
        assert_eq!(refused.fault(), DialFault::OwnExpired, "{refused:?}");
    }
    for right in [UnixMillis(NOW.0 - 3_000_000), NOW, NOW.plus_ms(6 * DAY)] {
        cluster.clock.set(right);
        meet(&mut listener, &client, 2, address).await.unwrap();
    }
    assert_eq!(listener.counters().failed, 2);
    // The other way round: it is the client's clock that has moved on.
    let late = Endpoint::new(
        cluster.client_identity(Role::Writer),
        cluster.trust(TestClock::at(NOW.plus_ms(8 * DAY))),
    );
    let refused = meet(&mut listener, &Dialer::new(late), 2, address).await.unwrap_err();
    assert_eq!(refused.fault(), DialFault::NodeExpired, "{refused:?}");
    let early = UnixMillis(NOW.0 - DAY);
    let early = Endpoint::new(cluster.client_identity(Role::Writer), cluster.trust(TestClock::at(early)));
    let refused = meet(&mut listener, &Dialer::new(early), 2, address).await.unwrap_err();
    assert_eq!(refused.fault(), DialFault::NodeNotYetValid, "{refused:?}");
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

#[tokio::test]
async fn another_node_than_the_expected_one_is_refused() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let client = cluster.client(Role::Reader);
    let refused = meet(&mut listener, &client, 3, address).await.unwrap_err();
    assert_eq!(refused.fault(), DialFault::Imposter(Refused::Node), "{refused:?}");
    meet(&mut listener, &client, 2, address).await.unwrap();
}

#[tokio::test]
async fn a_client_cannot_pose_as_a_node() {
    let cluster = Cluster::found();
    let imposter = Endpoint::new(cluster.client_identity(Role::Admin), cluster.trust(cluster.clock.clone()));
    let (mut listener, address) = listen(imposter, host(2), Limits::default()).await;
    let refused = meet(&mut listener, &cluster.client(Role::Reader), 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Handshake { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_client_has_no_business_on_the_control_channel() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let client = cluster.client(Role::Admin);
    let dialled = client.dial(node_id(2), address, Channel::Control, soon());
    let refused =
        tokio::select! { refused = dialled => refused.unwrap_err(), _ = listener.accept() => panic!() };
    assert!(matches!(refused, DialError::RefusedByPeer { source: Refused::Role, .. }), "{refused:?}");
    assert_eq!(listener.counters().refused[&Refused::Role], 1);
}

#[tokio::test]
async fn a_revoked_peer_is_refused_and_its_open_connections_end() {
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let view = endpoint.trust().revocations().clone();
    let (mut listener, address) = listen(endpoint, host(2), Limits::default()).await;
    let (bad, good) = (cluster.client(Role::Writer), cluster.client(Role::Writer));
    let (_bad_end, mut bad_inbound) = meet(&mut listener, &bad, 2, address).await.unwrap();
    let (mut good_end, mut good_inbound) = meet(&mut listener, &good, 2, address).await.unwrap();
    // An idle reader is woken by the new list.
    let idle = tokio::spawn(async move { bad_inbound.stream.read_u8().await });
    tokio::task::yield_now().await;
    let key = *bad.endpoint().identity().key().id().digest();
    assert_eq!(view.apply(&cluster.revocations(1, vec![Revoked::Key(key)])), 1);
    assert_eq!(idle.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
    let refused = meet(&mut listener, &bad, 2, address).await.unwrap_err();
    assert_eq!(refused.fault(), DialFault::TurnedAway(Refused::Revoked), "{refused:?}");
    // There is no way back: neither an older list nor a newer one that leaves it out.
    view.apply(&cluster.revocations(1, vec![]));
    view.apply(&cluster.revocations(2, vec![]));
    assert!(meet(&mut listener, &bad, 2, address).await.is_err());
    good_end.stream.write_all(b"x").await.unwrap();
    good_end.stream.flush().await.unwrap();
    assert_eq!(good_inbound.stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn revoking_a_node_or_an_issuer_cuts_what_hangs_on_it() {
    let cluster = Cluster::found();
    let node = cluster.dialling_node(3);
    for revoked in [Revoked::Node(node_id(3)), Revoked::Key(*cluster.authority.issuer.key().id().digest())] {
        let endpoint = cluster.node(2);
        let view = endpoint.trust().revocations().clone();
        let (mut listener, address) = listen(endpoint, host(2), Limits::default()).await;
        let (_outbound, mut inbound) = meet(&mut listener, &node, 2, address).await.unwrap();
        assert_eq!(view.apply(&cluster.revocations(1, vec![revoked])), 1);
        assert!(inbound.stream.read_u8().await.is_err());
        drop(inbound);
        assert_eq!(view.open_connections(), 0);
    }
}

#[tokio::test]
async fn the_dialling_side_refuses_a_revoked_node() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let client = cluster.client(Role::Reader);
    client.endpoint().trust().revocations().apply(&cluster.revocations(1, vec![Revoked::Node(node_id(2))]));
    let refused = meet(&mut listener, &client, 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Untrusted { source: Refused::Revoked, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_connection_ends_with_its_peers_leaf() {
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let view = endpoint.trust().revocations().clone();
    let (mut listener, address) = listen(endpoint, host(2), Limits::default()).await;
    let (_end, mut inbound) = meet(&mut listener, &cluster.client(Role::Reader), 2, address).await.unwrap();
    assert_eq!(view.cut_expired(NOW), 0);
    assert_eq!(view.cut_expired(NOW.plus_ms(8 * 24 * 3_600_000)), 1);
    assert!(inbound.stream.read_u8().await.is_err());
}

#[tokio::test]
async fn a_renewed_leaf_is_shown_from_the_next_handshake_on() {
    const DAY: u64 = 24 * 3_600_000;
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let (mut listener, address) = listen(endpoint.clone(), host(2), Limits::default()).await;
    let client = cluster.client(Role::Reader);
    let (_open, _inbound) = meet(&mut listener, &client, 2, address).await.unwrap();
    cluster.clock.set(NOW.plus_ms(5 * DAY));
    let key = endpoint.identity().key().clone();
    let terms = LeafTerms::node(node_id(2), key.public(), vec![host(2)]);
    let chain = cluster.authority.issuer.issue(&terms, NOW.plus_ms(5 * DAY)).unwrap();
    endpoint.renew(Identity::new(key, chain).unwrap());
    let (outbound, _) = meet(&mut listener, &client, 2, address).await.unwrap();
    assert_eq!(outbound.peer.subject.not_after, NOW.plus_ms(12 * DAY));
}

#[tokio::test]
async fn two_roots_are_trusted_at_once_while_one_replaces_the_other() {
    let (old, new) = (Cluster::found(), Cluster::found());
    // The new root certifies an issuer of the same cluster.
    let key = KeyPair::generate().unwrap();
    let certificate = new.authority.root.certify_issuer(node_id(2), key.public(), NOW).unwrap();
    let issuer = Issuer::new(old.authority.root.cluster(), key, certificate).unwrap();
    let key = KeyPair::generate().unwrap();
    let chain = issuer.issue(&LeafTerms::client(Role::Writer, key.public()), NOW).unwrap();
    let identity = Identity::new(std::sync::Arc::new(key), chain).unwrap();
    let client = Dialer::new(Endpoint::new(identity, old.trust(old.clock.clone())));
    let endpoint = old.node(2);
    let (mut listener, address) = listen(endpoint.clone(), host(2), Limits::default()).await;
    assert!(meet(&mut listener, &client, 2, address).await.is_err());
    let roots = [&old, &new].map(|cluster| cluster.authority.root.certificate().clone());
    endpoint.trust().set_roots(roots.to_vec()).unwrap();
    meet(&mut listener, &client, 2, address).await.unwrap();
    meet(&mut listener, &old.client(Role::Writer), 2, address).await.unwrap();
    // Another root of trust does not make another cluster's members ours.
    let stranger = Endpoint::new(new.client_identity(Role::Writer), old.trust(old.clock.clone()));
    let refused = meet(&mut listener, &Dialer::new(stranger), 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::RefusedByPeer { source: Refused::Cluster, .. }), "{refused:?}");
}

#[tokio::test]
async fn enrolment_pins_the_root_and_the_issuer_of_the_token() {
    let (cluster, other) = (Cluster::found(), Cluster::found());
    let (mut listener, address) = cluster.listen(1, Limits::default()).await;
    let fingerprint = cluster.authority.root.fingerprint();
    let dialled = dial_enrolment(fingerprint, node_id(1), address, cluster.clock.clone(), soon());
    let (stream, inbound) = tokio::join!(dialled, listener.accept());
    let (mut stream, Inbound::Enrolment { stream: mut at_issuer, .. }) = (stream.unwrap(), inbound) else {
        panic!()
    };
    stream.write_all(b"join").await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = [0; 4];
    at_issuer.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"join");
    for (root, node) in [(other.authority.root.fingerprint(), 1), (fingerprint, 2)] {
        let dialled = dial_enrolment(root, node_id(node), address, cluster.clock.clone(), soon());
        let refused =
            tokio::select! { refused = dialled => refused.unwrap_err(), _ = listener.accept() => panic!() };
        assert!(matches!(refused, DialError::Handshake { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn the_enrolment_channel_does_not_lead_around_the_certificate() {
    // Without a certificate: every other ALPN name ends in an alert.
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    for names in [vec![b"dccache/1".to_vec()], vec![], vec![b"h2".to_vec()]] {
        let mut config = plain_config(&cluster);
        config.alpn_protocols = names;
        let reading = async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = format!("{}.node.dccache.internal", node_id(2)).try_into().unwrap();
            let mut tls =
                tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await?;
            tls.read_u8().await
        };
        tokio::select! { read = reading => assert!(read.is_err(), "{read:?}"), _ = listener.accept() => panic!() };
    }
    assert_eq!(listener.counters().accepted, 0);
}

#[tokio::test]
async fn no_ticket_is_given_so_nothing_can_be_resumed() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    // A client that would resume if it could: enrolment needs no certificate, so it gets furthest.
    let mut config = plain_config(&cluster);
    config.alpn_protocols = vec![b"dccache-enrol/1".to_vec()];
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = std::sync::Arc::new(config);
    for _ in 0..3 {
        let connecting = async {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = format!("{}.node.dccache.internal", node_id(2)).try_into().unwrap();
            let mut tls = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await.unwrap();
            assert_eq!(tls.read_u8().await.unwrap(), 0);
            tls.get_ref().1.handshake_kind()
        };
        let (kind, _inbound) = tokio::join!(connecting, listener.accept());
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_client_of_an_older_tls_is_turned_away() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let speaking = async {
        let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        tcp.write_all(&tls12_hello()).await.unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::select! { answer = speaking => answer, _ = listener.accept() => panic!() };
    // A fatal alert: protocol_version (70).
    assert_eq!((answer[0], &answer[5..7]), (21, &[2, 70][..]), "{answer:?}");
}

/// A ClientHello of TLS 1.2: no supported_versions extension, one ECDHE suite.
fn tls12_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // session id
    body.extend([0, 2, 0xc0, 0x2b]); // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    body.extend([1, 0]); // null compression
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..],      // groups: x25519
        &[0, 11, 0, 2, 1, 0][..],             // uncompressed points
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 7][..], // ecdsa_secp256r1_sha256, ed25519
    ]
    .concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let length = (body.len() as u32).to_be_bytes();
    let handshake = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &(handshake.len() as u16).to_be_bytes(), &handshake].concat()
}

/// A stock client without a certificate that trusts the cluster's root.
fn plain_config(cluster: &Cluster) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.authority.root.certificate().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.time_provider = std::sync::Arc::new(AtStart);
    config
}

#[derive(Debug)]
struct AtStart;

impl rustls::time_provider::TimeProvider for AtStart {
    fn current_time(&self) -> Option<rustls_pki_types::UnixTime> {
        Some(rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_millis(NOW.0)))
    }
}

#[tokio::test]
async fn unfinished_handshakes_are_bounded_and_honest_peers_go_on() {
    let cluster = Cluster::found();
    let limits = Limits { handshakes_per_address: 3, ..Limits::default() };
    let (mut listener, address) = cluster.listen(2, limits).await;
    let client = cluster.client(Role::Writer).from_address(host(4));
    let attack = async {
        let mut silent = Vec::new();
        for _ in 0..10 {
            silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        // The last ones are closed without a word: reading them ends.
        for stream in &mut silent[3..] {
            assert!(
                matches!(stream.read_u8().await, Err(error) if error.kind() != std::io::ErrorKind::WouldBlock)
            );
        }
        silent
    };
    let _silent = tokio::select! { silent = attack => silent, _ = listener.accept() => panic!() };
    assert_eq!(listener.counters().crowded, 7);
    meet(&mut listener, &client, 2, address).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_is_cut_off() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let std = std::net::TcpStream::connect(address).unwrap();
    std.set_nonblocking(true).unwrap();
    let mut slow = tokio::net::TcpStream::from_std(std).unwrap();
    slow.write_all(&[22, 3, 1, 1]).await.unwrap();
    let mut answer = Vec::new();
    let read =
        tokio::select! { read = slow.read_to_end(&mut answer) => read, _ = listener.accept() => panic!() };
    assert!(read.is_err() || answer.is_empty());
    assert_eq!((listener.counters().slow, listener.counters().accepted), (1, 0));
}

#[tokio::test]
async fn one_peer_cannot_take_every_place() {
    let cluster = Cluster::found();
    let limits = Limits { connections_per_peer: 2, ..Limits::default() };
    let (mut listener, address) = cluster.listen(2, limits).await;
    let (greedy, modest) = (cluster.client(Role::Writer), cluster.client(Role::Writer));
    let first = meet(&mut listener, &greedy, 2, address).await.unwrap();
    let _second = meet(&mut listener, &greedy, 2, address).await.unwrap();
    let refused = meet(&mut listener, &greedy, 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::RefusedByPeer { source: Refused::Connections, .. }), "{refused:?}");
    meet(&mut listener, &modest, 2, address).await.unwrap();
    drop(first);
    meet(&mut listener, &greedy, 2, address).await.unwrap();
}

#[tokio::test]
async fn a_listener_says_what_is_wrong_with_its_address() {
    let cluster = Cluster::found();
    let bind = |text: &str| Listener::bind(text.parse().unwrap(), cluster.node(2), Limits::default());
    for text in ["0.0.0.0:7070", "[::]:7070", "169.254.7.7:7070"] {
        let error = bind(text).await.unwrap_err();
        assert!(
            matches!(error, BindError::NoIdentity(_)) && error.to_string().contains("--listen"),
            "{error}"
        );
    }
    let (_listener, address) = cluster.listen(2, Limits::default()).await;
    let error = bind(&address.to_string()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    let error = bind("192.0.2.1:7070").await.unwrap_err();
    assert!(matches!(error, BindError::NotOurs(_)), "{error}");
}

#[tokio::test]
async fn strangers_who_enrol_take_no_place_of_a_peer() {
    let cluster = Cluster::found();
    let limits = Limits { enrolments_per_network: 2, ..Limits::default() };
    let (mut listener, address) = cluster.listen(1, limits).await;
    let fingerprint = cluster.authority.root.fingerprint();
    let enrol = || dial_enrolment(fingerprint, node_id(1), address, cluster.clock.clone(), soon());
    let mut held = Vec::new();
    for _ in 0..2 {
        let (stream, inbound) = tokio::join!(enrol(), listener.accept());
        held.push((stream.unwrap(), inbound));
    }
    let refused =
        tokio::select! { refused = enrol() => refused.unwrap_err(), _ = listener.accept() => panic!() };
    assert!(matches!(refused, DialError::RefusedByPeer { source: Refused::Connections, .. }), "{refused:?}");
    meet(&mut listener, &cluster.client(Role::Writer), 1, address).await.unwrap();
    held.pop();
    let (stream, _inbound) = tokio::join!(enrol(), listener.accept());
    stream.unwrap();
}

#[tokio::test]
async fn only_clients_go_through_a_tunnel_and_the_node_is_pinned_by_its_name() {
    let cluster = Cluster::found();
    // As behind ssh: the node is seen on an address that its certificate does not list.
    let (mut listener, address) = listen(cluster.node(2), host(7), Limits::default()).await;
    let client = cluster.client(Role::Writer).through(Route::Tunnel);
    meet(&mut listener, &client, 2, address).await.unwrap();
    assert!(meet(&mut listener, &client, 3, address).await.is_err());
    let node = cluster.dialling_node(3).through(Route::Tunnel);
    let refused = meet(&mut listener, &node, 2, address).await.unwrap_err();
    assert!(matches!(refused, DialError::Untrusted { source: Refused::Address, .. }), "{refused:?}");
}
