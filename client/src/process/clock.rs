//! The clock of file times, and the unit of CPU times.
//!
//! Unsafe code: calls into the C library without memory of ours but one value each. The safe wrappers at hand parse the kernel's vDSO by
//! themselves, which costs each hit more than the call does and does not run under valgrind.
#![expect(unsafe_code, reason = "clock_gettime, localtime_r and sysconf of the C library; ADR 0009")]

use dccache_transport::clock::OFFSET_VARIABLE;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

/// Returns the wall-clock time by which the age of stamps is judged; tests move it by [`OFFSET_VARIABLE`].
pub fn wall_now() -> SystemTime {
    let offset = std::env::var_os(OFFSET_VARIABLE).and_then(|text| text.to_str()?.parse::<i64>().ok());
    let now = SystemTime::now();
    let moved = Duration::from_millis(offset.unwrap_or(0).unsigned_abs());
    let now = if offset < Some(0) { now.checked_sub(moved) } else { now.checked_add(moved) };
    now.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns the local date as the compilers print it in `__DATE__`: years since 1900, months since January, day.
pub fn local_date() -> [i32; 3] {
    // SAFETY: no memory of ours is involved.
    let now = unsafe { libc::time(std::ptr::null_mut()) };
    let broken = broken_down(now);
    [broken.tm_year, broken.tm_mon, broken.tm_mday]
}

/// Returns a time in s since the Unix epoch as local year, month, day, hour, minute and second.
pub fn local_time(seconds: u64) -> [i32; 6] {
    let time = broken_down(libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX));
    [time.tm_year + 1900, time.tm_mon + 1, time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec]
}

fn broken_down(time: libc::time_t) -> libc::tm {
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both places are valid for one value each, and all-zero is a valid one should the call fail.
    unsafe {
        libc::localtime_r(&time, broken.as_mut_ptr());
        broken.assume_init()
    }
}

/// Returns the coarse wall-clock time in ns since the Unix epoch: the one that the kernel stamps files with. The precise clock can be
/// ahead of it by some ms.
pub fn coarse_now_ns() -> i64 {
    now_ns(libc::CLOCK_REALTIME_COARSE)
}

/// A reading of the wall clock beside the one that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Wall-clock time in ns since the Unix epoch.
    wall: i64,
    /// Time since some moment in the past, in ns.
    steady: i64,
}

impl Clocks {
    /// Reads both.
    pub fn read() -> Self {
        let wall = now_ns(libc::CLOCK_REALTIME);
        Self { wall, steady: now_ns(libc::CLOCK_MONOTONIC) }
    }

    /// Tells whether the wall clock was set back since this reading. What passes while clocks are read only adds to the later wall-clock time.
    pub fn was_set_back(self) -> bool {
        let steady = now_ns(libc::CLOCK_MONOTONIC);
        self.is_ahead_of(Self { wall: now_ns(libc::CLOCK_REALTIME), steady })
    }

    fn is_ahead_of(self, now: Self) -> bool {
        /// The kernel rounds either clock by itself, in ns.
        const ROUNDING: i64 = 1_000;
        now.wall - self.wall + ROUNDING < now.steady - self.steady
    }
}

fn now_ns(clock: libc::clockid_t) -> i64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the place is valid for one timespec, and all-zero is a valid one should the call fail.
    let now = unsafe {
        libc::clock_gettime(clock, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// Returns how many ticks of `/proc/PID/stat` make a second.
pub(super) fn ticks_per_second() -> u64 {
    // SAFETY: no memory of ours is involved.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_is_told_from_one_that_runs_or_is_set_forward() {
        let start = Clocks { wall: 1_800_000_000_000_000_000, steady: 5_000 };
        let after = |wall: i64, steady: i64| {
            start.is_ahead_of(Clocks { wall: start.wall + wall, steady: start.steady + steady })
        };
        // Set forward, or the machine slept, which the steady clock does not count.
        assert!(!after(0, 0) && !after(90_000_000, 90_000_000) && !after(3_600_000_000_000, 90_000_000));
        assert!(after(-1_000_000, 0) && after(80_000_000, 90_000_000));
        let (read, mut passed) = (Clocks::read(), 0);
        while passed < 10_000 {
            assert!(!read.was_set_back());
            passed += 1;
        }
    }
}
