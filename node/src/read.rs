//! Reads: what this node holds, else, while it may lack something, what another owner holds.

use crate::core::Core;
use crate::shelf::Held;
use crate::write::keep_copy;
use dccache_protocol::bundle::Bundle;
use dccache_protocol::codec::Format as _;
use dccache_protocol::entry::{Alias, AliasClaim};
use dccache_protocol::ids::{Namespace, NodeId, Partition};
use dccache_protocol::keys::{EntryKey, ManifestKey, RecordId};
use dccache_protocol::limits::{INLINE_MAX, PROBE_KEYS_MAX, SUGGESTED_MAX};
use dccache_protocol::manifest::Manifest;
use dccache_protocol::service::{
    Bytes, Carried, Content, Find, FindManifests, Found, FoundManifests, RecordKind, Refusal,
};
use dccache_storage::PutOutcome;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the owner of an alias's target may take for a bundle that comes along unasked.
const AT_ONCE: Duration = Duration::from_millis(20);

/// Most nodes asked for one record: the owners under two layouts with the most replicas.
const ASKED_MAX: usize = 2 * dccache_protocol::limits::REPLICAS_MAX;

/// Looks for the first of some keys that has an entry.
///
/// # Errors
/// [`Refusal::Malformed`], and [`Refusal::NotOwner`] when none of the keys could be here and none is.
pub(crate) async fn find(core: &Arc<Core>, request: &Find) -> Result<Option<Found>, Refusal> {
    if request.keys.len() > PROBE_KEYS_MAX {
        return Err(Refusal::Malformed);
    }
    core.counters.finds.add(1);
    for key in &request.keys {
        let Some(found) = resolve(core, &request.namespace, *key).await else { continue };
        core.counters.hits.add(1);
        if let Content::Inline(bytes) = &found.bundle.content {
            core.counters.bytes_out.add(bytes.0.len() as u64);
        }
        return Ok(Some(found));
    }
    let layouts = core.book.now();
    let is_ours = |key: &EntryKey| layouts.owned_lately(core.id, key.partition());
    if request.keys.is_empty() || request.keys.iter().any(is_ours) {
        Ok(None)
    } else {
        Err(Refusal::NotOwner)
    }
}

/// Finds the bundle of a key, through an alias if there is one.
async fn resolve(core: &Arc<Core>, namespace: &Namespace, key: EntryKey) -> Option<Found> {
    let record = locate(core, key.record_id(namespace)).await?;
    match record.kind {
        RecordKind::Bundle => Some(Found { key, alias: None, bundle: served(core, &record)? }),
        RecordKind::Alias => {
            let claim = believed_alias(core, &record)?;
            let bundle = match reach(core, claim.target.record_id(namespace)).await? {
                Reached::Record(target) => led_to(core, &claim, &target)?,
                Reached::Elsewhere(carried) => carried,
            };
            Some(Found { key, alias: Some(Bytes(record.payload.to_vec())), bundle })
        }
        RecordKind::Manifest | RecordKind::Attestation | RecordKind::Tombstone => None,
    }
}

/// Reads an alias; `None` when its signer's word no longer counts.
fn believed_alias(core: &Arc<Core>, record: &Held) -> Option<AliasClaim> {
    let claim = Alias::from_bytes(&record.payload).ok()?.claim;
    core.signers.now().is_served(&claim.signer, record.stamp).then_some(claim)
}

/// Returns an alias's target as it goes to a client; `None` when it is no bundle, holds other outputs than the alias says, or its signer's
/// word no longer counts: a consumer would refuse it, so it is a miss, which the next compile mends.
fn led_to(core: &Arc<Core>, alias: &AliasClaim, target: &Held) -> Option<Carried> {
    let entry = Bundle::parse(&target.payload).ok()?.head.entry.claim;
    let leads = alias.leads(alias.cluster, &alias.namespace, alias.key, &entry);
    if leads { served(core, target) } else { None }
}

/// Returns a bundle as it goes to a client; `None` when its signer's word no longer counts.
fn served(core: &Arc<Core>, record: &Held) -> Option<Carried> {
    let signer = Bundle::parse(&record.payload).ok()?.head.entry.claim.signer;
    core.signers.now().is_served(&signer, record.stamp).then(|| carried(record))
}

