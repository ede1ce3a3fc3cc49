//! What every process that we start is told beside our own environment.
//!
//! Under another name than ours that is nothing. As `ccache` we tell what ccache tells: that nobody below is to cache once more, and where
//! the stderr is that is in no cache.

use rustix::io::dup;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps every ccache, and ourselves under that name, from caching.
const NO_CACHING: &str = "CCACHE_DISABLE";

/// Number of a descriptor for messages that are not to be cached, such as those of `distcc`.
const UNCACHED_STDERR: &str = "UNCACHED_ERR_FD";

/// Whether we speak as ccache. Set once, before anything is started.
static AS_CCACHE: AtomicBool = AtomicBool::new(false);

/// From now on children are told what ccache tells them.
pub fn speak_as_ccache() {
    AS_CCACHE.store(true, Ordering::Relaxed);
}

/// A call of `program` as `name`, with what it is to be told.
pub(super) fn call(program: &Path, name: &OsStr, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.arg0(name).args(arguments);
    if AS_CCACHE.load(Ordering::Relaxed) {
        command.env(NO_CACHING, "1");
    }
    command
}

/// Lends a child whose stderr is captured our own; the descriptor must live until the child is started.
pub(super) fn lend_stderr(command: &mut Command) -> Option<OwnedFd> {
    if !AS_CCACHE.load(Ordering::Relaxed) {
        return None;
    }
    let lent = dup(rustix::stdio::stderr()).ok()?;
    command.env(UNCACHED_STDERR, lent.as_raw_fd().to_string());
    Some(lent)
}
