//! Looking for a compile on the ring within one budget: best replica first, the next one when it fails or takes too long.
//!
//! Invariant: nothing reaches the wrapper that [`super::import`] has not accepted. The budget bounds everything but the
//! arrival of bulk bytes, which may go on as long as they flow.

use super::flow::Flow;
use super::import::{Answered, Imported, Judge, Verdict};
use super::policy::Policy;
use super::ring::{NoAnswer, Node, Ring, reason};
use dccache_protocol::ids::Namespace;
use dccache_protocol::keys::{EntryKey, RecordId};
use dccache_protocol::limits;
use dccache_protocol::local::{Distrust, Unavailable};
use dccache_protocol::service::{
    BulkAnswer, BulkRequest, Carried, Content, Find, Found, RecordKind, Refusal,
};
use dccache_protocol::time::ReceiptStamp;
use dccache_transport::bulk::{Patience, transfer_within};
use dccache_transport::pool::Fault;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
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
pub(super) enum Sought {
    /// An entry that was accepted.
    Found(Box<Imported>),
    /// Nothing.
    Missed,
    /// An entry that was not accepted, on every replica that had one.
    Distrusted(Distrust),
    /// No answer.
    Unavailable(Unavailable),
}

/// Looks things up; shared by all connections.
#[derive(Debug)]
pub(super) struct Seeker {
    ring: Arc<Ring>,
    policy: Policy,
    memory: Semaphore,
}

/// One look-up.
struct Query<'a> {
    namespace: &'a Namespace,
    keys: &'a [EntryKey],
    deadline: Instant,
    budget: Duration,
    flowing: &'a Notify,
}

impl Seeker {
    pub(super) fn new(ring: Arc<Ring>, policy: Policy) -> Self {
        Self { ring, policy, memory: Semaphore::new(MEMORY) }
    }

    /// Returns the ring that is asked.
    pub(super) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Looks for the first of some keys. `flowing` is notified while bulk bytes arrive.
    pub(super) async fn find(
        &self,
        namespace: &Namespace,
        keys: &[EntryKey],
        budget: Duration,
        flowing: &Notify,
    ) -> Sought {
        let deadline = Instant::now() + budget;
        let mut worst = Sought::Missed;
        // The `Free` and the `Bound` key of one compile have the same owners, so this is one round nearly always.
        for group in keys.chunk_by(|a, b| a.partition() == b.partition()) {
            let query = Query { namespace, keys: group, deadline, budget, flowing };
            match self.ask_owners(&query).await {
                found @ Sought::Found(_) => return found,
                Sought::Missed => {}
                other => worst = other,
            }
        }
        worst
    }

    async fn ask_owners(&self, query: &Query<'_>) -> Sought {
        let Some(partition) = query.keys.first().map(EntryKey::partition) else { return Sought::Missed };
        let mut owners = self.ring.owners(partition).into_iter();
        let mut asked = FuturesUnordered::new();
        let mut worst = None;
        let mut hedge = query.budget / HEDGE;
        loop {
            if asked.is_empty() {
                match owners.next() {
                    Some(owner) => asked.push(self.ask(owner, query)),
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
                    Some(owner) => asked.push(self.ask(owner, query)),
                    // Everybody is asked; from here on their own deadlines count.
                    None => hedge = Duration::MAX,
                },
            }
        }
    }

    async fn ask(&self, owner: Node, query: &Query<'_>) -> Sought {
        let request =
            Find { epoch: self.ring.epoch(), namespace: query.namespace.clone(), keys: query.keys.to_vec() };
        let answer = self
            .ring
            .ask(&owner, query.deadline, async move |cache, context| cache.find(context, request).await);
        match answer.await {
            Ok(Some(found)) => self.import(&owner, found, query).await,
            Ok(None) => Sought::Missed,
            Err(NoAnswer::Unavailable(reason)) => Sought::Unavailable(reason),
            Err(NoAnswer::Refused(Refusal::Unavailable)) => Sought::Unavailable(Unavailable::Unreachable),
            Err(NoAnswer::Refused(_)) => Sought::Unavailable(Unavailable::Refused),
        }
    }

    async fn import(&self, owner: &Node, found: Found, query: &Query<'_>) -> Sought {
        let (key, alias) = (found.key, found.alias.map(|alias| alias.0));
        let (stamp, bundle, _held) = match self.carried(owner, found.bundle, query).await {
            Ok(carried) => carried,
            Err(reason) => return reason,
        };
        let answered = Answered { key, alias: alias.as_deref(), stamp, bundle: &bundle };
        let verdict = match self.judge(&answered, query) {
            Err(Verdict::UnknownSigner(_)) => {
                // A colleague who joined a moment ago. Once: a node that invents signers gains nothing.
                let _ = self.ring.refresh_signers(owner, query.deadline).await;
                self.judge(&answered, query)
            }
            other => other,
        };
        match verdict {
            Ok(imported) => Sought::Found(Box::new(imported)),
            Err(verdict) => {
                let reason = Distrust::from(verdict);
                tracing::warn!(node = %owner.id, ?reason, "an entry is not accepted");
                Sought::Distrusted(reason)
            }
        }
    }

    fn judge(&self, answered: &Answered<'_>, query: &Query<'_>) -> Result<Imported, Verdict> {
        let signers = self.ring.signers();
        let judge = Judge {
            signers: &signers,
            policy: &self.policy,
            own: self.ring.own(),
            namespace: query.namespace,
            keys: query.keys,
        };
        judge.import(answered)
    }

    /// Returns the bytes of a bundle, fetched over a bulk stream where they did not come with the answer.
    async fn carried(
        &self,
        owner: &Node,
        carried: Carried,
        query: &Query<'_>,
    ) -> Result<(ReceiptStamp, Vec<u8>, Option<tokio::sync::SemaphorePermit<'_>>), Sought> {
        let (id, length) = match carried.content {
            Content::Inline(bytes) => return Ok((carried.stamp, bytes.0, None)),
            Content::Bulk { id, length } if length <= limits::BUNDLE_MAX as u64 => (id, length),
            Content::Bulk { .. } => return Err(Sought::Distrusted(Distrust::Malformed)),
        };
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let held = timeout_at(query.deadline, self.memory.acquire_many(units)).await;
        let held = held.ok().and_then(Result::ok).ok_or(Sought::Unavailable(Unavailable::Busy))?;
        let (stamp, bytes) = self.fetch(owner, id, query).await?;
        Ok((stamp, bytes, Some(held)))
    }

    async fn fetch(
        &self,
        owner: &Node,
        id: RecordId,
        query: &Query<'_>,
    ) -> Result<(ReceiptStamp, Vec<u8>), Sought> {
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

/// Keeps the reason that says most: distrust before a failure, and any failure before a breaker that only remembers one.
fn worse(known: Option<Sought>, next: Sought) -> Sought {
    let weight = |sought: &Sought| match sought {
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
