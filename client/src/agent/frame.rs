//! Frames between wrapper and agent: the head of each message and its bounds, for both the blocking and the async end.
//!
//! ```text
//! head length u32 LE | attachment length u64 LE | head | attachment
//! ```

use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::limits;
use dccache_protocol::local::{Greeting, LOCAL_VERSION};

/// Bytes in front of each message.
pub const FRAME_HEADER: usize = 12;

/// Version of the local store's records that this build writes.
pub const STORE_VERSION: u16 = 1;

/// What this build says first.
pub const GREETING: Greeting = Greeting { protocol: LOCAL_VERSION, store: STORE_VERSION };

/// Lengths of the message that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the head.
    pub head: usize,
    /// Bytes of the attachment.
    pub attachment: usize,
}

impl FrameHeader {
    /// Writes the header.
    pub fn to_bytes(self) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..4].copy_from_slice(&(self.head as u32).to_le_bytes());
        bytes[4..].copy_from_slice(&(self.attachment as u64).to_le_bytes());
        bytes
    }

    /// Reads the header of a message of type `T` before anything is allocated for it.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] for a length over its bound.
    pub fn from_bytes<T: Format>(bytes: [u8; FRAME_HEADER]) -> Result<Self, DecodeError> {
        let [a, b, c, d, rest @ ..] = bytes;
        let head = bounded(u64::from(u32::from_le_bytes([a, b, c, d])), T::LIMIT)?;
        let attachment = bounded(u64::from_le_bytes(rest), limits::BUNDLE_MAX)?;
        Ok(Self { head, attachment })
    }
}

fn bounded(length: u64, limit: usize) -> Result<usize, DecodeError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length <= limit { Ok(length) } else { Err(DecodeError::TooLarge { length, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::local::Reply;

    #[test]
    fn lengths_over_their_bounds_are_refused_before_anything_is_allocated() {
        let good = FrameHeader { head: 10, attachment: limits::BUNDLE_MAX };
        assert_eq!(FrameHeader::from_bytes::<Reply>(good.to_bytes()), Ok(good));
        for bad in [
            FrameHeader { head: Reply::LIMIT + 1, attachment: 0 },
            FrameHeader { head: 1, attachment: limits::BUNDLE_MAX + 1 },
            FrameHeader { head: 1, attachment: usize::MAX },
        ] {
            assert!(FrameHeader::from_bytes::<Reply>(bad.to_bytes()).is_err());
        }
    }
}
