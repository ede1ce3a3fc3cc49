//! A cluster's authority, clocks that tests set, and endpoints on loopback addresses.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its own part")]

use dccache_protocol::control::{RevocationList, Revoked};
use dccache_protocol::ids::NodeId;
use dccache_protocol::time::{Clock, UnixMillis};
use dccache_protocol::token::Role;
use dccache_transport::dial::{DialError, Dialer, Outbound};
use dccache_transport::endpoint::{Channel, Endpoint};
use dccache_transport::identity::{Authority, Identity, KeyPair, LeafTerms};
use dccache_transport::listener::{Connection, Inbound, Limits, Listener};
use dccache_transport::trust::Trust;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When every test begins.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A clock that only its test moves.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn at(now: UnixMillis) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now.0)))
    }

    pub fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// A founded cluster.
pub struct Cluster {
    pub authority: Authority,
    pub clock: Arc<TestClock>,
}

pub fn node_id(number: u8) -> NodeId {
    NodeId([number; 16])
}

/// 127.0.0.NUMBER.
pub fn host(number: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, number])
}

impl Cluster {
    pub fn found() -> Self {
        Self { authority: Authority::found(node_id(1), NOW).unwrap(), clock: TestClock::at(NOW) }
    }

    /// Returns a trust of this cluster by a clock.
    pub fn trust(&self, clock: Arc<TestClock>) -> Arc<Trust> {
        let root = &self.authority.root;
        Trust::new(root.cluster(), vec![root.certificate().clone()], clock).unwrap()
    }

    pub fn issue(&self, key: KeyPair, terms: &LeafTerms) -> Identity {
        Identity::new(Arc::new(key), self.authority.issuer.issue(terms, NOW).unwrap()).unwrap()
    }

    /// Returns the identity of node NUMBER on the address 127.0.0.NUMBER.
    pub fn node_identity(&self, number: u8) -> Identity {
        let key = KeyPair::generate().unwrap();
        let terms = LeafTerms::node(node_id(number), key.public(), vec![host(number)]);
        self.issue(key, &terms)
    }

    pub fn client_identity(&self, role: Role) -> Identity {
        let key = KeyPair::generate().unwrap();
        let terms = LeafTerms::client(role, key.public());
        self.issue(key, &terms)
    }

    pub fn revocations(&self, number: u64, revoked: Vec<Revoked>) -> RevocationList {
        RevocationList { cluster: self.authority.root.cluster(), number, issued: NOW, revoked }
    }

    /// Returns the endpoint of node NUMBER.
    pub fn node(&self, number: u8) -> Arc<Endpoint> {
        Endpoint::new(self.node_identity(number), self.trust(self.clock.clone()))
    }

    pub fn client(&self, role: Role) -> Dialer {
        Dialer::new(Endpoint::new(self.client_identity(role), self.trust(self.clock.clone())))
    }

    /// Returns node NUMBER as it dials: from its own address.
    pub fn dialling_node(&self, number: u8) -> Dialer {
        Dialer::new(self.node(number)).from_address(host(number))
    }

    /// Returns a listener of node NUMBER on its address, and where it is.
    pub async fn listen(&self, number: u8, limits: Limits) -> (Listener, SocketAddr) {
        listen(self.node(number), host(number), limits).await
    }
}

pub async fn listen(endpoint: Arc<Endpoint>, at: IpAddr, limits: Limits) -> (Listener, SocketAddr) {
    let listener = Listener::bind(SocketAddr::new(at, 0), endpoint, limits).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A deadline that no honest connection on loopback needs.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub async fn dial(dialer: &Dialer, number: u8, address: SocketAddr) -> Result<Outbound, DialError> {
    dialer.dial(node_id(number), address, Channel::Rpc, soon()).await
}

/// Waits for the next connection of a peer.
pub async fn accept(listener: &mut Listener) -> Connection {
    match listener.accept().await {
        Inbound::Peer(connection) => connection,
        Inbound::Enrolment { .. } => panic!("expected a peer"),
    }
}

/// Dials while the listener runs; the listener's side is dropped unless the dial succeeds.
pub async fn meet(
    listener: &mut Listener,
    dialer: &Dialer,
    number: u8,
    address: SocketAddr,
) -> Result<(Outbound, Connection), DialError> {
    let dialled = dial(dialer, number, address);
    tokio::pin!(dialled);
    let mut accepted = None;
    loop {
        tokio::select! {
            outbound = &mut dialled => {
                let outbound = outbound?;
                let accepted = match accepted {
                    Some(connection) => connection,
                    None => accept(listener).await,
                };
                return Ok((outbound, accepted));
            }
            connection = accept(listener), if accepted.is_none() => accepted = Some(connection),
        }
    }
}
