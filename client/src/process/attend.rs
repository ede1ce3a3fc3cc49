//! Waiting for a build of which something is to be said, whatever stops it.
//!
//! A signal of the terminal reaches the build as well, so that it is waited for, as shells do. One that asks a process to end is obeyed at once. None is
//! passed on: a make that gets one twice ends before it has removed what is half done.

use super::death::Ending;
use super::dispositions::PassOn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

/// Longest that a signal which fell between the look for one and the wait is not seen.
const GLANCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// How a build was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It ended so, and perhaps this signal came to us meanwhile.
    Ended(Ending, Option<i32>),
    /// It may still run: this signal asks us to end.
    Asked(i32),
}

/// Runs a command until it ends, or until a signal asks this process to end.
///
/// # Errors
/// Why it could not be started.
pub fn attend(command: &mut Command) -> io::Result<Left> {
    let signals = PassOn::install();
    let left = command.spawn().and_then(|mut child| wait(&mut child, &signals));
    signals.end();
    left
}

fn wait(child: &mut Child, signals: &PassOn) -> io::Result<Left> {
    let end = Pid::from_raw(child.id() as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Left::Ended(status.into(), signals.received()));
        }
        match signals.received() {
            Some(signal) if [libc::SIGTERM, libc::SIGHUP].contains(&signal) => {
                return Ok(Left::Asked(signal));
            }
            _ => glance(end.as_ref()),
        }
    }
}

/// Waits until the child has ended, a signal came, or a moment has passed.
fn glance(end: Option<&OwnedFd>) {
    let mut polled: Vec<PollFd<'_>> = end.into_iter().map(|end| PollFd::new(end, PollFlags::IN)).collect();
    let _ = poll(&mut polled, Some(&GLANCE));
}
