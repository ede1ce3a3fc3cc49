//! How a process ended, and ending in the same way.

use super::dispositions;
use rustix::process::{Resource, Rlimit};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or(libc::SIGKILL)),
        }
    }
}

impl Ending {
    /// Tells whether it was a success.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

/// Returns the exit code of a child; one that a signal ended takes this process with it, as make expects. This process leaves no core file: the child's
/// is the one that tells something.
pub fn die_like(ending: Ending) -> i32 {
    match ending {
        Ending::Exited(code) => code,
        Ending::Killed(number) => {
            let no_core = Rlimit { current: Some(0), maximum: Some(0) };
            let _ = rustix::process::setrlimit(Resource::Core, no_core);
            dispositions::die_by(number);
            // Only a signal that the caller left blocked comes here; the shell's number for such a death.
            128 + number
        }
    }
}
