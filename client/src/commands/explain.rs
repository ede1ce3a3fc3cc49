//! `dccache explain`: what was done with the last compile, and why.

use super::open_home;
use crate::explain::explain;
use crate::say::complain;
use crate::stats::last;
use clap::{Args, ValueEnum};
use std::os::unix::ffi::OsStrExt;

/// Which compile to explain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The last one in this directory, else the last one of all.
    #[default]
    Last,
}

/// Arguments of `dccache explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainCommand {
    /// Which compile
    #[arg(value_enum, default_value_t)]
    which: Which,
}

/// Runs it; returns the exit code.
pub(super) fn run(command: &ExplainCommand) -> i32 {
    let (home, _) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let Which::Last = command.which;
    let directory = std::env::current_dir().unwrap_or_default();
    let here = last(&home, Some(directory.as_os_str().as_bytes()));
    match here.or_else(|| last(&home, None)) {
        Some(event) => {
            crate::say::answer(format_args!("{}", explain(&event)));
            0
        }
        None => {
            complain!("dccache: nothing was compiled yet, or `stats` is off; try `dccache gcc -c x.c`");
            1
        }
    }
}
