//! Small requests between real endpoints, and what hostile clients and servers can do to them: nothing to the others.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod testbed;

use dccache_protocol::ids::Epoch;
use dccache_protocol::limits;
use dccache_protocol::service::{Answer, Bytes, CacheRequest, CacheResponse, NodeStatus};
use dccache_protocol::token::Role;
use dccache_transport::listener::{Limits, Listener};
use dccache_transport::rpc::{self, Call, RpcClient};
use dccache_transport::stream::SecureStream;
use dccache_transport::work::Work;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tarpc::ServerError;
use tarpc::client::RpcError;
use testbed::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

/// What the test service does with its requests, and what it saw.
#[derive(Clone)]
struct Service {
    gate: Arc<Semaphore>,
    begun: Arc<Semaphore>,
    seen: Arc<AtomicUsize>,
}

impl Service {
    fn open() -> Self {
        let service = Self::gated();
        service.gate.add_permits(Semaphore::MAX_PERMITS);
        service
    }

    /// A service whose requests wait for permits.
    fn gated() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), begun: Arc::new(Semaphore::new(0)), seen: Arc::default() }
    }

    async fn answer(self, call: Call) -> Result<CacheResponse, ServerError> {
        self.seen.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        let permit = self.gate.acquire().await;
        drop(permit);
        Ok(match call.request {
            CacheRequest::Raft { message } if message.0 == b"panic" => panic!("asked to"),
            CacheRequest::Raft { message } => CacheResponse::Raft(done(message)),
            _ => CacheResponse::Status(done(NodeStatus {
                node: call.peer.role().to_string(),
                ..Default::default()
            })),
        })
    }

    /// Serves every connection of a listener in the background.
    fn serve(self, mut listener: Listener, work: Work) {
        tokio::spawn(async move {
            loop {
                let connection = accept(&mut listener).await;
                let service = self.clone();
                let answer = move |call| service.clone().answer(call);
                tokio::spawn(rpc::serve(connection.stream, connection.peer, work.clone(), answer));
            }
        });
    }
}

fn done<T>(value: T) -> Answer<T> {
    Answer { epoch: Epoch(1), newer: None, result: Ok(value) }
}

struct World {
    cluster: Cluster,
    address: std::net::SocketAddr,
}

impl World {
    async fn serving(service: Service, work: Work) -> Self {
        let cluster = Cluster::found();
        let (listener, address) = cluster.listen(2, Limits::default()).await;
        service.serve(listener, work);
        Self { cluster, address }
    }

    async fn stream(&self) -> SecureStream {
        dial(&self.cluster.client(Role::Writer), 2, self.address).await.unwrap().stream
    }

    async fn client(&self) -> RpcClient {
        rpc::connect(self.stream().await)
    }
}

fn in_time() -> tarpc::context::Context {
    rpc::context(Instant::now() + Duration::from_secs(20))
}

async fn ask(client: &RpcClient) -> Result<String, RpcError> {
    Ok(client.cache().status(in_time()).await?.result.unwrap().node)
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_and_know_their_caller() {
    let world = World::serving(Service::open(), Work::default()).await;
    let client = world.client().await;
    assert_eq!(ask(&client).await.unwrap(), "writer");
    let large = Bytes(vec![7; limits::CONTROL_MESSAGE_MAX]);
    let calls = (0..20).map(|_| client.cache().raft(in_time(), large.clone()));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap().result.unwrap(), large);
    }
    assert!(!client.is_closed());
}

#[tokio::test]
async fn a_request_over_the_frame_limit_fails_alone() {
    let world = World::serving(Service::open(), Work::default()).await;
    let client = world.client().await;
    let refused = client.cache().raft(in_time(), Bytes(vec![0; limits::FRAME_MAX])).await;
    assert!(refused.is_err());
    let other = world.client().await;
    assert_eq!(ask(&other).await.unwrap(), "writer");
}

#[tokio::test]
async fn a_panic_in_the_service_is_a_failure_of_that_request_only() {
    let world = World::serving(Service::open(), Work::default()).await;
    let client = world.client().await;
    let failed = client.cache().raft(in_time(), Bytes(b"panic".to_vec())).await.unwrap_err();
    assert!(matches!(failed, RpcError::Server(_)), "{failed:?}");
    assert_eq!(ask(&client).await.unwrap(), "writer");
}

/// Sends raw bytes behind the handshake and returns when the other side closes.
async fn closes_after(world: &World, bytes: &[u8]) {
    let mut stream = world.stream().await;
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{rest:?}");
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], body].concat()
}

/// Request 9 for the status with a deadline in postcard's varint.
fn status_request(deadline: u64) -> Vec<u8> {
    let mut body = vec![0, 9];
    let mut rest = deadline;
    while rest >= 128 {
        body.push(rest as u8 | 128);
        rest >>= 7;
    }
    body.push(rest as u8);
    body.push(7); // the eighth method
    body
}

