//! Stops asking a node that keeps failing, and finds out when it is back.
//!
//! ```text
//! closed --FAILURES in a row--> open for a backoff --time--> one probe at a time --success--> closed
//!                                 ^                                |
//!                                 '------- failure: twice as long -'
//! ```

use std::time::Duration;

/// Failures in a row that open a breaker: one is chance, two can be one lost packet each.
const FAILURES: u32 = 3;

/// First time for which nothing is asked.
const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Longest time for which nothing is asked: how long a node that came back may stay unused.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What a breaker says about the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Ask.
    Free,
    /// Ask once, to see whether the node is back.
    Probe,
    /// Do not ask.
    Shut,
}

/// The breaker of one node. `now` is as in [`super::Balance`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    backoff: Duration,
    /// Until then nothing is asked; `None` while closed.
    shut_until: Option<Duration>,
}

impl Breaker {
    /// Says whether a request may be made.
    pub fn gate(&self, now: Duration) -> Gate {
        match self.shut_until {
            None => Gate::Free,
            Some(until) if now < until => Gate::Shut,
            Some(_) => Gate::Probe,
        }
    }

    /// Notes that a request begins. A probe shuts the gate behind it for a backoff: should its end never be noted, the next
    /// probe comes then.
    pub fn begun(&mut self, now: Duration) {
        if self.gate(now) == Gate::Probe {
            self.shut_until = Some(now.saturating_add(self.backoff));
        }
    }

    /// Notes a success: the breaker closes.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure.
    pub fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.backoff = self.backoff.saturating_mul(2).clamp(BACKOFF_MIN, BACKOFF_MAX);
            self.shut_until = Some(now.saturating_add(self.backoff));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.failed(at(0)));
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            (1..FAILURES).for_each(|_| breaker.failed(at(0)));
            assert_eq!(breaker.gate(at(0)), Gate::Free);
            breaker.succeeded();
        }
        assert_eq!(opened().gate(at(0)), Gate::Shut);
    }

    #[test]
    fn after_the_backoff_one_probe_at_a_time_passes() {
        let mut breaker = opened();
        assert_eq!(breaker.gate(at(499)), Gate::Shut);
        assert_eq!(breaker.gate(at(500)), Gate::Probe);
        breaker.begun(at(500));
        assert_eq!(breaker.gate(at(501)), Gate::Shut);
        breaker.succeeded();
        assert_eq!(breaker.gate(at(502)), Gate::Free);
    }

    #[test]
    fn a_probe_whose_end_was_never_noted_does_not_shut_it_for_good() {
        let mut breaker = opened();
        breaker.begun(at(500));
        assert_eq!(breaker.gate(at(1000)), Gate::Probe);
    }

    #[test]
    fn failing_probes_double_the_backoff_up_to_its_bound() {
        let mut breaker = opened();
        let mut now = at(0);
        for expected in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            assert_eq!(breaker.gate(now + at(expected) - at(1)), Gate::Shut, "{expected}");
            now += at(expected);
            assert_eq!(breaker.gate(now), Gate::Probe, "{expected}");
            breaker.begun(now);
            breaker.failed(now);
        }
    }
}
