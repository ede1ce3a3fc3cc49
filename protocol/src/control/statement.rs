//! Signed statements of an administrator, an issuer or the root.
//!
//! Shape: every statement names its cluster, and orders and lists carry a number that must grow, so that none can be
//! replayed in another cluster or at another time. Statements of one purpose are variants of one private enum, so that a
//! signed grant can never be read as an order.

use super::grant::Grant;
use super::order::{Order, RootOrder};
use crate::codec::Format;
use crate::digest::Digest;
use crate::ids::{ClusterId, Epoch, NodeId};
use crate::layout::{Layout, SignedLayout};
use crate::signing::{PublicKey, Purpose, Signature, SigningKey};
use serde::{Deserialize, Serialize};

/// A statement with its signature. Which key must have made it depends on the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What is stated.
    pub statement: T,
    /// Signature over the statement's signed form.
    pub signature: Signature,
}

/// A statement that somebody signs: its purpose and the bytes that are signed.
pub trait Statement {
    /// Purpose of the signature.
    const PURPOSE: Purpose;

    /// Returns the bytes that are signed; different statements of one purpose never have equal ones.
    fn signed_bytes(&self) -> Vec<u8>;
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    pub fn new(statement: T, key: &SigningKey) -> Self {
        let signature = key.sign(T::PURPOSE, &statement.signed_bytes());
        Self { statement, signature }
    }

    /// Checks that `key` made the signature.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(T::PURPOSE, &self.statement.signed_bytes(), &self.signature)
    }
}

/// Everything that an administrator signs.
#[derive(Serialize)]
pub(super) enum Administration<'a> {
    Grant(&'a Grant),
    Order(&'a Order),
}

/// Everything that the root signs outside of certificates.
#[derive(Serialize)]
pub(super) enum ByRoot<'a> {
    Layout { cluster: ClusterId, epoch: Epoch, digest: Digest },
    Order(&'a RootOrder),
}

/// Encodes the variant of a statement behind a version byte.
pub(super) fn encode(statement: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(statement, vec![1]).expect("statements always serialize")
}

/// Under this name the root's signature stands in [`SignedLayout::signatures`]; no node has it.
pub const ROOT_SIGNER: NodeId = NodeId([0; 16]);

/// Returns what the root signs of a layout (with [`Purpose::Root`]): its first, or one that recovers a lost majority.
pub fn root_layout_bytes(layout: &Layout) -> Vec<u8> {
    encode(&ByRoot::Layout { cluster: layout.cluster, epoch: layout.epoch, digest: layout.digest() })
}

impl SignedLayout {
    /// Has the root sign a layout.
    pub fn by_root(layout: Layout, root: &SigningKey) -> Self {
        let signature = root.sign(Purpose::Root, &root_layout_bytes(&layout));
        Self { layout, signatures: vec![(ROOT_SIGNER, signature)] }
    }

    /// Adds the countersignature of a voter of the parent.
    pub fn countersigned(mut self, voter: NodeId, key: &SigningKey) -> Self {
        let signature = key.sign(Purpose::Layout, &self.layout.to_bytes());
        self.add_signature(voter, signature);
        self
    }

    /// Adds or replaces the signature under a name, keeping the order; the signature is not checked.
    pub fn add_signature(&mut self, voter: NodeId, signature: Signature) {
        match self.signatures.binary_search_by_key(&voter, |signed| signed.0) {
            Ok(found) => self.signatures[found].1 = signature,
            Err(place) => self.signatures.insert(place, (voter, signature)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Action, RootAction};
    use crate::ids::{Label, Namespace};

    #[test]
    fn a_signed_statement_holds_for_its_key_and_content_only() {
        let key = SigningKey::from_seed(&[1; 32]);
        let cluster = key.public().cluster_id();
        let order = Order { cluster, number: 1, action: Action::RemoveNode(NodeId([1; 16])) };
        let mut signed = Signed::new(order, &key);
        assert!(signed.is_signed_by(&key.public()));
        assert!(!signed.is_signed_by(&SigningKey::from_seed(&[2; 32]).public()));
        signed.statement.number = 2;
        assert!(!signed.is_signed_by(&key.public()));
    }

    #[test]
    fn statements_of_different_kinds_never_share_their_signed_bytes() {
        let key = SigningKey::from_seed(&[1; 32]);
        let cluster = key.public().cluster_id();
        let name: Label = "x".parse().unwrap();
        let order = Order { cluster, number: 1, action: Action::AddNamespace(Namespace(name)) };
        let by_root = RootOrder { cluster, number: 1, action: RootAction::RetireRoot(key.public()) };
        assert_ne!(order.signed_bytes(), by_root.signed_bytes());
        assert_ne!(Order::PURPOSE, RootOrder::PURPOSE);
    }
}
