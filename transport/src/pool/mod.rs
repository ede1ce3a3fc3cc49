//! One place per process that holds connections to nodes and knows which of them do not answer.
//!
//! Shape: per node one rpc connection that all requests share, some idle bulk connections, one dial at a time, and a [`Breaker`]. A caller
//! waits for a dial until its own deadline; the dial itself goes on in the background, so that a slow node is found usable later.

mod breaker;
mod transfer;

pub use breaker::{Admission, Breaker, Fault};

use crate::dial::{DialError, Dialer};
use crate::endpoint::Channel;
use crate::rpc::{self, RpcClient};
use crate::stream::SecureStream;
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::CacheClient;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long a dial may go on in the background, whatever its callers' deadlines: past it nobody would use the node.
const DIAL: Duration = Duration::from_secs(5);

/// Idle bulk connections kept per node: more than a machine's parallel compiles fetch large objects at once only in bursts.
const IDLE_BULK_MAX: usize = 4;

/// Why a node could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PoolError {
    /// It failed before and is not tried again yet.
    #[error("{node} failed before and is left alone for {retry_in_ms} ms")]
    Open {
        /// The node.
        node: NodeId,
        /// When it is tried again, in ms.
        retry_in_ms: u64,
    },
    /// No answer before the deadline.
    #[error("{0} did not answer in time")]
    Deadline(NodeId),
    /// No connection.
    #[error("no connection to {node}")]
    Dial {
        /// The node.
        node: NodeId,
        /// Why.
        source: Arc<DialError>,
    },
    /// No address is known.
    #[error("no address of {0} is known")]
    NoAddress(NodeId),
    /// The connection broke during the request.
    #[error("the connection to {0} broke")]
    Broken(NodeId),
    /// The node has as much work as it takes.
    #[error("{0} is busy")]
    Busy(NodeId),
    /// The request failed inside the node.
    #[error("the request failed on {0}")]
    Failed(NodeId),
}

/// What the pool knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// The node.
    pub node: NodeId,
    /// Whether an rpc connection is open.
    pub connected: bool,
    /// Idle bulk connections.
    pub idle_bulk: usize,
    /// Consecutive failures.
    pub failures: u32,
    /// When it is tried again, in ms from now; `None` when it is not being avoided.
    pub retry_in_ms: Option<u64>,
    /// What the last failed dial said; `None` after a success.
    pub last_error: Option<String>,
}

/// Connections to all nodes. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    jitter: Box<dyn Fn() -> u32 + Send + Sync>,
    nodes: Mutex<BTreeMap<NodeId, Node>>,
}

type Dialled = Option<Result<(), Arc<DialError>>>;

