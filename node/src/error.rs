//! Why a node does not start or ends early, and the exit code of each.

use crate::home::HomeError;
use dccache_protocol::enrol::EnrolRefusal;
use dccache_transport::identity::{AuthorityError, FileError, IdentityError, KeyError};
use dccache_transport::listener::BindError;
use std::net::SocketAddr;

/// The exit codes, as `--help` shows them.
pub const EXIT_CODES: &str = "Exit codes:
   0  ended as asked
   1  unexpected failure
   2  wrong command line
  10  the data directory cannot be used: another version's, another program's, damaged
  11  another process uses the data directory
  12  the address cannot be listened on
  13  the join token is malformed, expired or used, or does not grant what was asked
  14  the cluster does not answer
  15  the disk refuses
  16  the data directory is a stale copy of a node that has started since
  17  the node does not run (status, layout, ca)";

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no default route.
    #[error(
        "this machine has no default route; say where others reach it, for example --listen 192.168.1.10:7373"
    )]
    NoAddress,
    /// The address differs from the certificate's.
    #[error(
        "this node joined as {joined}, not {asked}; start it without --listen, or join again with an empty --data"
    )]
    OtherAddress {
        /// Address of the certificate.
        joined: SocketAddr,
        /// Address asked for.
        asked: SocketAddr,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys or certificates.
    #[error("certificates")]
    Authority(#[from] AuthorityError),
    /// A key.
    #[error("keys")]
    Key(#[from] KeyError),
    /// This machine's identity.
    #[error("the node's identity cannot be used; move the data directory away and join again")]
    Identity(#[from] IdentityError),
    /// The record store.
    #[error(transparent)]
    Store(#[from] dccache_storage::OpenError),
    /// The node's own copies of what it must know, or the control plane's file.
    #[error("{0}")]
    State(String),
    /// The disk refuses.
    #[error("the disk refuses")]
    Io(#[from] std::io::Error),
    /// The token is no token.
    #[error(transparent)]
    Token(#[from] dccache_protocol::token::TokenError),
    /// The token is for something else.
    #[error(
        "the token is for a client; join with `dccache join TOKEN`, or ask for one with `dccache-node ca token --node`"
    )]
    ClientToken,
    /// The data directory belongs to a cluster already.
    #[error("{0} belongs to a node already; start it with `dccache-node serve`, or give an empty --data")]
    Joined(std::path::PathBuf),
    /// The issuer refuses.
    #[error(transparent)]
    Refused(#[from] EnrolRefusal),
    /// No issuer answers.
    #[error("no address of the token's node answers")]
    NoIssuer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The issuer's answer does not hold.
    #[error("the answer of the token's node does not hold: {0}")]
    BadAdmission(&'static str),
    /// The data directory is a stale copy.
    #[error(
        "this data directory is a stale copy: the node has started {counter} times elsewhere; join again with an empty --data"
    )]
    Stale {
        /// Starts that the cluster counted.
        counter: u64,
    },
}

impl StartError {
    /// Returns the process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Home(HomeError::Locked(_)) | Self::Store(dccache_storage::OpenError::Locked { .. }) => 11,
            Self::Home(HomeError::Io { .. } | HomeError::File(_)) | Self::Io(_) | Self::File(_) => 15,
            Self::Home(_) | Self::State(_) | Self::Store(_) | Self::Joined(_) | Self::Identity(_) => 10,
            Self::Bind(_) | Self::NoAddress | Self::OtherAddress { .. } => 12,
            Self::Token(_) | Self::ClientToken => 13,
            Self::Refused(EnrolRefusal::Unavailable) | Self::NoIssuer(_) | Self::BadAdmission(_) => 14,
            Self::Refused(_) => 13,
            Self::Stale { .. } => 16,
            Self::Authority(_) | Self::Key(_) => 1,
        }
    }
}
