//! Group commit: many writers wait for one sync of the files that they wrote to.
//!
//! Each append takes a ticket. A ticket is *settled* once a sync that began after it has ended, well or badly.
//! After a failed sync the operating system may have dropped the data and will not say so again, so every ticket that it
//! could concern counts as failed, and the file takes no more appends.

use crate::disk::DiskFile;
use crate::error::WriteError;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Place of an append in the order of all appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
struct State {
    last: u64,
    settled: u64,
    failed: u64,
    running: bool,
    dirty: BTreeMap<u32, Arc<dyn DiskFile>>,
    retired: Vec<u32>,
}

/// Files that wait for their sync, and those who wait with them.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    state: Mutex<State>,
    ended: Condvar,
}

impl GroupSync {
    /// Notes that `file`, segment `number`, was written to.
    pub(crate) fn appended(&self, number: u32, file: &Arc<dyn DiskFile>) -> Ticket {
        let mut state = self.lock();
        state.last += 1;
        state.dirty.entry(number).or_insert_with(|| Arc::clone(file));
        Ticket(state.last)
    }

    /// Returns the ticket of the newest append.
    pub(crate) fn newest(&self) -> Ticket {
        Ticket(self.lock().last)
    }

    /// Says whether segment `number` had a failed sync and must take no more appends.
    pub(crate) fn is_retired(&self, number: u32) -> bool {
        self.lock().retired.contains(&number)
    }

    /// Waits until everything up to `ticket` is on the disk, syncing if nobody else does.
    ///
    /// # Errors
    /// [`WriteError::NotSynced`] when a sync that could have carried it failed.
    pub(crate) fn settle(&self, ticket: Ticket) -> Result<(), WriteError> {
        let mut state = self.lock();
        while state.settled < ticket.0 {
            if state.running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            let (end, dirty) = (state.last, std::mem::take(&mut state.dirty));
            drop(state);
            let results: Vec<(u32, io::Result<()>)> =
                dirty.into_iter().map(|(n, file)| (n, file.sync())).collect();
            state = self.lock();
            state.running = false;
            state.settled = end;
            for (number, error) in results.into_iter().filter_map(|(n, result)| Some((n, result.err()?))) {
                tracing::error!(segment = number, %error, "sync failed");
                state.failed = end;
                state.retired.push(number);
            }
            self.ended.notify_all();
        }
        if state.failed > 0 && ticket.0 <= state.failed { Err(WriteError::NotSynced) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
