//! Large values: one request and one answer at a time over connections of their own, so that no megabyte stands before a small request.
//!
//! ```text
//! request   frame (BulkRequest) | that many raw bytes          answer   frame (BulkAnswer) | that many raw bytes
//! ```
//!
//! Lengths are checked against [`limits::BUNDLE_MAX`] by the frames' decoders, bytes are reserved from the peer's budget before they are
//! allocated, and every chunk must move within [`limits::BULK_STALL_MS`].

use crate::frame::{FrameError, read_value, write_value};
use crate::peer::{Authenticated, Peer};
use crate::work::{Budget, Reservation, Work};
use dccache_protocol::limits;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Refusal};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

const STALL: Duration = Duration::from_millis(limits::BULK_STALL_MS);

/// Why a transfer failed; the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// A frame failed.
    #[error("the transfer's head failed")]
    Frame(#[from] FrameError),
    /// The raw bytes failed.
    #[error("the transfer broke off")]
    Io(#[from] io::Error),
    /// Nothing moved for [`limits::BULK_STALL_MS`].
    #[error("the transfer stalled")]
    Stalled,
    /// The bytes to send are not as many as the head says.
    #[error("the head does not fit the bytes")]
    Length,
}

/// A request with its bytes, on its way to the service.
#[derive(Debug)]
pub struct BulkCall {
    /// Who asks.
    pub peer: Arc<Authenticated<Peer>>,
    /// What is asked.
    pub request: BulkRequest,
    /// The bytes that came with it; as many as its head says.
    pub payload: Vec<u8>,
    /// Where the bytes of an answer are to be reserved, before they are allocated.
    pub budget: Budget,
}

/// What a service answers.
#[derive(Debug)]
pub struct BulkReply {
    /// The head.
    pub answer: BulkAnswer,
    /// The bytes after it; as many as the head says.
    pub payload: Arc<[u8]>,
    /// What the service reserved for them; given back when they are sent.
    pub held: Option<Reservation>,
}

impl From<BulkAnswer> for BulkReply {
    fn from(answer: BulkAnswer) -> Self {
        Self { answer, payload: Arc::from([]), held: None }
    }
}

fn announced(answer: &BulkAnswer) -> u64 {
    if let BulkAnswer::Record { length, .. } = answer { *length } else { 0 }
}

/// How long a transfer may take: until the answer begins, and then without a byte. A value whose bytes flow is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// When the head of the answer must have come.
    pub answer_by: Instant,
    /// Longest time without a byte after that.
    pub stall: Duration,
}

/// Makes one transfer: sends a request with its bytes, receives an answer with its bytes. The answer's head is waited for without a bound
/// of its own; put a deadline around it or use [`transfer_within`].
///
/// # Errors
/// See [`BulkError`]. Cancel safety: none; drop the stream after a cancelled transfer.
pub async fn transfer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &BulkRequest,
    payload: &[u8],
) -> Result<(BulkAnswer, Vec<u8>), BulkError> {
    let answer = ask(stream, request, payload).await?;
    let payload = receive(stream, announced(&answer), STALL).await?;
    Ok((answer, payload))
}

/// Makes one transfer within a patience.
///
/// # Errors
/// As [`transfer`]; [`BulkError::Stalled`] when the patience ends.
pub async fn transfer_within(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &BulkRequest,
    payload: &[u8],
    patience: Patience,
) -> Result<(BulkAnswer, Vec<u8>), BulkError> {
    let asked = timeout_at(patience.answer_by, ask(stream, request, payload)).await;
    let answer = asked.map_err(|_| BulkError::Stalled)??;
    let payload = receive(stream, announced(&answer), patience.stall).await?;
    Ok((answer, payload))
}

async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &BulkRequest,
    payload: &[u8],
) -> Result<BulkAnswer, BulkError> {
    if request.length() != payload.len() as u64 {
        return Err(BulkError::Length);
    }
    moving(write_value(stream, request)).await??;
    send(stream, payload).await?;
    // The service works before it answers; how long that may take is the caller's deadline to say.
    Ok(read_value(stream).await?)
}

/// Serves a connection until it ends. `answer` is called once per request, in a task that ends with its work, not with the connection.
///
/// # Errors
/// Why the connection ended, unless the peer closed it between two transfers.
pub async fn serve<S, F, A>(
    mut stream: S,
    peer: Authenticated<Peer>,
    work: Work,
    answer: F,
) -> Result<(), BulkError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(BulkCall) -> A,
    A: Future<Output = BulkReply> + Send + 'static,
{
    let budget = work.budget(peer.name());
    let peer = Arc::new(peer);
    while let Some(request) = next_request(&mut stream).await? {
        let Some(permit) = work.try_begin() else {
            drain(&mut stream, request.length()).await?;
            reply(&mut stream, BulkAnswer::Refused(Refusal::Busy).into()).await?;
            continue;
        };
        let held = budget.reserve(usize::try_from(request.length()).unwrap_or(usize::MAX)).await;
        let payload = receive(&mut stream, request.length(), STALL).await?;
        let call = BulkCall { peer: peer.clone(), request, payload, budget: budget.clone() };
        let working = answer(call);
        let task = work.tasks().spawn(async move {
            let _held = (permit, held);
            working.await
        });
        let refused = |_panicked| BulkAnswer::Refused(Refusal::Unavailable).into();
        reply(&mut stream, task.await.unwrap_or_else(refused)).await?;
    }
    Ok(())
}

/// Waits for the next head; `None` when the peer closed the connection before one.
async fn next_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<BulkRequest>, BulkError> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut rest = (&first[..]).chain(stream);
    Ok(Some(moving(read_value(&mut rest)).await??))
}

async fn reply(stream: &mut (impl AsyncWrite + Unpin), reply: BulkReply) -> Result<(), BulkError> {
    if announced(&reply.answer) != reply.payload.len() as u64 {
        return Err(BulkError::Length);
    }
    moving(write_value(stream, &reply.answer)).await??;
    send(stream, &reply.payload).await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), payload: &[u8]) -> Result<(), BulkError> {
    for chunk in payload.chunks(limits::BULK_CHUNK) {
        moving(stream.write_all(chunk)).await??;
    }
    moving(stream.flush()).await?.map_err(BulkError::Io)
}

async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    length: u64,
    stall: Duration,
) -> Result<Vec<u8>, BulkError> {
    let length = usize::try_from(length).ok().filter(|&length| length <= limits::BUNDLE_MAX);
    let length = length.ok_or(BulkError::Length)?;
    let mut payload = Vec::new();
    while payload.len() < length {
        let chunk = limits::BULK_CHUNK.min(length - payload.len());
        // Doubling, but never beyond what was announced: the promise of a large value reserves nothing.
        let grown = (payload.capacity() * 2).max(payload.len() + chunk).min(length);
        payload.reserve_exact(grown - payload.len());
        let mut part = (&mut *stream).take(chunk as u64);
        let read = timeout(stall, part.read_buf(&mut payload)).await.map_err(|_| BulkError::Stalled)?;
        if read? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(payload)
}

/// Reads and forgets what a refused request brings, so that the connection can go on.
async fn drain(stream: &mut (impl AsyncRead + Unpin), mut left: u64) -> Result<(), BulkError> {
    let mut scratch = vec![0; 16 << 10];
    while left > 0 {
        let most = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match moving(stream.read(&mut scratch[..most])).await?? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            read => left -= read as u64,
        }
    }
    Ok(())
}

async fn moving<T>(step: impl Future<Output = T>) -> Result<T, BulkError> {
    timeout(STALL, step).await.map_err(|_| BulkError::Stalled)
}
