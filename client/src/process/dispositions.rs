//! Signal dispositions: what the caller ignores, what a child gets, and passing signals on to a running compiler.
//!
//! Unsafe code, because no safe interface reads a disposition or
//! installs a handler without also owning the signal. `docs/adr/0009-signal-dispositions.md` says more.
//!
//! Invariant: the handler only loads and stores atomics and calls `kill`, all async-signal-safe (POSIX.1-2017, 2.4.3).
#![expect(unsafe_code, reason = "reading dispositions, installing a handler, pre_exec; ADR 0009")]

use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that a user or a build tool sends to stop a compile.
const PASSED_ON: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Process that gets the signals; 0 for none.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// Signal that came last; 0 for none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// Tells whether the caller left `signal` ignored.
pub fn is_ignored(signal: i32) -> bool {
    let mut current = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only reads; `current` is a valid place for the old one and read only on success.
    unsafe {
        libc::sigaction(signal, ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Makes the child of `command` start with SIGPIPE as this process got it; the standard library sets the default.
pub(super) fn keep_sigpipe(command: &mut Command) {
    if is_ignored(libc::SIGPIPE) {
        // SAFETY: `signal` is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                Ok(())
            });
        }
    }
}

/// Ignores SIGPIPE in this process, as processes that speak over sockets want it.
pub fn ignore_sigpipe() {
    // SAFETY: no handler of ours is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Ends this process by `signal`; returns only where the signal is blocked or does not end a process.
pub(super) fn die_by(signal: i32) {
    set(signal, libc::SIG_DFL);
    // SAFETY: plain system call on ourselves.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Passes stop signals on to a compiler for as long as it lives.
///
/// Signals that the caller left ignored stay ignored, here and in the compiler.
#[derive(Debug)]
pub(super) struct PassOn {
    installed: Vec<libc::c_int>,
}

impl PassOn {
    /// Installs the handlers; to be called before the compiler is started, so that no signal falls between.
    pub(super) fn install() -> Self {
        CHILD.store(0, Ordering::SeqCst);
        RECEIVED.store(0, Ordering::SeqCst);
        let wanted = PASSED_ON.into_iter().filter(|&signal| !is_ignored(signal));
        let installed = wanted.inspect(|&signal| set(signal, on_signal as *const () as usize)).collect();
        Self { installed }
    }

    /// Names the compiler; a signal that came before is passed on now.
    pub(super) fn to(&self, pid: u32) {
        CHILD.store(pid as i32, Ordering::SeqCst);
        let received = RECEIVED.load(Ordering::SeqCst);
        if received != 0 {
            // SAFETY: plain system call; the child is not reaped yet, so the id is its own.
            unsafe { libc::kill(pid as i32, received) };
        }
    }

    /// Returns the signal that came last.
    pub(super) fn received(&self) -> Option<libc::c_int> {
        Some(RECEIVED.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }

    /// Stops passing on and restores the default dispositions. To be called before the compiler is reaped, so that its id is
    /// not another's by then. Returns whether any signal came.
    pub(super) fn end(self) -> bool {
        CHILD.store(0, Ordering::SeqCst);
        self.installed.iter().for_each(|&signal| set(signal, libc::SIG_DFL));
        RECEIVED.load(Ordering::SeqCst) != 0
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::SeqCst);
    let child = CHILD.load(Ordering::SeqCst);
    if child > 0 {
        // SAFETY: async-signal-safe system call. `errno` is restored below.
        unsafe {
            let errno = *libc::__errno_location();
            libc::kill(child, signal);
            *libc::__errno_location() = errno;
        }
    }
}

fn set(signal: libc::c_int, action: libc::sighandler_t) {
    // SAFETY: an all-zero sigaction is valid: no flags, empty mask. Without SA_RESTART a blocked poll wakes.
    unsafe {
        let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        new.sa_sigaction = action;
        libc::sigaction(signal, &new, ptr::null_mut());
    }
}
