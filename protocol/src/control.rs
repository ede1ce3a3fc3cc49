//! The control plane's words: the commands of its replicated log and their outcomes.
//!
//! A log of [`Command`]s is agreed on by the voters; crate `dccache-ring` applies them. A command carries everything
//! that its judgement needs, the leader's time included, so that every replica comes to the same outcome.

mod grant;
mod order;
mod revocation;
mod statement;

pub use grant::{AddressRange, Grant, Subject};
pub use order::{Action, Issuer, Order, Root, RootAction, RootOrder};
pub use revocation::{RevocationList, Revoked};
pub use statement::{ROOT_SIGNER, Signed, Statement, root_layout_bytes};

use crate::codec::{DecodeError, Format, ensure};
use crate::digest::Digest;
use crate::ids::{ClusterId, Epoch, NodeId, SignerId};
use crate::layout::SignedLayout;
use crate::limits;
use crate::signing::{PublicKey, Signature};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// What makes a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// Its name: that of the first root's key.
    pub cluster: ClusterId,
    /// Roots of trust, at least one.
    pub roots: Vec<Root>,
    /// First issuers; may be empty.
    pub issuers: Vec<Issuer>,
    /// Key that signs grants and orders.
    pub administrator: PublicKey,
    /// First layout, epoch 1, signed by the first root ([`SignedLayout::by_root`]).
    pub layout: SignedLayout,
}

/// One entry of the control plane's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Makes the cluster; the first command of every log.
    Found(Box<Founding>),
    /// Uses up a join token. Only when this is agreed does an issuer sign anything.
    Redeem {
        /// The grant inside the token.
        grant: Signed<Grant>,
        /// Digest of the enrolling key's DER `SubjectPublicKeyInfo`, so that a lost answer can be told from a second use.
        by: Digest,
        /// The leader's time.
        now: UnixMillis,
    },
    /// Lets a node in under a redeemed grant, with the layout that has it as a member.
    Admit {
        /// The grant that was redeemed.
        grant: Signed<Grant>,
        /// The node that it is for.
        node: NodeId,
        /// The next layout.
        layout: Box<SignedLayout>,
    },
    /// Registers a signer under a redeemed grant.
    RegisterSigner {
        /// The grant that was redeemed.
        grant: Signed<Grant>,
        /// The signer's public key.
        key: PublicKey,
    },
    /// Proposes a layout with the same members: other addresses inside of the grants, other voters, another table.
    Install(Box<SignedLayout>),
    /// Adds a voter's signature to the layout that is waiting for them.
    Countersign {
        /// Epoch of the waiting layout.
        epoch: Epoch,
        /// Voter of its parent.
        voter: NodeId,
        /// Signature over the layout's encoding.
        signature: Signature,
    },
    /// Says that a node has pulled everything that it owns under a layout.
    Acknowledge {
        /// Epoch of the layout.
        epoch: Epoch,
        /// The node.
        node: NodeId,
    },
    /// Carries out an administrator's order, with the next layout when [`Action::changes_layout`].
    Administer {
        /// The order.
        order: Signed<Order>,
        /// The next layout.
        layout: Option<Box<SignedLayout>>,
    },
    /// Carries out an order of a root.
    ByRoot {
        /// The order.
        order: Signed<RootOrder>,
    },
    /// Replaces the layout after the majority was lost; signed by a root.
    Recover(Box<SignedLayout>),
    /// Publishes a revocation list.
    Revoke {
        /// The list, signed by the administrator or an issuer.
        list: Signed<RevocationList>,
    },
    /// Adds a voter's signature to the newest directory of signers.
    CountersignDirectory {
        /// Number of the directory.
        number: u64,
        /// Voter of the layout in force.
        voter: NodeId,
        /// Signature over the directory's encoding, [`crate::signing::Purpose::Directory`].
        signature: Signature,
    },
    /// Counts a start of a node, so that a stale copy of its data directory is refused.
    Boot {
        /// The node.
        node: NodeId,
        /// Counter in its data directory; 0 before the first start.
        counter: u64,
        /// Random bytes of this start, on the node's disk before this is asked, so that a lost answer can be asked for again.
        nonce: [u8; 16],
    },
}

impl Format for Command {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::CONTROL_MESSAGE_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        match self {
            Self::Found(founding) => founding.validate(),
            Self::Redeem { grant, .. } | Self::RegisterSigner { grant, .. } => grant.statement.validate(),
            Self::Admit { grant, layout, .. } => {
                grant.statement.validate()?;
                layout.validate()
            }
            Self::Install(layout) | Self::Recover(layout) => layout.validate(),
            Self::Administer { order, layout } => {
                order.statement.validate()?;
                layout.as_ref().map_or(Ok(()), |layout| layout.validate())
            }
            Self::ByRoot { order } => order.statement.validate(),
            Self::Revoke { list } => list.statement.validate(),
            Self::Countersign { .. }
            | Self::Acknowledge { .. }
            | Self::CountersignDirectory { .. }
            | Self::Boot { .. } => Ok(()),
        }
    }
}

