//! Accepting connections: limits before and during the handshake, checks after it, and only then a word to whoever serves.
//!
//! Refusals are logged with the peer's address and name, counted by reason, and told to the peer in one byte where TLS has not already.

use crate::endpoint::{Channel, ENROLMENT, Endpoint};
use crate::identity::{PeerName, is_identity_address};
use crate::peer::{Authenticated, Peer, Refused, Route, authenticate};
use crate::places::{Place, Places, host_of, network_of};
use crate::stream::SecureStream;
use dccache_protocol::limits;
use dccache_protocol::token::Role;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address names no one machine.
    #[error(
        "{0} is no address of a node: give the one under which other machines reach it, for example --listen 192.168.1.10:{port}",
        port = .0.port()
    )]
    NoIdentity(SocketAddr),
    /// Another process listens there.
    #[error("{0} is in use: another process listens there; stop it or give another --listen IP:PORT")]
    InUse(SocketAddr),
    /// The machine has no such address.
    #[error("{0} is no address of this machine; give one of its own with --listen IP:PORT")]
    NotOurs(SocketAddr),
    /// The system refuses for another reason.
    #[error("cannot listen on {address}")]
    Io {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A connection that passed every check, or one from a machine that wants to join.
#[derive(Debug)]
pub enum Inbound {
    /// From a peer of the cluster.
    Peer(Connection),
    /// From a machine without a certificate, or with one that has ended. Nothing is known of it.
    Enrolment {
        /// Where it was seen.
        from: SocketAddr,
        /// The stream.
        stream: SecureStream,
    },
}

/// A connection from a peer of the cluster.
#[derive(Debug)]
pub struct Connection {
    /// Who it is.
    pub peer: Authenticated<Peer>,
    /// What the connection is for.
    pub channel: Channel,
    /// The stream.
    pub stream: SecureStream,
}

/// Bounds of a listener; the defaults are those of [`limits`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one peer.
    pub connections_per_peer: usize,
    /// Unfinished handshakes in all.
    pub handshakes: usize,
    /// Unfinished handshakes from one address.
    pub handshakes_per_address: usize,
    /// Longest handshake.
    pub handshake: Duration,
    /// Open enrolment connections in all. Anyone can open one, so they have a small bound of their own.
    pub enrolments: usize,
    /// Open enrolment connections from one network (/24 or /64).
    pub enrolments_per_network: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_peer: limits::CONNECTIONS_PER_PEER_MAX,
            handshakes: limits::HANDSHAKES_MAX,
            handshakes_per_address: limits::HANDSHAKES_PER_ADDRESS_MAX,
            handshake: Duration::from_millis(limits::HANDSHAKE_MS),
            enrolments: limits::ENROLMENTS_MAX,
            enrolments_per_network: limits::ENROLMENTS_PER_NETWORK_MAX,
        }
    }
}

/// Counts of connections since the listener was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections handed on.
    pub accepted: u64,
    /// Dropped before the handshake, because too many were unfinished.
    pub crowded: u64,
    /// Handshakes that took too long.
    pub slow: u64,
    /// Handshakes that failed: no certificate, another authority's, expired, not yet valid, another TLS version.
    pub failed: u64,
    /// Turned away after the handshake, by reason.
    pub refused: BTreeMap<Refused, u64>,
}

/// Accepts connections on one address. Dropping it ends unfinished handshakes; open connections stay.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    shared: Arc<Shared>,
    handshakes: JoinSet<Option<Inbound>>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Arc<Endpoint>,
    limits: Limits,
    connections: Arc<Semaphore>,
    enrolments: Arc<Semaphore>,
    networks: Arc<Places<IpAddr>>,
    half_open: Arc<Places<IpAddr>>,
    peers: Arc<Places<PeerName>>,
    counters: Mutex<Counters>,
}

impl Listener {
    /// Listens on an address of this machine.
    ///
    /// # Errors
    /// See [`BindError`]; `0.0.0.0` and `::` are no identity.
    pub async fn bind(
        address: SocketAddr,
        endpoint: Arc<Endpoint>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let tcp = bind(address).await?;
        Ok(Self::on(tcp, endpoint, limits))
    }

    /// Serves a socket that [`bind`] bound, for those who must know their port before they have a certificate.
    pub fn on(tcp: TcpListener, endpoint: Arc<Endpoint>, limits: Limits) -> Self {
        let shared = Shared {
            endpoint,
            connections: Arc::new(Semaphore::new(limits.connections)),
            enrolments: Arc::new(Semaphore::new(limits.enrolments)),
            networks: Places::new(limits.enrolments_per_network),
            half_open: Places::new(limits.handshakes_per_address),
            peers: Places::new(limits.connections_per_peer),
            counters: Mutex::default(),
            limits,
        };
        Self { tcp, shared: Arc::new(shared), handshakes: JoinSet::new() }
    }

    /// Returns the address, with the port that the system chose when 0 was asked for.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Returns the counts so far.
    pub fn counters(&self) -> Counters {
        self.shared.count(|counters| counters.clone())
    }

