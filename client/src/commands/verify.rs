//! `dccache verify`: a build in which each hit is held against a compile, with a report, and an exit code for build servers.

use super::open_home;
use crate::process::{Ending, Left, attend, die_like};
use crate::say::{answer, complain, say};
use crate::verify::{Build, Summary, VARIABLE};
use clap::Args;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Exit code of a build that succeeded, and in which a hit was not what the compiler gives.
const DIFFERENT: i32 = 3;

/// Exit code of a build that succeeded, and of which nobody knows whether its hits are right.
const UNKNOWN: i32 = 1;

/// Exit code of shells for a command that is not there.
const NOT_FOUND: i32 = 127;

/// The same of one that cannot be executed.
const NOT_EXECUTED: i32 = 126;

/// Arguments of `dccache verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyCommand {
    /// Directory to build in
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Print the report as JSON; what the build says on stdout goes to stderr
    #[arg(long)]
    json: bool,
    /// What builds, such as make -j8; its compiles must go through dccache
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs it; returns the exit code.
pub(super) fn run(command: &VerifyCommand) -> i32 {
    let (home, _) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let build = match Build::begin(&home) {
        Ok(build) => build,
        Err(error) => {
            complain!("dccache: cannot record the build below {}: {error}", home.path().display());
            return 1;
        }
    };
    let (code, signal) = match build_with(command, &build) {
        Ok(Left::Ended(Ending::Exited(code), _)) => (code, None),
        Ok(Left::Ended(Ending::Killed(signal), came)) => (128 + signal, came.filter(|&came| came == signal)),
        Ok(Left::Asked(signal)) => (128 + signal, Some(signal)),
        Err(error) => {
            let [program, ..] = command.command.as_slice() else { return NOT_FOUND };
            complain!("dccache: {} in {}: {error}", program.display(), command.directory.display());
            return if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTED };
        }
    };
    let code = report(command, &build, code);
    drop(build);
    // Who sent it expects us to end by it.
    signal.map_or(code, |signal| die_like(Ending::Killed(signal)))
}

/// Says what the compiles of a build that ended with `code` came to; returns the exit code.
fn report(command: &VerifyCommand, build: &Build<'_>, code: i32) -> i32 {
    let lines = match build.lines() {
        Ok(lines) => lines,
        Err(error) => {
            complain!("dccache: cannot read {}: {error}", build.path().display());
            return if code == 0 { UNKNOWN } else { code };
        }
    };
    let summary = Summary::of(&lines, code);
    match command.json {
        true => say!("{:#}", summary.as_json()),
        false => answer(format_args!("{summary}")),
    }
    match code {
        0 if summary.differs() => DIFFERENT,
        0 if !summary.is_whole() => UNKNOWN,
        _ => code,
    }
}

fn build_with(command: &VerifyCommand, build: &Build<'_>) -> io::Result<Left> {
    let (program, arguments) = command.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments).current_dir(&command.directory);
    child.env("DCCACHE_VERIFY", "always").env(VARIABLE, build.path());
    if command.json {
        // The build gets no descriptor but the three.
        child.stdout(Stdio::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?));
    }
    attend(&mut child)
}
