//! The wrapper's way to the ring: through the agent, within one budget per compile, and never needed.

mod times;

pub use times::TimeSlot;

use crate::agent::line::{Line, LineError};
use crate::agent::place::Place;
use crate::agent::start::Starter;
use crate::config::{AgentUse, Config};
use crate::home::Home;
use crate::store::{LocalEntry, Origin};
use dccache_protocol::bundle::Body;
use dccache_protocol::codec::Format;
use dccache_protocol::entry::Outcome;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::local::{Distrust, Job, Reply, Request, Unavailable, Vetted};
use dccache_protocol::manifest::Manifest;
use dccache_protocol::time::UnixMillis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Added to the agent's own budget before the wrapper gives the agent up: the agent answers that the time is over, and on a machine
/// that is busy with compilers that answer takes a moment. Only an agent that hangs costs it, and once: then wrappers keep away.
const GRACE: Duration = Duration::from_millis(250);

/// Lines that are tried: one may have met an agent that was just leaving.
const TRIES: usize = 2;

/// How long a push waits for the agent to have it in its journal; a stuck agent costs this once, then wrappers keep away from it for a while.
const PUSH_PATIENCE: Duration = Duration::from_millis(1000);

/// What the ring said.
#[derive(Debug)]
pub enum Answer {
    /// An entry that the agent verified, with its contents taken out and checked.
    Found {
        /// Under which key.
        key: EntryKey,
        /// Under which key its bundle lies on the ring: that one, or the one that it is a second name of.
        lies: EntryKey,
        /// The entry.
        entry: Box<LocalEntry>,
        /// What was wrong with the answer before this one; counted.
        fault: Option<&'static str>,
    },
    /// It has none.
    Missed,
    /// No answer that can be used; the name is counted.
    Fault(&'static str),
}

/// What the ring suggests.
#[derive(Debug)]
pub enum Suggested {
    /// Some of the manifests that were asked for. Nothing in them is believed, and no path in them is safe to open unseen.
    Some {
        /// The manifests, in the order of the keys that were asked for.
        manifests: Vec<(ManifestKey, Manifest)>,
        /// The bundle of the newest suggestion, when it came along: the answer to whoever derives this key, once its contents were checked. Where they
        /// differ, [`Link::find_checked`] knows more.
        newest: Option<(EntryKey, Box<LocalEntry>)>,
    },
    /// It suggests nothing.
    Nothing,
    /// No answer that can be used; the name is counted.
    Fault(&'static str),
}

/// A way to the agent, for one compile.
#[derive(Debug)]
pub struct Link<'a> {
    config: &'a Config,
    starter: Starter,
    line: Option<Line>,
    /// What earlier look-ups of this compile have left of its budget; `None` before the first.
    left: Option<Duration>,
}

impl<'a> Link<'a> {
    /// Prepares the way; `None` where this machine is in no cluster, or the configuration wants no agent. Nothing is connected yet.
    pub fn new(home: &Home, config: &'a Config) -> Option<Self> {
        let place = Place::new(home.path());
        if config.agent == AgentUse::Never || !place.cluster().exists() {
            return None;
        }
        let starter = Starter::of_this_program(place).ok()?;
        Some(Self { config, starter, line: None, left: None })
    }

    /// Looks for keys on the ring, in order of preference. `budget_ms` is the compile's budget for all of its look-ups together, where the
    /// configuration says no other: the first one begins it, later ones have what is left. Bulk bytes extend it.
    pub fn find(&mut self, keys: &[EntryKey], budget_ms: u32) -> Answer {
        let namespace = self.config.namespace.clone();
        let request = |budget_ms| Request::Find { namespace, keys: keys.to_vec(), budget_ms };
        match self.ask(keys, request, budget_ms) {
            Answer::Found { entry, .. } if entry.contents().is_err() => self.find_checked(keys, budget_ms),
            answer => answer,
        }
    }

    /// As [`Link::find`], after bytes that differed from what their entry names: the agent finds out which node sent them, and asks the next one. The
    /// fault is in the answer.
    pub fn find_checked(&mut self, keys: &[EntryKey], budget_ms: u32) -> Answer {
        let namespace = self.config.namespace.clone();
        let request = |budget_ms| Request::FindChecked { namespace, keys: keys.to_vec(), budget_ms };
        match self.ask(keys, request, budget_ms) {
            Answer::Found { entry, .. } if entry.contents().is_err() => Answer::Fault("agent_malformed"),
            Answer::Found { key, lies, entry, .. } => {
                Answer::Found { key, lies, entry, fault: Some(distrust_name(Distrust::Digest)) }
            }
            // Whatever became of the second question, the answer to the first one was a lie.
            Answer::Missed | Answer::Fault(_) => Answer::Fault(distrust_name(Distrust::Digest)),
        }
    }

    fn ask(&mut self, keys: &[EntryKey], request: impl FnOnce(u32) -> Request, budget_ms: u32) -> Answer {
        match self.look_up(request, budget_ms) {
            Ok((Reply::Found(vetted), bytes)) if keys.contains(&vetted.key) => {
                let lies = vetted.lies;
                let (key, entry) = imported(*vetted, bytes);
                Answer::Found { key, lies, entry, fault: None }
            }
            Ok((Reply::Missed, _)) => Answer::Missed,
            Ok(_) => Answer::Fault("agent_malformed"),
            Err(name) => Answer::Fault(name),
        }
    }

