//! Joins frames and mirror into the two transports that tarpc drives, one for each end.

use super::frames::{Frame, Frames};
use super::mirror;
use crate::work::Reservation;
use futures::{Sink, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tarpc::{ClientMessage, Response};
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer that is encoded already, with the bytes that it occupies until it is sent.
pub(super) struct Encoded {
    pub(super) body: Vec<u8>,
    pub(super) held: Option<Reservation>,
}

/// A server's end.
pub(super) struct ServerWire<S, Req> {
    frames: Frames<S>,
    held: Vec<Reservation>,
    requests: PhantomData<fn() -> Req>,
}

impl<S: AsyncRead + AsyncWrite, Req> ServerWire<S, Req> {
    pub(super) fn new(stream: S) -> Self {
        Self { frames: Frames::new(stream), held: Vec::new(), requests: PhantomData }
    }
}

impl<S: AsyncRead + AsyncWrite, Req: Serialize + DeserializeOwned> Stream for ServerWire<S, Req> {
    type Item = io::Result<ClientMessage<Req>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let frame = ready!(Pin::new(&mut self.frames).poll_next(cx));
        Poll::Ready(frame.map(|frame| mirror::decode_call(&frame?, Instant::now()).map_err(invalid)))
    }
}

impl<S: AsyncRead + AsyncWrite, Req> Sink<Response<Encoded>> for ServerWire<S, Req> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, response: Response<Encoded>) -> io::Result<()> {
        let frame = match response.message {
            Ok(answer) => {
                self.held.extend(answer.held);
                Frame { head: mirror::encode_head(response.request_id)?, body: answer.body }
            }
            Err(error) => mirror::encode_failure(response.request_id, &error)?.into(),
        };
        Pin::new(&mut self.frames).start_send(frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.frames).poll_flush(cx))?;
        self.held.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_close(cx)
    }
}

/// A client's end.
pub(super) struct ClientWire<S, Resp> {
    frames: Frames<S>,
    answers: PhantomData<fn() -> Resp>,
}

impl<S: AsyncRead + AsyncWrite, Resp> ClientWire<S, Resp> {
    pub(super) fn new(stream: S) -> Self {
        Self { frames: Frames::new(stream), answers: PhantomData }
    }
}

impl<S: AsyncRead + AsyncWrite, Resp: Serialize + DeserializeOwned> Stream for ClientWire<S, Resp> {
    type Item = io::Result<Response<Resp>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let frame = ready!(Pin::new(&mut self.frames).poll_next(cx));
        Poll::Ready(frame.map(|frame| mirror::decode_answer(&frame?).map_err(invalid)))
    }
}

impl<S: AsyncRead + AsyncWrite, Req: Serialize, Resp> Sink<ClientMessage<Req>> for ClientWire<S, Resp> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: ClientMessage<Req>) -> io::Result<()> {
        let frame = mirror::encode_call(message, Instant::now())?;
        Pin::new(&mut self.frames).start_send(frame.into())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_close(cx)
    }
}

fn invalid(error: dccache_protocol::codec::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
