//! Serving one connection: every request becomes a task of the node that holds its permits until it is done.

use super::mirror;
use super::wire::{Encoded, ServerWire};
use crate::peer::{Authenticated, Peer};
use crate::work::Work;
use dccache_protocol::limits;
use dccache_protocol::service::{CacheRequest, CacheResponse};
use futures::StreamExt as _;
use std::sync::Arc;
use tarpc::server::{BaseChannel, Channel as _, Config};
use tarpc::{ServerError, context};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

/// One request on its way to the service.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub peer: Arc<Authenticated<Peer>>,
    /// Until when an answer is worth something.
    pub context: context::Context,
    /// What is asked.
    pub request: CacheRequest,
}

/// Serves a connection until it ends. `answer` is called once per admitted request, for example with the `serve` of a type that implements
/// [`dccache_protocol::service::Cache`].
///
/// A request that finds no permit is answered with busy at once. A cancelled request is worked on to its end and keeps its permits until then.
pub async fn serve<S, F, A>(stream: S, peer: Authenticated<Peer>, work: Work, answer: F)
where
    S: AsyncRead + AsyncWrite,
    F: Fn(Call) -> A + Clone + Send + 'static,
    A: Future<Output = Result<CacheResponse, ServerError>> + Send + 'static,
{
    let own = Arc::new(Semaphore::new(limits::REQUESTS_PER_CONNECTION_MAX));
    let budget = work.budget(peer.name());
    let peer = Arc::new(peer);
    let handle = move |context, request| {
        let permits = own.clone().try_acquire_owned().ok().zip(work.try_begin());
        let call = Call { peer: peer.clone(), context, request };
        let (answer, budget, tasks) = (answer.clone(), budget.clone(), work.tasks().clone());
        async move {
            let held = permits.ok_or_else(mirror::busy)?;
            let task = tasks.spawn(async move {
                let _held = held;
                let body = mirror::encode_body(&answer(call).await?).map_err(|_| mirror::failed())?;
                let held = Some(budget.reserve(body.len()).await);
                Ok(Encoded { body, held })
            });
            task.await.unwrap_or_else(|_panicked| Err(mirror::failed()))
        }
    };
    let wire: ServerWire<S, CacheRequest> = ServerWire::new(stream);
    // Answers wait in their tasks, which hold permits, rather than in a queue.
    let config = Config { pending_response_buffer: 1 };
    BaseChannel::new(config, wire)
        .max_concurrent_requests(limits::REQUESTS_PER_CONNECTION_MAX)
        .execute(tarpc::server::serve(handle))
        .for_each_concurrent(None, |request| request)
        .await;
}
