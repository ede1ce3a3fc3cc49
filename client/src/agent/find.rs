//! Looking for a compile on the ring within one budget: best replica first, the next one when it fails or takes too long.
//!
//! Invariant: nothing reaches the wrapper that [`super::import`] has not accepted; contents it checks itself, and has them checked here where they differ. The budget bounds everything but the
//! arrival of bulk bytes, which may go on as long as they flow.

use super::counters::Counter;
use super::flow::Flow;
use super::import::{Answered, Contents, Imported, Judge, Verdict};
use super::policy::Policy;
use super::ring::{NoAnswer, Node, Ring, reason};
use dccache_protocol::ids::{Namespace, NodeId, Partition};
use dccache_protocol::keys::{EntryKey, RecordId};
use dccache_protocol::limits;
use dccache_protocol::local::{Distrust, Reply, Unavailable};
use dccache_protocol::service::{
    BulkAnswer, BulkRequest, Carried, Content, Find, Found, RecordKind, Refusal,
};
use dccache_protocol::time::ReceiptStamp;
use dccache_transport::bulk::{Patience, transfer_within};
use dccache_transport::pool::Fault;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Share of the budget after which the next replica is asked as well.
const HEDGE: u32 = 4;

/// Bytes of one permit of the memory for bulk values.
const UNIT: u64 = 1 << 20;

/// Memory for bulk values that arrive at the same time, in [`UNIT`]s: two of the largest.
const MEMORY: usize = 2 * limits::BUNDLE_MAX / UNIT as usize;

/// What the ring says about some keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sought<T> {
    /// What was looked for.
    Found(T),
    /// Nothing.
    Missed,
    /// Something that was not accepted, on every replica that had it.
    Distrusted(Distrust),
    /// No answer.
    Unavailable(Unavailable),
}

/// Looks things up; shared by all connections.
#[derive(Debug)]
pub(super) struct Seeker {
    pub(super) ring: Arc<Ring>,
    policy: Policy,
    memory: Semaphore,
    unchecked: Unchecked,
    /// Entries found and not accepted.
    pub(super) distrusted: Counter,
}

/// One look-up: where it asks, how long it may take, and who hears that bulk bytes arrive.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) deadline: Instant,
    pub(super) budget: Duration,
    pub(super) flowing: &'a Notify,
    pub(super) contents: Contents,
}

impl<'a> Query<'a> {
    /// Begins a look-up now.
    pub(super) fn within(budget: Duration, namespace: &'a Namespace, flowing: &'a Notify) -> Self {
        let deadline = Instant::now() + budget;
        Self { namespace, deadline, budget, flowing, contents: Contents::Unchecked }
    }
}

impl Seeker {
    pub(super) fn new(ring: Arc<Ring>, policy: Policy) -> Self {
        let (unchecked, distrusted) = (Unchecked::default(), Counter::default());
        Self { ring, policy, memory: Semaphore::new(MEMORY), unchecked, distrusted }
    }

    /// Blames the node that answered for one of `keys` last: the contents of that answer were found to differ from what was signed.
    pub(super) fn blame(&self, keys: &[EntryKey]) {
        if let Some(node) = self.unchecked.take(keys) {
            self.distrust(node, Distrust::Digest);
        }
    }

    fn distrust(&self, node: NodeId, reason: Distrust) {
        self.distrusted.add();
        tracing::warn!(%node, ?reason, "an entry is not accepted");
    }

    /// Returns the ring that is asked.
    pub(super) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Looks for the first of some keys.
    pub(super) async fn find(&self, keys: &[EntryKey], query: &Query<'_>) -> Sought<Box<Imported>> {
        let mut worst = Sought::Missed;
        // The `Free` and the `Bound` key of one compile have the same owners, so this is one round nearly always.
        for group in keys.chunk_by(|a, b| a.partition() == b.partition()) {
            let Some(partition) = group.first().map(EntryKey::partition) else { continue };
            match self.ask_owners(partition, query, |owner| self.ask(owner, group, query)).await {
                found @ Sought::Found(_) => return found,
                Sought::Missed => {}
                other => worst = other,
            }
        }
        worst
    }

