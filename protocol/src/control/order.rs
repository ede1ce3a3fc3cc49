//! What an administrator and the root may order, each order numbered so that it is carried out once.

use super::grant::{AddressRange, validate_ranges, validate_roles};
use super::statement::{Administration, ByRoot, Signed, Statement, encode};
use crate::codec::{DecodeError, Format, ensure};
use crate::directory::{SignerRecord, Standing};
use crate::ids::{ClusterId, Label, Namespace, NodeId, SignerId};
use crate::limits;
use crate::signing::{PublicKey, Purpose};
use serde::{Deserialize, Serialize};

/// What an administrator may order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Takes a node out of the layout.
    RemoveNode(NodeId),
    /// Sets a node's weight, at least 1; also beyond its grant.
    SetWeight(NodeId, u32),
    /// Moves a node to a zone.
    SetZone(NodeId, Label),
    /// Replaces the address ranges in which a node may be reached.
    SetRanges(NodeId, Vec<AddressRange>),
    /// Sets the number of replicas that are wanted.
    SetReplicas(u8),
    /// Registers a signer without a join token.
    RegisterSigner(SignerRecord),
    /// Lowers a signer's standing; there is no way back.
    SetStanding(SignerId, Standing),
    /// Adds a namespace.
    AddNamespace(Namespace),
    /// Removes a namespace; its entries age out.
    RemoveNamespace(Namespace),
}

impl Action {
    /// Says whether the action must come with a new layout.
    pub const fn changes_layout(&self) -> bool {
        matches!(self, Self::RemoveNode(_) | Self::SetWeight(..) | Self::SetZone(..) | Self::SetReplicas(_))
    }

    fn validate(&self) -> Result<(), DecodeError> {
        match self {
            Self::SetWeight(_, weight) => ensure(*weight > 0, "weight"),
            Self::SetRanges(_, ranges) => validate_ranges(ranges),
            Self::SetReplicas(replicas) => {
                ensure((1..=limits::REPLICAS_MAX).contains(&usize::from(*replicas)), "replicas")
            }
            Self::RegisterSigner(record) => validate_roles(&record.roles, &record.namespaces),
            _ => Ok(()),
        }
    }
}

/// An administrator's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Cluster that it is for.
    pub cluster: ClusterId,
    /// Greater than that of every earlier order: an order is carried out once.
    pub number: u64,
    /// What is to be done.
    pub action: Action,
}

impl Order {
    /// Checks counts and ranges.
    ///
    /// # Errors
    /// [`DecodeError::OutOfRange`] names what is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.action.validate()
    }
}

/// A key that signs leaf certificates, living on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its public key.
    pub key: PublicKey,
    /// Node that holds the private key.
    pub node: NodeId,
    /// Its certificate, made by the root, in DER.
    pub certificate: Vec<u8>,
}

/// A root of trust of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Its public key.
    pub key: PublicKey,
    /// Its self-signed certificate in DER.
    pub certificate: Vec<u8>,
}

/// Checks the size of a certificate.
pub(super) fn validate_certificate(der: &[u8]) -> Result<(), DecodeError> {
    ensure((1..=limits::CERTIFICATE_MAX).contains(&der.len()), "size of a certificate")
}

/// What the root may order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootAction {
    /// Trusts a further root.
    AddRoot(Root),
    /// Stops trusting a root; the last one stays.
    RetireRoot(PublicKey),
    /// Lets a key issue certificates.
    AddIssuer(Issuer),
    /// Ends an issuer.
    RetireIssuer(PublicKey),
    /// Replaces the administrator's key.
    SetAdministrator(PublicKey),
}

/// An order of the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootOrder {
    /// Cluster that it is for.
    pub cluster: ClusterId,
    /// Greater than that of every earlier order of a root.
    pub number: u64,
    /// What is to be done.
    pub action: RootAction,
}

impl RootOrder {
    /// Checks the sizes of certificates.
    ///
    /// # Errors
    /// [`DecodeError::OutOfRange`] names what is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        match &self.action {
            RootAction::AddRoot(root) => validate_certificate(&root.certificate),
            RootAction::AddIssuer(issuer) => validate_certificate(&issuer.certificate),
            _ => Ok(()),
        }
    }
}

impl Statement for Order {
    const PURPOSE: Purpose = Purpose::Administration;

    fn signed_bytes(&self) -> Vec<u8> {
        encode(&Administration::Order(self))
    }
}

impl Statement for RootOrder {
    const PURPOSE: Purpose = Purpose::Root;

    fn signed_bytes(&self) -> Vec<u8> {
        encode(&ByRoot::Order(self))
    }
}

impl Format for Signed<Order> {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::ORDER_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.statement.validate()
    }
}

impl Format for Signed<RootOrder> {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::ORDER_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.statement.validate()
    }
}
