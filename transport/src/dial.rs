//! Opening connections: TCP, TLS, the checks of both ends, and the other end's welcome, all before one deadline.
//!
//! In TLS 1.3 a client has finished before the server has judged its certificate. So the server sends one byte after its checks, 0 for
//! welcome or the reason why not, and a connection counts as open only then. A node that accepts and never answers is found here.

mod fault;

pub use fault::DialFault;

use crate::endpoint::{Channel, Endpoint, enrolling_config, server_name};
use crate::peer::{Authenticated, Peer, Refused, Route, authenticate};
use crate::stream::SecureStream;
use dccache_protocol::ids::NodeId;
use dccache_protocol::time::Clock;
use dccache_protocol::token::{Role, RootFingerprint};
use rustls::ClientConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nothing before the deadline.
    #[error("{0} did not answer in time")]
    Deadline(SocketAddr),
    /// No TCP connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address dialled.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The handshake failed; the source names the certificate's fault where there is one.
    #[error("no secure connection to {address}")]
    Handshake {
        /// The address dialled.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// We refuse the other end.
    #[error("{address} is not who it should be")]
    Untrusted {
        /// The address dialled.
        address: SocketAddr,
        /// Why.
        source: Refused,
    },
    /// The other end refuses us.
    #[error("{address} refuses this machine")]
    RefusedByPeer {
        /// The address dialled.
        address: SocketAddr,
        /// Why.
        source: Refused,
    },
}

/// An open connection to a node.
#[derive(Debug)]
pub struct Outbound {
    /// The node.
    pub peer: Authenticated<Peer>,
    /// The stream.
    pub stream: SecureStream,
}

/// Opens connections from this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: Arc<Endpoint>,
    source: Option<IpAddr>,
    route: Route,
}

impl Dialer {
    /// Dials from whatever address the system chooses.
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, source: None, route: Route::Direct }
    }

    /// Dials from one address; a node must, so that its peers see an address that its certificate lists.
    pub fn from_address(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Says how nodes are reached. A node never goes through a tunnel: its address is part of who it is.
    pub fn through(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Opens a connection to a node and waits for its welcome.
    ///
    /// # Errors
    /// See [`DialError`]; at the latest at `deadline`.
    pub async fn dial(
        &self,
        node: NodeId,
        address: SocketAddr,
        channel: Channel,
        deadline: Instant,
    ) -> Result<Outbound, DialError> {
        let dialled = timeout_at(deadline, self.open(node, address, channel)).await;
        dialled.unwrap_or(Err(DialError::Deadline(address)))
    }

    async fn open(&self, node: NodeId, address: SocketAddr, channel: Channel) -> Result<Outbound, DialError> {
        let failed = |source| DialError::Handshake { address, source };
        let untrusted = |source| DialError::Untrusted { address, source };
        if self.route == Route::Tunnel && self.endpoint.identity().subject().role == Role::Node {
            return Err(untrusted(Refused::Address));
        }
        let tls = handshake(self.endpoint.client_config(channel), node, address, self.source).await?;
        let session = tls.get_ref().1;
        if session.alpn_protocol() != Some(channel.alpn()) {
            return Err(untrusted(Refused::Role));
        }
        let trust = self.endpoint.trust();
        let chain = session.peer_certificates().unwrap_or_default();
        let peer =
            authenticate(trust, chain, address, self.route).map_err(|(refused, _)| untrusted(refused))?;
        if peer.node() != Some(node) {
            return Err(untrusted(Refused::Node));
        }
        let registration = trust.revocations().register(&peer).ok_or(untrusted(Refused::Revoked))?;
        let mut stream = SecureStream::new(tls.into(), Some(registration));
        match stream.read_u8().await.map_err(failed)? {
            0 => Ok(Outbound { peer, stream }),
            byte => {
                let source =
                    Refused::from_byte(byte).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
                Err(DialError::RefusedByPeer { address, source })
            }
        }
    }
}

/// Opens the enrolment channel of an issuer of which a token names the root's fingerprint and the node.
///
/// # Errors
/// See [`DialError`]; at the latest at `deadline`.
pub async fn dial_enrolment(
    root: RootFingerprint,
    issuer: NodeId,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
    deadline: Instant,
) -> Result<SecureStream, DialError> {
    let open = async {
        let tls = handshake(enrolling_config(root, clock), issuer, address, None).await?;
        let mut stream = SecureStream::new(tls.into(), None);
        let failed = |source| DialError::Handshake { address, source };
        match stream.read_u8().await.map_err(failed)? {
            0 => Ok(stream),
            _ => Err(DialError::RefusedByPeer { address, source: Refused::Connections }),
        }
    };
    timeout_at(deadline, open).await.unwrap_or(Err(DialError::Deadline(address)))
}

async fn handshake(
    config: Arc<ClientConfig>,
    node: NodeId,
    address: SocketAddr,
    source: Option<IpAddr>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, DialError> {
    let tcp = connect(address, source).await.map_err(|source| DialError::Connect { address, source })?;
    let connector = TlsConnector::from(config);
    let tls = connector.connect(server_name(node), tcp).await;
    let mut tls = tls.map_err(|source| DialError::Handshake { address, source })?;
    tls.flush().await.map_err(|source| DialError::Handshake { address, source })?;
    Ok(tls)
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let tcp = socket.connect(address).await?;
    // Requests are small and each is waited for: Nagle's algorithm would only add 40 ms.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
