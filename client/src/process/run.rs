//! Running the compiler once: its streams go out as it writes them, and are kept for the store.

use super::child;
use super::death::Ending;
use super::dispositions::{self, PassOn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Most bytes kept of one stream. A compile that says more is passed on in full and not stored.
pub const CAPTURE_MAX: usize = 8 << 20;

/// How long the rest of a compiler whose driver a signal ended is waited for. An assembler is done long before; what goes on for longer
/// has not come to the object yet.
const ORPHANS_MAX: Duration = Duration::from_secs(2);

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// What a compile did.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote to stdout, at most [`CAPTURE_MAX`] bytes.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr, at most [`CAPTURE_MAX`] bytes.
    pub stderr: Vec<u8>,
    /// Whether both streams were kept in full.
    pub complete: bool,
    /// Whether a stop signal came while it ran.
    pub interrupted: bool,
    /// Wall-clock time in ms.
    pub wall_ms: u32,
    /// CPU time in ms, at the kernel's resolution of a clock tick.
    pub cpu_ms: u32,
}

/// Runs `program`, called as `name`; stdin is inherited, both streams are passed on as they come, stop signals too.
///
/// # Errors
/// Why it could not be started; nothing has run then.
pub fn run(program: &Path, name: &OsStr, arguments: &[OsString]) -> io::Result<Ran> {
    let mut command = child::call(program, name, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let lent = child::lend_stderr(&mut command);
    dispositions::keep_sigpipe(&mut command);
    let start = Instant::now();
    let signals = PassOn::install();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            signals.end();
            return Err(error);
        }
    };
    drop(lent);
    signals.to(child.id());
    let (mut stdout, mut stderr) = relay(&mut child);
    if (stdout.source.is_some() || stderr.source.is_some()) && was_killed(&child) {
        await_orphans(&mut stdout, &mut stderr);
    }
    let wall_ms = u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX);
    let cpu_ms = cpu_ms_of(child.id());
    let interrupted = signals.end();
    let ending = child.wait().map_or(Ending::Killed(libc::SIGKILL), Ending::from);
    let complete = stdout.complete && stderr.complete;
    Ok(Ran { ending, stdout: stdout.kept, stderr: stderr.kept, complete, interrupted, wall_ms, cpu_ms })
}

/// Passes both streams on until the child has ended, whoever else still holds them.
fn relay(child: &mut Child) -> (Relay, Relay) {
    let mut out = Relay::new(child.stdout.take().map(OwnedFd::from));
    let mut err = Relay::new(child.stderr.take().map(OwnedFd::from));
    let ended = Pid::from_raw(child.id() as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    loop {
        let has_ended = wait_for_any(&out, &err, ended.as_ref());
        out.pump(rustix::stdio::stdout());
        err.pump(rustix::stdio::stderr());
        // The last bytes were written before the end that was seen, so one pump after it gets them all.
        if has_ended || (ended.is_none() && out.source.is_none() && err.source.is_none()) {
            return (out, err);
        }
    }
}

fn wait_for_any(out: &Relay, err: &Relay, ended: Option<&OwnedFd>) -> bool {
    let sources = [out.source.as_ref(), err.source.as_ref(), ended];
    let mut polled: Vec<PollFd<'_>> =
        sources.into_iter().flatten().map(|source| PollFd::new(source, PollFlags::IN)).collect();
    let woken = poll(&mut polled, None);
    woken.is_ok() && ended.is_some() && polled.last().is_some_and(|last| !last.revents().is_empty())
}

/// Tells whether a signal ended the child, which is not reaped by this.
fn was_killed(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status =
        Pid::from_raw(child.id() as i32).and_then(|pid| waitid(WaitId::Pid(pid), options).ok().flatten());
    status.is_some_and(|status| status.killed() || status.dumped())
}

/// Passes on what the compiler proper or the assembler still writes after a signal ended their driver. They would die at our end of the
/// pipe, in the middle of an object, where without dccache they end by themselves. Another signal ends the wait.
fn await_orphans(out: &mut Relay, err: &mut Relay) {
    let end = Instant::now() + ORPHANS_MAX;
    loop {
        let sources = [out.source.as_ref(), err.source.as_ref()];
        let mut polled: Vec<PollFd<'_>> =
            sources.into_iter().flatten().map(|source| PollFd::new(source, PollFlags::IN)).collect();
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        if polled.is_empty() || !matches!(poll(&mut polled, Some(&timeout)), Ok(1..)) {
            return;
        }
        out.pump(rustix::stdio::stdout());
        err.pump(rustix::stdio::stderr());
    }
}

/// One stream on its way from the compiler to our own descriptor.
#[derive(Debug)]
struct Relay {
    source: Option<OwnedFd>,
    kept: Vec<u8>,
    complete: bool,
}

impl Relay {
    fn new(source: Option<OwnedFd>) -> Self {
        if let Some(pipe) = &source {
            // A fresh pipe takes this. If it did not, a pump would wait for the stream's end: late, never wrong.
            let _ = rustix::io::ioctl_fionbio(pipe, true);
        }
        Self { source, kept: Vec::new(), complete: true }
    }

    /// Moves everything that can be read now.
    fn pump(&mut self, target: impl AsFd) {
        let mut chunk = [0; CHUNK];
        while let Some(source) = &self.source {
            match rustix::io::read(source, &mut chunk) {
                Ok(length @ 1..) => {
                    write_all(&target, &chunk[..length]);
                    self.complete &= self.kept.len() + length <= CAPTURE_MAX;
                    if self.complete {
                        self.kept.extend_from_slice(&chunk[..length]);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => self.source = None,
            }
        }
    }
}

/// Writes all bytes to a descriptor that others share and that may be non-blocking; what cannot be written is lost, as it
/// would be for the compiler.
pub fn write_all(target: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(&target, bytes) {
            Ok(0) => return,
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&target, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}

/// CPU time that a process and its waited-for children have used, read while it is not yet reaped.
fn cpu_ms_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields 14 to 17 of proc(5); the name in field 2 may hold spaces, so counting starts after its bracket.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split_ascii_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = super::clock::ticks_per_second();
    u32::try_from(ticks * 1000 / per_second).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A driver that is killed, and its child, which goes on once the driver is dead.
    const ORPHANED: &str = "parent=$$
        (until grep -q '^[0-9]* ([^)]*) Z' /proc/$parent/stat; do :; done; echo late >&2; echo whole) &
        kill -9 $$";

    #[test]
    fn what_outlives_a_killed_driver_is_heard_to_its_end() {
        let arguments = ["-c", ORPHANED].map(OsString::from);
        let ran = run(Path::new("/bin/sh"), OsStr::new("sh"), &arguments).expect("sh is there");
        assert_eq!(ran.ending, Ending::Killed(libc::SIGKILL));
        assert_eq!((ran.stderr.as_slice(), ran.stdout.as_slice()), (&b"late\n"[..], &b"whole\n"[..]));
    }
}
