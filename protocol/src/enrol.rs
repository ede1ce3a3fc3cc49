//! How a machine without a certificate becomes a member: the messages of the enrolment channel.
//!
//! Shape: one request and one answer, each a frame of a 4-byte little-endian length and a [`Format`] value. For a node the issuer then connects
//! back to every claimed address, sends a [`Challenge`] in a frame of its own and expects a [`ChallengeAnswer`] signed by the enrolling key;
//! only after that is the request answered. The joining machine knows the root's fingerprint from its token, so it pins the issuer.

use crate::codec::{DecodeError, Format, ensure};
use crate::digest::Digest;
use crate::ids::{ClusterId, Label, NodeId};
use crate::limits;
use crate::signing::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// What a machine asks to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applicant {
    /// A node that serves at these addresses.
    Node {
        /// Its random name.
        id: NodeId,
        /// Where it can be reached, preferred first.
        addresses: Vec<SocketAddr>,
        /// Key for countersigning layouts and for answering the challenge.
        voter_key: PublicKey,
        /// Relative share of the keys that it asks for; the grant bounds it.
        weight: u32,
        /// Where it stands.
        zone: Label,
    },
    /// A client machine that signs with this key.
    Client {
        /// Its long-lived signing key; `None` for a reader.
        signer: Option<PublicKey>,
        /// Who answers for it.
        operator: Label,
    },
}

/// A request on the enrolment channel. Its secret is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolRequest {
    /// First join, with a token.
    Join {
        /// Name of the token.
        token: [u8; 16],
        /// The token's secret.
        secret: [u8; 32],
        /// What the machine asks to become.
        applicant: Applicant,
        /// PKCS#10 certificate request, DER; proves possession of the TLS key.
        request: Vec<u8>,
    },
    /// A new leaf for an expired or ageing one of the same name and key.
    Renew {
        /// The old leaf, DER.
        leaf: Vec<u8>,
        /// Where a node can be reached now; empty for clients.
        addresses: Vec<SocketAddr>,
        /// PKCS#10 certificate request, DER, made with the key of the old leaf.
        request: Vec<u8>,
    },
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join { applicant, .. } => {
                f.debug_struct("Join").field("applicant", applicant).finish_non_exhaustive()
            }
            Self::Renew { addresses, .. } => {
                f.debug_struct("Renew").field("addresses", addresses).finish_non_exhaustive()
            }
        }
    }
}

impl Format for EnrolRequest {
    const VERSION: u8 = 1;
    const LIMIT: usize = 64 << 10;

    fn validate(&self) -> Result<(), DecodeError> {
        let addresses = match self {
            Self::Join { applicant: Applicant::Node { addresses, .. }, .. }
            | Self::Renew { addresses, .. } => addresses.len(),
            Self::Join { .. } => 0,
        };
        ensure(addresses <= limits::ADDRESSES_MAX, "number of addresses")
    }
}

/// What an admitted machine needs to take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Cluster that it joined.
    pub cluster: ClusterId,
    /// Its leaf and the issuer's certificate, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Root certificates in force, DER.
    pub roots: Vec<Vec<u8>>,
    /// The administrator's public key.
    pub administrator: PublicKey,
    /// Encoded [`crate::layout::SignedLayout`] in force.
    pub layout: Vec<u8>,
    /// Encoded [`crate::directory::SignedDirectory`] in force.
    pub directory: Vec<u8>,
}

/// Why a machine was not admitted; closed, without inner messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EnrolRefusal {
    /// The token is unknown, or its secret wrong; the two are not told apart.
    #[error("the token is not valid in this cluster")]
    UnknownToken,
    /// The token was used before.
    #[error("the token was used already; ask for a new one (`dccache-node ca token`)")]
    TokenUsed,
    /// The token is older than its life.
    #[error("the token has expired; ask for a new one (`dccache-node ca token`)")]
    TokenExpired,
    /// The role, zone, weight or address lies outside of the token's grant.
    #[error("the token does not grant this role, zone, weight or address")]
    OutsideGrant,
    /// The claimed address did not answer the challenge.
    #[error("the claimed address could not be reached from the issuer, or does not hold the enrolling key")]
    ConnectBack,
    /// Too many attempts from this network.
    #[error("too many attempts from this network; wait a minute")]
    RateLimited,
    /// The certificate is revoked or too old to be renewed.
    #[error("the certificate can no longer be renewed; join again with a new token")]
    NotRenewable,
    /// The issuer cannot agree with the control plane now.
    #[error("the cluster cannot change its membership now; try again")]
    Unavailable,
    /// The request is malformed.
    #[error("the request is malformed")]
    Malformed,
}

/// Answer on the enrolment channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolAnswer {
    /// Welcome.
    Admitted(Box<Admission>),
    /// Not admitted.
    Refused(EnrolRefusal),
}

impl Format for EnrolAnswer {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::ENROLMENT_MAX;
}

/// What the issuer sends when it connects back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Fresh random bytes.
    pub nonce: [u8; 32],
    /// The issuer's cluster.
    pub cluster: ClusterId,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// Digest of the certificate request (DER) that is being answered. The enrolling machine signs for no request but its
    /// own: else a machine that enrols at the same time could be made to vouch for another's TLS key at its address.
    pub request: Digest,
}

impl Format for Challenge {
    const VERSION: u8 = 1;
    const LIMIT: usize = 128;
}

/// The enrolling key's signature over the challenge's encoding, [`crate::signing::Purpose::Enrolment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeAnswer {
    /// The signature.
    pub signature: Signature,
}

impl Format for ChallengeAnswer {
    const VERSION: u8 = 1;
    const LIMIT: usize = 128;
}
