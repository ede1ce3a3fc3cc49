//! Leaving the build that started the agent: its session, its directory, its descriptors.
//!
//! A build tool waits until the last holder of a pipe is gone, and counts the tokens of its jobserver; so everything that was inherited
//! is closed before anything is opened. `docs/adr/0010-inherited-descriptors.md` says why this needs unsafe code.
#![expect(unsafe_code, reason = "closing descriptors that no value owns; ADR 0010")]

use std::fs::File;
use std::io;
use std::path::PathBuf;

/// First descriptor after stdin, stdout and stderr.
const FIRST: libc::c_uint = 3;

/// Closes every inherited descriptor, begins a session, goes to `/` and takes stdin from `/dev/null`. Stdout and stderr stay until
/// [`silence`].
///
/// Must be called before the process has opened anything.
///
/// # Errors
/// `/dev/null` or `/` cannot be used.
pub(super) fn detach() -> io::Result<()> {
    close_inherited();
    // Fails only for the leader of a group, which has a session of its own or was put there by a person.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    std::env::set_current_dir("/")?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(())
}

/// Lets go of stdout and stderr.
///
/// # Errors
/// `/dev/null` cannot be opened.
pub(super) fn silence() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

fn close_inherited() {
    // SAFETY: nothing in this process owns a descriptor from 3 on yet, so none is closed under its owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return;
    }
    // Kernels before 5.9 have no close_range.
    for fd in open_descriptors() {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

fn open_descriptors() -> Vec<libc::c_int> {
    let entries = std::fs::read_dir(PathBuf::from("/proc/self/fd")).into_iter().flatten();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|&fd: &libc::c_int| fd >= FIRST as libc::c_int).collect()
}
