//! Starting the agent on demand: once for all wrappers that need it at the same time, and not again for a while when it fails.
//!
//! Shape: whoever finds no agent takes the lock of [`Place::starting`], looks again, and starts one. The new agent writes one
//! line to its stdout when it listens; its end of file means that it left. The file holds the Unix time in ms until which nobody
//! tries again, so an agent that cannot start, or hangs, costs each later compile one read.

use super::line::{Line, LineError};
use super::place::{Place, PlaceError};
use dccache_protocol::time::UnixMillis;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long nobody tries again after an agent could not be started or did not answer, in ms. Long against one compile, short
/// against the time in which somebody repairs something.
pub const BACK_OFF_MS: u64 = 20_000;

/// Pause between looks at a lock that another wrapper holds while it starts the agent.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What the agent writes to its stdout when it listens.
pub const READY: &[u8] = b"ready\n";

/// How to reach an agent, and to start it where there is none.
#[derive(Clone, Debug)]
pub struct Starter {
    /// Where it lives.
    pub place: Place,
    /// The dccache binary.
    pub program: PathBuf,
}

/// Why there is no agent to talk to.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// One that runs gave no answer.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It failed a moment ago.
    #[error("the agent failed a moment ago and is not tried again yet")]
    BackedOff,
    /// It could not be started.
    #[error("cannot start the agent")]
    Start(#[source] io::Error),
    /// It was started and left.
    #[error("the agent left as soon as it was started; `dccache agent run --foreground` shows why")]
    Left,
    /// Its directory cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Starter {
    /// Names the agent at `place`, started from the running program.
    ///
    /// # Errors
    /// When the system does not tell which program runs.
    pub fn of_this_program(place: Place) -> io::Result<Self> {
        Ok(Self { place, program: std::env::current_exe()? })
    }

    /// Connects to the agent, starting it when there is none, within `patience`. `now` is the wall-clock time.
    ///
    /// # Errors
    /// [`Unreached`]; after a failure that would repeat itself the next calls fail at once for [`BACK_OFF_MS`].
    pub fn reach(&self, patience: Duration, now: UnixMillis) -> Result<Line, Unreached> {
        let deadline = Instant::now() + patience;
        if self.is_backed_off(now) {
            return Err(Unreached::BackedOff);
        }
        match Line::open(&self.place, patience) {
            // A connection that breaks before the greeting met an agent that was just leaving.
            Err(LineError::NoAgent(_) | LineError::Broken(_)) => self.start(deadline, now),
            Err(error @ (LineError::TimedOut | LineError::Foreign)) => {
                self.back_off(now);
                Err(error.into())
            }
            other => Ok(other?),
        }
    }

    /// Lets nobody try again until [`BACK_OFF_MS`] from `now`: for an agent that took a request and never answered.
    pub fn back_off(&self, now: UnixMillis) {
        if let Ok(mut file) = self.open_marker() {
            let _ = write_marker(&mut file, now.plus_ms(BACK_OFF_MS));
        }
    }

    /// Lets the next one try at once: for a person who asks, and is not to be held back by what wrappers met.
    pub fn forget_failures(&self) {
        if self.place.starting().is_file()
            && let Ok(file) = self.open_marker()
        {
            let _ = file.set_len(0);
        }
    }

    /// Tells whether nobody tries at `now` because of an earlier failure.
    pub fn is_backed_off(&self, now: UnixMillis) -> bool {
        let until = std::fs::read(self.place.starting()).ok().and_then(|text| parse_marker(&text));
        // A marker further away than the longest back-off was written under another clock.
        until.is_some_and(|until| now < until && until.since(now) <= BACK_OFF_MS)
    }

    fn start(&self, deadline: Instant, now: UnixMillis) -> Result<Line, Unreached> {
        self.place.prepare()?;
        let mut marker = self.open_marker().map_err(Unreached::Start)?;
        loop {
            match marker.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(LineError::TimedOut.into()),
                Err(TryLockError::Error(error)) => return Err(Unreached::Start(error)),
            }
        }
        // Another wrapper may have started it, or failed to, while this one waited.
        if self.is_backed_off(now) {
            return Err(Unreached::BackedOff);
        }
        match Line::open(&self.place, left(deadline)) {
            Err(LineError::NoAgent(_) | LineError::Broken(_)) => {}
            other => return Ok(other?),
        }
        let started =
            self.spawn().map_err(Unreached::Start).and_then(|stdout| match answers(stdout, deadline) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Unreached::Left),
                Err(error) => Err(error.into()),
            });
        // One that left may have lost a race against another; one that is merely slow is found by the next compile.
        match Line::open(&self.place, left(deadline)) {
            Err(LineError::NoAgent(_)) => {}
            other => return Ok(other?),
        }
        if let Err(Unreached::Start(_) | Unreached::Left) = started {
            let _ = write_marker(&mut marker, now.plus_ms(BACK_OFF_MS));
        }
        Err(started.err().unwrap_or(Unreached::Left))
    }

    fn open_marker(&self) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(self.place.starting())
    }

    fn spawn(&self) -> io::Result<ChildStdout> {
        let mut child = Command::new(&self.program)
            .arg0("dccache")
            .args(["agent", "run"])
            .env("DCCACHE_DIR", self.place.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdout.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Waits until the agent says that it listens; `false` when it left instead.
fn answers(mut stdout: ChildStdout, deadline: Instant) -> Result<bool, LineError> {
    let mut said = [0; READY.len()];
    let mut length = 0;
    while length < said.len() {
        let wait = Timespec::try_from(left(deadline)).map_err(|_| LineError::TimedOut)?;
        match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&wait)) {
            Ok(0) => return Err(LineError::TimedOut),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(LineError::Broken(error.into())),
            Ok(_) => {}
        }
        match stdout.read(&mut said[length..]) {
            Ok(0) => return Ok(false),
            Ok(count) => length += count,
            Err(error) => return Err(LineError::Broken(error)),
        }
    }
    Ok(said == READY)
}

