//! BLAKE3-256 digests, and the name of a blob.
//!
//! Source: the BLAKE3 paper, <https://github.com/BLAKE3-team/BLAKE3-specs>; `derive_key` mode separates domains.

use serde::{Deserialize, Serialize};
use std::fmt;

/// 32 bytes of BLAKE3. Ids of different meaning wrap it in types of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests plain content.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// Wraps bytes that were read from a format.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 lower-case hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", &self.to_string()[..12])
    }
}

/// Declares a digest newtype with the constructors that every id shares.
macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name($crate::digest::Digest);

        impl $name {
            /// Wraps a digest that was computed or read as this kind of id.
            pub const fn from_digest(digest: $crate::digest::Digest) -> Self {
                Self(digest)
            }

            /// Returns the digest inside.
            pub const fn digest(&self) -> &$crate::digest::Digest {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
pub(crate) use digest_type;

digest_type! {
    /// Name of the bytes of one output: the digest of its raw, uncompressed content.
    BlobId
}

impl BlobId {
    /// Names content.
    pub fn of(content: &[u8]) -> Self {
        Self::from_digest(Digest::of(content))
    }
}

/// Content whose digest was checked against the name under which it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    id: BlobId,
    content: T,
}

impl<T: AsRef<[u8]>> Verified<T> {
    /// Checks `content` against `id`; `None` when they differ.
    pub fn check(id: BlobId, content: T) -> Option<Self> {
        (BlobId::of(content.as_ref()) == id).then_some(Self { id, content })
    }

    /// Returns the checked name.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Gives up the proof and returns the content.
    pub fn into_content(self) -> T {
        self.content
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Verified<T> {
    fn as_ref(&self) -> &[u8] {
        self.content.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_survives_the_round_trip_and_refuses_everything_else() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        for wrong in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_flipped_bit_is_not_verified() {
        let id = BlobId::of(b"abc");
        assert!(Verified::check(id, b"abc".as_slice()).is_some());
        assert!(Verified::check(id, b"abb".as_slice()).is_none());
    }
}