    /// Returns the next connection that passed every check. New handshakes begin only while this is awaited.
    ///
    /// Cancel safety: a cancelled call loses nothing.
    pub async fn accept(&mut self) -> Inbound {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(inbound)) = done {
                        return inbound;
                    }
                }
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, from)) => self.admit(tcp, from),
                    // Out of descriptors, most often: the connection stays in the backlog, so waiting is all there is to do.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
    }

    fn admit(&mut self, tcp: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let place = self.shared.half_open.take(host_of(from.ip()));
        let Some(place) = place.filter(|_| self.handshakes.len() < self.shared.limits.handshakes) else {
            self.shared.count(|counters| counters.crowded += 1);
            tracing::debug!(%from, "connection dropped: too many unfinished handshakes");
            return;
        };
        let shared = self.shared.clone();
        self.handshakes.spawn(async move {
            let _place = place;
            shared.handshake(tcp, from).await
        });
    }
}

/// Binds the socket of a node.
///
/// # Errors
/// See [`BindError`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !is_identity_address(address.ip()) {
        return Err(BindError::NoIdentity(address));
    }
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs(address),
        _ => BindError::Io { address, source },
    })
}

impl Shared {
    async fn handshake(self: Arc<Self>, tcp: TcpStream, from: SocketAddr) -> Option<Inbound> {
        match timeout(self.limits.handshake, self.open(tcp, from)).await {
            Ok(Ok(inbound)) => {
                self.count(|counters| counters.accepted += 1);
                Some(inbound)
            }
            Ok(Err(Turned::Away(refused, name))) => {
                self.count(|counters| *counters.refused.entry(refused).or_default() += 1);
                let name = name.map(tracing::field::display);
                tracing::warn!(%from, name, reason = %refused, "connection refused");
                None
            }
            Ok(Err(Turned::Failed(error))) => {
                self.count(|counters| counters.failed += 1);
                tracing::warn!(%from, %error, "handshake failed");
                None
            }
            Err(_) => {
                self.count(|counters| counters.slow += 1);
                tracing::warn!(%from, "handshake took too long");
                None
            }
        }
    }

    async fn open(&self, tcp: TcpStream, from: SocketAddr) -> Result<Inbound, Turned> {
        tcp.set_nodelay(true)?;
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
        let config = self.endpoint.server_config(&start.client_hello());
        let mut tls = start.into_stream(config).await?;
        match self.judge(&tls, from) {
            Ok(admitted) => {
                tls.write_all(&[0]).await?;
                tls.flush().await?;
                Ok(admitted.over(tls))
            }
            Err((refused, name)) => {
                tls.write_all(&[refused.to_byte()]).await?;
                tls.shutdown().await?;
                Err(Turned::Away(refused, name))
            }
        }
    }

    fn judge(
        &self,
        tls: &tokio_rustls::server::TlsStream<TcpStream>,
        from: SocketAddr,
    ) -> Result<Admitted, (Refused, Option<PeerName>)> {
        let session = tls.get_ref().1;
        let alpn = session.alpn_protocol().ok_or((Refused::Role, None))?;
        if alpn == ENROLMENT {
            let place = self.networks.take(network_of(from.ip()));
            let taken = place.zip(self.enrolments.clone().try_acquire_owned().ok());
            let (place, permit) = taken.ok_or((Refused::Connections, None))?;
            return Ok(Admitted::Enrolment { from, permit, place });
        }
        let channel = Channel::from_alpn(alpn).ok_or((Refused::Role, None))?;
        let trust = self.endpoint.trust();
        let chain = session.peer_certificates().unwrap_or_default();
        let peer = authenticate(trust, chain, from, Route::Direct)?;
        let refused = |refused| (refused, Some(peer.name()));
        if channel == Channel::Control && peer.role() != Role::Node {
            return Err(refused(Refused::Role));
        }
        let place = self.peers.take(peer.name()).ok_or(refused(Refused::Connections))?;
        let permit =
            self.connections.clone().try_acquire_owned().map_err(|_| refused(Refused::Connections))?;
        let registration = trust.revocations().register(&peer).ok_or(refused(Refused::Revoked))?;
        Ok(Admitted::Peer { peer: Box::new(peer), channel, permit, place, registration })
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> T {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Turned {
    Away(Refused, Option<PeerName>),
    Failed(io::Error),
}

impl From<io::Error> for Turned {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

enum Admitted {
    Peer {
        peer: Box<Authenticated<Peer>>,
        channel: Channel,
        permit: OwnedSemaphorePermit,
        place: Place<PeerName>,
        registration: crate::revocation::Registration,
    },
    Enrolment {
        from: SocketAddr,
        permit: OwnedSemaphorePermit,
        place: Place<IpAddr>,
    },
}

impl Admitted {
    fn over(self, tls: tokio_rustls::server::TlsStream<TcpStream>) -> Inbound {
        match self {
            Self::Peer { peer, channel, permit, place, registration } => {
                let stream = SecureStream::new(tls.into(), Some(registration));
                let stream = stream.holding(permit, Box::new(place));
                Inbound::Peer(Connection { peer: *peer, channel, stream })
            }
            Self::Enrolment { from, permit, place } => {
                let stream = SecureStream::new(tls.into(), None).holding(permit, Box::new(place));
                Inbound::Enrolment { from, stream }
            }
        }
    }
}
