//! The agent's end of the socket: who may speak, how much, and the loop of one connection.

use super::Agent;
use super::frame::{FRAME_HEADER, FrameHeader, GREETING};
use super::journal::{Draft, JournalError};
use dccache_protocol::codec::Format;
use dccache_protocol::limits;
use dccache_protocol::local::{Greeting, Reply, Request};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// How long a peer may take for its greeting, for the rest of a message that it began, and for taking an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may stay without a request: longer than any compile, so that a wrapper can keep its line.
const SILENCE: Duration = Duration::from_secs(3600);

/// Bytes of heads and small attachments held for all connections together.
const MEMORY: u32 = 256 << 20;

/// Part of an attachment that is written to the journal at once.
const CHUNK: usize = 256 << 10;

/// Least time between two notes to a wrapper that bulk bytes flow.
const NOTE_EVERY: Duration = Duration::from_millis(25);

/// Serves connections until the agent ends.
pub(super) async fn serve(agent: Arc<Agent>, listener: UnixListener) {
    let seats = Arc::new(Semaphore::new(limits::LOCAL_CONNECTIONS_MAX));
    let memory = Arc::new(Semaphore::new(MEMORY as usize));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = agent.stop.thrown() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of descriptors, most likely: they come back when a connection ends.
                tokio::time::sleep(NOTE_EVERY).await;
                continue;
            }
        };
        // A wrapper that is closed on goes on without the agent.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        if !is_own(&stream) {
            tracing::warn!("another user connected to the socket and was turned away");
            continue;
        }
        let (agent, memory) = (Arc::clone(&agent), Arc::clone(&memory));
        tokio::spawn(async move {
            let _active = agent.activity.begin();
            let ended = Connection { agent: &agent, stream, memory: &memory }.run().await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(seat);
        });
    }
}

fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}

struct Connection<'a> {
    agent: &'a Arc<Agent>,
    stream: UnixStream,
    memory: &'a Semaphore,
}

impl Connection<'_> {
    async fn run(mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            let mut header = [0; FRAME_HEADER];
            let first = tokio::select! {
                first = timeout(SILENCE, self.stream.read_exact(&mut header)) => first,
                () = self.agent.stop.thrown() => return Ok(()),
            };
            match first.map_err(|_| io::ErrorKind::TimedOut)? {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            };
            let header = FrameHeader::from_bytes::<Request>(header).map_err(invalid)?;
            let _memory = self.memory.acquire_many(header.head as u32).await.map_err(io::Error::other)?;
            let mut head = vec![0; header.head];
            within(self.stream.read_exact(&mut head)).await?;
            let request = Request::from_bytes(&head).map_err(invalid)?;
            match request {
                Request::Push { .. } => self.push(&head, header.attachment).await?,
                Request::Attach { .. } if header.attachment == 0 => self.push(&head, 0).await?,
                request if header.attachment == 0 => self.answer(request).await?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    /// Exchanges greetings; `false` when the versions differ. The older side gives way: an older agent drains.
    async fn greet(&mut self) -> io::Result<bool> {
        within(self.stream.write_all(&GREETING.to_bytes())).await?;
        let mut theirs = [0; 8];
        within(self.stream.read_exact(&mut theirs)).await?;
        let Some(theirs) = Greeting::from_bytes(&theirs) else { return Ok(false) };
        if (theirs.protocol, theirs.store) > (GREETING.protocol, GREETING.store) {
            tracing::info!("a newer dccache is in use; this agent gives way");
            self.agent.stop.throw();
        }
        Ok(theirs == GREETING)
    }

    async fn answer(&mut self, request: Request) -> io::Result<()> {
        let flowing = Notify::new();
        let agent = Arc::clone(self.agent);
        let answer = agent.answer(request, &flowing);
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                (reply, attachment) = &mut answer => return self.send(&reply, &attachment).await,
                () = flowing.notified() => {
                    self.send(&Reply::Flowing, &[]).await?;
                    // More news within this time is one note.
                    if let Ok((reply, attachment)) = timeout(NOTE_EVERY, &mut answer).await {
                        return self.send(&reply, &attachment).await;
                    }
                }
            }
        }
    }

    async fn push(&mut self, head: &[u8], body: usize) -> io::Result<()> {
        let draft = match self.agent.admit() {
            Ok(()) => self.agent.journal.begin(head, body as u64),
            Err(reason) => {
                self.discard(body).await?;
                return self.send(&Reply::Unavailable(reason), &[]).await;
            }
        };
        let kept = match draft {
            Ok(draft) => self.receive(draft, body).await?,
            Err(error) => {
                self.discard(body).await?;
                Err(error)
            }
        };
        let reply = match kept {
            Ok(()) => {
                self.agent.queued.notify_one();
                Reply::Queued
            }
            Err(error) => {
                tracing::warn!(%error, "a push is dropped");
                self.agent.counters.dropped.add();
                Reply::QueueFull
            }
        };
        self.send(&reply, &[]).await
    }

    /// Copies the body into the journal. The outer error is the connection's, the inner one the disk's.
    async fn receive(&mut self, draft: Draft, mut missing: usize) -> io::Result<Result<(), JournalError>> {
        let mut draft = Some(draft);
        let mut failed = None;
        let mut chunk = vec![0; missing.min(CHUNK)];
        while missing > 0 {
            let length = chunk.len().min(missing);
            within(self.stream.read_exact(&mut chunk[..length])).await?;
            missing -= length;
            // Page-cache writes of a quarter megabyte take less time than handing them to another thread.
            if let Some(Err(error)) = draft.as_mut().map(|draft| draft.append(&chunk[..length])) {
                (draft, failed) = (None, Some(error));
            }
        }
        let committed = match (draft, failed) {
            (Some(draft), _) => draft.commit().map(drop),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(()),
        };
        Ok(committed.map_err(JournalError::Io))
    }

    async fn discard(&mut self, mut missing: usize) -> io::Result<()> {
        let mut chunk = vec![0; missing.min(CHUNK)];
        while missing > 0 {
            let length = chunk.len().min(missing);
            missing -= within(self.stream.read_exact(&mut chunk[..length])).await?;
        }
        Ok(())
    }

    async fn send(&mut self, reply: &Reply, attachment: &[u8]) -> io::Result<()> {
        let head = reply.to_bytes();
        let header = FrameHeader { head: head.len(), attachment: attachment.len() };
        within(self.stream.write_all(&[&header.to_bytes(), head.as_slice()].concat())).await?;
        for chunk in attachment.chunks(CHUNK) {
            within(self.stream.write_all(chunk)).await?;
        }
        Ok(())
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

fn invalid(error: dccache_protocol::codec::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
