//! The wire format of requests and answers, independent of how tarpc would serialize its own types.
//!
//! ```text
//! request   0 | id varint | deadline in ms varint | request (postcard)          cancel   1 | id varint
//! answer    id varint | 0 | answer (postcard)     or     id varint | 1 | failure
//! ```
//!
//! Decoding uses a frame up to its last byte. A deadline is a number that is clamped before it meets any clock.

use dccache_protocol::codec::{DecodeError, decode_exact};
use dccache_protocol::limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::{Duration, Instant};
use tarpc::{ClientMessage, Request, Response, ServerError, context, trace};

#[derive(Debug, Serialize, Deserialize)]
enum ToServer<T> {
    Request { id: u64, deadline_ms: u64, message: T },
    Cancel { id: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
struct ToClient<T> {
    id: u64,
    result: Result<T, Failure>,
}

/// Why a request got no answer of the service; closed, without a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    Busy,
    Failed,
}

/// How postcard writes that a `Result` is `Ok`.
const OK: u8 = 0;

/// Encodes what a client sends.
pub(super) fn encode_call<T: Serialize>(message: ClientMessage<T>, now: Instant) -> io::Result<Vec<u8>> {
    let call = match message {
        ClientMessage::Request(request) => ToServer::Request {
            id: request.id,
            deadline_ms: clamp(request.context.deadline.saturating_duration_since(now)),
            message: request.message,
        },
        ClientMessage::Cancel { request_id, .. } => ToServer::Cancel { id: request_id },
        _ => return Err(io::Error::other("unknown kind of message")),
    };
    encode(&call)
}

/// Decodes what a server receives.
pub(super) fn decode_call<T: Serialize + DeserializeOwned>(
    frame: &[u8],
    now: Instant,
) -> Result<ClientMessage<T>, DecodeError> {
    Ok(match decode_exact(frame)? {
        ToServer::Request { id, deadline_ms, message } => {
            let mut context = context::current();
            context.deadline = now + Duration::from_millis(deadline_ms.min(limits::DEADLINE_MAX_MS));
            context.trace_context = trace::Context::default();
            ClientMessage::Request(Request { context, id, message })
        }
        ToServer::Cancel { id } => {
            ClientMessage::Cancel { trace_context: trace::Context::default(), request_id: id }
        }
    })
}

/// Encodes an answer without the head that names its request.
pub(super) fn encode_body<T: Serialize>(answer: &T) -> io::Result<Vec<u8>> {
    encode(answer)
}

/// Encodes the head of an answer: with a body behind it, it is an encoded `ToClient { id, result: Ok(body) }`.
pub(super) fn encode_head(id: u64) -> io::Result<Vec<u8>> {
    encode(&(id, OK))
}

/// Encodes a failure.
pub(super) fn encode_failure(id: u64, error: &ServerError) -> io::Result<Vec<u8>> {
    let failure = match error.kind {
        io::ErrorKind::WouldBlock => Failure::Busy,
        _ => Failure::Failed,
    };
    encode(&ToClient::<()> { id, result: Err(failure) })
}

/// Decodes what a client receives.
pub(super) fn decode_answer<T: Serialize + DeserializeOwned>(
    frame: &[u8],
) -> Result<Response<T>, DecodeError> {
    let ToClient { id, result } = decode_exact::<ToClient<T>>(frame)?;
    let message = result.map_err(|failure| match failure {
        Failure::Busy => busy(),
        Failure::Failed => failed(),
    });
    Ok(Response { request_id: id, message })
}

/// The failure of a request that found no permit.
pub(super) fn busy() -> ServerError {
    ServerError::new(io::ErrorKind::WouldBlock, String::from("busy"))
}

/// The failure of a request whose work ended in a panic or in an answer that does not fit a frame.
pub(super) fn failed() -> ServerError {
    ServerError::new(io::ErrorKind::Other, String::from("failed"))
}

fn clamp(left: Duration) -> u64 {
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(limits::DEADLINE_MAX_MS)
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let bytes = postcard::to_extend(value, Vec::new()).map_err(io::Error::other)?;
    if bytes.len() > limits::FRAME_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than a frame"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::service::{CacheRequest, CacheResponse};
    use proptest::prelude::*;

    fn status(deadline_ms: u64) -> Vec<u8> {
        encode(&ToServer::Request { id: 7, deadline_ms, message: CacheRequest::Status {} }).unwrap()
    }

    #[test]
    fn hostile_deadlines_are_clamped() {
        let now = Instant::now();
        let longest = now + Duration::from_millis(limits::DEADLINE_MAX_MS);
        for (asked, expected) in [(u64::MAX, longest), (u64::MAX / 2, longest), (0, now)] {
            let message = decode_call::<CacheRequest>(&status(asked), now).unwrap();
            let ClientMessage::Request(request) = message else { panic!() };
            assert_eq!((request.context.deadline, request.id), (expected, 7));
        }
    }

    #[test]
    fn a_frame_is_used_up_to_its_last_byte() {
        let mut frame = status(10);
        frame.push(0);
        let now = Instant::now();
        assert_eq!(decode_call::<CacheRequest>(&frame, now).unwrap_err(), DecodeError::Trailing(1));
        for end in 0..frame.len() - 1 {
            assert!(decode_call::<CacheRequest>(&frame[..end], now).is_err());
        }
    }

    #[test]
    fn failures_keep_their_kind_and_lose_their_words() {
        let secret = ServerError::new(io::ErrorKind::Other, String::from("/srv/inner/path"));
        let frame = encode_failure(3, &secret).unwrap();
        assert!(!frame.windows(5).any(|part| part == b"inner"));
        let response = decode_answer::<CacheResponse>(&frame).unwrap();
        assert_eq!((response.request_id, response.message.unwrap_err()), (3, failed()));
        let frame = encode_failure(3, &busy()).unwrap();
        assert_eq!(decode_answer::<CacheResponse>(&frame).unwrap().message.unwrap_err(), busy());
    }

    #[test]
    fn an_answer_in_two_parts_is_one_on_the_wire() {
        let answer: Vec<u8> = vec![1, 2, 3];
        let parts = [encode_head(900).unwrap(), encode_body(&answer).unwrap()].concat();
        assert_eq!(parts, encode(&ToClient { id: 900, result: Ok(answer.clone()) }).unwrap());
        assert_eq!(decode_answer::<Vec<u8>>(&parts).unwrap().message.unwrap(), answer);
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(frame in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode_call::<CacheRequest>(&frame, Instant::now());
            let _ = decode_answer::<CacheResponse>(&frame);
        }

        #[test]
        fn changed_frames_never_panic(at in 0usize..64, bits in 1u8.., deadline in any::<u64>()) {
            let mut frame = status(deadline);
            let at = at % frame.len();
            frame[at] ^= bits;
            let _ = decode_call::<CacheRequest>(&frame, Instant::now());
        }
    }
}
