//! Frames of a 4-byte little-endian length and that many bytes, each way within a time.
//!
//! The length is checked before anything waits for it, and nothing is reserved on its word: the buffer grows with what arrives. A frame that
//! was begun must end, and what is sent must be taken, within [`limits::FRAME_MS`]; an idle connection costs nothing.

use bytes::{Buf as _, BufMut as _, BytesMut};
use dccache_protocol::limits;
use futures::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};
use tokio_util::codec::{Decoder, Encoder, Framed};

const HEAD: usize = 4;

/// What goes into one frame: two parts, so that the head of an answer needs no copy of its body.
pub(super) struct Frame {
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl From<Vec<u8>> for Frame {
    fn from(body: Vec<u8>) -> Self {
        Self { head: Vec::new(), body }
    }
}

struct Codec;

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(&head) = source.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_le_bytes(head) as usize;
        if length > limits::FRAME_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer announced an oversized frame"));
        }
        if source.len() < HEAD + length {
            return Ok(None);
        }
        source.advance(HEAD);
        Ok(Some(source.split_to(length)))
    }
}

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, target: &mut BytesMut) -> io::Result<()> {
        let length = u32::try_from(frame.head.len() + frame.body.len())
            .ok()
            .filter(|&length| length as usize <= limits::FRAME_MAX);
        let length =
            length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "larger than a frame"))?;
        target.reserve(HEAD + length as usize);
        target.put_u32_le(length);
        target.put_slice(&frame.head);
        target.put_slice(&frame.body);
        Ok(())
    }
}

/// A stream of frames in both directions.
pub(super) struct Frames<S> {
    framed: Pin<Box<Framed<S, Codec>>>,
    reading: Timer,
    writing: Timer,
}

impl<S: AsyncRead + AsyncWrite> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            framed: Box::pin(Framed::new(stream, Codec)),
            reading: Timer::default(),
            writing: Timer::default(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite> Stream for Frames<S> {
    type Item = io::Result<BytesMut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = this.framed.as_mut().poll_next(cx) {
            this.reading.stop();
            return Poll::Ready(frame);
        }
        if this.framed.read_buffer().is_empty() {
            this.reading.stop();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(ready!(this.reading.poll(cx, "the peer did not finish a frame")))))
    }
}

impl<S: AsyncRead + AsyncWrite> Sink<Frame> for Frames<S> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = this.framed.as_mut().poll_ready(cx);
        this.writing.bound(polled, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> io::Result<()> {
        self.framed.as_mut().start_send(frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = this.framed.as_mut().poll_flush(cx);
        this.writing.bound(polled, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = this.framed.as_mut().poll_close(cx);
        this.writing.bound(polled, cx)
    }
}

/// Runs while something is unfinished.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn stop(&mut self) {
        self.0 = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<io::Error> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(limits::FRAME_MS))));
        timer.as_mut().poll(cx).map(|()| io::Error::new(io::ErrorKind::TimedOut, what))
    }

    fn bound(&mut self, polled: Poll<io::Result<()>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if polled.is_ready() {
            self.stop();
            return polled;
        }
        self.poll(cx, "the peer does not take what is sent").map(Err)
    }
}
