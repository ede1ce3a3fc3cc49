//! The agent as one value: what all of its tasks share, and the answer to each request.

use super::counters::Counters;
use super::find::{Query, Seeker};
use super::import::{Contents, Imported};
use super::journal::{Journal, Sequence};
use super::ring::Ring;
use super::run::Settings;
use super::stop::{Activity, Stop};
use super::suggestions::Suggested;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::limits;
use dccache_protocol::local::{AgentStatus, Reply, Request, Unavailable};
use dccache_protocol::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long a node may take to tell its counters.
const STATUS: Duration = Duration::from_secs(3);

/// Everything that the agent's tasks share.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Instant,
    pub(super) journal: Arc<Journal>,
    pub(super) counters: Counters,
    pub(super) activity: Activity,
    pub(super) stop: Stop,
    pub(super) standing: Standing,
    /// A push was queued, or somebody waits for the queue to empty.
    pub(super) queued: Notify,
    /// A push left the journal.
    pub(super) left: Notify,
    /// Flushes that were begun, in all.
    pub(super) flushes: AtomicUsize,
    /// Flushes that wait now.
    pub(super) flushing: AtomicUsize,
}

/// How this machine stands to a cluster.
#[derive(Debug)]
pub(super) enum Standing {
    /// In none.
    Alone,
    /// In one whose state on disk cannot be used.
    Broken,
    /// In one.
    Joined(Box<Seeker>),
}

impl Standing {
    fn seeker(&self) -> Result<&Seeker, Unavailable> {
        match self {
            Self::Alone => Err(Unavailable::NotJoined),
            Self::Broken => Err(Unavailable::NotTrusted),
            Self::Joined(seeker) => Ok(seeker),
        }
    }

    /// Returns the ring; `None` without one.
    pub(super) fn ring(&self) -> Option<&Arc<Ring>> {
        self.seeker().ok().map(Seeker::ring)
    }
}

impl Agent {
    /// Tells whether a push can be taken at all.
    pub(super) fn admit(&self) -> Result<(), Unavailable> {
        let ring = self.standing.seeker()?.ring();
        // A reader's pushes would be refused by every node.
        if ring.signer.is_some() { Ok(()) } else { Err(Unavailable::Refused) }
    }

    /// Answers everything but a push. `flowing` is notified while bulk bytes arrive.
    pub(super) async fn answer(&self, request: Request, flowing: &Notify) -> (Reply, Vec<u8>) {
        let reply = match request {
            Request::Find { namespace, keys, budget_ms } => {
                return self.find(&keys, &Query::within(budget(budget_ms), &namespace, flowing)).await;
            }
            Request::FindChecked { namespace, keys, budget_ms } => {
                let query = Query::within(budget(budget_ms), &namespace, flowing);
                if let Ok(seeker) = self.standing.seeker() {
                    seeker.blame(&keys);
                }
                return self.find(&keys, &Query { contents: Contents::Checked, ..query }).await;
            }
            Request::Suggestions { namespace, keys, budget_ms } => {
                return self.suggestions(&keys, &Query::within(budget(budget_ms), &namespace, flowing)).await;
            }
            Request::Push { .. } | Request::Attach { .. } => Reply::Unavailable(Unavailable::Refused),
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Flush { timeout_ms } => self.flush(Duration::from_millis(timeout_ms)).await,
            Request::ClusterStatus => self.cluster_status().await,
            Request::Stop => {
                self.stop.throw();
                // Who was told so starts the next agent at once, and must not meet this one any more.
                self.stop.closed().await;
                Reply::Stopping
            }
        };
        (reply, Vec::new())
    }

    async fn find(&self, keys: &[EntryKey], query: &Query<'_>) -> (Reply, Vec<u8>) {
        self.counters.finds.add();
        let seeker = match self.standing.seeker() {
            Ok(seeker) => seeker,
            Err(reason) => return (Reply::Unavailable(reason), Vec::new()),
        };
        match seeker.find(keys, query).await.into_result() {
            Ok(imported) => {
                self.counters.hits.add();
                let Imported { vetted, body } = *imported;
                (Reply::Found(Box::new(vetted)), body)
            }
            Err(reason) => (reason, Vec::new()),
        }
    }

    async fn suggestions(&self, keys: &[ManifestKey], query: &Query<'_>) -> (Reply, Vec<u8>) {
        self.counters.manifests.add();
        let seeker = match self.standing.seeker() {
            Ok(seeker) => seeker,
            Err(reason) => return (Reply::Unavailable(reason), Vec::new()),
        };
        match seeker.suggestions(keys, query).await.into_result() {
            Ok(Suggested { manifests, newest }) => {
                self.counters.suggested.add();
                let (newest, body) = newest.map(|imported| (imported.vetted, imported.body)).unzip();
                let newest = newest.map(Box::new);
                (Reply::Suggestions { manifests, newest }, body.unwrap_or_default())
            }
            Err(reason) => (reason, Vec::new()),
        }
    }

    fn status(&self) -> AgentStatus {
        let (waiting, waiting_bytes) = self.journal.size();
        let mut status = AgentStatus {
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            waiting: waiting as u64,
            waiting_bytes,
            pushed: self.counters.pushed.get(),
            dropped: self.counters.dropped.get() + self.journal.torn(),
            finds: self.counters.finds.get(),
            hits: self.counters.hits.get(),
            manifests: self.counters.manifests.get(),
            suggested: self.counters.suggested.get(),
            distrusted: self.standing.seeker().map_or(0, |seeker| seeker.distrusted.get()),
            ..AgentStatus::default()
        };
        if let Some(ring) = self.standing.ring() {
            status.cluster = ring.member.cluster.to_string();
            status.epoch = ring.epoch().0;
            status.trust_epoch = ring.signers().number();
            status.signer = ring.own().map(|id| id.to_string()).unwrap_or_default();
            status.leaf_expires_ms = ring.endpoint.identity().subject().not_after.0;
            status.nodes = ring.health();
        }
        status
    }

    /// Waits until everything that waits now has left the journal.
    async fn flush(&self, patience: Duration) -> Reply {
        let last = self.journal.waiting().last().copied().unwrap_or(Sequence(0));
        self.flushing.fetch_add(1, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.queued.notify_one();
        let emptied = async {
            loop {
                let mut left = std::pin::pin!(self.left.notified());
                left.as_mut().enable();
                if self.journal.waiting_up_to(last) == 0 {
                    return;
                }
                left.await;
            }
        };
        tokio::select! {
            _ = timeout(patience, emptied) => {}
            () = self.stop.thrown() => {}
        }
        self.flushing.fetch_sub(1, Ordering::Relaxed);
        Reply::Flushed { waiting: self.journal.waiting_up_to(last) as u64 }
    }

    async fn cluster_status(&self) -> Reply {
        let ring = match self.standing.seeker() {
            Ok(seeker) => Arc::clone(seeker.ring()),
            Err(reason) => return Reply::Unavailable(reason),
        };
        let deadline = Instant::now() + STATUS;
        let asked = ring.nodes().into_iter().map(|node| {
            let ring = Arc::clone(&ring);
            async move {
                let answer =
                    ring.ask(&node, deadline, async move |cache, context| cache.status(context).await).await;
                let address = node.addresses.first().map(ToString::to_string).unwrap_or_default();
                (format!("{} {address}", node.id), answer.ok())
            }
        });
        Reply::Cluster(futures::future::join_all(asked).await)
    }
}

/// Bounds the time that a wrapper gives.
fn budget(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms).min(limits::DEADLINE_MAX_MS))
}
