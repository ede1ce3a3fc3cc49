//! When which push is tried: new ones at once, failed ones again after a growing pause. A pure decision with `now` as an argument.

use super::journal::Sequence;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// First pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest pause: how long a push may wait after the ring is back.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest pause while somebody waits for the queue to empty.
const HURRIED: Duration = Duration::from_millis(500);

/// The order in which pushes are tried. `now` is the time since any fixed moment, from a clock that never goes back.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready: VecDeque<Sequence>,
    later: BTreeSet<(Duration, Sequence)>,
    failures: HashMap<Sequence, u32>,
}

impl Schedule {
    /// Adds a push that was never tried.
    pub(super) fn add(&mut self, sequence: Sequence) {
        self.ready.push_back(sequence);
    }

    /// Takes the next push that is due.
    pub(super) fn take(&mut self, now: Duration) -> Option<Sequence> {
        if let Some(sequence) = self.ready.pop_front() {
            return Some(sequence);
        }
        let &(due, sequence) = self.later.first()?;
        if due > now {
            return None;
        }
        self.later.pop_first();
        Some(sequence)
    }

    /// Returns when the next push is due; `None` when none waits here.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.ready.is_empty() { self.later.first().map(|(due, _)| *due) } else { Some(Duration::ZERO) }
    }

    /// Puts a push back that failed. `jitter` is any number; it shortens the pause by up to a quarter.
    pub(super) fn failed(&mut self, sequence: Sequence, now: Duration, jitter: u32, hurried: Hurry) {
        let failures = self.failures.entry(sequence).or_default();
        let pause = PAUSE.saturating_mul(1 << (*failures).min(10)).min(PAUSE_MAX);
        *failures = failures.saturating_add(1);
        let pause = if hurried == Hurry::Yes { pause.min(HURRIED) } else { pause };
        let shorter = (pause / 4).mul_f64(f64::from(jitter) / f64::from(u32::MAX));
        self.later.insert((now + pause - shorter, sequence));
    }

    /// Forgets a push that left the journal.
    pub(super) fn done(&mut self, sequence: Sequence) {
        self.failures.remove(&sequence);
    }

    /// Makes everything due now: somebody waits for the queue to empty.
    pub(super) fn hurry(&mut self) {
        let later = std::mem::take(&mut self.later);
        self.ready.extend(later.into_iter().map(|(_, sequence)| sequence));
    }
}

/// Whether somebody waits for the queue to empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    /// Pauses stay short.
    Yes,
    /// Pauses grow.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn new_pushes_come_first_and_in_order_failed_ones_when_they_are_due() {
        let mut schedule = Schedule::default();
        schedule.failed(Sequence(1), NOW, 0, Hurry::No);
        schedule.add(Sequence(2));
        schedule.add(Sequence(3));
        assert_eq!((schedule.take(NOW), schedule.take(NOW)), (Some(Sequence(2)), Some(Sequence(3))));
        assert_eq!((schedule.take(NOW), schedule.due()), (None, Some(NOW + PAUSE)));
        assert_eq!(schedule.take(NOW + PAUSE), Some(Sequence(1)));
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn pauses_double_up_to_their_bound_and_begin_anew_after_success() {
        let mut schedule = Schedule::default();
        let pause = |schedule: &mut Schedule, hurry| {
            schedule.failed(Sequence(1), NOW, 0, hurry);
            let due = schedule.due().unwrap();
            assert!(schedule.take(due).is_some());
            due - NOW
        };
        let pauses: Vec<u128> = (0..9).map(|_| pause(&mut schedule, Hurry::No).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(pause(&mut schedule, Hurry::Yes), HURRIED);
        schedule.done(Sequence(1));
        assert_eq!(pause(&mut schedule, Hurry::No), PAUSE);
    }

    #[test]
    fn hurrying_makes_everything_due_and_jitter_only_shortens() {
        let mut schedule = Schedule::default();
        schedule.failed(Sequence(1), NOW, u32::MAX, Hurry::No);
        assert_eq!(schedule.due(), Some(NOW + PAUSE - PAUSE / 4));
        schedule.hurry();
        assert_eq!(schedule.take(NOW), Some(Sequence(1)));
    }
}
