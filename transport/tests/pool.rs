//! The pool over real sockets: what it reuses, and what a node that does not answer costs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod testbed;

use dccache_protocol::ids::Epoch;
use dccache_protocol::service::{Answer, BulkAnswer, BulkRequest, CacheResponse, NodeStatus, RecordKind};
use dccache_protocol::time::ReceiptStamp;
use dccache_protocol::token::Role;
use dccache_transport::bulk::Patience;
use dccache_transport::dial::DialFault;
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::listener::{Limits, Listener};
use dccache_transport::pool::{Fault, Pool, PoolError};
use dccache_transport::rpc::{self, Call};
use dccache_transport::work::Work;
use std::net::SocketAddr;
use std::time::Duration;
use testbed::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

fn serve(mut listener: Listener) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let connection = accept(&mut listener).await;
            let answer = |_: Call| async {
                let result = Ok(NodeStatus::default());
                Ok(CacheResponse::Status(Answer { epoch: Epoch(1), newer: None, result }))
            };
            connections.spawn(rpc::serve(connection.stream, connection.peer, Work::default(), answer));
        }
    })
}

fn pool(cluster: &Cluster) -> Pool {
    Pool::with_jitter(cluster.client(Role::Reader), || u32::MAX / 2)
}

async fn ask(pool: &Pool, at: &[SocketAddr], deadline: Instant) -> Result<NodeStatus, PoolError> {
    let request =
        async |client: dccache_protocol::service::CacheClient, context| client.status(context).await;
    pool.call(node_id(2), at, deadline, request).await.map(|answer| answer.result.unwrap())
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let view = endpoint.trust().revocations().clone();
    let (listener, address) = listen(endpoint, host(2), Limits::default()).await;
    serve(listener);
    let pool = pool(&cluster);
    let at = [address];
    let asked = (0..50).map(|_| ask(&pool, &at, soon()));
    for answer in futures::future::join_all(asked).await {
        answer.unwrap();
    }
    assert_eq!(view.open_connections(), 1);
    let health = &pool.snapshot()[0];
    assert_eq!(
        (health.node, health.connected, health.failures, health.retry_in_ms),
        (node_id(2), true, 0, None)
    );
}

#[tokio::test]
async fn a_node_that_was_restarted_is_used_again() {
    let cluster = Cluster::found();
    let (listener, address) = cluster.listen(2, Limits::default()).await;
    let first = serve(listener);
    let pool = pool(&cluster);
    ask(&pool, &[address], soon()).await.unwrap();
    let client = pool.rpc(node_id(2), &[address], soon()).await.unwrap();
    first.abort();
    client.closed().await;
    drop(first.await);
    let listener = Listener::bind(address, cluster.node(2), Limits::default()).await.unwrap();
    serve(listener);
    ask(&pool, &[address], soon()).await.unwrap();
}

#[tokio::test]
async fn a_second_address_is_tried_when_the_first_refuses() {
    let cluster = Cluster::found();
    let (listener, address) = cluster.listen(2, Limits::default()).await;
    serve(listener);
    let closed = SocketAddr::new(host(9), address.port());
    ask(&pool(&cluster), &[closed, address], soon()).await.unwrap();
}

