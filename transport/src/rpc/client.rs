//! Asking over one connection.

use super::wire::ClientWire;
use crate::stream::SecureStream;
use dccache_protocol::limits;
use dccache_protocol::service::{CacheClient, CacheResponse};
use std::time::{Duration, Instant};
use tarpc::client::Config;
use tarpc::context::{self, Context};
use tokio_util::sync::CancellationToken;

/// A connection on which requests can be made at the same time. Cheap to clone; the connection ends with the last clone.
#[derive(Clone, Debug)]
pub struct RpcClient {
    cache: CacheClient,
    closed: CancellationToken,
}

impl RpcClient {
    /// Returns the stub with a method per request.
    pub fn cache(&self) -> &CacheClient {
        &self.cache
    }

    /// Tells whether the connection has ended; requests then fail at once.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

/// Makes requests possible over a stream whose other end serves [`super::serve`]. Spawns the task that moves the frames.
pub fn connect(stream: SecureStream) -> RpcClient {
    let mut config = Config::default();
    config.max_in_flight_requests = limits::REQUESTS_PER_CONNECTION_MAX;
    config.pending_request_buffer = limits::REQUESTS_PER_CONNECTION_MAX;
    let new = CacheClient::new(config, ClientWire::<_, CacheResponse>::new(stream));
    let closed = CancellationToken::new();
    let ends = closed.clone().drop_guard();
    tokio::spawn(async move {
        let _ends = ends;
        if let Err(error) = new.dispatch.await {
            tracing::debug!(%error, "connection to a node ended");
        }
    });
    RpcClient { cache: new.client, closed }
}

/// Returns the context of a request that is worth something until `deadline`, at most [`limits::DEADLINE_MAX_MS`] from now.
pub fn context(deadline: Instant) -> Context {
    let mut context = context::current();
    context.deadline = deadline.min(Instant::now() + Duration::from_millis(limits::DEADLINE_MAX_MS));
    context
}
