//! Hints: what this node keeps for owners that were away goes to them when they answer again.
//!
//! Invariant: a hint is removed only after the record is with its target, or, when the target owns it no more, with all owners.

use crate::core::Core;
use crate::shelf::Held;
use crate::write::keep_copy;
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often targets are tried.
const TICK: Duration = Duration::from_millis(250);

/// Longest pause between two attempts to reach a target.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Hints read at once.
const BATCH: usize = 64;

/// Refused at most per round: what was refused is read again with every batch.
const REFUSED_MAX: usize = 256;

/// Returns how many hints wait on this node.
pub(crate) async fn waiting(core: &Core) -> u64 {
    let mut waiting = 0;
    for target in core.book.now().members() {
        waiting += core.shelf.count_hints(target).await;
    }
    waiting
}

/// Delivers hints until the node ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut pauses: BTreeMap<NodeId, (Instant, Duration)> = BTreeMap::new();
    while !core.draining.is_cancelled() {
        for target in core.book.now().members() {
            let due = pauses.get(&target).is_none_or(|(until, _)| *until <= Instant::now());
            if !due {
                continue;
            }
            if deliver(&core, target).await {
                pauses.remove(&target);
            } else {
                let pause = pauses.get(&target).map_or(TICK, |(_, pause)| (*pause * 2).min(PAUSE_MAX));
                pauses.insert(target, (Instant::now() + pause, pause));
            }
        }
        ask_whether_done(&core).await;
        tokio::select! {
            () = core.draining.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Delivers what waits for a node; `false` when it does not answer.
async fn deliver(core: &Arc<Core>, target: NodeId) -> bool {
    // What was refused stays, and must not be read again and again in this round.
    let mut refused: BTreeSet<_> = BTreeSet::new();
    loop {
        let hints = core.shelf.hints(target, BATCH + refused.len()).await;
        let fresh: Vec<Held> = hints.into_iter().filter(|hint| !refused.contains(&hint.id)).collect();
        if fresh.is_empty() {
            return true;
        }
        for hint in fresh {
            match hand_over(core, target, &hint).await {
                Ok(()) => {
                    core.shelf.remove_hint(target, &hint).await;
                    core.counters.hints_delivered.add(1);
                }
                Err(Some(refusal)) => {
                    tracing::debug!(node = %target, %refusal, "a hint was refused");
                    refused.insert(hint.id);
                }
                Err(None) => return false,
            }
        }
        if core.draining.is_cancelled() || refused.len() > REFUSED_MAX {
            return true;
        }
    }
}

/// Brings one record to where it belongs; `Err(None)` when somebody does not answer.
async fn hand_over(core: &Arc<Core>, target: NodeId, hint: &Held) -> Result<(), Option<Refusal>> {
    let owners = core.book.now().owners(hint.id.partition());
    let targets = if owners.contains(&target) { vec![target] } else { owners };
    for owner in targets {
        if owner == core.id {
            keep_copy(core, hint.clone()).await.map_err(Some)?;
            continue;
        }
        core.peers.replicate(core, owner, hint, None).await.map_err(|error| match error {
            crate::peers::PeerError::Refused(refusal) => Some(refusal),
            _ => None,
        })?;
    }
    Ok(())
}

/// After a start: asks the members that may hold hints for this node whether they still do.
async fn ask_whether_done(core: &Arc<Core>) {
    let members = core.book.now().members();
    for member in core.catchup.awaited() {
        if !members.contains(&member) {
            core.catchup.is_done(member);
            continue;
        }
        if core.peers.status(core, member).await.is_ok_and(|status| status.hints == 0) {
            core.catchup.is_done(member);
        }
    }
}