    /// Asks the owners of a partition, the next one as well when one takes too long; the first that knows answers for all.
    pub(super) async fn ask_owners<T, F: Future<Output = Sought<T>>>(
        &self,
        partition: Partition,
        query: &Query<'_>,
        ask: impl Fn(Node) -> F,
    ) -> Sought<T> {
        let mut owners = self.ring.owners(partition).into_iter();
        let mut asked = FuturesUnordered::new();
        let mut worst = None;
        let mut hedge = query.budget / HEDGE;
        loop {
            if asked.is_empty() {
                match owners.next() {
                    Some(owner) => asked.push(ask(owner)),
                    None => return worst.unwrap_or(Sought::Unavailable(Unavailable::Unreachable)),
                }
            }
            let next = tokio::time::timeout(hedge, asked.next()).await;
            match next {
                Ok(Some(Sought::Found(found))) => return Sought::Found(found),
                Ok(Some(Sought::Missed)) if worst.is_none() => return Sought::Missed,
                Ok(Some(Sought::Missed)) | Ok(None) => {}
                Ok(Some(other)) => worst = Some(worse(worst, other)),
                Err(_slow) => match owners.next() {
                    Some(owner) => asked.push(ask(owner)),
                    // Everybody is asked; from here on their own deadlines count.
                    None => hedge = Duration::MAX,
                },
            }
        }
    }

    /// Asks one owner. A node answers with the first key that has an entry: one that is not accepted must not hide those behind it.
    async fn ask(&self, owner: Node, keys: &[EntryKey], query: &Query<'_>) -> Sought<Box<Imported>> {
        let mut keys = keys.to_vec();
        let mut distrusted = None;
        loop {
            let found = match self.first_of(&owner, &keys, query).await {
                Ok(found) => found,
                Err(Sought::Missed) => return distrusted.map_or(Sought::Missed, Sought::Distrusted),
                Err(other) => return other,
            };
            let named = found.key;
            match self.import(&owner, found, &keys, query).await {
                Sought::Distrusted(reason) if keys.len() > 1 && keys.contains(&named) => {
                    keys.retain(|key| *key != named);
                    distrusted = Some(reason);
                }
                other => return other,
            }
        }
    }

    async fn first_of(
        &self,
        owner: &Node,
        keys: &[EntryKey],
        query: &Query<'_>,
    ) -> Result<Found, Sought<Box<Imported>>> {
        let request =
            Find { epoch: self.ring.epoch(), namespace: query.namespace.clone(), keys: keys.to_vec() };
        let answer = self
            .ring
            .ask(owner, query.deadline, async move |cache, context| cache.find(context, request).await);
        answer.await.map_err(Sought::no_answer)?.ok_or(Sought::Missed)
    }

    /// Judges what a node says to have found under one of `keys`.
    pub(super) async fn import(
        &self,
        owner: &Node,
        found: Found,
        keys: &[EntryKey],
        query: &Query<'_>,
    ) -> Sought<Box<Imported>> {
        let (key, alias) = (found.key, found.alias.map(|alias| alias.0));
        let (stamp, bundle, held) = match self.carried(owner, found.bundle, query).await {
            Ok(carried) => carried,
            Err(reason) => {
                if let Sought::Distrusted(reason) = reason {
                    self.distrust(owner.id, reason);
                }
                return reason;
            }
        };
        // A second question would need the time of another transfer: who lies about so much is found out at once.
        let contents = if held.is_some() { Contents::Checked } else { query.contents };
        let query = &Query { contents, ..*query };
        let answered = Answered { key, alias: alias.as_deref(), stamp, bundle: &bundle };
        let verdict = match self.judge(&answered, keys, query) {
            Err(Verdict::UnknownSigner(_)) => {
                // A colleague who joined a moment ago. Once: a node that invents signers gains nothing.
                let _ = self.ring.refresh_signers(owner, query.deadline).await;
                self.judge(&answered, keys, query)
            }
            other => other,
        };
        match verdict {
            Ok(imported) => {
                if contents == Contents::Unchecked {
                    self.unchecked.note(key, owner.id);
                }
                Sought::Found(Box::new(imported))
            }
            Err(verdict) => {
                let reason = Distrust::from(verdict);
                self.distrust(owner.id, reason);
                Sought::Distrusted(reason)
            }
        }
    }

    fn judge(
        &self,
        answered: &Answered<'_>,
        keys: &[EntryKey],
        query: &Query<'_>,
    ) -> Result<Imported, Verdict> {
        let signers = self.ring.signers();
        let judge = Judge {
            signers: &signers,
            policy: &self.policy,
            own: self.ring.own(),
            namespace: query.namespace,
            keys,
            contents: query.contents,
        };
        judge.import(answered)
    }

