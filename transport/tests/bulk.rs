//! Large values over connections of their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod testbed;

use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{Epoch, Namespace};
use dccache_protocol::limits;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Refusal, Stored};
use dccache_protocol::time::ReceiptStamp;
use dccache_protocol::token::Role;
use dccache_transport::bulk::{self, BulkCall, BulkError, BulkReply};
use dccache_transport::endpoint::Channel;
use dccache_transport::listener::Limits;
use dccache_transport::stream::SecureStream;
use dccache_transport::work::Work;
use std::sync::{Arc, Mutex};
use testbed::*;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

/// A connection to a service that keeps the last value.
async fn keeping(work: Work) -> (SecureStream, JoinHandle<Result<(), BulkError>>) {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let client = cluster.client(Role::Writer);
    let dialled = client.dial(node_id(2), address, Channel::Bulk, soon());
    let (outbound, inbound) = tokio::join!(dialled, accept(&mut listener));
    assert_eq!(inbound.channel, Channel::Bulk);
    let kept: Arc<Mutex<Arc<[u8]>>> = Arc::new(Mutex::new(Arc::from([])));
    let answer = move |call: BulkCall| {
        let kept = kept.clone();
        async move {
            match call.request {
                BulkRequest::Get { .. } => {
                    let payload = kept.lock().unwrap().clone();
                    let held = Some(call.budget.reserve(payload.len()).await);
                    let (kind, length) =
                        (dccache_protocol::service::RecordKind::Bundle, payload.len() as u64);
                    BulkReply { answer: BulkAnswer::Record { kind, stamp: STAMP, length }, payload, held }
                }
                BulkRequest::Put { .. } => {
                    *kept.lock().unwrap() = call.payload.into();
                    BulkAnswer::Stored(Stored { copies: 1, wanted: 1, stamp: STAMP }).into()
                }
                BulkRequest::Replicate { .. } => panic!("asked to"),
            }
        }
    };
    let served = tokio::spawn(bulk::serve(inbound.stream, inbound.peer, work, answer));
    (outbound.unwrap().stream, served)
}

const STAMP: ReceiptStamp = ReceiptStamp(7);

fn put(length: u64) -> BulkRequest {
    BulkRequest::Put { epoch: Epoch(1), length }
}

fn get() -> BulkRequest {
    let id = record();
    BulkRequest::Get { epoch: Epoch(1), namespace: Namespace::default(), id }
}

fn record() -> dccache_protocol::keys::RecordId {
    dccache_protocol::keys::RecordId::from_digest(Digest::of(b"record"))
}

#[tokio::test]
async fn a_large_value_goes_and_comes_back_on_one_connection() {
    let (mut stream, served) = keeping(Work::default()).await;
    let value: Vec<u8> = (0..5_000_001u32).map(|i| i.to_le_bytes()[(i % 3) as usize]).collect();
    for length in [value.len(), 0, limits::BULK_CHUNK, limits::BULK_CHUNK + 1] {
        let value = &value[..length];
        let (answer, _) = bulk::transfer(&mut stream, &put(length as u64), value).await.unwrap();
        assert!(matches!(answer, BulkAnswer::Stored(stored) if stored.is_acknowledged()));
        let (answer, back) = bulk::transfer(&mut stream, &get(), &[]).await.unwrap();
        assert!(matches!(answer, BulkAnswer::Record { .. }));
        assert!(back == value, "{length}");
    }
    stream.shutdown().await.unwrap();
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_before_a_byte_of_it_is_read() {
    let (mut stream, served) = keeping(Work::default()).await;
    let request = put(limits::BUNDLE_MAX as u64 + 1);
    let head = dccache_protocol::codec::Format::to_bytes(&request);
    stream.write_all(&(head.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(&head).await.unwrap();
    stream.flush().await.unwrap();
    assert!(matches!(served.await.unwrap(), Err(BulkError::Frame(_))));
    let (mut stream, _served) = keeping(Work::default()).await;
    assert!(matches!(bulk::transfer(&mut stream, &put(3), b"four").await, Err(BulkError::Length)));
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let (mut stream, served) = keeping(Work::default()).await;
    let head = dccache_protocol::codec::Format::to_bytes(&put(1 << 20));
    stream.write_all(&(head.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(&head).await.unwrap();
    stream.write_all(&[1; 1000]).await.unwrap();
    stream.flush().await.unwrap();
    // Only the stall timer is left to wait for.
    tokio::time::pause();
    assert!(matches!(served.await.unwrap(), Err(BulkError::Stalled)));
}

#[tokio::test]
async fn a_value_cut_short_is_not_taken_for_a_whole_one() {
    let (mut stream, served) = keeping(Work::default()).await;
    let head = dccache_protocol::codec::Format::to_bytes(&put(1 << 20));
    stream.write_all(&(head.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(&head).await.unwrap();
    stream.write_all(&[1; 1000]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(matches!(served.await.unwrap(), Err(BulkError::Io(_))));
}

#[tokio::test]
async fn a_node_without_a_permit_says_busy_and_the_connection_goes_on() {
    let (mut stream, _served) = keeping(Work::with_bounds(0, 1 << 30, 1 << 30)).await;
    for length in [100, limits::BULK_CHUNK * 2] {
        let (answer, _) = bulk::transfer(&mut stream, &put(length as u64), &vec![0; length]).await.unwrap();
        assert_eq!(answer, BulkAnswer::Refused(Refusal::Busy));
    }
}

#[tokio::test]
async fn a_panic_in_the_service_refuses_that_transfer_only() {
    let (mut stream, _served) = keeping(Work::default()).await;
    let request = BulkRequest::Replicate {
        epoch: Epoch(1),
        id: record(),
        kind: dccache_protocol::service::RecordKind::Bundle,
        stamp: STAMP,
        hint_for: None,
        length: 3,
    };
    let (answer, _) = bulk::transfer(&mut stream, &request, b"abc").await.unwrap();
    assert_eq!(answer, BulkAnswer::Refused(Refusal::Unavailable));
    bulk::transfer(&mut stream, &put(3), b"abc").await.unwrap();
}

#[tokio::test]
async fn a_peer_waits_for_its_own_bytes_and_not_for_those_of_others() {
    let work = Work::with_bounds(10, 4096, 2048);
    let names = [1, 2].map(|number| dccache_transport::identity::PeerName::Node(node_id(number)));
    let [first, second] = names.map(|name| work.budget(name));
    let held = first.reserve(2048).await;
    let again = work.budget(names[0]);
    let mut waiting = Box::pin(again.reserve(1024));
    assert!(futures::poll!(&mut waiting).is_pending());
    let _other = second.reserve(2048).await;
    drop(held);
    let _now = waiting.await;
}