impl Founding {
    fn validate(&self) -> Result<(), DecodeError> {
        ensure((1..=limits::ROOTS_MAX).contains(&self.roots.len()), "number of roots")?;
        ensure(self.issuers.len() <= limits::ISSUERS_MAX, "number of issuers")?;
        let certificates = self.roots.iter().map(|root| &root.certificate);
        certificates
            .chain(self.issuers.iter().map(|issuer| &issuer.certificate))
            .try_for_each(|certificate| order::validate_certificate(certificate))?;
        self.layout.validate()
    }
}

/// What a command came to; closed. Every replica comes to the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The cluster exists.
    Founded,
    /// The token is used up; the issuer may sign now.
    Redeemed,
    /// A layout waits for countersignatures.
    LayoutWaiting {
        /// Its epoch.
        epoch: Epoch,
        /// Voters of its parent that have yet to sign before it counts.
        missing: u8,
    },
    /// A layout is in force.
    LayoutInForce {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A hand-off is noted.
    Acknowledged {
        /// Oldest epoch whose owners still answer reads.
        oldest: Epoch,
    },
    /// A signer is registered; the directory has a new number.
    Registered(SignerId),
    /// An order is carried out.
    Done,
    /// A revocation list is in force.
    Revoked {
        /// Its number.
        number: u64,
    },
    /// A signature of a voter is noted.
    DirectorySigned {
        /// Number of the directory.
        number: u64,
        /// Voters that have yet to sign before it counts.
        missing: u8,
    },
    /// The node may start and must write this counter to its data directory first.
    Booted {
        /// The new counter.
        counter: u64,
    },
    /// The command was carried out before; nothing changed.
    Unchanged,
    /// Nothing changed.
    Refused(Refusal),
}

impl Format for Outcome {
    const VERSION: u8 = 1;
    const LIMIT: usize = 1024;
}

/// Why a command was refused; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// There is no cluster yet.
    #[error("no cluster is founded yet")]
    NotFounded,
    /// There is a cluster already.
    #[error("the cluster is founded already")]
    AlreadyFounded,
    /// A statement or layout names another cluster, or the name is not that of the first root's key.
    #[error("another cluster is named")]
    ForeignCluster,
    /// A bound or an order inside the command is violated.
    #[error("the command is malformed")]
    Malformed,
    /// A signature is missing, wrong, or of somebody who may not sign this.
    #[error("the signature does not hold")]
    BadSignature,
    /// The token's life is over.
    #[error("the token has expired")]
    TokenExpired,
    /// The token was used before.
    #[error("the token was used already")]
    TokenUsed {
        /// Digest of the key that used it.
        by: Digest,
    },
    /// The grant's token was not redeemed, or its place was taken.
    #[error("the grant's token is not open")]
    TokenNotOpen,
    /// Too many unexpired tokens are remembered.
    #[error("too many tokens are in use")]
    TooManyTokens,
    /// The grant is for a node where a client is asked for, or the other way round.
    #[error("the grant is for something else")]
    WrongSubject,
    /// A weight, zone, address or key is not what the member was granted.
    #[error("the layout goes beyond what member {node} was granted")]
    OutsideGrant {
        /// The member.
        node: NodeId,
    },
    /// The layout's members are not the admitted nodes.
    #[error("the layout's members are not the admitted nodes")]
    WrongMembers,
    /// The layout's epoch is not the next one.
    #[error("the next epoch is {next:?}")]
    WrongEpoch {
        /// The epoch that would be taken.
        next: Epoch,
    },
    /// The layout does not follow the one in force.
    #[error("the layout has another parent")]
    WrongParent,
    /// The layout wants another number of replicas than was ordered.
    #[error("the layout has another number of replicas")]
    WrongReplicas,
    /// Another layout is waiting for its countersignatures.
    #[error("a layout is waiting for countersignatures")]
    LayoutWaiting,
    /// Too many hand-offs are unfinished.
    #[error("too many hand-offs are unfinished")]
    HandoffsUnfinished,
    /// An order that changes the layout came without one, or the other way round.
    #[error("the order and the layout do not go together")]
    LayoutMismatch,
    /// The node is not a member.
    #[error("the node is not a member")]
    UnknownNode,
    /// The node is a member already.
    #[error("the node is a member already")]
    KnownNode,
    /// A cluster keeps at least one node.
    #[error("the last node stays")]
    LastNode,
    /// The order's number was used, or a later one.
    #[error("orders from number {next} on are taken")]
    OrderUsed {
        /// Smallest number that would be taken.
        next: u64,
    },
    /// The signer is not registered.
    #[error("the signer is not registered")]
    UnknownSigner,
    /// The signer is registered already.
    #[error("the signer is registered already")]
    KnownSigner,
    /// A standing, a revocation or a number would go back.
    #[error("there is no way back")]
    NoWayBack,
    /// The namespace does not exist or exists already, or is the last.
    #[error("the namespace exists already, does not exist, or is the last")]
    Namespace,
    /// The root or issuer does not exist or exists already, or is the last root.
    #[error("the authority exists already, does not exist, or is the last")]
    Authority,
    /// A registry has reached its bound.
    #[error("the registry is full")]
    Full,
    /// The data directory is older than the node's last start, or a copy.
    #[error("the data directory is a stale copy: it has seen fewer than {counter} starts")]
    StaleCopy {
        /// The counter that the newest copy has.
        counter: u64,
    },
}