    /// Looks for suggestions on the ring, for the manifest keys of one command; all have the same owners. `budget_ms` as for [`Link::find`].
    pub fn suggestions(&mut self, keys: &[ManifestKey], budget_ms: u32) -> Suggested {
        let namespace = self.config.namespace.clone();
        let request = |budget_ms| Request::Suggestions { namespace, keys: keys.to_vec(), budget_ms };
        match self.look_up(request, budget_ms) {
            Ok((Reply::Suggestions { manifests, newest }, bytes)) => {
                let asked = manifests.into_iter().filter(|(key, _)| keys.contains(key));
                // Any client may have pushed any bytes: what is no manifest suggests nothing.
                let readable =
                    asked.filter_map(|(key, manifest)| Some((key, Manifest::from_bytes(&manifest.0).ok()?)));
                let newest = newest.map(|vetted| imported(*vetted, bytes));
                Suggested::Some { manifests: readable.collect(), newest }
            }
            Ok((Reply::Missed, _)) => Suggested::Nothing,
            Ok(_) => Suggested::Fault("agent_malformed"),
            Err(name) => Suggested::Fault(name),
        }
    }

    /// Hands a compile to the agent, which signs and pushes it in the background.
    ///
    /// # Errors
    /// The name of the fault that is counted.
    pub fn push(&mut self, job: Job, entry: &LocalEntry) -> Result<(), &'static str> {
        let (outcome, table) = (entry.outcome.clone(), entry.table().to_vec());
        self.queue(&Request::Push { job: Box::new(job), outcome, table }, entry.body())
    }

    /// Has the agent sign aliases for [`Job::also`] and send the suggestion of a compile whose bundle, with this outcome, lies under the
    /// job's key on the ring: it was found there, or pushed before.
    ///
    /// # Errors
    /// The name of the fault that is counted.
    pub fn attach(&mut self, job: Job, outcome: &Outcome) -> Result<(), &'static str> {
        self.queue(&Request::Attach { job: Box::new(job), outcome: outcome.clone() }, &[])
    }

    fn queue(&mut self, request: &Request, body: &[u8]) -> Result<(), &'static str> {
        match self.call(request, body, PUSH_PATIENCE) {
            Some((Reply::Queued, _)) => Ok(()),
            Some((Reply::QueueFull, _)) => Err("push_queue_full"),
            Some((Reply::Unavailable(why), _)) => Err(unavailable_name(why)),
            Some(_) => Err("agent_malformed"),
            None => Err("agent_unreached"),
        }
    }

    /// Asks within what is left of the compile's budget. Only answers of use are returned; the others have a name.
    fn look_up(
        &mut self,
        request: impl FnOnce(u32) -> Request,
        budget_ms: u32,
    ) -> Result<(Reply, Vec<u8>), &'static str> {
        let budget_ms = self.config.remote_budget_ms.unwrap_or(budget_ms);
        let left = self.left.unwrap_or_else(|| Duration::from_millis(budget_ms.into()));
        let left_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        if left_ms == 0 {
            return Err(unavailable_name(Unavailable::TimedOut));
        }
        let begun = Instant::now();
        let answer = self.call(&request(left_ms), &[], left + GRACE);
        self.left = Some(left.saturating_sub(begun.elapsed()));
        match answer {
            Some((Reply::Distrusted(why), _)) => Err(distrust_name(why)),
            Some((Reply::Unavailable(why), _)) => Err(unavailable_name(why)),
            Some(answer) => Ok(answer),
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
        for _ in 0..TRIES {
            let line = self.starter.reach(patience, now()).ok()?;
            match self.call_on(line, request, bytes, patience) {
                Err(LineError::Broken(_)) => {}
                other => return other.ok(),
            }
        }
        None
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

fn imported(vetted: Vetted, bytes: Vec<u8>) -> (EntryKey, Box<LocalEntry>) {
    let Vetted { key, outcome, signer, trust_epoch, table, .. } = vetted;
    let origin = Origin::Imported { signer, trust_epoch };
    (key, Box::new(LocalEntry::new(origin, outcome, Body { table, bytes })))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::advice;

    #[test]
    fn every_fault_on_the_way_to_the_ring_has_advice() {
        use Distrust::{Digest, Malformed, Signature, Signer};
        use Unavailable::{BreakerOpen, Busy, NotJoined, NotTrusted, Refused, TimedOut, Unreachable};
        let reasons = [NotJoined, TimedOut, BreakerOpen, NotTrusted, Refused, Unreachable, Busy];
        let distrust = [Signer, Signature, Digest, Malformed];
        let own = ["agent_malformed", "agent_unreached", "push_queue_full"];
        let names = reasons.map(unavailable_name).into_iter().chain(distrust.map(distrust_name)).chain(own);
        for name in names {
            assert!(advice(name).is_some(), "{name}");
        }
    }
}
