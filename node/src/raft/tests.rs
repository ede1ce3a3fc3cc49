//! The engine's own suite over our disk, and a log that survives a restart.

use super::*;
use dccache_protocol::codec::DecodeError;
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};
use std::sync::Arc;
use std::sync::Mutex;

/// Remembers what it was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Vec<u8>>>>);

impl Machine for Heard {
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let mut heard = self.0.lock().unwrap();
        heard.push(command.to_vec());
        vec![u8::try_from(heard.len()).unwrap()]
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_extend(&*self.0.lock().unwrap(), Vec::new()).unwrap()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError> {
        *self.0.lock().unwrap() = postcard::from_bytes(state).map_err(|_| DecodeError::Malformed)?;
        Ok(())
    }

    fn publish(&self) {}
}

struct OnDisk;

impl StoreBuilder<Types, Log, Replica<Heard>, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, Log, Replica<Heard>), StorageError<u128>> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("control.redb")).unwrap();
        let replica = Replica::open(disk.clone(), Heard::default()).unwrap();
        Ok((dir, Log::new(disk), replica))
    }
}

#[test]
fn the_log_and_the_replica_pass_the_suite_of_the_engine() {
    Suite::test_all(OnDisk).unwrap();
}

struct Nowhere;

impl Carrier for Nowhere {
    fn carry(
        &self,
        _: NodeId,
        _: Vec<u8>,
        _: std::time::Duration,
    ) -> futures::future::BoxFuture<'_, Result<Vec<u8>, std::io::Error>> {
        Box::pin(async { Err(std::io::Error::other("alone")) })
    }
}

async fn start(path: &std::path::Path, heard: &Heard) -> (Raft, Disk) {
    let disk = Disk::open(path).unwrap();
    let replica = Replica::open(disk.clone(), heard.clone()).unwrap();
    let config = Arc::new(config().validate().unwrap());
    let raft =
        Raft::new(7, config, Carriers(Arc::new(Nowhere)), Log::new(disk.clone()), replica).await.unwrap();
    (raft, disk)
}

#[tokio::test]
async fn one_voter_agrees_with_itself_and_remembers_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.redb");
    let said: Vec<Vec<u8>> = (0..5u8).map(|i| vec![i; 3]).collect();
    {
        let heard = Heard::default();
        let (raft, disk) = start(&path, &heard).await;
        raft.initialize(std::collections::BTreeMap::from([(7u128, ())])).await.unwrap();
        raft.wait(Some(std::time::Duration::from_secs(10))).current_leader(7, "leads").await.unwrap();
        for (i, command) in said.iter().enumerate() {
            let written = raft.client_write(Bytes(command.clone())).await.unwrap();
            assert_eq!(written.data.0, [u8::try_from(i + 1).unwrap()]);
        }
        raft.shutdown().await.unwrap();
        drop((raft, disk));
    }
    let heard = Heard::default();
    let (raft, _disk) = start(&path, &heard).await;
    raft.wait(Some(std::time::Duration::from_secs(10))).current_leader(7, "leads again").await.unwrap();
    assert_eq!(*heard.0.lock().unwrap(), said);
    raft.shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_stands_for_election_in_anothers_name() {
    let dir = tempfile::tempdir().unwrap();
    let (raft, _disk) = start(&dir.path().join("control.redb"), &Heard::default()).await;
    let vote = openraft::raft::VoteRequest::<u128>::new(openraft::Vote::new(9, 8), None);
    let message = network::encoded_vote(vote);
    assert_eq!(answer(&raft, node_id(9), &message).await, None);
    assert!(answer(&raft, node_id(8), &message).await.is_some());
    raft.shutdown().await.unwrap();
}
