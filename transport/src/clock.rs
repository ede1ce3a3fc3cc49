//! The wall clock of a process, behind the seam that tests move.

use dccache_protocol::time::{Clock, UnixMillis};
use std::time::{SystemTime, UNIX_EPOCH};

/// Environment variable that moves the clock of a process by a signed number of milliseconds. For tests of clock skew only; nobody
/// else has a reason to set it.
pub const OFFSET_VARIABLE: &str = "DCCACHE_TEST_CLOCK_OFFSET_MS";

/// The system's clock, moved by a fixed offset that is zero outside of tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    offset_ms: i64,
}

impl SystemClock {
    /// Makes a clock with the offset of [`OFFSET_VARIABLE`]; one that is no number counts as zero and is warned of.
    pub fn from_environment() -> Self {
        let Ok(text) = std::env::var(OFFSET_VARIABLE) else { return Self::default() };
        match text.parse() {
            Ok(offset_ms) => Self { offset_ms },
            Err(_) => {
                tracing::warn!(variable = OFFSET_VARIABLE, "clock offset is no number of milliseconds");
                Self::default()
            }
        }
    }

    /// Makes a clock that runs `offset_ms` ahead of the system's (behind, when negative).
    pub const fn with_offset_ms(offset_ms: i64) -> Self {
        Self { offset_ms }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        // A system clock before 1970 counts as 1970: every certificate is then not yet valid, which is the safe side.
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(millis.saturating_add_signed(self.offset_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_clock_in_both_directions() {
        const HOUR: u64 = 3_600_000;
        let now = SystemClock::default().now();
        assert!(SystemClock::with_offset_ms(HOUR as i64).now().since(now) >= HOUR);
        assert!(now.since(SystemClock::with_offset_ms(-(HOUR as i64)).now()) >= HOUR - 60_000);
        assert_eq!(SystemClock::with_offset_ms(i64::MIN).now(), UnixMillis(0));
    }
}
