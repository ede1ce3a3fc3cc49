//! The layouts that the node believes, kept on its own disk so that the data plane needs nobody to start.
//!
//! Invariants: the chain is ascending by epoch and never empty; each was accepted by `ring::accept` against the one before, or came from
//! the issuer that was pinned while joining; `oldest` is the oldest epoch whose owners still answer reads.

use dccache_protocol::codec::Format as _;
use dccache_protocol::ids::{ClusterId, Epoch, NodeId, Partition};
use dccache_protocol::layout::{Layout, SignedLayout};
use dccache_protocol::limits::LAYOUT_CHAIN_MAX;
use dccache_protocol::service::Bytes;
use dccache_protocol::signing::PublicKey;
use dccache_ring::accept::{Rejection, Trusted};
use dccache_ring::moves::{owns, read_order};
use dccache_transport::identity::write_private;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The layouts at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Layouts {
    chain: Vec<Trusted>,
    oldest: Epoch,
}

impl Layouts {
    /// Begins with one layout from a trusted source.
    pub(crate) fn begin(first: Trusted) -> Self {
        let oldest = first.layout().epoch;
        Self { chain: vec![first], oldest }
    }

    /// Returns the layout in force.
    pub(crate) fn newest(&self) -> &Layout {
        self.trusted().layout()
    }

    fn trusted(&self) -> &Trusted {
        self.chain.last().expect("the chain is never empty")
    }

    /// Returns the number of the layout in force.
    pub(crate) fn epoch(&self) -> Epoch {
        self.newest().epoch
    }

    /// Returns the oldest epoch whose owners still answer reads.
    pub(crate) const fn oldest(&self) -> Epoch {
        self.oldest
    }

    /// Returns the encoded layout in force.
    pub(crate) fn encoded(&self) -> Bytes {
        Bytes(self.trusted().signed().to_bytes())
    }

    /// Returns the encoded layouts after `known`, oldest first.
    pub(crate) fn after(&self, known: Epoch) -> Vec<Bytes> {
        let newer = self.chain.iter().filter(|trusted| trusted.layout().epoch > known);
        newer.map(|trusted| Bytes(trusted.signed().to_bytes())).collect()
    }

    /// Iterates over the layouts that reads walk, ascending.
    pub(crate) fn read(&self) -> impl DoubleEndedIterator<Item = &Layout> {
        self.chain.iter().map(Trusted::layout).filter(|layout| layout.epoch >= self.oldest)
    }

    /// Returns where a node can be reached, by the newest layout that has it.
    pub(crate) fn addresses(&self, node: NodeId) -> Option<Vec<SocketAddr>> {
        let mut layouts = self.chain.iter().rev().map(Trusted::layout);
        layouts.find_map(|layout| layout.member(node)).map(|member| member.addresses.clone())
    }

    /// Iterates over the names of everybody who is, or lately was, a member; each once.
    pub(crate) fn members(&self) -> BTreeSet<NodeId> {
        self.chain.iter().flat_map(|trusted| &trusted.layout().members).map(|member| member.id).collect()
    }

    /// Tells whether a node votes in the control plane, by any layout that is known.
    pub(crate) fn votes(&self, node: NodeId) -> bool {
        self.chain.iter().any(|trusted| trusted.layout().voters.binary_search(&node).is_ok())
    }

    /// Returns whom to ask for a record of a partition, newest owners first.
    pub(crate) fn read_order(&self, partition: Partition) -> Vec<NodeId> {
        read_order(self.read(), partition)
    }

    /// Returns the owners of a partition under the layout in force.
    pub(crate) fn owners(&self, partition: Partition) -> Vec<NodeId> {
        self.newest().owners(partition).map(|owner| owner.id).collect()
    }

    /// Tells whether a node owns a partition under the layout in force.
    pub(crate) fn owns(&self, node: NodeId, partition: Partition) -> bool {
        owns(self.newest(), node, partition)
    }

    /// Tells whether a node owns a partition under any layout that reads walk.
    pub(crate) fn owned_lately(&self, node: NodeId, partition: Partition) -> bool {
        self.read().any(|layout| owns(layout, node, partition))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let chain: Vec<Bytes> = self.chain.iter().map(|trusted| Bytes(trusted.signed().to_bytes())).collect();
        postcard::to_extend(&(self.oldest, chain), Vec::new()).expect("layouts always serialize")
    }

    fn from_bytes(bytes: &[u8], cluster: ClusterId) -> Option<Self> {
        let (oldest, chain): (Epoch, Vec<Bytes>) = postcard::from_bytes(bytes).ok()?;
        let chain: Option<Vec<Trusted>> = chain
            .iter()
            .map(|bytes| Trusted::vouched(SignedLayout::from_bytes(&bytes.0).ok()?, cluster).ok())
            .collect();
        chain.filter(|chain| !chain.is_empty()).map(|chain| Self { chain, oldest })
    }
}

