//! The engine's state machine: what commands do is behind [`Machine`], where its snapshots lie is here.
//!
//! Applied state is kept in memory and comes back after a restart as the newest snapshot plus the committed entries behind it.

use super::Types;
use super::disk::{Disk, DiskError, Fact};
use dccache_protocol::codec::DecodeError;
use dccache_protocol::service::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{
    Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

/// What the log is about: deterministic, so that every member comes to the same state.
pub(crate) trait Machine: Send + 'static {
    /// Applies an encoded command and returns its encoded outcome. A command that does not decode has an outcome as well.
    fn apply(&mut self, command: &[u8]) -> Vec<u8>;
    /// Encodes the whole state.
    fn save(&self) -> Vec<u8>;
    /// Replaces the whole state.
    ///
    /// # Errors
    /// Bytes that [`Machine::save`] cannot have written.
    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError>;
    /// Shows the state to whoever watches; called after a batch of entries.
    fn publish(&self);
}

type Failure = StorageError<u128>;

/// A snapshot as it lies in the file.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    meta: SnapshotMeta<u128, ()>,
    state: Bytes,
}

struct Applied<M> {
    machine: M,
    last: Option<LogId<u128>>,
    membership: StoredMembership<u128, ()>,
}

/// The replica of the state on this node.
pub(crate) struct Replica<M> {
    disk: Disk,
    applied: Arc<Mutex<Applied<M>>>,
}

impl<M> Clone for Replica<M> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), applied: Arc::clone(&self.applied) }
    }
}

impl<M: Machine> Replica<M> {
    /// Opens the replica with the newest snapshot in the file.
    ///
    /// # Errors
    /// An unreadable file or snapshot.
    pub(crate) fn open(disk: Disk, mut machine: M) -> Result<Self, DiskError> {
        let kept: Option<Kept> = disk.fact(Fact::Snapshot)?;
        let (mut last, mut membership) = (None, StoredMembership::default());
        if let Some(kept) = kept {
            machine.restore(&kept.state.0).map_err(|_| DiskError::Damaged)?;
            (last, membership) = (kept.meta.last_log_id, kept.meta.last_membership);
        }
        machine.publish();
        Ok(Self { disk, applied: Arc::new(Mutex::new(Applied { machine, last, membership })) })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Applied<M>) -> T) -> T {
        // A panic inside `apply` would leave a state that others do not have; the engine stops on it, so no one looks again.
        act(&mut self.applied.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn keep(&self, kept: Kept) -> Result<(), Failure> {
        let disk = self.disk.clone();
        let written = tokio::task::spawn_blocking(move || disk.set_fact(Fact::Snapshot, &kept)).await;
        let written = written.map_err(|_| DiskError::Abandoned).and_then(|written| written);
        written.map_err(|error| StorageIOError::write_snapshot(None, &error).into())
    }
}

fn shown(kept: Kept) -> Snapshot<Types> {
    Snapshot { meta: kept.meta, snapshot: Box::new(Cursor::new(kept.state.0)) }
}

impl<M: Machine> RaftSnapshotBuilder<Types> for Replica<M> {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failure> {
        let kept = self.with(|applied| {
            let snapshot_id = applied.last.map_or_else(|| "empty".to_owned(), |last| last.to_string());
            let last_membership = applied.membership.clone();
            let meta = SnapshotMeta { last_log_id: applied.last, last_membership, snapshot_id };
            Kept { meta, state: Bytes(applied.machine.save()) }
        });
        self.keep(kept.clone()).await?;
        Ok(shown(kept))
    }
}

impl<M: Machine> RaftStateMachine<Types> for Replica<M> {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u128>>, StoredMembership<u128, ()>), Failure> {
        Ok(self.with(|applied| (applied.last, applied.membership.clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Bytes>, Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let outcomes = self.with(|applied| {
            let mut outcomes = Vec::new();
            for entry in entries {
                applied.last = Some(entry.log_id);
                outcomes.push(match entry.payload {
                    EntryPayload::Blank => Bytes::default(),
                    EntryPayload::Normal(command) => Bytes(applied.machine.apply(&command.0)),
                    EntryPayload::Membership(membership) => {
                        applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                        Bytes::default()
                    }
                });
            }
            applied.machine.publish();
            outcomes
        });
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Failure> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u128, ()>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let state = snapshot.into_inner();
        let restored = self.with(|applied| {
            applied.machine.restore(&state)?;
            applied.last = meta.last_log_id;
            applied.membership = meta.last_membership.clone();
            applied.machine.publish();
            Ok::<_, DecodeError>(())
        });
        restored.map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        self.keep(Kept { meta: meta.clone(), state: Bytes(state) }).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failure> {
        let disk = self.disk.clone();
        let read = tokio::task::spawn_blocking(move || disk.fact::<Kept>(Fact::Snapshot)).await;
        let read = read.map_err(|_| DiskError::Abandoned).and_then(|read| read);
        let kept = read.map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        Ok(kept.map(shown))
    }
}
