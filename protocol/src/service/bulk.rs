//! Heads of bulk streams: what a transfer is about, before and beside its raw bytes.

use super::{RecordKind, Refusal, Replicated, Stored};
use crate::codec::{DecodeError, Format, ensure};
use crate::ids::{Epoch, Namespace, NodeId};
use crate::keys::RecordId;
use crate::limits;
use crate::time::ReceiptStamp;
use serde::{Deserialize, Serialize};

/// First frame of a bulk stream: a 4-byte little-endian length and this value; raw bytes follow a put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkRequest {
    /// Reads a record; node callers read what this node itself holds.
    Get {
        /// Epoch that the caller knows.
        epoch: Epoch,
        /// Namespace of the caller.
        namespace: Namespace,
        /// The record.
        id: RecordId,
    },
    /// Stores a bundle on all owners of its key; that many bytes follow.
    Put {
        /// Epoch that the caller knows.
        epoch: Epoch,
        /// Length of the encoded bundle in bytes.
        length: u64,
    },
    /// Keeps a copy; that many bytes of payload follow. Nodes.
    Replicate {
        /// Epoch under which the sender is an owner.
        epoch: Epoch,
        /// Where it is kept.
        id: RecordId,
        /// What it is.
        kind: RecordKind,
        /// Its receipt stamp.
        stamp: ReceiptStamp,
        /// The owner for which a stand-in keeps it.
        hint_for: Option<NodeId>,
        /// Length of the payload in bytes.
        length: u64,
    },
}

impl BulkRequest {
    /// Returns how many bytes follow.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Get { .. } => 0,
            Self::Put { length, .. } | Self::Replicate { length, .. } => *length,
        }
    }
}

impl Format for BulkRequest {
    const VERSION: u8 = 1;
    const LIMIT: usize = 1024;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.length() <= limits::BUNDLE_MAX as u64, "length of a bulk transfer")
    }
}

/// First frame of the answer on a bulk stream; raw bytes follow [`BulkAnswer::Record`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkAnswer {
    /// The record follows.
    Record {
        /// What it is.
        kind: RecordKind,
        /// Its receipt stamp.
        stamp: ReceiptStamp,
        /// Length of the payload in bytes.
        length: u64,
    },
    /// There is no such record.
    Missing,
    /// The put's answer.
    Stored(Stored),
    /// The copy's answer.
    Replicated(Replicated),
    /// Not done.
    Refused(Refusal),
}

impl Format for BulkAnswer {
    const VERSION: u8 = 1;
    const LIMIT: usize = 1024;

    fn validate(&self) -> Result<(), DecodeError> {
        let length = if let Self::Record { length, .. } = self { *length } else { 0 };
        ensure(length <= limits::BUNDLE_MAX as u64, "length of a bulk transfer")
    }
}
