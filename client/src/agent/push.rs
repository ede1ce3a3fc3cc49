//! Pushing what the journal holds: sign, send each part to one of its owners, keep until all of it is acknowledged.
//!
//! Invariants: a push leaves the journal only when it is on as many nodes as the ring wants, or refused for good, or torn. Its parts go one
//! after the other, each once the one before is acknowledged: nothing leads to what is not there yet.

use super::journal::Sequence;
use super::parts::{Content, Part, parts};
use super::ring::{NoAnswer, Node, Ring, reason};
use super::schedule::{Hurry, Schedule};
use super::state::Agent;
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::ManifestKey;
use dccache_protocol::limits;
use dccache_protocol::local::Unavailable;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Bytes, Put, PutAlias, Refusal, Stored, Suggest};
use dccache_transport::bulk::{Patience, transfer_within};
use dccache_transport::pool::Fault;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Pushes under way at once: enough to keep a distant ring busy, few beside the compilers.
const AT_ONCE: usize = 4;

/// Memory for bundles under way, in [`UNIT`]s: one of the largest and many of the usual ones.
const MEMORY: usize = (limits::BUNDLE_MAX + (64 << 20)) / UNIT;

/// Bytes of one permit of the memory for bundles.
const UNIT: usize = 1 << 20;

/// Longest wait for the answer to a push; the owner replicates before it answers.
const ANSWER: Duration = Duration::from_secs(20);

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    /// On as many nodes as the ring wants.
    Acknowledged,
    /// Refused for good.
    Dropped,
    /// Torn; the journal has removed and counted it.
    Gone,
    /// Not now: so many of its parts are acknowledged.
    Later(usize),
}

/// Pushes until the agent ends.
pub(super) async fn run(agent: Arc<Agent>, ring: Arc<Ring>) {
    let origin = Instant::now();
    let memory = Arc::new(Semaphore::new(MEMORY));
    let mut schedule = Schedule::default();
    // Parts acknowledged so far. A new agent begins anew: the ring knows what it has.
    let mut known = BTreeMap::new();
    let mut under_way = JoinSet::new();
    let mut hurried = 0;
    loop {
        for sequence in agent.journal.waiting() {
            if let Entry::Vacant(unknown) = known.entry(sequence) {
                unknown.insert(0);
                schedule.add(sequence);
            }
        }
        let flushes = agent.flushes.load(Ordering::Relaxed);
        if flushes != hurried {
            hurried = flushes;
            schedule.hurry();
        }
        while under_way.len() < AT_ONCE {
            let Some(sequence) = schedule.take(origin.elapsed()) else { break };
            let done = known.get(&sequence).copied().unwrap_or(0);
            under_way.spawn(push(Arc::clone(&agent), Arc::clone(&ring), Arc::clone(&memory), sequence, done));
        }
        let due = schedule.due().filter(|_| under_way.len() < AT_ONCE);
        tokio::select! {
            Some(ended) = under_way.join_next() => match ended {
                Ok((sequence, pushed)) => settle(&agent, &mut schedule, &mut known, sequence, pushed, origin.elapsed()),
                Err(error) => tracing::error!(%error, "a push ended abnormally"),
            },
            () = agent.queued.notified() => {}
            () = sleep_until(origin + due.unwrap_or_default()), if due.is_some() => {}
            () = agent.stop.thrown() => return,
        }
    }
}

fn settle(
    agent: &Agent,
    schedule: &mut Schedule,
    known: &mut BTreeMap<Sequence, usize>,
    sequence: Sequence,
    pushed: Pushed,
    now: Duration,
) {
    match pushed {
        Pushed::Later(done) => {
            known.insert(sequence, done);
            let hurry = if agent.flushing.load(Ordering::Relaxed) > 0 { Hurry::Yes } else { Hurry::No };
            return schedule.failed(sequence, now, getrandom::u32().unwrap_or_default(), hurry);
        }
        Pushed::Acknowledged => agent.counters.pushed.add(),
        Pushed::Dropped => agent.counters.dropped.add(),
        Pushed::Gone => {}
    }
    agent.journal.remove(sequence);
    schedule.done(sequence);
    known.remove(&sequence);
    agent.left.notify_waiters();
}

async fn push(
    agent: Arc<Agent>,
    ring: Arc<Ring>,
    memory: Arc<Semaphore>,
    sequence: Sequence,
    done: usize,
) -> (Sequence, Pushed) {
    // File, body and bundle are held at the same time.
    let bytes = agent.journal.size_of(sequence).unwrap_or(0) as usize;
    let units = bytes.div_ceil(UNIT).min(MEMORY) as u32;
    let Ok(_held) = memory.acquire_many(units).await else { return (sequence, Pushed::Later(done)) };
    let journal = Arc::clone(&agent.journal);
    let waiting = tokio::task::spawn_blocking(move || journal.read(sequence)).await;
    let parts = match waiting {
        Ok(None) => return (sequence, Pushed::Gone),
        Ok(Some(waiting)) => parts(&ring, &waiting),
        Err(_) => return (sequence, Pushed::Later(done)),
    };
    let Some(parts) = parts else { return (sequence, Pushed::Dropped) };
    for (at, part) in parts.iter().enumerate().skip(done) {
        match send(&ring, part).await {
            Sent::Acknowledged => {}
            Sent::Refused => return (sequence, Pushed::Dropped),
            Sent::Later => return (sequence, Pushed::Later(at)),
        }
    }
    (sequence, Pushed::Acknowledged)
}

