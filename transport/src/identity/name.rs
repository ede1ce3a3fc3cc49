//! How roles, nodes and clients are spelled inside certificates.
//!
//! ```text
//! URI SAN   dccache://CLUSTER/role/node/NODEID      or     dccache://CLUSTER/role/writer/KEYID     (all lower-case hexadecimal)
//! DNS SAN   NODEID.node.dccache.internal            nodes only, so that a stock verifier can pin a node by name
//! IP SANs   where a node is reached and where it connects from
//! ```

use super::key::KeyId;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{ClusterId, NodeId};
use dccache_protocol::token::Role;
use std::fmt;
use std::net::IpAddr;

const SCHEME: &str = "dccache://";

/// Who a certificate speaks of: a node by its random name, a client by the digest of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerName {
    /// A member of the ring.
    Node(NodeId),
    /// A client machine.
    Client(KeyId),
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => id.fmt(f),
            Self::Client(id) => id.fmt(f),
        }
    }
}

/// Returns the DNS name under which a node's certificate can be pinned.
pub fn node_dns_name(id: NodeId) -> String {
    format!("{id}.node.dccache.internal")
}

/// Tells whether an address can be part of a node's identity: not unspecified, multicast, broadcast or link-local, which name no one machine.
pub fn is_identity_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast()),
    }
}

/// Writes the URI of a certificate.
pub(super) fn to_uri(cluster: ClusterId, role: Role, name: PeerName) -> String {
    format!("{SCHEME}{cluster}/role/{role}/{name}")
}

/// Reads the URI of a certificate; `None` for everything that [`to_uri`] cannot have written.
pub(super) fn from_uri(uri: &str) -> Option<(ClusterId, Role, PeerName)> {
    let mut parts = uri.strip_prefix(SCHEME)?.split('/');
    let cluster = ClusterId::from_digest(Digest::from_hex(parts.next()?)?);
    let role = parts.next().filter(|&word| word == "role").and(parts.next()).and_then(Role::from_word)?;
    let name = parts.next()?;
    let name = match role {
        Role::Node => PeerName::Node(NodeId::from_hex(name)?),
        Role::Writer | Role::Reader | Role::Auditor | Role::Admin => {
            PeerName::Client(KeyId::from_digest(Digest::from_hex(name)?))
        }
    };
    parts.next().is_none().then_some((cluster, role, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip_and_nothing_else_is_read() {
        let cluster = ClusterId::from_digest(Digest::of(b"c"));
        let node = PeerName::Node(NodeId([7; 16]));
        let client = PeerName::Client(KeyId::from_digest(Digest::of(b"k")));
        for (role, name) in [(Role::Node, node), (Role::Writer, client), (Role::Admin, client)] {
            let uri = to_uri(cluster, role, name);
            assert_eq!(from_uri(&uri), Some((cluster, role, name)));
            for wrong in
                [uri.to_uppercase(), format!("{uri}/"), format!(" {uri}"), uri.replace("role", "rule")]
            {
                assert_eq!(from_uri(&wrong), None, "{wrong}");
            }
        }
        assert_eq!(from_uri(&to_uri(cluster, Role::Node, client)), None);
        assert_eq!(from_uri(&to_uri(cluster, Role::Reader, node)), None);
    }

    #[test]
    fn addresses_that_name_no_machine_are_no_identity() {
        for good in ["10.1.2.3", "127.0.0.1", "::1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert!(is_identity_address(good.parse().unwrap()), "{good}");
        }
        for bad in ["0.0.0.0", "::", "169.254.1.1", "::ffff:169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1"] {
            assert!(!is_identity_address(bad.parse().unwrap()), "{bad}");
        }
    }
}
