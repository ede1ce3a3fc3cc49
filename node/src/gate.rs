//! Who writes under which layout: a hand-off waits until the writes that began under an older layout are through.
//!
//! Invariant: when [`Gate::drained`] returns for an epoch, every write that began under a smaller one has ended, and no new
//! one can begin under a smaller one, because writers enter with the newest epoch that the node knows.

use dccache_protocol::ids::Epoch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Counts writes in progress by the epoch under which they began.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: Mutex<BTreeMap<Epoch, usize>>,
    left: Notify,
}

/// A write in progress; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    epoch: Epoch,
}

impl Gate {
    /// Begins a write under the epoch that `newest` returns; it is asked while the gate is held.
    pub(crate) fn enter(self: &Arc<Self>, newest: impl FnOnce() -> Epoch) -> Pass {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = newest();
        *inside.entry(epoch).or_default() += 1;
        Pass { gate: Arc::clone(self), epoch }
    }

    /// Waits until no write is in progress that began before `epoch`.
    pub(crate) async fn drained(&self, epoch: Epoch) {
        loop {
            let left = self.left.notified();
            let oldest = {
                let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
                inside.first_key_value().map(|(&oldest, _)| oldest)
            };
            if oldest.is_none_or(|oldest| oldest >= epoch) {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.epoch);
            }
        }
        drop(inside);
        self.gate.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_hand_off_waits_for_writes_of_older_layouts_only() {
        let gate = Arc::new(Gate::default());
        let old = gate.enter(|| Epoch(1));
        let new = gate.enter(|| Epoch(2));
        assert!(gate.drained(Epoch(1)).now_or_never().is_some());
        let mut waiting = Box::pin(gate.drained(Epoch(2)));
        assert!((&mut waiting).now_or_never().is_none());
        drop(old);
        assert!((&mut waiting).now_or_never().is_some());
        drop(new);
    }
}