/// How sending one part ended.
enum Sent {
    /// On as many nodes as the ring wants.
    Acknowledged,
    /// Refused for good.
    Refused,
    /// Not now.
    Later,
}

async fn send(ring: &Arc<Ring>, part: &Part) -> Sent {
    for owner in ring.owners(part.partition) {
        let stored = match &part.content {
            Content::Bundle(bundle) if bundle.len() <= limits::INLINE_MAX => put(ring, &owner, bundle).await,
            Content::Bundle(bundle) => put_bulk(ring, &owner, bundle).await,
            Content::Alias(alias) => put_alias(ring, &owner, alias).await,
            Content::Suggestion { namespace, key, manifest } => {
                suggest(ring, &owner, namespace, *key, manifest).await
            }
        };
        match &stored {
            Ok(_) => ring.took_a_push(owner.id, Ok(())),
            Err(NoAnswer::Refused(refusal)) => ring.took_a_push(owner.id, Err(*refusal)),
            Err(NoAnswer::Unavailable(_)) => {}
        }
        match stored {
            Ok(stored) if stored.is_acknowledged() => return Sent::Acknowledged,
            Ok(stored) => {
                tracing::debug!(copies = stored.copies, wanted = stored.wanted, "accepted, not acknowledged");
                return Sent::Later;
            }
            Err(NoAnswer::Refused(refusal)) if is_final(refusal) => {
                tracing::warn!(node = %owner.id, %refusal, "a push is refused for good");
                return Sent::Refused;
            }
            Err(reason) => tracing::debug!(node = %owner.id, ?reason, "a push did not succeed"),
        }
    }
    Sent::Later
}

/// Tells whether no later time and no other owner would take it.
fn is_final(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NotAllowed | Refusal::SignerNotAllowed | Refusal::NotAuthentic | Refusal::Malformed
    )
}

async fn put(ring: &Arc<Ring>, owner: &Node, bundle: &[u8]) -> Result<Stored, NoAnswer> {
    let request = Put { epoch: ring.epoch(), bundle: Bytes(bundle.to_vec()) };
    let deadline = Instant::now() + ANSWER;
    ring.ask(owner, deadline, async move |cache, context| cache.put(context, request).await).await
}

async fn put_alias(ring: &Arc<Ring>, owner: &Node, alias: &[u8]) -> Result<Stored, NoAnswer> {
    let request = PutAlias { epoch: ring.epoch(), alias: Bytes(alias.to_vec()) };
    let deadline = Instant::now() + ANSWER;
    ring.ask(owner, deadline, async move |cache, context| cache.put_alias(context, request).await).await
}

async fn suggest(
    ring: &Arc<Ring>,
    owner: &Node,
    namespace: &Namespace,
    key: ManifestKey,
    manifest: &[u8],
) -> Result<Stored, NoAnswer> {
    let (epoch, namespace) = (ring.epoch(), namespace.clone());
    let request = Suggest { epoch, namespace, key, manifest: Bytes(manifest.to_vec()) };
    let deadline = Instant::now() + ANSWER;
    ring.ask(owner, deadline, async move |cache, context| cache.suggest(context, request).await).await
}

async fn put_bulk(ring: &Arc<Ring>, owner: &Node, bundle: &[u8]) -> Result<Stored, NoAnswer> {
    let deadline = Instant::now() + ANSWER;
    let opened = ring.pool.bulk(owner.id, &owner.addresses, deadline).await;
    let mut stream = opened.map_err(|error| NoAnswer::Unavailable(reason(&error)))?;
    let request = BulkRequest::Put { epoch: ring.epoch(), length: bundle.len() as u64 };
    // Sending keeps moving or fails by itself; the answer gets its time on top of what a slow line needs for the bytes.
    let sending = Duration::from_secs(bundle.len() as u64 / SLOWEST_LINE);
    let patience = Patience { answer_by: deadline + sending, stall: ANSWER };
    match transfer_within(&mut stream, &request, bundle, patience).await {
        Ok((answer, _)) => {
            ring.pool.give_back(owner.id, stream);
            match answer {
                BulkAnswer::Stored(stored) => Ok(stored),
                BulkAnswer::Refused(refusal) => {
                    // Bulk answers carry no layout.
                    if refusal == Refusal::NotOwner {
                        ring.catch_up(owner).await;
                    }
                    Err(NoAnswer::Refused(refusal))
                }
                _ => Err(NoAnswer::Refused(Refusal::Unavailable)),
            }
        }
        Err(error) => {
            ring.pool.failed(owner.id, Fault::Slow, "a bulk transfer failed");
            tracing::debug!(node = %owner.id, %error, "a bulk transfer failed");
            Err(NoAnswer::Unavailable(Unavailable::TimedOut))
        }
    }
}

/// Bytes per second of the slowest line over which a large bundle is still sent in one go.
const SLOWEST_LINE: u64 = 256 << 10;
