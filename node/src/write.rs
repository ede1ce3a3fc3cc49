//! Writes: one owner takes a record, keeps it, and sees to its copies in a task that the node owns.
//!
//! Invariants: a cancelled call undoes nothing; `copies` counts nodes that said they keep it; what is answered with fewer copies than
//! wanted is on this node's disk, synced; a layout that comes into force meanwhile is followed before the answer.

use crate::core::Core;
use crate::gate::Pass;
use crate::ingest::Admitted;
use crate::peers::PeerError;
use crate::shelf::Held;
use dccache_protocol::bundle::Bundle;
use dccache_protocol::codec::Format as _;
use dccache_protocol::ids::Namespace;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::keys::{ManifestKey, RecordId};
use dccache_protocol::manifest::{Manifest, Pusher};
use dccache_protocol::service::{RecordKind, Refusal, Replicated, Stored};
use dccache_protocol::time::ReceiptStamp;
use dccache_ring::plan::stand_ins;
use futures::future::join_all;
use std::sync::Arc;

/// How often a write follows a layout that comes into force while it runs; more changes than this within one write do not happen.
const FOLLOWED_MAX: usize = 4;

/// Keeps an admitted record on all owners of its partition.
///
/// # Errors
/// [`Refusal::NotOwner`], [`Refusal::Storage`], [`Refusal::Draining`].
pub(crate) async fn store(core: &Arc<Core>, admitted: Admitted) -> Result<Stored, Refusal> {
    let pass = enter(core, admitted.id.partition())?;
    owned(core, move |core| async move {
        let record = match standing(&core, &admitted).await {
            Some(held) => held,
            None => {
                // What it replaces can have been stamped before a restart, or by a clock that was ahead.
                if let Some(replaced) = core.shelf.stamp_of(admitted.id).await {
                    core.stamps.observe(replaced);
                }
                let record = admitted.received(core.stamps.next());
                core.shelf.put(record.clone()).await?;
                record
            }
        };
        keep(&core, record, pass).await
    })
    .await
}

/// Merges a manifest of one suggestion by `pusher` into what the owners have.
///
/// # Errors
/// As [`store`], and [`Refusal::Malformed`].
pub(crate) async fn suggest(
    core: &Arc<Core>,
    namespace: &Namespace,
    key: ManifestKey,
    mut suggested: Manifest,
    pusher: Pusher,
) -> Result<Stored, Refusal> {
    let id = key.record_id(namespace);
    let [suggestion] = suggested.suggestions.as_mut_slice() else { return Err(Refusal::Malformed) };
    if Partition::of(suggestion.direct.digest()) != id.partition() {
        return Err(Refusal::Malformed);
    }
    let pass = enter(core, id.partition())?;
    (suggestion.received, suggestion.pusher) = (core.stamps.next(), pusher);
    owned(core, move |core| async move {
        let record = join(&core, id, suggested).await?;
        keep(&core, record, pass).await
    })
    .await
}

/// Merges a suggestion that was received now. What somebody suggested before keeps that pusher: a set of paths that many read takes one
/// place, and nobody's share but that of whoever came first.
async fn join(core: &Arc<Core>, id: RecordId, mut suggested: Manifest) -> Result<Held, Refusal> {
    let _merging = core.stripe(&id).lock().await;
    let (known, at) = known_manifest(core, id).await?;
    if let [suggestion] = suggested.suggestions.as_mut_slice() {
        let earlier = known.suggestions.iter().position(|earlier| earlier.has_shape_of(suggestion));
        // The newest one said again is no news, and costs no write.
        if earlier == Some(0) && known.suggestions[0].direct == suggestion.direct {
            let payload = known.to_bytes().into();
            return Ok(Held { id, kind: RecordKind::Manifest, stamp: at, payload });
        }
        if let Some(earlier) = earlier {
            suggestion.pusher = known.suggestions[earlier].pusher;
        }
    }
    let stamp = suggested.suggestions.first().map_or(at, |suggestion| suggestion.received.max(at));
    let payload = suggested.merge(known).to_bytes().into();
    let record = Held { id, kind: RecordKind::Manifest, stamp, payload };
    core.shelf.put(record.clone()).await?;
    Ok(record)
}

/// Reads the manifest that this node has under an id, and its stamp.
async fn known_manifest(core: &Arc<Core>, id: RecordId) -> Result<(Manifest, ReceiptStamp), Refusal> {
    match core.shelf.get(id).await {
        None => Ok((Manifest::default(), ReceiptStamp::default())),
        Some(held) if held.kind == RecordKind::Manifest => {
            Ok((Manifest::from_bytes(&held.payload).unwrap_or_default(), held.stamp))
        }
        // Nobody signs a manifest, so none may take the place of what is signed.
        Some(_) => Err(Refusal::Malformed),
    }
}

/// Keeps a copy for another owner, or a hint for one that is away.
///
/// # Errors
/// As [`store`].
pub(crate) async fn replicate(
    core: &Arc<Core>,
    record: Held,
    hint_for: Option<NodeId>,
) -> Result<Replicated, Refusal> {
    if core.draining.is_cancelled() {
        return Err(Refusal::Draining);
    }
    core.stamps.observe(record.stamp);
    if let Some(target) = hint_for {
        let stamp = record.stamp;
        core.shelf.put_hint(target, record).await?;
        core.counters.replicas.add(1);
        return Ok(Replicated { stamp });
    }
    let _pass = enter(core, record.id.partition())?;
    let stamp = keep_copy(core, record).await?;
    core.counters.replicas.add(1);
    Ok(Replicated { stamp })
}

