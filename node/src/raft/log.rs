//! The engine's log storage over the control plane's file.

use super::disk::{Disk, DiskError, Fact};
use super::{APPEND_BYTES_MAX, Types};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

type Failure = StorageError<u128>;

/// The log. Cheap to clone; the engine itself calls one write after the other.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    disk: Disk,
}

impl Log {
    /// Wraps the file.
    pub(crate) const fn new(disk: Disk) -> Self {
        Self { disk }
    }

    /// Runs a blocking access on the threads that are kept for such.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(Disk) -> Result<T, DiskError> + Send + 'static,
    ) -> Result<T, DiskError> {
        let disk = self.disk.clone();
        tokio::task::spawn_blocking(move || act(disk)).await.map_err(|_| DiskError::Abandoned)?
    }
}

fn reading(error: &DiskError) -> Failure {
    StorageIOError::read_logs(error).into()
}

fn writing(error: &DiskError) -> Failure {
    StorageIOError::write_logs(error).into()
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<Types>>, Failure> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        self.run(move |disk| disk.entries(bounds, usize::MAX)).await.map_err(|error| reading(&error))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry<Types>>, Failure> {
        self.run(move |disk| disk.entries(start..end, APPEND_BYTES_MAX))
            .await
            .map_err(|error| reading(&error))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failure> {
        let (purged, last) = self
            .run(|disk| Ok((disk.fact::<LogId<u128>>(Fact::Purged)?, disk.last_entry::<Entry<Types>>()?)))
            .await
            .map_err(|error| reading(&error))?;
        let last_log_id = last.map(|entry| entry.log_id).or(purged);
        Ok(LogState { last_purged_log_id: purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u128>) -> Result<(), Failure> {
        let vote = *vote;
        let written = self.run(move |disk| disk.set_fact(Fact::Vote, &vote)).await;
        written.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u128>>, Failure> {
        let read = self.run(|disk| disk.fact(Fact::Vote)).await;
        read.map_err(|error| StorageIOError::read_vote(&error).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId<u128>>) -> Result<(), Failure> {
        self.run(move |disk| disk.set_fact(Fact::Committed, &committed))
            .await
            .map_err(|error| writing(&error))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u128>>, Failure> {
        Ok(self.run(|disk| disk.fact(Fact::Committed)).await.map_err(|error| reading(&error))?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().map(|entry| (entry.log_id.index, entry)).collect();
        match self.run(move |disk| disk.append(&entries)).await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(io::Error::other(error.to_string())));
                Err(writing(&error))
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId<u128>) -> Result<(), Failure> {
        self.run(move |disk| disk.truncate(log_id.index)).await.map_err(|error| writing(&error))
    }

    async fn purge(&mut self, log_id: LogId<u128>) -> Result<(), Failure> {
        self.run(move |disk| disk.purge(log_id.index, &log_id)).await.map_err(|error| writing(&error))
    }
}
