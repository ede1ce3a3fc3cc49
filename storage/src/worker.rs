//! The background thread: syncs and commits once per interval while there is something to do, and sleeps otherwise.

use crate::error::WriteError;
use crate::index::Commit;
use crate::log::Core;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After failures the interval doubles this often at most: with 500 ms, 32 s.
const BACKOFF_MAX: u32 = 6;

#[derive(Debug, Default)]
struct Flags {
    dirty: bool,
    many_changes: bool,
    stop: bool,
}

/// How writers wake the thread.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    flags: Mutex<Flags>,
    changed: Condvar,
}

/// What the thread is to do next.
enum Work {
    Commit(Commit),
    Stop,
}

impl Wake {
    /// Says that something was appended.
    pub(crate) fn dirty(&self) {
        let mut flags = self.lock();
        if !std::mem::replace(&mut flags.dirty, true) {
            self.changed.notify_all();
        }
    }

    /// Says that many changes of the index wait.
    pub(crate) fn many_changes(&self) {
        let mut flags = self.lock();
        if !std::mem::replace(&mut flags.many_changes, true) {
            self.changed.notify_all();
        }
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Sleeps until there is something to do: changes at once, syncs at `due` or `interval` after the first append.
    fn wait(&self, interval: Duration, due: &mut Option<Instant>) -> Work {
        let mut flags = self.lock();
        loop {
            let rest = due.map(|due| due.saturating_duration_since(Instant::now()));
            if flags.stop {
                return Work::Stop;
            }
            if rest.is_some_and(|rest| rest.is_zero()) {
                (*due, flags.dirty, flags.many_changes) = (None, false, false);
                return Work::Commit(Commit::Durable);
            }
            if std::mem::take(&mut flags.many_changes) {
                return Work::Commit(Commit::Visible);
            }
            if flags.dirty && due.is_none() {
                *due = Some(Instant::now() + interval);
                continue;
            }
            flags = match rest {
                Some(rest) => {
                    self.changed.wait_timeout(flags, rest).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(flags).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    core: Arc<Core>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(core: Arc<Core>) -> std::io::Result<Self> {
        let shared = Arc::clone(&core);
        let thread = std::thread::Builder::new().name("storage".to_owned()).spawn(move || run(&shared))?;
        Ok(Self { core, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.core.wake.stop();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(core: &Core) {
    let interval = Duration::from_millis(core.config.sync_interval_ms.max(1));
    let (mut failures, mut due) = (0, None);
    while let Work::Commit(commit) = core.wake.wait(interval * (1 << failures), &mut due) {
        match core.maintain(commit) {
            Ok(()) => failures = 0,
            Err(error) => {
                tracing::warn!(%error, "background commit failed");
                failures = BACKOFF_MAX.min(failures + 1);
                core.wake.dirty();
            }
        }
    }
}

impl Core {
    /// Commits all changes of the index; durably only after a sync of everything appended so far.
    pub(crate) fn maintain(&self, commit: Commit) -> Result<(), WriteError> {
        let log = self.log();
        let mut flush = self.index.begin_flush();
        flush.collect(log.meta_now());
        let ticket = self.sync.newest();
        drop(log);
        let synced = match commit {
            Commit::Visible => Ok(()),
            Commit::Durable => self.sync.settle(ticket),
        };
        if let Err(error) = flush.commit(commit) {
            let mut log = self.log();
            self.reopen_index(&mut log, &error)?;
            self.flush(&mut log)?;
        }
        synced
    }
}
