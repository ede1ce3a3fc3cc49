//! The administrator's permission to join, and what it bounds.
//!
//! A grant rides in a join token, is redeemed once, and stays the bound of what its holder may later ask for.

use super::statement::{Administration, Signed, Statement, encode};
use crate::codec::{DecodeError, Format, ensure};
use crate::directory::SignerRole;
use crate::ids::{ClusterId, Label, Namespace};
use crate::limits;
use crate::signing::Purpose;
use crate::time::UnixMillis;
use crate::token::TokenId;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Addresses that share their first `prefix` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// Any address of the range.
    pub network: IpAddr,
    /// Number of leading bits that count: 0 to 32, or 0 to 128 for IPv6.
    pub prefix: u8,
}

impl AddressRange {
    /// Returns the range of one address.
    pub const fn host(address: IpAddr) -> Self {
        Self { network: address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Says whether `address` lies in the range. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |width: u32| width.saturating_sub(u32::from(self.prefix));
        match (self.network.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    fn is_valid(&self) -> bool {
        self.network == self.network.to_canonical()
            && self.prefix <= if self.network.is_ipv4() { 32 } else { 128 }
    }
}

/// Whom a grant lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A node.
    Node {
        /// Zone that it stands in.
        zone: Label,
        /// Largest weight that it may take without another order; at least 1.
        largest_weight: u32,
        /// Where it may be reached; at least one range.
        ranges: Vec<AddressRange>,
    },
    /// A client.
    Client {
        /// Who answers for it; quorums count operators.
        operator: Label,
        /// Roles of its signing key, ascending. Empty: it reads only and has no signing key.
        roles: Vec<SignerRole>,
        /// Namespaces that it may write to, ascending. Empty: all.
        namespaces: Vec<Namespace>,
    },
}

/// An administrator's permission to join, carried by a join token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Cluster that may be joined.
    pub cluster: ClusterId,
    /// Token that carries the grant; it is good for one enrolment.
    pub token: TokenId,
    /// When it ends.
    pub expires: UnixMillis,
    /// Whom it lets in.
    pub subject: Subject,
}

impl Grant {
    /// Checks counts, order and ranges.
    ///
    /// # Errors
    /// [`DecodeError::OutOfRange`] names what is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        match &self.subject {
            Subject::Node { largest_weight, ranges, .. } => {
                ensure(*largest_weight > 0, "largest weight")?;
                validate_ranges(ranges)
            }
            Subject::Client { roles, namespaces, .. } => validate_roles(roles, namespaces),
        }
    }
}

/// Checks the ranges in which a node may be reached.
pub(super) fn validate_ranges(ranges: &[AddressRange]) -> Result<(), DecodeError> {
    ensure((1..=limits::ADDRESSES_MAX).contains(&ranges.len()), "number of address ranges")?;
    ensure(ranges.iter().all(AddressRange::is_valid), "address range")
}

/// Checks what a signer may do. Sorted roles are few, because the roles are a closed set.
pub(super) fn validate_roles(roles: &[SignerRole], namespaces: &[Namespace]) -> Result<(), DecodeError> {
    ensure(roles.is_sorted_by(|a, b| a < b), "roles")?;
    let namespaces_fit = namespaces.len() <= limits::SIGNER_NAMESPACES_MAX;
    ensure(namespaces_fit && namespaces.is_sorted_by(|a, b| a < b), "namespaces")
}

impl Statement for Grant {
    const PURPOSE: Purpose = Purpose::Administration;

    fn signed_bytes(&self) -> Vec<u8> {
        encode(&Administration::Grant(self))
    }
}

impl Format for Signed<Grant> {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::GRANT_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.statement.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, prefix: u8) -> AddressRange {
        AddressRange { network: text.parse().unwrap(), prefix }
    }

    #[test]
    fn a_range_holds_the_addresses_that_share_its_first_bits() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(range("10.1.0.0", 16).contains(address("10.1.255.1")));
        assert!(!range("10.1.0.0", 16).contains(address("10.2.0.1")));
        assert!(
            range("10.1.0.0", 16).contains(address("::ffff:10.1.2.3")),
            "a mapped address counts as IPv4"
        );
        assert!(range("0.0.0.0", 0).contains(address("203.0.113.9")));
        assert!(!range("0.0.0.0", 0).contains(address("2001:db8::1")));
        assert!(range("2001:db8::", 32).contains(address("2001:db8:ffff::1")));
        assert!(AddressRange::host(address("::1")).contains(address("::1")));
        assert!(!AddressRange::host(address("127.0.0.1")).contains(address("127.0.0.2")));
    }

    #[test]
    fn a_range_with_too_many_bits_or_a_mapped_network_is_refused() {
        for wrong in [range("10.0.0.0", 33), range("2001:db8::", 129), range("::ffff:10.0.0.0", 100)] {
            assert!(validate_ranges(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(validate_ranges(&[]).is_err());
    }
}