fn parse_marker(text: &[u8]) -> Option<UnixMillis> {
    std::str::from_utf8(text).ok()?.trim().parse().ok().map(UnixMillis)
}

fn write_marker(file: &mut File, until: UnixMillis) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(until.0.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn starter(program: &str) -> (tempfile::TempDir, Starter) {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path());
        (home, Starter { place, program: program.into() })
    }

    #[test]
    fn an_agent_that_cannot_start_is_not_tried_again_until_the_back_off_is_over() {
        let (_home, starter) = starter("/nonexistent/dccache");
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::Start(_))));
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::BackedOff)));
        assert!(matches!(starter.reach(PATIENCE, NOW.plus_ms(BACK_OFF_MS - 1)), Err(Unreached::BackedOff)));
        assert!(matches!(starter.reach(PATIENCE, NOW.plus_ms(BACK_OFF_MS)), Err(Unreached::Start(_))));
    }

    #[test]
    fn an_agent_that_leaves_at_once_is_not_tried_again_either() {
        let (_home, starter) = starter("/bin/true");
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::Left)));
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::BackedOff)));
    }

    #[test]
    fn a_person_who_asks_is_not_held_back_by_earlier_failures() {
        let (_home, starter) = starter("/nonexistent/dccache");
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::Start(_))));
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::BackedOff)));
        starter.forget_failures();
        assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::Start(_))));
    }

    #[test]
    fn a_marker_from_a_clock_that_ran_ahead_or_of_garbage_stops_nobody() {
        let (_home, starter) = starter("/nonexistent/dccache");
        starter.place.prepare().unwrap();
        for marker in [(NOW.0 + 10 * BACK_OFF_MS).to_string(), "soon".into(), String::new(), "-1".into()] {
            std::fs::write(starter.place.starting(), marker).unwrap();
            assert!(matches!(starter.reach(PATIENCE, NOW), Err(Unreached::Start(_))));
        }
    }

    #[test]
    fn an_agent_that_accepts_and_never_greets_costs_its_patience_once() {
        let (_home, starter) = starter("/nonexistent/dccache");
        starter.place.prepare().unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(starter.place.socket()).unwrap();
        let short = Duration::from_millis(20);
        assert!(matches!(starter.reach(short, NOW), Err(Unreached::Line(LineError::TimedOut))));
        assert!(matches!(starter.reach(short, NOW), Err(Unreached::BackedOff)));
    }
}
