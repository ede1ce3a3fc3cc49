//! Hand-off: a new owner pulls its partitions, an old one lets go only when everybody has pulled.
//!
//! Shape: before a layout is taken, what it makes this node pull is written down ([`Foresee`]); a task pulls, writes down what is done, and
//! acknowledges in the control plane; when the control plane says that everybody has, the old owner drops.
//!
//! Invariants:
//! 1. A partition is pending until one old owner that was itself complete gave all of it, and every other old owner that answers was asked.
//! 2. What was pending before a crash is pending after it: a pull that is repeated changes nothing.
//! 3. An old owner gives nothing while writes under an older layout run, so that what is acknowledged is in what it gives.

use crate::core::Core;
use crate::layouts::{Foresee, Layouts};
use crate::shelf::Held;
use crate::write::keep_copy;
use dccache_protocol::ids::{Epoch, NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::layout::Layout;
use dccache_protocol::limits::{INLINE_MAX, PULL_BYTES_MAX, PULL_RECORDS_MAX};
use dccache_protocol::service::{Pull, Pulled, RecordMessage, Refusal};
use dccache_transport::identity::write_private;
use futures::stream::{self, StreamExt as _};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Partitions pulled at the same time: enough to fill a network while each waits for a disk.
const AT_ONCE: usize = 32;

/// Pause after a round in which some partition had no complete giver.
const PAUSE: Duration = Duration::from_millis(200);

/// Progress is written down after so many partitions; what is pulled twice after a crash changes nothing.
const NOTE_EVERY: usize = 512;

/// How long writes under an older layout may still run before a puller is told to come again.
const DRAIN: Duration = Duration::from_secs(10);

type Pending = BTreeMap<Partition, Vec<NodeId>>;

/// The partitions that this node has yet to pull, and from whom.
pub(crate) struct Handoff {
    me: NodeId,
    path: PathBuf,
    pending: Mutex<Pending>,
    noting: Mutex<()>,
    count: watch::Sender<usize>,
}

/// Why the list could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the list of unfinished hand-offs is damaged; move the data directory away and join again")]
pub(crate) struct HandoffDamaged {
    path: PathBuf,
}

impl Handoff {
    /// Opens the list; none means that nothing is pending.
    ///
    /// # Errors
    /// A damaged file.
    pub(crate) fn open(me: NodeId, path: PathBuf) -> Result<Self, HandoffDamaged> {
        let pending = match std::fs::read(&path) {
            Ok(bytes) => postcard::from_bytes(&bytes).map_err(|_| HandoffDamaged { path: path.clone() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Pending::new(),
            // Nothing pending would mean that all is here, and the old owners would drop what is not.
            Err(_) => return Err(HandoffDamaged { path }),
        };
        let count = watch::Sender::new(pending.len());
        Ok(Self { me, path, pending: Mutex::new(pending), noting: Mutex::default(), count })
    }

    /// Returns how many partitions are pending.
    pub(crate) fn pending(&self) -> usize {
        *self.count.borrow()
    }

    /// Watches how many partitions are pending.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Tells whether this node may lack records of a partition.
    pub(crate) fn is_pending(&self, partition: Partition) -> bool {
        self.pending() > 0 && self.lock().contains_key(&partition)
    }

    /// Returns from whom a partition is pulled.
    pub(crate) fn from(&self, partition: Partition) -> Vec<NodeId> {
        self.lock().get(&partition).cloned().unwrap_or_default()
    }

    /// Writes down what a node that has just joined must pull: everything that it owns, from whoever says that it had it.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn create(path: &std::path::Path, me: NodeId, layout: &Layout) -> std::io::Result<()> {
        let others: Vec<NodeId> =
            layout.members.iter().map(|member| member.id).filter(|&id| id != me).collect();
        let owned = Partition::all().filter(|&partition| dccache_ring::moves::owns(layout, me, partition));
        let pending: Pending = owned.map(|partition| (partition, others.clone())).collect();
        write(path, &pending)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> Vec<(Partition, Vec<NodeId>)> {
        self.lock().iter().map(|(&partition, from)| (partition, from.clone())).collect()
    }

    fn done(&self, partition: Partition) {
        let mut pending = self.lock();
        pending.remove(&partition);
        let left = pending.len();
        drop(pending);
        self.count.send_replace(left);
    }

    /// Writes the list to the disk. Blocks; readers of the list do not wait for the disk.
    fn note(&self) -> std::io::Result<()> {
        let _noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.lock().clone();
        write(&self.path, &pending)
    }
}

fn write(path: &std::path::Path, pending: &Pending) -> std::io::Result<()> {
    let bytes = postcard::to_extend(pending, Vec::new()).map_err(std::io::Error::other)?;
    write_private(path, &bytes).map_err(std::io::Error::other)
}

impl Foresee for Handoff {
    fn foresee(&self, parent: &Layout, child: &Layout) -> std::io::Result<()> {
        let pulls = dccache_ring::moves::moves(parent, child).remove(&self.me).unwrap_or_default();
        let mut pending = self.lock();
        for pull in pulls {
            let from = pending.entry(pull.partition).or_default();
            from.extend(pull.from.into_iter().filter(|&node| node != self.me));
            from.sort();
            from.dedup();
        }
        let left = pending.len();
        drop(pending);
        self.count.send_replace(left);
        self.note()
    }
}

/// Gives another node the next records of a partition that it owns now.
///
/// # Errors
/// [`Refusal::NotOwner`] to a node that does not own it, [`Refusal::Unavailable`] while this node has not all of it itself.
pub(crate) async fn give(core: &Arc<Core>, to: NodeId, request: &Pull) -> Result<Pulled, Refusal> {
    crate::peers::follow(core, Some(to), request.epoch).await;
    let layouts = core.book.now();
    if layouts.epoch() < request.epoch || core.handoff.is_pending(request.partition) {
        return Err(Refusal::Unavailable);
    }
    // Who never owned it has nothing to give, and must not seem to be a complete giver.
    if !layouts.owned_lately(core.id, request.partition) || !layouts.owned_lately(to, request.partition) {
        return Err(Refusal::NotOwner);
    }
    let drained = tokio::time::timeout(DRAIN, core.gate.drained(layouts.epoch())).await;
    drained.map_err(|_| Refusal::Busy)?;
    page(core, request.partition, request.after).await
}

async fn page(core: &Arc<Core>, partition: Partition, after: Option<RecordId>) -> Result<Pulled, Refusal> {
    let listed = core.shelf.list(partition, after, PULL_RECORDS_MAX).await?;
    let (mut records, mut large) = (Vec::new(), Vec::new());
    let (mut bytes, mut next) = (0, None);
    for record in &listed {
        let length = record.length as usize;
        if length > INLINE_MAX {
            large.push((record.id, u64::from(record.length)));
        } else if bytes + length > PULL_BYTES_MAX && !records.is_empty() {
            return Ok(Pulled { records, large, next });
        } else if let Some(held) = core.shelf.get(record.id).await {
            bytes += held.payload.len();
            records.push(held.to_message());
        }
        next = Some(record.id);
    }
    let next = next.filter(|_| listed.len() == PULL_RECORDS_MAX);
    Ok(Pulled { records, large, next })
}

/// Pulls what is pending, acknowledges, and drops what others have taken over, until the node ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut layouts = core.book.watch();
    let mut state = core.handoff.watch();
    loop {
        let complete = pull_all(&core).await;
        tokio::select! {
            () = core.draining.cancelled() => return,
            _ = layouts.changed() => {}
            _ = state.wait_for(|&left| left > 0), if complete => {}
            () = tokio::time::sleep(PAUSE), if !complete => {}
        }
    }
}

/// Makes one round over everything that is pending; `true` when nothing is left.
async fn pull_all(core: &Arc<Core>) -> bool {
    let list = core.handoff.list();
    for part in list.chunks(NOTE_EVERY) {
        let pulls: Vec<_> = part.iter().map(|(partition, from)| pull(core, *partition, from)).collect();
        let pulled: Vec<bool> = stream::iter(pulls).buffer_unordered(AT_ONCE).collect().await;
        // What is said to be done must be on the disk.
        let done = pulled.contains(&true);
        if done && core.shelf.sync().await.is_ok() {
            let handoff = Arc::clone(&core.handoff);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || handoff.note()).await {
                tracing::error!(%error, "the progress of a hand-off cannot be written down");
            }
        }
        if core.draining.is_cancelled() {
            return false;
        }
    }
    core.handoff.pending() == 0
}

/// Pulls one partition; `true` when it is complete.
async fn pull(core: &Arc<Core>, partition: Partition, from: &[NodeId]) -> bool {
    let mut complete = false;
    for &giver in from {
        match pull_from(core, partition, giver).await {
            Ok(()) => complete = true,
            Err(error) => tracing::debug!(node = %giver, %error, "a partition could not be pulled"),
        }
    }
    if complete {
        core.handoff.done(partition);
    }
    complete
}

async fn pull_from(
    core: &Arc<Core>,
    partition: Partition,
    giver: NodeId,
) -> Result<(), crate::peers::PeerError> {
    let mut after = None;
    loop {
        let pulled = core.peers.pull(core, giver, partition, after).await?;
        for record in pulled.records {
            keep(core, partition, record).await?;
        }
        for (id, _) in pulled.large {
            if core.shelf.stamp_of(id).await.is_none()
                && let Some(record) = core.peers.get(core, giver, id).await?
            {
                keep(core, partition, record.to_message()).await?;
            }
        }
        match pulled.next {
            Some(next) if Some(next) > after => after = Some(next),
            Some(_) => return Err(Refusal::Malformed.into()),
            None => return Ok(()),
        }
    }
}

async fn keep(core: &Arc<Core>, partition: Partition, record: RecordMessage) -> Result<(), Refusal> {
    if record.id.partition() != partition {
        return Err(Refusal::Malformed);
    }
    match crate::ingest::replica(core, Held::of_message(record)).await {
        Ok(record) => {
            core.stamps.observe(record.stamp);
            keep_copy(core, record).await.map(drop)
        }
        // One damaged or meanwhile forbidden record does not hold up a hand-off.
        Err(Refusal::NotAuthentic | Refusal::SignerNotAllowed | Refusal::Malformed) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// Drops the partitions that this node owned under layouts before `oldest` and owns no more.
pub(crate) async fn let_go(core: &Arc<Core>, oldest: Epoch) {
    let before: Arc<Layouts> = core.book.now();
    if oldest <= before.oldest() {
        return;
    }
    let owned: Vec<Partition> =
        Partition::all().filter(|&partition| before.owned_lately(core.id, partition)).collect();
    core.book.retire(oldest);
    let after = core.book.now();
    for partition in owned.into_iter().filter(|&partition| !after.owned_lately(core.id, partition)) {
        match core.shelf.drop_partition(partition).await {
            Ok(0) => {}
            Ok(records) => {
                tracing::debug!(partition = partition.index(), records, "a partition was handed over")
            }
            Err(refusal) => tracing::warn!(%refusal, "a partition that was handed over cannot be dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_cannot_be_read_is_never_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let me = NodeId([1; 16]);
        assert_eq!(Handoff::open(me, dir.path().join("none")).unwrap().pending(), 0);
        // A directory can be opened and not read: as a disk that fails.
        assert!(Handoff::open(me, dir.path().to_owned()).is_err());
    }
}
