//! When a node that failed is asked again. A pure decision with `now` as an argument.
//!
//! Shape: closed -> open (after one slow or [`FAST_FAULTS`] fast faults in a row) -> half open (one probe) -> closed or open for twice as long.

use std::time::Duration;
use tokio::time::Instant;

/// Fast faults in a row that open a breaker: a refused connection costs nothing, and a restart shows a few.
const FAST_FAULTS: u32 = 3;

/// First pause.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest pause: a node that comes back is in use again within this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a probe may stay without a verdict before another is allowed; its caller may have gone away.
const PROBE: Duration = Duration::from_secs(5);

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It used up its deadline; opens the breaker at once, so that an outage is paid once.
    Slow,
    /// It failed without much waiting.
    Fast,
}

/// Whether a node may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Go,
    /// Yes, and the answer decides about all others.
    Probe,
    /// No, not before this has passed.
    Refused {
        /// The rest of the pause.
        retry_in: Duration,
    },
}

/// What is known of a node's faults.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    pauses: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One caller tries; everybody else is refused until its verdict, or until that is overdue.
    Probing {
        overdue: Instant,
    },
}

impl Breaker {
    /// Decides whether the node may be asked now.
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Go,
            State::Open { until } if now < until => Admission::Refused { retry_in: until - now },
            State::Probing { overdue } if now < overdue => Admission::Refused { retry_in: overdue - now },
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { overdue: now + PROBE };
                Admission::Probe
            }
        }
    }

    /// Remembers an answer.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Remembers a fault. `jitter` is any number; it moves the pause by up to a quarter either way.
    pub fn failed(&mut self, fault: Fault, now: Instant, jitter: u32) {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Closed if fault == Fault::Fast && self.failures < FAST_FAULTS => return,
            // Calls that began before it opened end one by one; they say nothing new.
            State::Open { until } if now < until => return,
            State::Closed | State::Open { .. } | State::Probing { .. } => {}
        }
        let pause = PAUSE.saturating_mul(1 << self.pauses.min(10)).min(PAUSE_MAX);
        let spread = pause / 2;
        let moved = spread.mul_f64(f64::from(jitter) / f64::from(u32::MAX));
        self.pauses = self.pauses.saturating_add(1);
        self.state = State::Open { until: now + pause - spread / 2 + moved };
    }

    /// Returns the faults in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the rest of the pause; `None` when the node may be asked.
    pub fn retry_in(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Open { until: next } | State::Probing { overdue: next } => {
                Some(next.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    fn refused(breaker: &mut Breaker, now: Instant) -> bool {
        matches!(breaker.admit(now), Admission::Refused { .. })
    }

    #[test]
    fn one_slow_or_three_fast_faults_open_it() {
        let now = Instant::now();
        let mut slow = Breaker::default();
        slow.failed(Fault::Slow, now, MIDDLE);
        assert!(refused(&mut slow, now));
        let mut fast = Breaker::default();
        for _ in 0..2 {
            fast.failed(Fault::Fast, now, MIDDLE);
            assert_eq!(fast.admit(now), Admission::Go);
        }
        fast.failed(Fault::Fast, now, MIDDLE);
        assert!(refused(&mut fast, now));
    }

    #[test]
    fn after_the_pause_one_probe_decides() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(Fault::Slow, now, MIDDLE);
        let later = now + PAUSE * 2;
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert!(refused(&mut breaker, later));
        assert_eq!(breaker.admit(later + PROBE), Admission::Probe);
        breaker.succeeded();
        assert_eq!((breaker.admit(later), breaker.failures()), (Admission::Go, 0));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_jitter_moves_them_by_a_quarter() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        let mut last = Duration::ZERO;
        for _ in 0..8 {
            breaker.failed(Fault::Slow, now, MIDDLE);
            let pause = breaker.retry_in(now).unwrap();
            assert!(pause > last || pause >= PAUSE_MAX * 9 / 10);
            // Callers that were waiting already do not make the pause longer.
            breaker.failed(Fault::Slow, now, u32::MAX);
            assert_eq!(breaker.retry_in(now), Some(pause));
            now += pause;
            assert_eq!(breaker.admit(now), Admission::Probe);
            last = pause;
        }
        for jitter in [0, 1, MIDDLE, u32::MAX] {
            breaker.failed(Fault::Slow, now, jitter);
            let pause = breaker.retry_in(now).unwrap();
            assert!(pause >= PAUSE_MAX * 3 / 4 && pause <= PAUSE_MAX * 5 / 4, "{pause:?}");
            now += pause;
            breaker.admit(now);
        }
    }
}
