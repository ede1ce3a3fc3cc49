//! What the index says about the log beside places: how far it goes, how much is live, what was evicted.
//!
//! ```text
//! row "log" of table "meta" in index.redb, little-endian
//!  0  4  version of the tables; another one is thrown away and rebuilt
//!  4  4  position: segment | 8  8  position: offset; everything before it is in the tables
//! 16  8  records and hints | 24  8  bytes of segments that they take
//! 32  4  oldest segment that counts
//! 36  8 x 4096  newest stamp evicted, per partition
//!     4  CRC of all before, started from the salt
//! ```

use crate::format::Salt;
use dccache_protocol::ids::PARTITIONS;
use dccache_protocol::time::ReceiptStamp;

/// Version of the tables.
const INDEX_VERSION: u32 = 1;

/// A place in the log: everything before it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// What is known about the log up to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) position: Position,
    /// Records and hints.
    pub(crate) records: u64,
    /// Bytes of segments that they take.
    pub(crate) live_bytes: u64,
    /// Oldest segment that counts.
    pub(crate) oldest: u32,
    /// Newest stamp evicted, per partition.
    pub(crate) horizons: Vec<ReceiptStamp>,
}

impl Meta {
    /// Knows nothing.
    pub(crate) fn empty() -> Self {
        let horizons = vec![ReceiptStamp(0); PARTITIONS];
        Self { position: Position::default(), records: 0, live_bytes: 0, oldest: 0, horizons }
    }

    /// Writes it.
    pub(crate) fn encode(&self, salt: Salt) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40 + 8 * PARTITIONS);
        bytes.extend(INDEX_VERSION.to_le_bytes());
        bytes.extend(self.position.segment.to_le_bytes());
        bytes.extend(self.position.offset.to_le_bytes());
        bytes.extend(self.records.to_le_bytes());
        bytes.extend(self.live_bytes.to_le_bytes());
        bytes.extend(self.oldest.to_le_bytes());
        self.horizons.iter().for_each(|stamp| bytes.extend(stamp.0.to_le_bytes()));
        bytes.extend(salt.crc(&bytes).to_le_bytes());
        bytes
    }

    /// Reads what [`Meta::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8], salt: Salt) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if salt.crc(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (version, rest) = body.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (live_bytes, rest) = rest.split_first_chunk()?;
        let (oldest, rest) = rest.split_first_chunk()?;
        let (stamps, []) = rest.as_chunks::<8>() else { return None };
        let sound = u32::from_le_bytes(*version) == INDEX_VERSION && stamps.len() == PARTITIONS;
        sound.then(|| Self {
            position: Position { segment: u32::from_le_bytes(*segment), offset: u64::from_le_bytes(*offset) },
            records: u64::from_le_bytes(*records),
            live_bytes: u64::from_le_bytes(*live_bytes),
            oldest: u32::from_le_bytes(*oldest),
            horizons: stamps.iter().map(|stamp| ReceiptStamp(u64::from_le_bytes(*stamp))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(salt: u32, records: u64, at in 0..32_800usize, bit in 0..8u32) {
            let mut meta = Meta { records, ..Meta::empty() };
            meta.horizons[7] = ReceiptStamp(records);
            let mut bytes = meta.encode(Salt(salt));
            prop_assert_eq!(Meta::decode(&bytes, Salt(salt)), Some(meta));
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Meta::decode(&bytes, Salt(salt)), None);
            prop_assert_eq!(Meta::decode(&bytes[..at], Salt(salt)), None);
        }
    }
}
