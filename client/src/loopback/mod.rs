//! Real processes on loopback addresses: nodes, and workstations with a directory of their own.
//!
//! The demo, the whole-system tests and the bench start their clusters with this. Every process that was started ends when its value is dropped.

mod node;
mod proxy;
mod workstation;

pub use node::NodeProcess;
pub use proxy::DelayProxy;
pub use workstation::Workstation;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pause between two looks at whether a signal came.
const LOOK: Duration = Duration::from_millis(2);

/// Why a process on loopback could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// Ctrl-C or another signal.
    #[error("interrupted; everything was cleaned up")]
    Interrupted,
    /// A file cannot be written or read.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program cannot be started.
    #[error("cannot start {program}; `dccache-node` must lie beside `dccache`, and the compiler on PATH")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command ended with an error.
    #[error("`{what}` ended with {status}: {stderr}")]
    Failed {
        /// The command.
        what: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// A node does not come up.
    #[error("the node at {address} does not come up: {log}")]
    Node {
        /// Its address.
        address: SocketAddr,
        /// What it wrote.
        log: String,
    },
    /// A loopback address cannot be used.
    #[error("no free port at {ip}")]
    Address {
        /// The address.
        ip: std::net::IpAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The founder gave no token.
    #[error("the founding node printed no join token")]
    Token,
    /// Statistics cannot be read.
    #[error("statistics could not be read")]
    Statistics,
}

impl LoopbackError {
    /// Wraps what the system said about a file.
    pub fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// Set by a signal; every loop and wait on loopback looks at it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on.
    pub fn install() -> Self {
        let interrupt = Self::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            // A signal that cannot be caught ends the program at once, as it would any other.
            let _ = signal_hook::flag::register(signal, Arc::clone(&interrupt.0));
        }
        interrupt
    }

    /// Tells whether a signal came.
    ///
    /// # Errors
    /// [`LoopbackError::Interrupted`] when it did.
    pub fn check(&self) -> Result<(), LoopbackError> {
        if self.0.load(Ordering::Relaxed) { Err(LoopbackError::Interrupted) } else { Ok(()) }
    }

    /// Tells whether a signal came, or comes within some time.
    pub fn comes_within(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        while self.check().is_ok() && begin.elapsed() < patience {
            std::thread::sleep(LOOK);
        }
        self.check().is_err()
    }
}

/// Returns the stdout of a finished command; a failure is an error with its stderr.
///
/// # Errors
/// The command could not be started, or ended with another code than 0.
pub fn finished(output: std::io::Result<Output>, arguments: &[&str]) -> Result<String, LoopbackError> {
    let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let output = output.map_err(|source| LoopbackError::Start { program: what.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LoopbackError::Failed { what, status: output.status.to_string(), stderr })
}
