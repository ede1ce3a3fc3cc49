//! Records one behind the other in a file that is only appended to: each is found and checked on its own.
//!
//! ```text
//! magic, 2 bytes | length of the body u16 LE | first 4 bytes of BLAKE3(body) | body (postcard)
//! ```
//!
//! The second byte of the magic is the version. What is torn or foreign is skipped up to the next magic.

use dccache_protocol::codec::decode_exact;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes before the body.
const PREFIX: usize = 8;

/// Encodes a record; `None` for one that is longer than a frame can say.
pub(crate) fn framed(magic: [u8; 2], record: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = postcard::to_extend(record, vec![0; PREFIX]).ok()?;
    let length = u16::try_from(bytes.len() - PREFIX).ok()?;
    let check = check(&bytes[PREFIX..]);
    bytes[..2].copy_from_slice(&magic);
    bytes[2..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&check);
    Some(bytes)
}

/// Decodes all whole records.
pub(crate) fn all<T: Serialize + DeserializeOwned>(magic: [u8; 2], mut bytes: &[u8]) -> Vec<T> {
    let mut records = Vec::new();
    while bytes.len() > PREFIX {
        match first(magic, bytes) {
            Some((record, length)) => {
                records.push(record);
                bytes = &bytes[length..];
            }
            None => {
                let next = memchr::memmem::find(&bytes[1..], &magic);
                bytes = next.map_or(&[], |at| &bytes[1 + at..]);
            }
        }
    }
    records
}

fn first<T: Serialize + DeserializeOwned>(magic: [u8; 2], bytes: &[u8]) -> Option<(T, usize)> {
    let body = bytes.strip_prefix(&magic)?;
    let (length, body) = body.split_first_chunk::<2>()?;
    let (expected, body) = body.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let body = body.get(..length)?;
    let record = (check(body) == *expected).then(|| decode_exact(body).ok())??;
    Some((record, PREFIX + length))
}

/// Returns the first bytes of a body's digest.
pub(crate) fn check(body: &[u8]) -> [u8; 4] {
    let digest = blake3::hash(body);
    std::array::from_fn(|index| digest.as_bytes()[index])
}
