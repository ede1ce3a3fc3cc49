//! Single values on a stream: a 4-byte little-endian length and a versioned encoding. Heads of bulk streams and enrolment use it.

use dccache_protocol::codec::{DecodeError, Format};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Why no value came.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed or ended early.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// What came is not an encoding of the value.
    #[error("the peer sent a malformed frame")]
    Decode(#[from] DecodeError),
}

/// Reads one value. Nothing is allocated before the length is known to be within the format's limit.
///
/// # Errors
/// A failed stream, a length over the limit, an encoding that does not hold.
///
/// Cancel safety: none; a cancelled read leaves the stream in the middle of a frame.
pub async fn read_value<T: Format>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let length = stream.read_u32_le().await? as usize;
    if length > T::LIMIT {
        return Err(DecodeError::TooLarge { length, limit: T::LIMIT }.into());
    }
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(T::from_bytes(&bytes)?)
}

/// Writes one value and flushes.
///
/// # Errors
/// A failed stream; a value over its own limit.
pub async fn write_value<T: Format>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> Result<(), FrameError> {
    let bytes = value.to_bytes();
    if bytes.len() > T::LIMIT {
        return Err(DecodeError::TooLarge { length: bytes.len(), limit: T::LIMIT }.into());
    }
    stream.write_u32_le(bytes.len() as u32).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(())
}
