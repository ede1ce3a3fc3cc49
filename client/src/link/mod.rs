//! The wrapper's way to the ring: through the agent, within a budget, and never needed.

mod times;

pub use times::TimeSlot;

use crate::agent::line::{Line, LineError};
use crate::agent::place::Place;
use crate::agent::start::Starter;
use crate::config::{AgentUse, Config};
use crate::home::Home;
use crate::store::{LocalEntry, Origin};
use dccache_protocol::bundle::Body;
use dccache_protocol::keys::EntryKey;
use dccache_protocol::local::{Distrust, Job, Reply, Request, Unavailable};
use dccache_protocol::time::UnixMillis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Added to the agent's own budget before the wrapper gives the agent up: the agent answers that the time is over, and that answer takes a moment.
const GRACE: Duration = Duration::from_millis(50);

/// How long a push waits for the agent to have it in its journal; a stuck agent costs this once, then wrappers keep away from it for a while.
const PUSH_PATIENCE: Duration = Duration::from_millis(1000);

/// What the ring said.
#[derive(Debug)]
pub enum Answer {
    /// An entry that the agent verified; its blobs are checked when they are taken out.
    Found {
        /// Under which key.
        key: EntryKey,
        /// The entry.
        entry: Box<LocalEntry>,
    },
    /// It has none.
    Missed,
    /// No answer that can be used; the name is counted.
    Fault(&'static str),
}

/// A way to the agent.
#[derive(Debug)]
pub struct Link<'a> {
    config: &'a Config,
    starter: Starter,
    line: Option<Line>,
}

impl<'a> Link<'a> {
    /// Prepares the way; `None` where this machine is in no cluster, or the configuration wants no agent. Nothing is connected yet.
    pub fn new(home: &Home, config: &'a Config) -> Option<Self> {
        let place = Place::new(home.path());
        if config.agent == AgentUse::Never || !place.cluster().exists() {
            return None;
        }
        let starter = Starter::of_this_program(place).ok()?;
        Some(Self { config, starter, line: None })
    }

    /// Looks for keys on the ring, in order of preference, within `budget_ms`; bulk bytes extend it.
    pub fn find(&mut self, keys: &[EntryKey], budget_ms: u32) -> Answer {
        let namespace = self.config.namespace.clone();
        let request = Request::Find { namespace, keys: keys.to_vec(), budget_ms };
        let patience = Duration::from_millis(budget_ms.into()) + GRACE;
        match self.call(&request, &[], patience) {
            Some((Reply::Found { key, outcome, signer, trust_epoch, table }, bytes))
                if keys.contains(&key) =>
            {
                let origin = Origin::Imported { signer, trust_epoch };
                let entry = LocalEntry::new(origin, *outcome, Body { table, bytes });
                Answer::Found { key, entry: Box::new(entry) }
            }
            Some((Reply::Missed, _)) => Answer::Missed,
            Some((Reply::Distrusted(why), _)) => Answer::Fault(distrust_name(why)),
            Some((Reply::Unavailable(why), _)) => Answer::Fault(unavailable_name(why)),
            Some(_) => Answer::Fault("agent_malformed"),
            None => Answer::Fault("agent_unreached"),
        }
    }

    /// Hands a compile to the agent, which signs and pushes it in the background.
    ///
    /// # Errors
    /// The name of the fault that is counted.
    pub fn push(&mut self, job: Job, entry: &LocalEntry) -> Result<(), &'static str> {
        let (outcome, table) = (entry.outcome.clone(), entry.table().to_vec());
        let request = Request::Push { job: Box::new(job), outcome, table };
        match self.call(&request, entry.body(), PUSH_PATIENCE) {
            Some((Reply::Queued, _)) => Ok(()),
            Some((Reply::QueueFull, _)) => Err("push_queue_full"),
            Some((Reply::Unavailable(why), _)) => Err(unavailable_name(why)),
            Some(_) => Err("agent_malformed"),
            None => Err("agent_unreached"),
        }
    }

    fn call(&mut self, request: &Request, bytes: &[u8], patience: Duration) -> Option<(Reply, Vec<u8>)> {
        // The agent may have ended while the compiler ran; a fresh line then finds, or starts, the next one.
        if let Some(line) = self.line.take() {
            match self.call_on(line, request, bytes, patience) {
                Err(LineError::Broken(_)) => {}
                other => return other.ok(),
            }
        }
        let line = self.starter.reach(patience, now()).ok()?;
        self.call_on(line, request, bytes, patience).ok()
    }

    fn call_on(
        &mut self,
        mut line: Line,
        request: &Request,
        bytes: &[u8],
        patience: Duration,
    ) -> Result<(Reply, Vec<u8>), LineError> {
        let answer = line.call(request, bytes, patience);
        match &answer {
            Ok(_) => self.line = Some(line),
            // Only an agent that hangs costs time; one that went away is missed at once.
            Err(LineError::TimedOut) => self.starter.back_off(now()),
            Err(_) => {}
        }
        answer
    }
}

/// The starter's file of the last failure is compared with this machine's own wall clock only.
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn unavailable_name(why: Unavailable) -> &'static str {
    match why {
        Unavailable::NotJoined => "ring_not_joined",
        Unavailable::TimedOut => "ring_timed_out",
        Unavailable::BreakerOpen => "ring_breaker_open",
        Unavailable::NotTrusted => "ring_not_trusted",
        Unavailable::Refused => "ring_refused",
        Unavailable::Unreachable => "ring_unreachable",
        Unavailable::Busy => "agent_busy",
    }
}

fn distrust_name(why: Distrust) -> &'static str {
    match why {
        Distrust::Signer => "distrusted_signer",
        Distrust::Signature => "distrusted_signature",
        Distrust::Digest => "distrusted_digest",
        Distrust::Malformed => "distrusted_malformed",
    }
}