    /// Returns the bytes of a bundle, fetched over a bulk stream where they did not come with the answer.
    async fn carried(
        &self,
        owner: &Node,
        carried: Carried,
        query: &Query<'_>,
    ) -> Result<(ReceiptStamp, Vec<u8>, Option<tokio::sync::SemaphorePermit<'_>>), Sought<Box<Imported>>>
    {
        let (id, length) = match carried.content {
            Content::Inline(bytes) => return Ok((carried.stamp, bytes.0, None)),
            Content::Bulk { id, length } if length <= limits::BUNDLE_MAX as u64 => (id, length),
            Content::Bulk { .. } => return Err(Sought::Distrusted(Distrust::Malformed)),
        };
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let held = timeout_at(query.deadline, self.memory.acquire_many(units)).await;
        let held = held.ok().and_then(Result::ok).ok_or(Sought::Unavailable(Unavailable::Busy))?;
        let mut fetched = Err(Sought::Missed);
        for holder in self.holders(owner, id) {
            fetched = self.fetch(&holder, id, query).await;
            if fetched.is_ok() {
                break;
            }
        }
        fetched.map(|(stamp, bytes)| (stamp, bytes, Some(held)))
    }

    /// Returns whom to ask for a large record: whoever named it, or its own owners when it is an alias's target that lies elsewhere.
    fn holders(&self, named_by: &Node, id: RecordId) -> Vec<Node> {
        let owners = self.ring.owners(id.partition());
        if owners.is_empty() || owners.contains(named_by) { vec![named_by.clone()] } else { owners }
    }

    async fn fetch(
        &self,
        owner: &Node,
        id: RecordId,
        query: &Query<'_>,
    ) -> Result<(ReceiptStamp, Vec<u8>), Sought<Box<Imported>>> {
        let unavailable = |error| Sought::Unavailable(reason(&error));
        let stream = self.ring.pool.bulk(owner.id, &owner.addresses, query.deadline).await;
        let mut stream = Flow::new(stream.map_err(unavailable)?, query.flowing);
        let request = BulkRequest::Get { epoch: self.ring.epoch(), namespace: query.namespace.clone(), id };
        let patience = Patience { answer_by: query.deadline, stall: query.budget };
        match transfer_within(&mut stream, &request, &[], patience).await {
            Ok((answer, bytes)) => {
                self.ring.pool.give_back(owner.id, stream.into_inner());
                match answer {
                    BulkAnswer::Record { kind: RecordKind::Bundle, stamp, .. } => Ok((stamp, bytes)),
                    BulkAnswer::Missing => Err(Sought::Missed),
                    BulkAnswer::Refused(_) => Err(Sought::Unavailable(Unavailable::Refused)),
                    _ => Err(Sought::Distrusted(Distrust::Malformed)),
                }
            }
            Err(error) => {
                self.ring.pool.failed(owner.id, Fault::Slow, "a bulk transfer failed");
                tracing::debug!(node = %owner.id, %error, "a bulk transfer failed");
                Err(Sought::Unavailable(Unavailable::TimedOut))
            }
        }
    }
}

/// Answers that are remembered until their contents can have been looked at: more than compiles that run at once.
const UNCHECKED_MAX: usize = 256;

/// Who gave the latest answers whose contents the wrapper checks.
#[derive(Debug, Default)]
struct Unchecked(Mutex<VecDeque<(EntryKey, NodeId)>>);

impl Unchecked {
    fn note(&self, key: EntryKey, node: NodeId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == UNCHECKED_MAX {
            known.pop_front();
        }
        known.push_back((key, node));
    }

    fn take(&self, keys: &[EntryKey]) -> Option<NodeId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().rposition(|(key, _)| keys.contains(key))?;
        known.remove(at).map(|(_, node)| node)
    }
}

impl<T> Sought<T> {
    /// Returns what was found, or the reply that says why nothing is.
    pub(super) fn into_result(self) -> Result<T, Reply> {
        match self {
            Self::Found(found) => Ok(found),
            Self::Missed => Err(Reply::Missed),
            Self::Distrusted(reason) => Err(Reply::Distrusted(reason)),
            Self::Unavailable(reason) => Err(Reply::Unavailable(reason)),
        }
    }

    /// Says what it means for a look-up that a node gave no answer.
    pub(super) fn no_answer(reason: NoAnswer) -> Self {
        match reason {
            NoAnswer::Unavailable(reason) => Self::Unavailable(reason),
            NoAnswer::Refused(Refusal::Unavailable) => Self::Unavailable(Unavailable::Unreachable),
            NoAnswer::Refused(_) => Self::Unavailable(Unavailable::Refused),
        }
    }
}

/// Keeps the reason that says most: distrust before a failure, and any failure before a breaker that only remembers one.
fn worse<T>(known: Option<Sought<T>>, next: Sought<T>) -> Sought<T> {
    let weight = |sought: &Sought<T>| match sought {
        Sought::Distrusted(_) => 3,
        Sought::Unavailable(Unavailable::BreakerOpen) => 1,
        Sought::Unavailable(_) => 2,
        Sought::Found(_) | Sought::Missed => 0,
    };
    match known {
        Some(known) if weight(&known) >= weight(&next) => known,
        _ => next,
    }
}