#[tokio::test]
async fn malformed_frames_end_their_connection_and_no_other() {
    let world = World::serving(Service::open(), Work::default()).await;
    let honest = world.client().await;
    let trailing = [status_request(1000), vec![0]].concat();
    let attacks: [&[u8]; 6] = [
        &u32::MAX.to_le_bytes(),
        &(limits::FRAME_MAX as u32 + 1).to_le_bytes(),
        &frame(&trailing),
        &frame(&[]),
        &frame(&[0xff; 100]),
        &frame(&[0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
    ];
    for attack in attacks {
        closes_after(&world, attack).await;
    }
    assert_eq!(ask(&honest).await.unwrap(), "writer");
}

#[tokio::test]
async fn hostile_deadlines_neither_panic_nor_last() {
    let service = Service::gated();
    let world = World::serving(service.clone(), Work::default()).await;
    for deadline in [u64::MAX, u64::MAX / 2, 0] {
        let mut stream = world.stream().await;
        stream.write_all(&frame(&status_request(deadline))).await.unwrap();
        stream.flush().await.unwrap();
        if deadline > 0 {
            // The request was admitted: no panic on the way.
            service.begun.acquire().await.unwrap().forget();
        }
    }
    service.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    assert_eq!(ask(&world.client().await).await.unwrap(), "writer");
}

#[tokio::test]
async fn cancelling_frees_no_permit_before_the_work_is_done() {
    let service = Service::gated();
    let work = Work::with_bounds(8, 1 << 20, 1 << 20);
    let world = World::serving(service.clone(), work.clone()).await;
    let flooding = world.client().await;
    for _ in 0..8 {
        let client = flooding.clone();
        let call = tokio::spawn(async move { ask(&client).await });
        service.begun.acquire().await.unwrap().forget();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(work.in_progress(), 8);
    // Every permit belongs to cancelled work that still goes on: nobody gets in, and is told so at once.
    for client in [&flooding, &world.client().await] {
        let refused = ask(client).await.unwrap_err();
        let RpcError::Server(error) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind, std::io::ErrorKind::WouldBlock);
    }
    assert_eq!(service.seen.load(Ordering::SeqCst), 8);
    service.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    work.drained().await;
    assert_eq!(ask(&flooding).await.unwrap(), "writer");
}

#[tokio::test]
async fn one_connection_has_a_bounded_number_of_requests_in_progress() {
    let service = Service::gated();
    let world = World::serving(service.clone(), Work::default()).await;
    let mut stream = world.stream().await;
    // Raw frames, so that no bound of our own client holds the flood back.
    let many = limits::REQUESTS_PER_CONNECTION_MAX + 10;
    let mut flood = Vec::new();
    for id in 0..many {
        let mut body = status_request(20_000);
        body[1] = id as u8;
        flood.extend(frame(&body));
    }
    stream.write_all(&flood).await.unwrap();
    stream.flush().await.unwrap();
    let mut busy = [0; 10 * 7];
    stream.read_exact(&mut busy).await.unwrap();
    for answer in busy.chunks(7) {
        // Length 3: id, Err, Busy.
        assert_eq!((&answer[..4], &answer[5..]), (&[3, 0, 0, 0][..], &[1, 0][..]), "{answer:?}");
    }
    service.begun.acquire_many(limits::REQUESTS_PER_CONNECTION_MAX as u32).await.unwrap().forget();
    assert_eq!(service.seen.load(Ordering::SeqCst), limits::REQUESTS_PER_CONNECTION_MAX);
}

#[tokio::test]
async fn a_frame_that_never_ends_ends_its_connection() {
    let world = World::serving(Service::open(), Work::default()).await;
    let mut stream = world.stream().await;
    stream.write_all(&(1000u32).to_le_bytes()).await.unwrap();
    stream.write_all(&[0, 1]).await.unwrap();
    stream.flush().await.unwrap();
    // The real exchange is over; only timers are left to wait for.
    tokio::time::pause();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_server_that_sends_nonsense_loses_its_client_without_a_panic() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let dialler = cluster.client(Role::Reader);
    let large = (limits::FRAME_MAX as u32 + 1).to_le_bytes();
    for nonsense in [&frame(&[0xff; 64])[..], &large, &frame(&[5, 0, 0, 0, 0])] {
        let (outbound, mut inbound) = meet(&mut listener, &dialler, 2, address).await.unwrap();
        let client = rpc::connect(outbound.stream);
        let (answer, ()) = tokio::join!(ask(&client), async {
            let mut first = [0; 4];
            inbound.stream.read_exact(&mut first).await.unwrap();
            inbound.stream.write_all(nonsense).await.unwrap();
            inbound.stream.flush().await.unwrap();
        });
        assert!(answer.is_err());
        client.closed().await;
    }
}

#[tokio::test]
async fn a_revoked_client_loses_its_open_connection_between_two_requests() {
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let view = endpoint.trust().revocations().clone();
    let (listener, address) = listen(endpoint, host(2), Limits::default()).await;
    Service::open().serve(listener, Work::default());
    let dialler = cluster.client(Role::Writer);
    let client = rpc::connect(dial(&dialler, 2, address).await.unwrap().stream);
    assert_eq!(ask(&client).await.unwrap(), "writer");
    let key = *dialler.endpoint().identity().key().id().digest();
    view.apply(&cluster.revocations(1, vec![dccache_protocol::control::Revoked::Key(key)]));
    client.closed().await;
    assert!(ask(&client).await.is_err());
}