#[tokio::test]
async fn refused_connections_open_the_breaker_after_three() {
    let cluster = Cluster::found();
    let closed = TcpListener::bind((host(2), 0)).await.unwrap().local_addr().unwrap();
    let pool = pool(&cluster);
    for _ in 0..3 {
        let Err(PoolError::Dial { source, .. }) = ask(&pool, &[closed], soon()).await else { panic!() };
        assert_eq!(source.fault(), DialFault::Refused);
    }
    assert!(matches!(ask(&pool, &[closed], soon()).await, Err(PoolError::Open { .. })));
    let health = &pool.snapshot()[0];
    assert!(health.retry_in_ms.is_some() && health.last_error.is_some());
    assert!(matches!(ask(&pool, &[], soon()).await, Err(PoolError::Open { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_accepts_and_never_answers_costs_one_deadline_once() {
    let cluster = Cluster::found();
    let hole = TcpListener::bind((host(2), 0)).await.unwrap();
    let at = [hole.local_addr().unwrap()];
    let pool = pool(&cluster);
    let begin = Instant::now();
    let deadline = begin + Duration::from_millis(300);
    // Ten compiles at once: together they wait one deadline, not ten.
    let asked = (0..10).map(|_| ask(&pool, &at, deadline));
    for answer in futures::future::join_all(asked).await {
        assert!(matches!(answer, Err(PoolError::Deadline(_))), "{answer:?}");
    }
    assert!(begin.elapsed() < Duration::from_millis(310));
    let again = Instant::now();
    for _ in 0..100 {
        let refused = ask(&pool, &at, again + Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(PoolError::Open { .. })), "{refused:?}");
    }
    assert_eq!(again.elapsed(), Duration::ZERO);
    // After the pause one caller probes; the others are still refused at once.
    tokio::time::advance(Duration::from_millis(700)).await;
    let probing = Instant::now();
    let deadline = probing + Duration::from_millis(200);
    let (probe, other) = tokio::join!(ask(&pool, &at, deadline), ask(&pool, &at, deadline));
    assert!(matches!(probe, Err(PoolError::Deadline(_) | PoolError::Dial { .. })), "{probe:?}");
    assert!(matches!(other, Err(PoolError::Open { .. })), "{other:?}");
}

#[tokio::test]
async fn a_connected_node_that_stops_answering_opens_the_breaker_too() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let pool = pool(&cluster);
    let at = [address];
    let (client, silent) = tokio::join!(pool.rpc(node_id(2), &at, soon()), accept(&mut listener));
    client.unwrap();
    // The handshake is over; only deadlines are left to wait for.
    tokio::time::pause();
    let slow = ask(&pool, &at, Instant::now() + Duration::from_millis(300)).await;
    assert!(matches!(slow, Err(PoolError::Deadline(_))), "{slow:?}");
    let refused = ask(&pool, &at, Instant::now() + Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(PoolError::Open { .. })), "{refused:?}");
    drop(silent);
}

#[tokio::test]
async fn whole_bulk_connections_are_kept_and_broken_ones_are_not() {
    let cluster = Cluster::found();
    let endpoint = cluster.node(2);
    let view = endpoint.trust().revocations().clone();
    let (mut listener, address) = listen(endpoint, host(2), Limits::default()).await;
    let pool = pool(&cluster);
    let at = [address];
    let (first, inbound) = tokio::join!(pool.bulk(node_id(2), &at, soon()), accept(&mut listener));
    pool.give_back(node_id(2), first.unwrap());
    assert_eq!(pool.snapshot()[0].idle_bulk, 1);
    let again = pool.bulk(node_id(2), &at, soon()).await.unwrap();
    assert_eq!((view.open_connections(), pool.snapshot()[0].idle_bulk), (1, 0));
    drop((again, inbound));
    pool.failed(node_id(2), Fault::Slow, "stalled");
    assert!(matches!(pool.bulk(node_id(2), &at, soon()).await, Err(PoolError::Open { .. })));
    pool.retain(|_| false);
    assert!(pool.snapshot().is_empty());
}

#[tokio::test]
async fn a_transfer_finds_a_new_connection_when_the_idle_one_was_closed() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let pool = pool(&cluster);
    let at = [address];
    let request = BulkRequest::Put { epoch: Epoch(1), length: 4 };
    let patience = Patience { answer_by: soon(), stall: Duration::from_secs(5) };
    for _ in 0..2 {
        // Each connection serves one transfer and is then closed by the node.
        let transfer = pool.transfer(node_id(2), &at, &request, b"data", patience);
        let serving = async {
            let connection = accept(&mut listener).await;
            let mut stream = connection.stream;
            let asked: BulkRequest = read_value(&mut stream).await.unwrap();
            let mut payload = [0; 4];
            stream.read_exact(&mut payload).await.unwrap();
            write_value(&mut stream, &BulkAnswer::Missing).await.unwrap();
            (asked, payload)
        };
        let (answer, (asked, payload)) = tokio::join!(transfer, serving);
        assert_eq!(answer.unwrap().0, BulkAnswer::Missing);
        assert_eq!((asked, &payload), (request.clone(), b"data"));
        assert_eq!(pool.snapshot()[0].idle_bulk, 1);
    }
}

#[tokio::test]
async fn a_node_that_stops_in_the_middle_of_a_value_costs_the_stall_and_no_more() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    let pool = pool(&cluster);
    let at = [address];
    let request = BulkRequest::Put { epoch: Epoch(1), length: 0 };
    let patience = Patience { answer_by: soon(), stall: Duration::from_millis(300) };
    let transfer = pool.transfer(node_id(2), &at, &request, &[], patience);
    let serving = async {
        let mut stream = accept(&mut listener).await.stream;
        let _: BulkRequest = read_value(&mut stream).await.unwrap();
        let record = BulkAnswer::Record { kind: RecordKind::Bundle, stamp: ReceiptStamp(1), length: 1000 };
        write_value(&mut stream, &record).await.unwrap();
        stream.write_all(&[0; 10]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (answer, _held) = tokio::join!(transfer, serving);
    assert!(matches!(answer, Err(PoolError::Deadline(_))), "{answer:?}");
    let refused = pool.transfer(node_id(2), &at, &request, &[], patience).await;
    assert!(matches!(refused, Err(PoolError::Open { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_busy_node_is_not_taken_for_a_dead_one() {
    let cluster = Cluster::found();
    let (mut listener, address) = cluster.listen(2, Limits::default()).await;
    tokio::spawn(async move {
        let connection = accept(&mut listener).await;
        let work = Work::with_bounds(0, 1024, 1024);
        let answer = |_: Call| async { unreachable!("no permit, no work") };
        rpc::serve(connection.stream, connection.peer, work, answer).await;
    });
    let pool = pool(&cluster);
    for _ in 0..10 {
        let refused = ask(&pool, &[address], soon()).await;
        assert!(matches!(refused, Err(PoolError::Busy(_))), "{refused:?}");
    }
    assert_eq!(pool.snapshot()[0].failures, 0);
}
