//! An encrypted stream whose other end was checked, and which ends at once when that end is revoked.

use crate::revocation::Registration;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// An encrypted, authenticated stream. Reading and writing fail with [`io::ErrorKind::ConnectionAborted`] once the peer is revoked,
/// also when the stream was idle until then.
pub struct SecureStream {
    tls: TlsStream<TcpStream>,
    cut: Option<Cut>,
    _held: Option<(OwnedSemaphorePermit, Box<dyn Send + Sync>)>,
}

struct Cut {
    wake: Pin<Box<WaitForCancellationFutureOwned>>,
    registration: Registration,
}

impl std::fmt::Debug for SecureStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecureStream").field("peer", &self.peer_addr().ok()).finish_non_exhaustive()
    }
}

impl SecureStream {
    /// Wraps a stream; `registration` is `None` on the enrolment channel, where there is no certificate to revoke.
    pub(crate) fn new(tls: TlsStream<TcpStream>, registration: Option<Registration>) -> Self {
        let cut = registration.map(|registration| Cut {
            wake: Box::pin(registration.cut.clone().cancelled_owned()),
            registration,
        });
        Self { tls, cut, _held: None }
    }

    /// Keeps a permit and a place for as long as the stream is open.
    pub(crate) fn holding(mut self, permit: OwnedSemaphorePermit, place: Box<dyn Send + Sync>) -> Self {
        self._held = Some((permit, place));
        self
    }

    /// Returns where the other end was seen.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tls.get_ref().0.peer_addr()
    }

    /// Tells whether the stream was cut because its peer is revoked.
    pub fn is_cut(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.registration.cut.is_cancelled())
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut() { Err(revoked()) } else { Ok(()) }
    }
}

fn revoked() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the peer's certificate is revoked or has ended")
}

impl AsyncRead for SecureStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        if let Poll::Ready(result) = Pin::new(&mut self.tls).poll_read(cx, buffer) {
            return Poll::Ready(result);
        }
        // Only a reader that waits needs to be woken by a cut.
        match self.cut.as_mut().map(|cut| cut.wake.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(revoked())),
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for SecureStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