/// Why the layouts could not be read from the node's own disk.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the layouts are missing or damaged; move the data directory away and join again")]
pub(crate) struct LayoutsDamaged {
    /// The file.
    path: PathBuf,
}

/// What a new layout changes, told before it is in force.
pub(crate) trait Foresee: Send + Sync {
    /// Notes durably what must be pulled; a layout is not taken when this fails.
    ///
    /// # Errors
    /// The disk refuses.
    fn foresee(&self, parent: &Layout, child: &Layout) -> std::io::Result<()>;
}

/// Keeps the layouts.
pub(crate) struct Book {
    current: watch::Sender<Arc<Layouts>>,
    path: PathBuf,
    roots: Mutex<Vec<PublicKey>>,
    foresee: Arc<dyn Foresee>,
    changing: Mutex<()>,
}

impl Book {
    /// Writes the first layouts of a node.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn create(
        path: &std::path::Path,
        layouts: &Layouts,
    ) -> Result<(), dccache_transport::identity::FileError> {
        write_private(path, &layouts.to_bytes())
    }

    /// Opens the node's own copy.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub(crate) fn open(
        path: PathBuf,
        cluster: ClusterId,
        roots: Vec<PublicKey>,
        foresee: Arc<dyn Foresee>,
    ) -> Result<Self, LayoutsDamaged> {
        let layouts = std::fs::read(&path).ok().and_then(|bytes| Layouts::from_bytes(&bytes, cluster));
        let layouts = layouts.ok_or_else(|| LayoutsDamaged { path: path.clone() })?;
        let current = watch::Sender::new(Arc::new(layouts));
        Ok(Self { current, path, roots: Mutex::new(roots), foresee, changing: Mutex::default() })
    }

    /// Returns the layouts of this moment.
    pub(crate) fn now(&self) -> Arc<Layouts> {
        self.current.borrow().clone()
    }

    /// Returns the number of the layout in force.
    pub(crate) fn epoch(&self) -> Epoch {
        self.current.borrow().epoch()
    }

    /// Watches the layouts.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Layouts>> {
        self.current.subscribe()
    }

    /// Judges a layout and, when it is newer and believed, puts it in force. Blocks on the disk.
    ///
    /// # Errors
    /// When it is not believed.
    pub(crate) fn offer(&self, candidate: SignedLayout) -> Result<(), Rejection> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let accepted = now.trusted().accept(candidate, &roots)?;
        if let Err(error) = self.foresee.foresee(now.newest(), accepted.layout()) {
            tracing::error!(%error, "a new layout cannot be written down and is not taken");
            return Ok(());
        }
        tracing::info!(
            epoch = accepted.layout().epoch.0,
            members = accepted.layout().members.len(),
            "a new layout is in force"
        );
        let mut next = Layouts::clone(&now);
        next.chain.push(accepted);
        while next.chain.len() > LAYOUT_CHAIN_MAX && next.chain[0].layout().epoch < next.oldest {
            next.chain.remove(0);
        }
        self.put(next);
        Ok(())
    }

    /// Judges encoded layouts, oldest first; malformed or unbelieved ones end the walk.
    pub(crate) fn offer_all(&self, encoded: &[Bytes]) {
        for bytes in encoded {
            let Ok(signed) = SignedLayout::from_bytes(&bytes.0) else { return };
            match self.offer(signed) {
                Ok(()) | Err(Rejection::NotNewer { .. }) => {}
                Err(rejection) => {
                    tracing::warn!(%rejection, "a layout was not believed");
                    return;
                }
            }
        }
    }

    /// Puts older layouts whose hand-offs are unfinished in front; they come from this node's own replica of the control plane. A node that
    /// has just joined knows only the layout that let it in.
    pub(crate) fn backfill(&self, unfinished: &[SignedLayout]) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let first = now.chain[0].layout().epoch;
        let older = unfinished.iter().filter(|signed| signed.layout.epoch < first);
        let mut chain: Vec<Trusted> =
            older.filter_map(|signed| Trusted::vouched(signed.clone(), signed.layout.cluster).ok()).collect();
        let Some(oldest) = chain.first().map(|trusted| trusted.layout().epoch) else { return };
        chain.extend(now.chain.iter().cloned());
        self.put(Layouts { chain, oldest });
    }

    /// Ends reads under layouts before `oldest`: their hand-offs are acknowledged by everybody.
    pub(crate) fn retire(&self, oldest: Epoch) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let oldest = oldest.min(now.epoch());
        if oldest > now.oldest {
            let mut next = Layouts::clone(&now);
            next.oldest = oldest;
            self.put(next);
        }
    }

    /// Replaces the roots that may sign a first layout or a recovery.
    pub(crate) fn set_roots(&self, roots: Vec<PublicKey>) {
        *self.roots.lock().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    fn put(&self, next: Layouts) {
        if let Err(error) = write_private(&self.path, &next.to_bytes()) {
            // In force all the same: the control plane or a peer brings it again after a restart.
            tracing::error!(%error, "the layouts cannot be written to the data directory");
        }
        self.current.send_replace(Arc::new(next));
    }
}
