//! Bringing index and log together: taking up an index where its log position says, or building it anew.

use crate::error::WriteError;
use crate::format::{Entry, Evicted, Kind, SEGMENT_HEADER};
use crate::index::{Commit, IndexError};
use crate::log::{CHANGES_MAX, Core, FLUSH_CHANGES, Log, key_of, place_of};
use crate::meta::{Meta, Position};
use crate::open::IndexState;
use crate::overlay::IndexKey;
use dccache_protocol::ids::Partition;

/// Records that are looked up at once when a partition is dropped.
const DROP_BATCH: usize = 4096;

/// What a replay does with the changes that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Commits them durably, in pieces.
    Commit,
    /// Keeps up to [`CHANGES_MAX`] of them in memory.
    Hold,
}

impl From<IndexError> for WriteError {
    fn from(_: IndexError) -> Self {
        Self::Index
    }
}

impl Core {
    /// Opens the index and replays what the log holds beyond it; builds it anew if anything about it is wrong.
    pub(crate) fn load_index(&self, log: &mut Log) -> Result<(IndexState, u64), IndexError> {
        let taken_up = self.index.open().and_then(|meta| self.take_up(log, meta, Pace::Commit));
        let reason = match taken_up {
            Ok(replayed) => return Ok((IndexState::Reused, replayed)),
            Err(error) => error.to_string(),
        };
        tracing::warn!(%reason, "index is rebuilt from the segments");
        let rebuilt = self.rebuild(log, Pace::Commit);
        // A full disk must not keep a node from serving what it has.
        let replayed = rebuilt.or_else(|_| self.rebuild(log, Pace::Hold))?;
        Ok((IndexState::Rebuilt { reason }, replayed))
    }

    /// Opens the index again after it failed while the store was open. Writers wait; readers miss meanwhile.
    ///
    /// Commits nothing, unless memory demands it: the disk may be full. The next commit comes from whoever tries one.
    pub(crate) fn reopen_index(&self, log: &mut Log, error: &IndexError) -> Result<(), WriteError> {
        tracing::warn!(%error, "index is opened again");
        self.counters.index_failures.one();
        let taken_up = self.index.reopen().and_then(|meta| self.take_up(log, meta, Pace::Hold));
        let rebuilt = taken_up.or_else(|_| self.rebuild(log, Pace::Hold));
        rebuilt.or_else(|_| self.rebuild(log, Pace::Commit)).map(drop).map_err(|error| {
            tracing::error!(%error, "index is unavailable");
            self.index.close();
            WriteError::Index
        })
    }

    /// Syncs the log and commits the index durably, under the log's lock.
    ///
    /// Lock order: whoever calls holds no flush.
    pub(crate) fn flush(&self, log: &mut Log) -> Result<(), WriteError> {
        self.sync.settle(self.sync.newest())?;
        let Err(error) = self.commit_at(log, log.meta_now().position) else { return Ok(()) };
        self.reopen_index(log, &error)?;
        if let Err(error) = self.commit_at(log, log.meta_now().position) {
            self.reopen_index(log, &error)?;
            return Err(WriteError::Index);
        }
        Ok(())
    }

    /// Makes all records of a partition unknown.
    pub(crate) fn unset_partition(&self, log: &mut Log, partition: Partition) -> Result<u64, IndexError> {
        let (first, last) = IndexKey::partition(partition);
        let mut dropped = 0;
        loop {
            let found = self.index.range(first, last, DROP_BATCH)?;
            for (key, _) in &found {
                self.unset(log, *key)?;
            }
            dropped += found.len() as u64;
            if found.len() < DROP_BATCH {
                return Ok(dropped);
            }
        }
    }

    fn take_up(&self, log: &mut Log, meta: Meta, pace: Pace) -> Result<u64, IndexError> {
        let position = meta.position;
        if !self.reaches(log, position) {
            return Err(IndexError::behind());
        }
        log.meta = meta;
        self.replay(log, position, pace)
    }

    fn rebuild(&self, log: &mut Log, pace: Pace) -> Result<u64, IndexError> {
        match (self.index.create(), pace) {
            (Err(_), Pace::Hold) => self.index.stay_in_memory(),
            (created, _) => created?,
        }
        log.meta = Meta::empty();
        self.replay(log, Position::default(), pace)
    }

    /// Says whether the log holds everything up to `position`.
    fn reaches(&self, log: &Log, position: Position) -> bool {
        let newest = self.segments.newest().unwrap_or(0);
        if position.offset <= SEGMENT_HEADER as u64 {
            return position.segment <= newest.saturating_add(1);
        }
        let end = match &log.active {
            Some(active) if active.number == position.segment => active.end,
            _ => match self.segments.trailer(position.segment) {
                Ok(Some(trailer)) => trailer.start,
                _ => self.segments.scan(position.segment).map_or(0, |scan| scan.end),
            },
        };
        end >= position.offset
    }

    /// Applies everything from `from` on.
    fn replay(&self, log: &mut Log, from: Position, pace: Pace) -> Result<u64, IndexError> {
        let mut replayed = 0;
        let numbers = self.segments.list().into_iter().map(|(number, _)| number);
        for number in numbers.filter(|number| *number >= from.segment) {
            let entries = self.entries(log, number).unwrap_or_else(|error| {
                tracing::error!(segment = number, %error, "segment not readable");
                Vec::new()
            });
            for entry in entries.iter().filter(|e| number > from.segment || e.offset >= from.offset) {
                self.apply(log, number, entry)?;
                replayed += 1;
            }
            match pace {
                Pace::Commit if self.index.waiting() >= FLUSH_CHANGES => {
                    self.commit_at(log, Position { segment: number.saturating_add(1), offset: 0 })?;
                }
                Pace::Hold if self.index.waiting() > CHANGES_MAX => return Err(IndexError::too_large()),
                _ => {}
            }
        }
        if pace == Pace::Commit {
            self.commit_at(log, log.meta_now().position)?;
        }
        Ok(replayed)
    }

    fn apply(&self, log: &mut Log, number: u32, entry: &Entry) -> Result<(), IndexError> {
        match (entry.kind, key_of(entry.kind, entry.id)) {
            (Kind::Stored(_), Some(key)) => self.set(log, key, place_of(number, entry)),
            (Kind::Evicted, _) => {
                let payload = self.segments.read(&place_of(number, entry)).ok();
                match payload.and_then(|(_, payload)| Evicted::decode(&payload)) {
                    Some(evicted) => self.replay_evicted(log, &evicted),
                    None => Ok(()),
                }
            }
            (_, Some(key)) => self.unset(log, key).map(drop),
            (_, None) => self.unset_partition(log, entry.id.partition()).map(drop),
        }
    }

    fn commit_at(&self, log: &Log, position: Position) -> Result<(), IndexError> {
        let mut flush = self.index.begin_flush();
        flush.collect(Meta { position, ..log.meta.clone() });
        flush.commit(Commit::Durable)
    }
}
