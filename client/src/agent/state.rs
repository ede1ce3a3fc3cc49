//! The agent as one value: what all of its tasks share, and the answer to each request.

use super::counters::Counters;
use super::journal::{Journal, Sequence};
use super::run::Settings;
use super::stop::{Activity, Stop};
use dccache_protocol::local::{AgentStatus, Reply, Request, Unavailable};
use dccache_protocol::time::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

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
    /// A push was queued, or somebody waits for the queue to empty.
    pub(super) queued: Notify,
    /// A push left the journal.
    pub(super) left: Notify,
}

impl Agent {
    /// Tells whether a push can be taken at all.
    pub(super) fn admit(&self, _request: &Request) -> Result<(), Unavailable> {
        Err(Unavailable::NotJoined)
    }

    /// Answers everything but a push. `flowing` is notified while bulk bytes arrive.
    pub(super) async fn answer(&self, request: Request, _flowing: &Notify) -> (Reply, Vec<u8>) {
        let reply = match request {
            Request::Find { .. } => Reply::Unavailable(Unavailable::NotJoined),
            Request::Push { .. } => Reply::Unavailable(Unavailable::Refused),
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Flush { timeout_ms } => self.flush(Duration::from_millis(timeout_ms)).await,
            Request::ClusterStatus => Reply::Unavailable(Unavailable::NotJoined),
            Request::Stop => {
                self.stop.throw();
                Reply::Stopping
            }
        };
        (reply, Vec::new())
    }

    fn status(&self) -> AgentStatus {
        let (waiting, waiting_bytes) = self.journal.size();
        AgentStatus {
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            waiting: waiting as u64,
            waiting_bytes,
            pushed: self.counters.pushed.get(),
            dropped: self.counters.dropped.get() + self.journal.torn(),
            finds: self.counters.finds.get(),
            hits: self.counters.hits.get(),
            distrusted: self.counters.distrusted.get(),
            ..AgentStatus::default()
        }
    }

    /// Waits until everything that waits now has left the journal.
    async fn flush(&self, patience: Duration) -> Reply {
        let last = self.journal.waiting().last().copied().unwrap_or(Sequence(0));
        let emptied = async {
            loop {
                let mut left = std::pin::pin!(self.left.notified());
                left.as_mut().enable();
                if self.journal.waiting_up_to(last) == 0 {
                    return;
                }
                self.queued.notify_one();
                left.await;
            }
        };
        let _ = timeout(patience, emptied).await;
        Reply::Flushed { waiting: self.journal.waiting_up_to(last) as u64 }
    }
}
