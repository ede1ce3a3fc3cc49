//! The other end of a connection, after every check.

use crate::identity::{KeyId, PeerName, Subject};
use crate::trust::Trust;
use dccache_protocol::control::Revoked;
use dccache_protocol::ids::NodeId;
use dccache_protocol::token::Role;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::ops::Deref;

/// Proof that a value was authenticated by the checks of this crate, which alone can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated<T>(T);

impl<T> Deref for Authenticated<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What its certificate says.
    pub subject: Subject,
    /// Key of the issuer that signed its certificate.
    pub issuer: KeyId,
    /// Where it was seen, canonical.
    pub seen: SocketAddr,
}

impl Peer {
    /// Returns what the peer may do.
    pub fn role(&self) -> Role {
        self.subject.role
    }

    /// Returns who the peer is.
    pub fn name(&self) -> PeerName {
        self.subject.name
    }

    /// Returns the node's name; `None` for a client.
    pub fn node(&self) -> Option<NodeId> {
        match self.subject.name {
            PeerName::Node(id) => Some(id),
            PeerName::Client(_) => None,
        }
    }
}

/// Why a peer is turned away after a handshake that itself succeeded. Travels as one byte, so that the other end can say what is wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
pub enum Refused {
    /// The certificate is none that an issuer of ours makes, or came without exactly its issuer.
    #[error("the certificate is not of the kind that this cluster issues")]
    Certificate,
    /// It belongs to another cluster.
    #[error("the certificate belongs to another cluster")]
    Cluster,
    /// Its role may not use the channel.
    #[error("the role may not use this channel")]
    Role,
    /// Another node than the expected one.
    #[error("another node answers at this address")]
    Node,
    /// A node's certificate seen from an address that it does not list.
    #[error("the certificate does not list the address that it is used from")]
    Address,
    /// Revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// More connections than one peer, or all together, may hold.
    #[error("too many connections")]
    Connections,
}

impl Refused {
    const ALL: [Self; 7] = [
        Self::Certificate,
        Self::Cluster,
        Self::Role,
        Self::Node,
        Self::Address,
        Self::Revoked,
        Self::Connections,
    ];

    /// Returns the byte that stands for the reason; never 0, which stands for welcome.
    pub(crate) fn to_byte(self) -> u8 {
        self as u8 + 1
    }

    /// Reads a byte other than 0.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// Whether the peer's address can mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Route {
    /// The peer is seen from where it is.
    #[default]
    Direct,
    /// Through a tunnel such as ssh's; only clients dial so, and the node is pinned by its name.
    Tunnel,
}

/// Checks what a handshake does not: the certificates' kind, cluster, address and revocation.
///
/// `chain` is what TLS has verified up to a trusted root.
pub(crate) fn authenticate(
    trust: &Trust,
    chain: &[impl AsRef<[u8]>],
    seen: SocketAddr,
    route: Route,
) -> Result<Authenticated<Peer>, (Refused, Option<PeerName>)> {
    let kind = |_| (Refused::Certificate, None);
    let [leaf, issuer] = chain else { return Err((Refused::Certificate, None)) };
    let subject = Subject::parse(leaf.as_ref()).map_err(kind)?;
    let issuer = crate::identity::key_id(issuer.as_ref()).map_err(kind)?;
    let seen = SocketAddr::new(seen.ip().to_canonical(), seen.port());
    let peer = Peer { subject, issuer, seen };
    let refused = if peer.subject.cluster != trust.cluster() {
        Some(Refused::Cluster)
    } else if peer.role() == Role::Node && route == Route::Direct && !peer.subject.covers(seen.ip()) {
        Some(Refused::Address)
    } else if is_revoked(trust, &peer) {
        Some(Refused::Revoked)
    } else {
        None
    };
    match refused {
        Some(refused) => Err((refused, Some(peer.name()))),
        None => Ok(Authenticated(peer)),
    }
}

fn is_revoked(trust: &Trust, peer: &Peer) -> bool {
    let view = trust.revocations();
    let node = peer.node().is_some_and(|id| view.is_revoked(Revoked::Node(id)));
    let keys = [KeyId::of(peer.subject.key), peer.issuer];
    node || keys.into_iter().any(|key| view.is_revoked(Revoked::Key(*key.digest())))
}
