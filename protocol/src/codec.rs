//! Total, bounded decoding of everything that a peer or a disk hands us.
//!
//! A stored or signed value is one version byte followed by postcard. Decoding uses the input up to its last byte, accepts
//! one encoding per value (a padded varint is refused, so equal values have equal digests), and never panics.
//!
//! Memory: the length is checked before anything is decoded. A count that claims more items than bytes remain reserves
//! nothing, and a believable one reserves at most 1 MiB before its items arrive. What remains is the ratio of an item in
//! memory to its shortest encoding (an empty path: 32 bytes for 2), so lists of small items are read through [`at_most`].
//! `tests/hostile_bytes.rs` counts what decoding allocates.

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::marker::PhantomData;

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

/// Decodes postcard without a version byte, up to the last byte. Only the encoding that this build writes is accepted.
///
/// # Errors
/// [`DecodeError::Malformed`] or [`DecodeError::Trailing`].
pub fn decode_exact<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    postcard::serialize_with_flavor(&value, Expect(body)).map_err(|_| DecodeError::Malformed)?;
    Ok(value)
}

/// A sink that takes exactly the bytes it was made with; it finds a second encoding of a value without a copy.
struct Expect<'a>(&'a [u8]);

impl postcard::ser_flavors::Flavor for Expect<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

/// Reads a list of at most `MAX` items; for `#[serde(deserialize_with)]`. A longer one fails before its items are read.
///
/// # Errors
/// Those of the deserializer, and too many items.
pub fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<const MAX: usize, T>(PhantomData<T>);
    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for Bounded<MAX, T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "at most {MAX} items")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let hint = items.size_hint().unwrap_or(0);
            if hint > MAX {
                return Err(A::Error::invalid_length(hint, &self));
            }
            let mut list = Vec::with_capacity(hint.min(RESERVE_MAX / size_of::<T>().max(1)));
            while let Some(item) = items.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Bounded::<MAX, T>(PhantomData))
}

/// Most bytes reserved on the word of a count alone: what serde itself allows.
const RESERVE_MAX: usize = 1 << 20;

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
