//! `dccache demo`: the whole thing on loopback.

use crate::demo::{DemoOptions, run as run_demo};
use crate::say::complain;
use clap::Args;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Exit code after Ctrl-C, as shells spell the death by SIGINT.
const INTERRUPTED: i32 = 130;

/// Arguments of `dccache demo`.
#[derive(Debug, Args)]
pub(super) struct DemoCommand {
    /// Compiler to put the wrapper in front of
    #[arg(long, default_value = "gcc")]
    compiler: String,
    /// Compiles at a time; all processors where nothing is said
    #[arg(long, short)]
    jobs: Option<NonZeroUsize>,
}

/// Runs it; returns the exit code.
pub(super) fn run(command: &DemoCommand) -> i32 {
    let jobs = command.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let options = DemoOptions { compiler: command.compiler.clone(), jobs };
    match run_demo(&options) {
        Ok(()) => 0,
        Err(error) => {
            complain!("dccache: {error}");
            if error.is_interruption() { INTERRUPTED } else { 1 }
        }
    }
}