/// Keeps a copy on this node; manifests are merged with what is there.
pub(crate) async fn keep_copy(core: &Arc<Core>, record: Held) -> Result<ReceiptStamp, Refusal> {
    if record.kind == RecordKind::Manifest {
        return merge(core, record).await.map(|merged| merged.stamp);
    }
    let stamp = record.stamp;
    // The same copy again (a retried push, a hint after a pull) costs no write.
    if core.shelf.stamp_of(record.id).await.is_none_or(|held| held < stamp) {
        core.shelf.put(record).await?;
    }
    Ok(stamp)
}

async fn merge(core: &Arc<Core>, record: Held) -> Result<Held, Refusal> {
    let _merging = core.stripe(&record.id).lock().await;
    let offered = Manifest::from_bytes(&record.payload).map_err(|_| Refusal::Malformed)?;
    let (known, at) = known_manifest(core, record.id).await?;
    let stamp = record.stamp.max(at);
    let merged = offered.merge(known.clone());
    let is_news = merged != known || stamp != at;
    let record = Held { stamp, payload: merged.to_bytes().into(), ..record };
    if is_news {
        core.shelf.put(record.clone()).await?;
    }
    Ok(record)
}

/// Begins a write under the layout in force.
fn enter(core: &Arc<Core>, partition: Partition) -> Result<Pass, Refusal> {
    if core.draining.is_cancelled() {
        return Err(Refusal::Draining);
    }
    let pass = core.gate.enter(|| core.book.epoch());
    let owns = core.book.now().owns(core.id, partition);
    if owns { Ok(pass) } else { Err(Refusal::NotOwner) }
}

/// Runs work in a task of the node's own; the caller may go away.
async fn owned<F: Future<Output = Result<Stored, Refusal>> + Send + 'static>(
    core: &Arc<Core>,
    work: impl FnOnce(Arc<Core>) -> F,
) -> Result<Stored, Refusal> {
    let task = core.tasks.spawn(work(Arc::clone(core)));
    task.await.unwrap_or(Err(Refusal::Storage))
}

/// Returns what is already kept under the id, when its word stands: the first claim stays, and a retried push only completes its copies.
async fn standing(core: &Arc<Core>, admitted: &Admitted) -> Option<Held> {
    let held = core.shelf.get(admitted.id).await?;
    match (held.kind, admitted.kind) {
        // A bundle of one's own is worth more than a second name.
        (RecordKind::Alias, RecordKind::Bundle) => None,
        (RecordKind::Bundle, _) => {
            let signer = Bundle::parse(&held.payload).ok()?.head.entry.claim.signer;
            if !core.signers.now().is_served(&signer, held.stamp) {
                return None;
            }
            // Who pushes what is here was not served it: bytes that nobody believes must not stand in the way for ever.
            crate::ingest::replica(core, held).await.ok()
        }
        _ => (held.payload == admitted.payload).then_some(held),
    }
}

/// Sees to the copies of a record that this node keeps.
async fn keep(core: &Arc<Core>, record: Held, _pass: Pass) -> Result<Stored, Refusal> {
    let partition = record.id.partition();
    let mut stored = Stored { copies: 0, wanted: 0, stamp: record.stamp };
    for _ in 0..FOLLOWED_MAX {
        let layouts = core.book.now();
        let owners = layouts.owners(partition);
        stored.wanted = owners.len() as u8;
        stored.copies = spread(core, &record, &owners).await;
        if core.book.epoch() == layouts.epoch() {
            break;
        }
    }
    if !stored.is_acknowledged() {
        core.shelf.sync().await?;
    }
    Ok(stored)
}

/// Gives every other owner its copy, and returns how many nodes have one.
async fn spread(core: &Arc<Core>, record: &Held, owners: &[NodeId]) -> u8 {
    let own = u8::from(owners.contains(&core.id));
    let others: Vec<NodeId> = owners.iter().copied().filter(|&owner| owner != core.id).collect();
    let sent = join_all(others.iter().map(|&owner| core.peers.replicate(core, owner, record, None))).await;
    let away: Vec<NodeId> =
        others.iter().zip(&sent).filter(|(_, sent)| sent.is_err()).map(|(&owner, _)| owner).collect();
    let copies = own + (others.len() - away.len()) as u8;
    copies + stand_in(core, record, &away).await
}

/// Has other nodes keep a hint for each owner that is away; without any, this node keeps it, which is no further copy.
async fn stand_in(core: &Arc<Core>, record: &Held, away: &[NodeId]) -> u8 {
    let layouts = core.book.now();
    let members = stand_ins(layouts.newest(), record.id.partition()).map(|member| member.id);
    let mut candidates: Vec<NodeId> = members.filter(|&member| member != core.id).collect();
    candidates.reverse();
    let mut copies = 0;
    for &owner in away {
        let mut placed = false;
        while let (false, Some(candidate)) = (placed, candidates.pop()) {
            let kept: Result<_, PeerError> = core.peers.replicate(core, candidate, record, Some(owner)).await;
            placed = kept.is_ok();
        }
        copies += u8::from(placed);
        if !placed && core.shelf.put_hint(owner, record.clone()).await.is_err() {
            tracing::warn!(node = %owner, "no hint could be kept for a node that is away");
        }
    }
    copies
}
