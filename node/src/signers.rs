//! The directory of signers as the node last knew it, indexed, and kept on its own disk.

use dccache_protocol::codec::Format as _;
use dccache_protocol::directory::{SignedDirectory, SignerRecord, Standing};
use dccache_protocol::ids::{Namespace, SignerId};
use dccache_protocol::service::Bytes;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::ReceiptStamp;
use dccache_transport::identity::write_private;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The signers at one moment.
#[derive(Debug, Default)]
pub(crate) struct Signers {
    number: u64,
    encoded: Bytes,
    index: HashMap<SignerId, SignerRecord>,
}

impl Signers {
    fn of(signed: &SignedDirectory) -> Self {
        let records = &signed.directory.signers;
        let index = records.iter().map(|record| (record.key.signer_id(), record.clone())).collect();
        Self { number: signed.directory.number, encoded: Bytes(signed.to_bytes()), index }
    }

    /// Returns the directory's number; 0 when none is known.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the encoded directory.
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Returns the key of a signer that is known, whatever its standing.
    pub(crate) fn key(&self, id: &SignerId) -> Option<PublicKey> {
        self.index.get(id).map(|record| record.key)
    }

    /// Tells whether a signer is known.
    pub(crate) fn knows(&self, id: &SignerId) -> bool {
        self.index.contains_key(id)
    }

    /// Tells whether a signer may write to a namespace now.
    pub(crate) fn may_write(&self, id: &SignerId, namespace: &Namespace) -> bool {
        let record = self.index.get(id);
        record.is_some_and(|record| record.standing == Standing::Active && record.covers(namespace))
    }

    /// Tells whether what a signer said, and a node received at `stamp`, is to be served. An unknown signer's word is: this node may lag,
    /// and consumers judge for themselves.
    pub(crate) fn is_served(&self, id: &SignerId, stamp: ReceiptStamp) -> bool {
        self.index.get(id).is_none_or(|record| record.standing.allows(stamp))
    }
}

/// Keeps the newest directory.
pub(crate) struct Register {
    current: watch::Sender<Arc<Signers>>,
    path: PathBuf,
}

impl Register {
    /// Opens the node's own copy; a missing or damaged one is an empty directory, and the control plane brings it again.
    pub(crate) fn open(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).ok();
        let signed = bytes.and_then(|bytes| SignedDirectory::from_bytes(&bytes).ok());
        let signers = signed.map(|signed| Signers::of(&signed)).unwrap_or_default();
        Self { current: watch::Sender::new(Arc::new(signers)), path }
    }

    /// Returns the signers of this moment.
    pub(crate) fn now(&self) -> Arc<Signers> {
        self.current.borrow().clone()
    }

    /// Watches the signers.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Signers>> {
        self.current.subscribe()
    }

    /// Takes a directory from the node's own replica of the control plane, or from the issuer that was pinned while joining, if it is
    /// newer. Blocks on the disk.
    pub(crate) fn take(&self, signed: &SignedDirectory) {
        if signed.directory.number <= self.now().number && self.now().number > 0 {
            return;
        }
        let signers = Signers::of(signed);
        if let Err(error) = write_private(&self.path, &signers.encoded.0) {
            tracing::error!(%error, "the directory of signers cannot be written to the data directory");
        }
        self.current.send_replace(Arc::new(signers));
    }
}
