//! Which replica is asked: the better of two by expected time, and whom nobody asks for a while.
//!
//! The expected time of a node is the peak-sensitive moving average of its measured service times, multiplied by the requests that it
//! has in progress plus one. A slower answer than expected counts at once; faster ones count gradually. Without
//! news the estimate decays, so a node that was slow once is tried again.
//!
//! Source: Twitter Finagle's "Peak EWMA" balancer; Mitzenmacher, "The Power of Two Choices" (2001).

use dccache_protocol::ids::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

mod breaker;

pub use breaker::{Breaker, Gate};

/// After this time without news an estimate has lost 63 % of its height.
const DECAY: Duration = Duration::from_secs(10);

/// Expected time of a node that was never measured and is being asked for the first time now: as slow as a distant one, so that one
/// request explores it and the rest wait for what that brings.
const UNMEASURED_BUSY: Duration = Duration::from_secs(1);

/// What is known of one node.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Average in seconds; `None` before the first answer.
    average: Option<f64>,
    /// Time of the last answer.
    at: Duration,
    in_flight: u32,
    breaker: Breaker,
}

impl Seen {
    fn expected(&self, now: Duration) -> f64 {
        let waiting = f64::from(self.in_flight) + 1.0;
        match self.average {
            Some(average) => average * fading(self.at, now) * waiting,
            None if self.in_flight == 0 => 0.0,
            None => UNMEASURED_BUSY.as_secs_f64() * waiting,
        }
    }

    fn measure(&mut self, took: Duration, now: Duration) {
        let took = took.as_secs_f64();
        let kept = fading(self.at, now);
        self.average = Some(match self.average {
            Some(average) if took < average * kept => average * kept + took * (1.0 - kept),
            _ => took,
        });
        self.at = self.at.max(now);
    }
}

fn fading(from: Duration, now: Duration) -> f64 {
    (-now.saturating_sub(from).as_secs_f64() / DECAY.as_secs_f64()).exp()
}

/// What this machine has measured of all nodes. `now` is the time since any fixed moment, from a clock that never goes back.
#[derive(Clone, Debug, Default)]
pub struct Balance {
    nodes: BTreeMap<NodeId, Seen>,
}

impl Balance {
    /// Orders the owners of a partition: first whom to ask, then whom to ask when that fails. Nodes whose breaker is open come last, in the
    /// order given, so that a caller with budget left can still try them.
    ///
    /// `random` picks the two that are compared; any uniform 64 bits will do.
    pub fn order(&self, owners: &[NodeId], random: u64, now: Duration) -> Vec<NodeId> {
        let is_open =
            |node: &NodeId| self.nodes.get(node).is_some_and(|seen| seen.breaker.gate(now) == Gate::Shut);
        let (shut, mut open): (Vec<NodeId>, Vec<NodeId>) = owners.iter().partition(|node| is_open(node));
        if let Some(best) = self.better_of_two(&open, random, now) {
            let place = open.iter().position(|&node| node == best).unwrap_or(0);
            open[..=place].rotate_right(1);
            open[1..].sort_by(|a, b| self.expected(*a, now).total_cmp(&self.expected(*b, now)));
        }
        open.extend(shut);
        open
    }

    fn better_of_two(&self, nodes: &[NodeId], random: u64, now: Duration) -> Option<NodeId> {
        let count = nodes.len() as u64;
        let first = *nodes.get(random.checked_rem(count)? as usize)?;
        if count == 1 {
            return Some(first);
        }
        let step = 1 + (random / count) % (count - 1);
        let second = nodes[((random % count + step) % count) as usize];
        Some(if self.expected(second, now) < self.expected(first, now) { second } else { first })
    }

    /// Returns the expected seconds of a request to a node; 0 for an idle node that was never measured.
    pub fn expected(&self, node: NodeId, now: Duration) -> f64 {
        self.nodes.get(&node).map_or(0.0, |seen| seen.expected(now))
    }

    /// Notes that a request to a node begins. Every begun request must be ended by [`Balance::answered`], [`Balance::failed`] or
    /// [`Balance::cancelled`].
    pub fn begun(&mut self, node: NodeId, now: Duration) {
        let seen = self.nodes.entry(node).or_default();
        seen.in_flight = seen.in_flight.saturating_add(1);
        seen.breaker.begun(now);
    }

    /// Notes that a node answered, `took` after the request began.
    pub fn answered(&mut self, node: NodeId, took: Duration, now: Duration) {
        if let Some(seen) = self.ended(node) {
            seen.measure(took, now);
            seen.breaker.succeeded();
        }
    }

    /// Notes that a node did not answer in time or refused the connection, `took` after the request began.
    pub fn failed(&mut self, node: NodeId, took: Duration, now: Duration) {
        if let Some(seen) = self.ended(node) {
            seen.measure(took, now);
            seen.breaker.failed(now);
        }
    }

    /// Notes that the caller no longer waits; it says nothing of the node.
    pub fn cancelled(&mut self, node: NodeId) {
        self.ended(node);
    }

    fn ended(&mut self, node: NodeId) -> Option<&mut Seen> {
        let seen = self.nodes.get_mut(&node)?;
        seen.in_flight = seen.in_flight.saturating_sub(1);
        Some(seen)
    }

    /// Forgets nodes that are in no layout any more, so that what is kept is bounded by the layouts.
    pub fn retain(&mut self, is_known: impl Fn(NodeId) -> bool) {
        self.nodes.retain(|&node, _| is_known(node));
    }
}

#[cfg(test)]
mod tests;