#[derive(Default)]
struct Node {
    breaker: Breaker,
    rpc: Option<RpcClient>,
    bulk: Vec<SecureStream>,
    dialling: Option<watch::Receiver<Dialled>>,
    last_error: Option<String>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl Pool {
    /// Makes an empty pool that spreads its retries by the operating system's randomness.
    pub fn new(dialer: Dialer) -> Self {
        Self::with_jitter(dialer, || getrandom::u32().unwrap_or_default())
    }

    /// Makes an empty pool with a source of jitter: any number each time.
    pub fn with_jitter(dialer: Dialer, jitter: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { dialer, jitter: Box::new(jitter), nodes: Mutex::default() }))
    }

    /// Makes one request: connects when needed, keeps to the deadline, and remembers how the node behaved.
    ///
    /// # Errors
    /// See [`PoolError`]; at the latest at `deadline`. A refusal inside the answer is an answer.
    pub async fn call<T>(
        &self,
        node: NodeId,
        addresses: &[SocketAddr],
        deadline: Instant,
        request: impl AsyncFnOnce(CacheClient, Context) -> Result<T, RpcError>,
    ) -> Result<T, PoolError> {
        let client = self.rpc(node, addresses, deadline).await?;
        let context = rpc::context(deadline.into_std());
        let answer = timeout_at(deadline, request(client.cache().clone(), context)).await;
        let (outcome, error) = match answer {
            Ok(Ok(answer)) => {
                self.lock().entry(node).or_default().breaker.succeeded();
                return Ok(answer);
            }
            Ok(Err(RpcError::Server(error))) => {
                // A node that says why not is there.
                self.lock().entry(node).or_default().breaker.succeeded();
                let busy = error.kind == std::io::ErrorKind::WouldBlock;
                return Err(if busy { PoolError::Busy(node) } else { PoolError::Failed(node) });
            }
            Err(_) | Ok(Err(RpcError::DeadlineExceeded)) => (Fault::Slow, PoolError::Deadline(node)),
            Ok(Err(_)) => (Fault::Fast, PoolError::Broken(node)),
        };
        let mut nodes = self.lock();
        let known = nodes.entry(node).or_default();
        known.breaker.failed(outcome, Instant::now(), (self.0.jitter)());
        known.last_error = Some(error.to_string());
        // A connection that did not answer in time may be dead without a word; the next try opens another.
        known.rpc = None;
        Err(error)
    }

    /// Returns the open connection for small requests, or opens it.
    ///
    /// # Errors
    /// See [`PoolError`]; at the latest at `deadline`.
    pub async fn rpc(
        &self,
        node: NodeId,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<RpcClient, PoolError> {
        loop {
            let mut dialling = match self.next_step(node, addresses)? {
                Step::Use(client) => return Ok(client),
                Step::Wait(dialling) => dialling,
            };
            let dialled = timeout_at(deadline, dialling.wait_for(Option::is_some)).await;
            match dialled.map(|seen| seen.ok().and_then(|seen| seen.clone())) {
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(source))) => return Err(PoolError::Dial { node, source }),
                Ok(None) => return Err(PoolError::Broken(node)),
                Err(_elapsed) => {
                    self.failed(node, Fault::Slow, "no connection in time");
                    return Err(PoolError::Deadline(node));
                }
            }
        }
    }

    /// Takes an idle bulk connection, or opens one. Give it back with [`Pool::give_back`] after a whole transfer, else drop it.
    ///
    /// # Errors
    /// See [`PoolError`]; at the latest at `deadline`.
    pub async fn bulk(
        &self,
        node: NodeId,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<SecureStream, PoolError> {
        self.take_bulk(node, addresses, deadline).await.map(|(stream, _)| stream)
    }

    /// As [`Pool::bulk`]; also tells whether the connection lay idle before.
    async fn take_bulk(
        &self,
        node: NodeId,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<(SecureStream, bool), PoolError> {
        let idle = {
            let mut nodes = self.lock();
            let known = nodes.entry(node).or_default();
            admit(node, &mut known.breaker)?;
            known.bulk.retain(|stream| !stream.is_cut());
            known.bulk.pop()
        };
        if let Some(stream) = idle {
            return Ok((stream, true));
        }
        let dialled = dial_any(&self.0.dialer, node, addresses, Channel::Bulk, deadline).await;
        match dialled {
            Ok(stream) => {
                self.lock().entry(node).or_default().breaker.succeeded();
                Ok((stream, false))
            }
            Err(None) => Err(PoolError::NoAddress(node)),
            Err(Some(error)) => {
                self.failed(node, fault_of(&error), &error.to_string());
                Err(match error {
                    DialError::Deadline(_) => PoolError::Deadline(node),
                    error => PoolError::Dial { node, source: Arc::new(error) },
                })
            }
        }
    }

    /// Takes back a bulk connection after a whole transfer.
    pub fn give_back(&self, node: NodeId, stream: SecureStream) {
        let mut nodes = self.lock();
        let known = nodes.entry(node).or_default();
        known.breaker.succeeded();
        if known.bulk.len() < IDLE_BULK_MAX && !stream.is_cut() {
            known.bulk.push(stream);
        }
    }

    /// Remembers that a bulk transfer failed. `Slow` when it used up a deadline.
    pub fn failed(&self, node: NodeId, fault: Fault, what: &str) {
        let mut nodes = self.lock();
        let known = nodes.entry(node).or_default();
        known.breaker.failed(fault, Instant::now(), (self.0.jitter)());
        known.last_error = Some(what.to_owned());
    }

    /// Forgets nodes that are no longer in the layout, and their connections.
    pub fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.lock().retain(|&node, _| keep(node));
    }

    /// Returns what is known of every node, by name.
    pub fn snapshot(&self) -> Vec<NodeHealth> {
        let now = Instant::now();
        let health = |(&node, known): (&NodeId, &Node)| NodeHealth {
            node,
            connected: known.rpc.as_ref().is_some_and(|client| !client.is_closed()),
            idle_bulk: known.bulk.len(),
            failures: known.breaker.failures(),
            retry_in_ms: known.breaker.retry_in(now).map(millis),
            last_error: known.last_error.clone(),
        };
        self.lock().iter().map(health).collect()
    }

    fn next_step(&self, node: NodeId, addresses: &[SocketAddr]) -> Result<Step, PoolError> {
        let mut nodes = self.lock();
        let known = nodes.entry(node).or_default();
        if known.rpc.as_ref().is_some_and(RpcClient::is_closed) {
            known.rpc = None;
        }
        admit(node, &mut known.breaker)?;
        if let Some(client) = &known.rpc {
            return Ok(Step::Use(client.clone()));
        }
        if addresses.is_empty() {
            return Err(PoolError::NoAddress(node));
        }
        if let Some(dialling) = &known.dialling {
            return Ok(Step::Wait(dialling.clone()));
        }
        let (done, dialling) = watch::channel(None);
        known.dialling = Some(dialling.clone());
        tokio::spawn(self.clone().dial(node, addresses.to_vec(), done));
        Ok(Step::Wait(dialling))
    }

    async fn dial(self, node: NodeId, addresses: Vec<SocketAddr>, done: watch::Sender<Dialled>) {
        let deadline = Instant::now() + DIAL;
        let dialled = dial_any(&self.0.dialer, node, &addresses, Channel::Rpc, deadline).await;
        let mut nodes = self.lock();
        let known = nodes.entry(node).or_default();
        known.dialling = None;
        let result = match dialled {
            Ok(stream) => {
                known.rpc = Some(rpc::connect(stream));
                known.breaker.succeeded();
                known.last_error = None;
                Ok(())
            }
            Err(error) => {
                let error = error.unwrap_or(DialError::Deadline(addresses[0]));
                tracing::warn!(%node, %error, "no connection to a node");
                known.breaker.failed(fault_of(&error), Instant::now(), (self.0.jitter)());
                known.last_error = Some(error.to_string());
                Err(Arc::new(error))
            }
        };
        drop(nodes);
        let _ = done.send(Some(result));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Node>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Step {
    Use(RpcClient),
    Wait(watch::Receiver<Dialled>),
}

fn admit(node: NodeId, breaker: &mut Breaker) -> Result<(), PoolError> {
    match breaker.admit(Instant::now()) {
        Admission::Go | Admission::Probe => Ok(()),
        Admission::Refused { retry_in } => Err(PoolError::Open { node, retry_in_ms: millis(retry_in) }),
    }
}

fn fault_of(error: &DialError) -> Fault {
    if matches!(error, DialError::Deadline(_)) { Fault::Slow } else { Fault::Fast }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Dials the addresses in order until one answers; `Err(None)` when there is none.
async fn dial_any(
    dialer: &Dialer,
    node: NodeId,
    addresses: &[SocketAddr],
    channel: Channel,
    deadline: Instant,
) -> Result<SecureStream, Option<DialError>> {
    let mut last = None;
    for (at, &address) in addresses.iter().enumerate() {
        // Each address gets an equal share of what is left, so that a black hole in front does not hide a good one behind it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - at) as u32;
        match dialer.dial(node, address, channel, Instant::now() + share).await {
            Ok(outbound) => return Ok(outbound.stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}
