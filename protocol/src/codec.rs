//! Total, bounded decoding of everything that a peer or a disk hands us.
//!
//! A stored or signed value is one version byte followed by postcard. Decoding uses the input up to its last byte, never allocates more
//! than the input is long times a small factor, and never panics. The bound is checked before anything is decoded;
//! counts inside are bounded by the input, because postcard's `Vec` visitor reserves no more than what serde's cautious
//! size hint allows and then needs a byte per item.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes were refused. It carries no content: what a hostile peer sent is not repeated into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the format allows.
    #[error("{length} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Another version of the format; read as a miss.
    #[error("format version {found}, this build reads {expected}")]
    Version {
        /// Version byte found.
        found: u8,
        /// Version byte of this build.
        expected: u8,
    },
    /// Not an encoding of the type.
    #[error("malformed")]
    Malformed,
    /// An encoding followed by more bytes.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// Well-formed, but a count, a size or a name is out of its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

/// A type with a versioned, bounded encoding.
pub trait Format: Serialize + DeserializeOwned {
    /// Version byte in front of the encoding.
    const VERSION: u8;
    /// Largest encoding, in bytes, version included.
    const LIMIT: usize;

    /// Checks counts, sizes and names that the types alone do not bound.
    ///
    /// # Errors
    /// [`DecodeError::OutOfRange`] names the first field that is out of range.
    fn validate(&self) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Encodes the value.
    fn to_bytes(&self) -> Vec<u8> {
        let start = vec![Self::VERSION];
        postcard::to_extend(self, start).expect("only types that always serialize implement Format")
    }

    /// Decodes exactly one value.
    ///
    /// # Errors
    /// Every input that [`Format::to_bytes`] cannot have written.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::LIMIT {
            return Err(DecodeError::TooLarge { length: bytes.len(), limit: Self::LIMIT });
        }
        let (&found, body) = bytes.split_first().ok_or(DecodeError::Malformed)?;
        if found != Self::VERSION {
            return Err(DecodeError::Version { found, expected: Self::VERSION });
        }
        let value: Self = decode_exact(body)?;
        value.validate()?;
        Ok(value)
    }
}

/// Decodes postcard without a version byte, up to the last byte.
///
/// # Errors
/// [`DecodeError::Malformed`] or [`DecodeError::Trailing`].
pub fn decode_exact<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| DecodeError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rest.len())) }
}

/// Returns an error naming `what` unless `holds`.
///
/// # Errors
/// [`DecodeError::OutOfRange`].
pub fn ensure(holds: bool, what: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::OutOfRange(what)) }
}

/// A vector of bytes that travels as one run instead of as a sequence of numbers; equal encoding, much faster.
pub mod byte_run {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the run.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    /// Reads the run.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Run;
        impl Visitor<'_> for Run {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a run of bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Run)
    }
}
