//! Units of time, the seam through which every clock comes, and receipt stamps.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Returns this instant moved `ms` into the future, saturating.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this instant; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where a driver gets wall-clock time from; tests give their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the current wall-clock time.
    fn now(&self) -> UnixMillis;
}

/// When the first accepting node received a record: a hybrid logical clock, 48 bits of Unix milliseconds above 16 bits of counter.
///
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014), packed into 64 bits as the paper proposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReceiptStamp(pub u64);

impl ReceiptStamp {
    /// Returns the stamp that follows `last` at wall-clock time `now`: never less than or equal to `last`.
    pub const fn next(last: Self, now: UnixMillis) -> Self {
        let wall = (now.0 & ((1 << 48) - 1)) << 16;
        if wall > last.0 { Self(wall) } else { Self(last.0.saturating_add(1)) }
    }

    /// Returns the wall-clock part.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_even_when_the_clock_jumps_back() {
        let first = ReceiptStamp::next(ReceiptStamp(0), UnixMillis(1_000_000));
        let second = ReceiptStamp::next(first, UnixMillis(10));
        assert!(second > first);
        assert_eq!(second.millis(), UnixMillis(1_000_000));
    }
}
