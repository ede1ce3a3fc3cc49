//! The clock of file times, and the unit of CPU times.
//!
//! Unsafe code: two calls into the C library without memory of ours but one `timespec`. The safe wrappers at hand parse the kernel's vDSO by
//! themselves, which costs each hit more than the call does and does not run under valgrind.
#![expect(unsafe_code, reason = "clock_gettime and sysconf of the C library; ADR 0009")]

use std::mem::MaybeUninit;

/// Returns the coarse wall-clock time in ns since the Unix epoch: the one that the kernel stamps files with. The precise clock can be
/// ahead of it by some ms.
pub fn coarse_now_ns() -> i64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the place is valid for one timespec, and all-zero is a valid one should the call fail.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, now.as_mut_ptr());
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
