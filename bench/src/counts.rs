//! Counts of one call that other work on the machine does not change: system calls, by strace, and instructions, by valgrind.

use crate::measure::Contender;
use anyhow::{Context as _, ensure};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Calls under an instrument before the one that counts: valgrind changes LD_PRELOAD, so that caches begin anew.
const WARMING: usize = 2;

/// What one call took; `None` where the instrument is not installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// System calls of the process and its children.
    pub(crate) calls: Option<u64>,
    /// Instructions in user mode of the process alone.
    pub(crate) instructions: Option<u64>,
}

impl Counts {
    /// Counts a call of a contender.
    pub(crate) fn of(contender: &Contender<'_>, directory: &Path) -> anyhow::Result<Self> {
        let log = directory.join("counts");
        let written = || std::fs::read_to_string(&log).context("no counts");
        let calls = Instrument { program: "strace", options: &["-f", "-c", "-o"], log: &log };
        let calls = calls.run(contender)?.then(|| total_calls(&written()?).context("strace gives no total"));
        let instructions =
            ["--tool=callgrind", "--trace-children=no", "--callgrind-out-file=/dev/null", "--log-file"];
        let instructions = Instrument { program: "valgrind", options: &instructions, log: &log };
        let instructions = instructions
            .run(contender)?
            .then(|| collected(&written()?).context("callgrind counts no instructions"));
        Ok(Self { calls: calls.transpose()?, instructions: instructions.transpose()? })
    }
}

/// A program that counts what another one does; its last option wants the file for the counts.
struct Instrument<'a> {
    program: &'static str,
    options: &'a [&'static str],
    log: &'a Path,
}

impl Instrument<'_> {
    /// Runs a contender's command a few times; what the last one took is in the log. `false`: not installed.
    fn run(&self, contender: &Contender<'_>) -> anyhow::Result<bool> {
        if Command::new(self.program).arg("--version").output().is_err() {
            return Ok(false);
        }
        for _ in 0..=WARMING {
            (contender.prepare)(0)?;
            let mut command = self.around(&(contender.command)(0));
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            ensure!(status.success(), "{command:?} ended with {status}");
            (contender.check)(0)?;
        }
        Ok(true)
    }

    fn around(&self, inner: &Command) -> Command {
        let mut command = Command::new(self.program);
        let (last, options) = self.options.split_last().unwrap_or((&"", &[]));
        command.args(options);
        match last.starts_with("--") {
            true => command.arg(format!("{last}={}", self.log.display())),
            false => command.arg(last).arg(self.log),
        };
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(inner.get_current_dir().map_or(OsStr::new("."), Path::as_os_str));
        command
    }
}

/// Reads `100.00    0.001    2    178    21 total`: share, seconds, microseconds a call, calls, errors.
fn total_calls(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Reads `==1== Collected : 2788871`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_out_of_what_the_instruments_write() {
        let strace = "% time  seconds  usecs/call  calls  errors syscall\n100.00    0.001           2       178        21 total\n";
        assert_eq!(total_calls(strace), Some(178));
        assert_eq!(total_calls("100.00    0.001           2       178           total\n"), Some(178));
        assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 2788871\n"), Some(2_788_871));
        assert_eq!((total_calls(""), collected("")), (None, None));
    }
}