/// Reads a bundle by its id for a client: of the namespace that it names, and from a signer whose word counts, like any other answer.
pub(crate) async fn bundle(core: &Arc<Core>, namespace: &Namespace, id: RecordId) -> Option<Held> {
    let record = locate_anywhere(core, id).await.filter(|record| record.kind == RecordKind::Bundle)?;
    let claim = Bundle::parse(&record.payload).ok()?.head.entry.claim;
    let served = core.signers.now().is_served(&claim.signer, record.stamp);
    (served && claim.namespace == *namespace).then_some(record)
}

/// Returns a record as it travels in an answer.
pub(crate) fn carried(record: &Held) -> Carried {
    let length = record.payload.len();
    let content = if length <= INLINE_MAX {
        Content::Inline(Bytes(record.payload.to_vec()))
    } else {
        Content::Bulk { id: record.id, length: length as u64 }
    };
    Carried { stamp: record.stamp, content }
}

/// Reads the manifests of one command, and the newest bundle that they suggest when it is small and at hand.
///
/// # Errors
/// As [`find`].
pub(crate) async fn manifests(core: &Arc<Core>, request: &FindManifests) -> Result<FoundManifests, Refusal> {
    if request.keys.len() > PROBE_KEYS_MAX {
        return Err(Refusal::Malformed);
    }
    core.counters.finds.add(1);
    let mut found = FoundManifests::default();
    let mut newest = Vec::new();
    for &key in &request.keys {
        let Some(record) = locate(core, key.record_id(&request.namespace)).await else { continue };
        let Ok(mut manifest) = Manifest::from_bytes(&record.payload) else { continue };
        let mut bytes = record.payload.to_vec();
        while bytes.len() > SUGGESTED_MAX / request.keys.len() && manifest.suggestions.pop().is_some() {
            bytes = manifest.to_bytes();
        }
        let first = manifest.suggestions.first();
        newest.extend(first.map(|suggestion| (suggestion.received, suggestion.direct)));
        core.counters.bytes_out.add(bytes.len() as u64);
        found.manifests.push((key, Bytes(bytes)));
    }
    let layouts = core.book.now();
    let is_ours = |key: &ManifestKey| layouts.owned_lately(core.id, Partition::of(key.digest()));
    if found.manifests.is_empty() {
        let misplaced = !request.keys.is_empty() && !request.keys.iter().any(is_ours);
        return if misplaced { Err(Refusal::NotOwner) } else { Ok(found) };
    }
    core.counters.hits.add(1);
    newest.sort_unstable();
    for (_, direct) in newest.into_iter().rev() {
        found.newest = at_hand(core, &request.namespace, EntryKey::Direct(direct)).await;
        if found.newest.is_some() {
            break;
        }
    }
    Ok(found)
}

/// Returns the bundle of a key when it is small and this node holds it, or the owner of an alias's target answers at once: a hop between
/// nodes is shorter than a second one of the client.
async fn at_hand(core: &Arc<Core>, namespace: &Namespace, key: EntryKey) -> Option<Found> {
    let record = core.shelf.get(key.record_id(namespace)).await?;
    let (alias, record) = match record.kind {
        RecordKind::Bundle => (None, record),
        RecordKind::Alias => {
            let claim = believed_alias(core, &record)?;
            let reached = timeout(AT_ONCE, reach(core, claim.target.record_id(namespace))).await.ok()?;
            let Some(Reached::Record(target)) = reached else { return None };
            led_to(core, &claim, &target)?;
            (Some(Bytes(record.payload.to_vec())), target)
        }
        _ => return None,
    };
    let small = record.kind == RecordKind::Bundle && record.payload.len() <= INLINE_MAX;
    if small { served(core, &record).map(|bundle| Found { key, alias, bundle }) } else { None }
}

/// The target of an alias.
enum Reached {
    /// The record itself.
    Record(Held),
    /// Where a large one lies: its owners give it to the client, who checks it, without a way through this node.
    Elsewhere(Carried),
}

