//! Single flight: of all processes of this machine that want one key, one compiles.
//!
//! A kernel lock on a file named by the key, so that a death frees it. The file is unlinked by whoever held it, under the
//! lock; who then gets the lock of an unlinked file opens the name anew. The holder writes its process id into the file, so that
//! nobody waits for one that is stopped.

use crate::home::Home;
use dccache_protocol::keys::EntryKey;
use rustix::fs::OFlags;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest wait for another process that compiles the same. It is longer than nearly all compiles; a stopped process cannot
/// hold others for ever.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// First pause between two tries; it doubles up to [`PAUSE_MAX`]. The lock has no wait with a bound.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Longest pause between two tries; small against any compile that is worth waiting for.
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// Most bytes of a lock file: a process id in decimal.
const PID_MAX: u64 = 16;

/// The right to compile a key.
#[derive(Debug)]
pub enum Flight<'a> {
    /// Nobody else compiled it meanwhile.
    First(Held<'a>),
    /// Another process held it first: its result may be in the store now.
    AfterAnother(Held<'a>),
    /// No lock can be had: read-only store, or the wait was too long. Compile without.
    Unlocked,
}

/// A held lock; dropping it, or dying, frees it.
#[derive(Debug)]
pub struct Held<'a> {
    home: &'a Home,
    name: String,
    _lock: File,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.home.remove(&self.name);
    }
}

/// Waits until this process is the one that compiles `key`.
pub fn take_off<'a>(home: &'a Home, key: &EntryKey) -> Flight<'a> {
    let name = format!("locks/{}", key.digest());
    let start = Instant::now();
    let mut pause = PAUSE_MIN;
    let mut waited = false;
    while let Ok(lock) = home.open_for_writing(&name, OFlags::RDWR) {
        match lock.try_lock() {
            Ok(()) if lock.metadata().is_ok_and(|file| file.nlink() > 0) => {
                let _ = lock
                    .set_len(0)
                    .and_then(|()| (&lock).write_all(std::process::id().to_string().as_bytes()));
                let held = Held { home, name, _lock: lock };
                return if waited { Flight::AfterAnother(held) } else { Flight::First(held) };
            }
            Ok(()) => waited = true,
            Err(TryLockError::WouldBlock) if start.elapsed() < WAIT_MAX => {
                waited = true;
                if pause == PAUSE_MAX && holder_is_stopped(home, &name) {
                    break;
                }
                sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(_) => break,
        }
    }
    Flight::Unlocked
}

/// Whether the process that holds a lock is stopped (Ctrl-Z, a debugger): it may go on tomorrow.
///
/// A holder in another process namespace cannot be seen, or is taken for another process: then the wait is too long or too short, and
/// nothing else.
fn holder_is_stopped(home: &Home, name: &str) -> bool {
    let pid =
        home.read(name, PID_MAX).ok().and_then(|text| String::from_utf8(text).ok()?.parse::<u32>().ok());
    let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // Source: proc(5): the state follows the name in parentheses, which may itself hold parentheses.
    let state = stat.as_deref().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
    matches!(state, Some('T' | 't'))
}
