//! The wrapper's end of the agent's socket: blocking, small, and never waiting longer than it was told.

use super::frame::{FRAME_HEADER, FrameHeader, GREETING};
use super::place::Place;
use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::local::{Greeting, Reply, Request};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bytes per ms below which sending an attachment counts as stuck: 64 MB/s, a fraction of what any socket carries.
const SLOWEST_BYTES_PER_MS: u64 = 64 << 10;

/// Shortest time that a socket can be told to wait; zero would mean without end.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// A connection to the agent that has been greeted.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
}

/// Why the agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Nobody listens.
    #[error("no agent is running")]
    NoAgent(#[source] io::Error),
    /// Another user listens on the socket.
    #[error("the agent's socket belongs to another user")]
    Foreign,
    /// The agent is of another version; it drains by itself when it is the older one.
    #[error("the agent speaks version {0:?}, this program {GREETING:?}")]
    Version(Greeting),
    /// It did not answer in time.
    #[error("the agent did not answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection to the agent broke")]
    Broken(#[source] io::Error),
    /// It said something that no agent says.
    #[error("the agent's answer is malformed")]
    Malformed(#[source] DecodeError),
}

impl Line {
    /// Connects to a running agent and exchanges greetings within `patience`.
    ///
    /// # Errors
    /// Everything except [`LineError::Malformed`].
    pub fn open(place: &Place, patience: Duration) -> Result<Self, LineError> {
        let deadline = Instant::now() + patience;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|error| LineError::NoAgent(error.into()))?;
        // A full backlog would otherwise hold a connect without end.
        let _ = set_socket_timeout(&fd, Timeout::Send, Some(patience.max(PATIENCE_MIN)));
        let address =
            SocketAddrUnix::new(place.socket()).map_err(|error| LineError::NoAgent(error.into()))?;
        connect(&fd, &address).map_err(|error| LineError::NoAgent(error.into()))?;
        let own = rustix::process::geteuid();
        if socket_peercred(&fd).is_ok_and(|peer| peer.uid != own) {
            return Err(LineError::Foreign);
        }
        let mut line = Self { stream: UnixStream::from(fd) };
        line.write_all(&GREETING.to_bytes(), deadline)?;
        let mut theirs = [0; 8];
        line.read_exact(&mut theirs, deadline)?;
        match Greeting::from_bytes(&theirs) {
            Some(greeting) if greeting == GREETING => Ok(line),
            Some(greeting) => Err(LineError::Version(greeting)),
            None => Err(LineError::Malformed(DecodeError::Malformed)),
        }
    }

    /// Sends a request and waits for its answer and attachment. `patience` begins anew whenever the agent says that bulk
    /// bytes flow; sending gets more time in proportion to the attachment.
    ///
    /// # Errors
    /// After any error the line is of no use.
    pub fn call(
        &mut self,
        request: &Request,
        attachment: &[u8],
        patience: Duration,
    ) -> Result<(Reply, Vec<u8>), LineError> {
        let head = request.to_bytes();
        let header = FrameHeader { head: head.len(), attachment: attachment.len() };
        let sending = Duration::from_millis(attachment.len() as u64 / SLOWEST_BYTES_PER_MS);
        let deadline = Instant::now() + patience + sending;
        self.write_all(&header.to_bytes(), deadline)?;
        self.write_all(&head, deadline)?;
        self.write_all(attachment, deadline)?;
        let mut deadline = deadline;
        loop {
            let (reply, attachment) = self.receive(deadline)?;
            if reply != Reply::Flowing {
                return Ok((reply, attachment));
            }
            deadline = Instant::now() + patience;
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<(Reply, Vec<u8>), LineError> {
        let mut header = [0; FRAME_HEADER];
        self.read_exact(&mut header, deadline)?;
        let header = FrameHeader::from_bytes::<Reply>(header).map_err(LineError::Malformed)?;
        let arriving = Duration::from_millis(header.attachment as u64 / SLOWEST_BYTES_PER_MS);
        let deadline = deadline + arriving;
        let mut head = vec![0; header.head];
        self.read_exact(&mut head, deadline)?;
        let reply = Reply::from_bytes(&head).map_err(LineError::Malformed)?;
        let mut attachment = vec![0; header.attachment];
        self.read_exact(&mut attachment, deadline)?;
        Ok((reply, attachment))
    }

    fn read_exact(&mut self, mut into: &mut [u8], deadline: Instant) -> Result<(), LineError> {
        while !into.is_empty() {
            self.wait_at_most(Timeout::Recv, deadline)?;
            match self.stream.read(into) {
                Ok(0) => return Err(LineError::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => into = &mut into[count..],
                Err(error) => retry(error)?,
            }
        }
        Ok(())
    }

    fn write_all(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), LineError> {
        while !bytes.is_empty() {
            self.wait_at_most(Timeout::Send, deadline)?;
            // The wrapper leaves SIGPIPE as it came, so a plain write to an agent that went away would end the process.
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => retry(error.into())?,
            }
        }
        Ok(())
    }

    fn wait_at_most(&self, which: Timeout, deadline: Instant) -> Result<(), LineError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(LineError::TimedOut);
        }
        set_socket_timeout(&self.stream, which, Some(left.max(PATIENCE_MIN)))
            .map_err(|error| LineError::Broken(error.into()))
    }
}

/// Lets a call interrupted by a signal go on, and names the others.
fn retry(error: io::Error) -> Result<(), LineError> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(LineError::TimedOut),
        _ => Err(LineError::Broken(error)),
    }
}