/// Finds the target of an alias: its owners are others, most of the time.
async fn reach(core: &Arc<Core>, id: RecordId) -> Option<Reached> {
    let layouts = core.book.now();
    if layouts.owns(core.id, id.partition()) {
        return locate(core, id).await.map(Reached::Record);
    }
    if let Some(held) = core.shelf.get(id).await {
        return Some(Reached::Record(held));
    }
    let owners = layouts.read_order(id.partition());
    for owner in owners.into_iter().filter(|&owner| owner != core.id).take(ASKED_MAX) {
        match core.peers.peek(core, owner, id).await {
            Ok(Some(carried)) if matches!(carried.content, Content::Bulk { .. }) => {
                return Some(Reached::Elsewhere(carried));
            }
            Ok(Some(Carried { stamp, content: Content::Inline(bytes) })) => {
                let record = Held { id, kind: RecordKind::Bundle, stamp, payload: bytes.0.into() };
                match crate::ingest::replica(core, record).await {
                    Ok(record) => return Some(Reached::Record(record)),
                    Err(refusal) => tracing::debug!(node = %owner, %refusal, "a copy is refused"),
                }
            }
            _ => {}
        }
    }
    None
}

/// Reads a record of this node; while the node may lack it, of the other owners too.
pub(crate) async fn locate(core: &Arc<Core>, id: RecordId) -> Option<Held> {
    if let Some(held) = core.shelf.get(id).await {
        return Some(held);
    }
    let may_lack =
        core.handoff.is_pending(id.partition()) || core.catchup.is_behind() || core.shelf.lacks(&id);
    let owned = core.book.now().owned_lately(core.id, id.partition());
    if may_lack && owned { ask_others(core, id).await } else { None }
}

/// Reads a record wherever it is: for targets of aliases, whose owners can be others.
pub(crate) async fn locate_anywhere(core: &Arc<Core>, id: RecordId) -> Option<Held> {
    if core.book.now().owns(core.id, id.partition()) {
        return locate(core, id).await;
    }
    match core.shelf.get(id).await {
        Some(held) => Some(held),
        None => ask_others(core, id).await,
    }
}

/// Asks the other owners in turn; what an owner should have had is kept.
async fn ask_others(core: &Arc<Core>, id: RecordId) -> Option<Held> {
    let layouts = core.book.now();
    let mut order: Vec<NodeId> = layouts.read_order(id.partition());
    order.extend(core.handoff.from(id.partition()));
    let mut asked = BTreeSet::from([core.id]);
    order.retain(|&owner| asked.insert(owner));
    let mut all_answered = true;
    for owner in order.into_iter().take(ASKED_MAX) {
        let record = match core.peers.fetch(core, owner, id).await {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(_) => {
                all_answered = false;
                continue;
            }
        };
        // A copy is judged like any other before it is kept or passed on.
        match crate::ingest::replica(core, record).await {
            Ok(record) => {
                bring_back(core, &record).await;
                return Some(record);
            }
            Err(Refusal::Unavailable) => all_answered = false,
            Err(_) => {}
        }
    }
    if all_answered {
        core.shelf.settle(&id);
    }
    None
}

/// Keeps what this node owns and did not have.
async fn bring_back(core: &Arc<Core>, record: &Held) {
    if !core.book.now().owns(core.id, record.id.partition()) {
        core.shelf.settle(&record.id);
        return;
    }
    let kept = match record.kind {
        RecordKind::Manifest => keep_copy(core, record.clone()).await.map(|_| true),
        _ => core.shelf.put(record.clone()).await.map(|outcome| outcome == PutOutcome::Stored),
    };
    if let Ok(is_new) = kept {
        core.shelf.settle(&record.id);
        core.counters.healed.add(u64::from(is_new));
    }
}

/// Brings some damaged records back from the other owners.
pub(crate) async fn heal(core: &Arc<Core>, limit: usize) {
    for id in core.shelf.lacking(limit) {
        let owned = core.book.now().owns(core.id, id.partition());
        if !owned || core.shelf.stamp_of(id).await.is_some() {
            core.shelf.settle(&id);
        } else {
            ask_others(core, id).await;
        }
    }
}
