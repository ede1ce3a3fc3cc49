//! The bytes of segments, and total decoders for them.
//!
//! A data directory holds `FORMAT`, `lock`, `index.redb` and segments named by eight hexadecimal digits and `.seg`. All numbers
//! are little-endian. Every checksum is CRC-32 (IEEE) started from the directory's *salt*, which no peer knows: a
//! payload that imitates records or footers cannot be taken for one. Unused bytes are zero, and checked to be.
//!
//! ```text
//! FORMAT   "dccache-storage 1 " | salt, 8 lower-case hexadecimal digits | "\n"
//!
//! segment  header | record ... | footer (only when sealed)
//!
//! header, 32 bytes
//!    0   8  magic "DCCSEG" 0x00, version 0x01
//!    8   4  number of the segment; numbers grow and are never used again
//!   12   4  zero
//!   16   8  Unix time of creation, ms
//!   24   4  zero
//!   28   4  CRC of bytes 0..28
//!
//! record, 112 bytes and the payload
//!    0   3  magic "DCR"
//!    3   1  version 0x01
//!    4   1  kind: 1 bundle, 2 manifest, 3 alias, 4 attestation, 5 tombstone, 6 hint;
//!           of the log itself: 128 erase, 129 erase hint, 130 drop partition, 131 evicted
//!    5   3  zero
//!    8   4  length of the payload
//!   12   4  CRC of the payload
//!   16   8  receipt stamp
//!   24  32  RecordId; of a dropped partition: its number in the top 12 bits, the rest zero; of evicted: zero
//!   56  16  NodeId that a hint is for; else zero
//!   72  32  BLAKE3 of the payload
//!  104   4  number of the segment
//!  108   4  CRC of bytes 0..108
//!  112      payload
//!
//! footer: one entry per record in the order of the records, then the trailer, which ends the file
//! entry, 72 bytes
//!    0   1  kind
//!    1   3  zero
//!    4   4  length of the payload
//!    8   8  offset of the record in the segment
//!   16   8  receipt stamp
//!   24  32  RecordId
//!   56  16  NodeId that a hint is for; else zero
//! trailer, 32 bytes
//!    0   8  magic "DCCFOOT" , version 0x01
//!    8   4  number of entries
//!   12   4  number of the segment
//!   16   8  offset of the first entry
//!   24   4  CRC of all entries
//!   28   4  CRC of bytes 0..28
//!
//! payload of "evicted": number of the oldest segment that stays (4) | (partition (2) | newest stamp ever evicted from it (8)) ...
//! ```
//!
//! Invariant: the log decides by order. Of two records with one id the later one holds; an erase or a dropped partition
//! holds for what lies before it. A writer never appends a record that is older, by its stamp, than the one that holds.

use crate::record::RecordKind;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 32;
/// Bytes in front of a payload.
pub(crate) const RECORD_HEADER: usize = 112;
/// Bytes of a footer's entry.
pub(crate) const ENTRY: usize = 72;
/// Bytes of a footer's trailer.
pub(crate) const TRAILER: usize = 32;

const SEGMENT_MAGIC: [u8; 8] = *b"DCCSEG\x00\x01";
const RECORD_MAGIC: [u8; 4] = *b"DCR\x01";
const TRAILER_MAGIC: [u8; 8] = *b"DCCFOOT\x01";
const NO_NODE: NodeId = NodeId([0; 16]);

/// What a record of the log is: a caller's, or the log's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored by a caller.
    Stored(RecordKind),
    /// The record of this id before this place is gone.
    Erase,
    /// The hint of this id for this node before this place is gone.
    EraseHint(NodeId),
    /// All records of a partition before this place are gone.
    DropPartition,
    /// Segments were evicted; the payload says up to which, and what the horizons are.
    Evicted,
}

impl Kind {
    /// Returns the number in a format.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Stored(RecordKind::Bundle) => 1,
            Self::Stored(RecordKind::Manifest) => 2,
            Self::Stored(RecordKind::Alias) => 3,
            Self::Stored(RecordKind::Attestation) => 4,
            Self::Stored(RecordKind::Tombstone) => 5,
            Self::Stored(RecordKind::Hint { .. }) => 6,
            Self::Erase => 128,
            Self::EraseHint(_) => 129,
            Self::DropPartition => 130,
            Self::Evicted => 131,
        }
    }

    fn node(self) -> NodeId {
        match self {
            Self::Stored(RecordKind::Hint { target }) | Self::EraseHint(target) => target,
            _ => NO_NODE,
        }
    }

    fn decode(code: u8, node: NodeId) -> Option<Self> {
        let kind = match code {
            1 => Self::Stored(RecordKind::Bundle),
            2 => Self::Stored(RecordKind::Manifest),
            3 => Self::Stored(RecordKind::Alias),
            4 => Self::Stored(RecordKind::Attestation),
            5 => Self::Stored(RecordKind::Tombstone),
            6 => Self::Stored(RecordKind::Hint { target: node }),
            128 => Self::Erase,
            129 => Self::EraseHint(node),
            130 => Self::DropPartition,
            131 => Self::Evicted,
            _ => return None,
        };
        (kind.node() == node).then_some(kind)
    }
}

/// Starts every checksum of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u32);

impl Salt {
    /// Returns the checksum of `bytes`.
    pub(crate) fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// Header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
    pub(crate) stamp: ReceiptStamp,
    pub(crate) id: RecordId,
    pub(crate) digest: Digest,
    pub(crate) segment: u32,
}

impl RecordHeader {
    /// Writes the header.
    pub(crate) fn encode(&self, salt: Salt) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        put(&mut bytes, 0, &RECORD_MAGIC);
        bytes[4] = self.kind.code();
        put(&mut bytes, 8, &self.length.to_le_bytes());
        put(&mut bytes, 12, &self.payload_crc.to_le_bytes());
        put(&mut bytes, 16, &self.stamp.0.to_le_bytes());
        put(&mut bytes, 24, self.id.digest().as_bytes());
        put(&mut bytes, 56, &self.kind.node().0);
        put(&mut bytes, 72, self.digest.as_bytes());
        put(&mut bytes, 104, &self.segment.to_le_bytes());
        seal(&mut bytes, salt);
        bytes
    }

    /// Reads a header that must be one of `segment`; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8], segment: u32, salt: Salt) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER] = bytes.first_chunk()?;
        let sound = is_sealed(bytes, salt) && bytes[..4] == RECORD_MAGIC && bytes[5..8] == [0; 3];
        if !sound || u32_at(bytes, 104) != segment {
            return None;
        }
        Some(Self {
            kind: Kind::decode(bytes[4], NodeId(array_at(bytes, 56)))?,
            length: u32_at(bytes, 8),
            payload_crc: u32_at(bytes, 12),
            stamp: ReceiptStamp(u64_at(bytes, 16)),
            id: RecordId::from_digest(Digest::from_bytes(array_at(bytes, 24))),
            digest: Digest::from_bytes(array_at(bytes, 72)),
            segment,
        })
    }
}

/// One line of a footer: what a record is and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) length: u32,
    pub(crate) offset: u64,
    pub(crate) stamp: ReceiptStamp,
    pub(crate) id: RecordId,
}

impl Entry {
    /// Returns the place after the record.
    pub(crate) fn end(&self) -> u64 {
        self.offset + record_bytes(self.length)
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0] = self.kind.code();
        put(&mut bytes, 4, &self.length.to_le_bytes());
        put(&mut bytes, 8, &self.offset.to_le_bytes());
        put(&mut bytes, 16, &self.stamp.0.to_le_bytes());
        put(&mut bytes, 24, self.id.digest().as_bytes());
        put(&mut bytes, 56, &self.kind.node().0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY] = bytes.first_chunk()?;
        let offset = u64_at(bytes, 8);
        let sound = bytes[1..4] == [0; 3] && offset >= SEGMENT_HEADER as u64 && offset < 1 << 48;
        sound.then_some(())?;
        Some(Self {
            kind: Kind::decode(bytes[0], NodeId(array_at(bytes, 56)))?,
            length: u32_at(bytes, 4),
            offset,
            stamp: ReceiptStamp(u64_at(bytes, 16)),
            id: RecordId::from_digest(Digest::from_bytes(array_at(bytes, 24))),
        })
    }
}

/// Returns the bytes that a record of `length` bytes of payload takes.
pub(crate) const fn record_bytes(length: u32) -> u64 {
    RECORD_HEADER as u64 + length as u64
}

/// Writes a segment's header.
pub(crate) fn segment_header(number: u32, created_ms: u64, salt: Salt) -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    put(&mut bytes, 0, &SEGMENT_MAGIC);
    put(&mut bytes, 8, &number.to_le_bytes());
    put(&mut bytes, 16, &created_ms.to_le_bytes());
    seal(&mut bytes, salt);
    bytes
}

/// Says whether `bytes` are the header of segment `number`.
pub(crate) fn is_segment_header(bytes: &[u8; SEGMENT_HEADER], number: u32, salt: Salt) -> bool {
    bytes[..8] == SEGMENT_MAGIC && u32_at(bytes, 8) == number && is_sealed(bytes, salt)
}

/// Writes a footer that begins at `start`.
pub(crate) fn footer(entries: &[Entry], segment: u32, start: u64, salt: Salt) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY + TRAILER);
    entries.iter().for_each(|entry| bytes.extend(entry.encode()));
    let mut trailer = [0; TRAILER];
    put(&mut trailer, 0, &TRAILER_MAGIC);
    put(&mut trailer, 8, &(entries.len() as u32).to_le_bytes());
    put(&mut trailer, 12, &segment.to_le_bytes());
    put(&mut trailer, 16, &start.to_le_bytes());
    put(&mut trailer, 24, &salt.crc(&bytes).to_le_bytes());
    seal(&mut trailer, salt);
    bytes.extend(trailer);
    bytes
}

/// Last bytes of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Number of entries.
    pub(crate) count: u32,
    /// Offset of the first entry, which is the end of the records.
    pub(crate) start: u64,
    entries_crc: u32,
}

impl Trailer {
    /// Reads the trailer of `segment`, whose file is `file_length` bytes long; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8], segment: u32, file_length: u64, salt: Salt) -> Option<Self> {
        let bytes: &[u8; TRAILER] = bytes.first_chunk()?;
        let (count, start) = (u32_at(bytes, 8), u64_at(bytes, 16));
        let end = start.checked_add(u64::from(count) * ENTRY as u64 + TRAILER as u64);
        let sound = is_sealed(bytes, salt) && bytes[..8] == TRAILER_MAGIC && u32_at(bytes, 12) == segment;
        (sound && end == Some(file_length)).then(|| Self { count, start, entries_crc: u32_at(bytes, 24) })
    }

    /// Reads the entries that lie before this trailer; `None` when they are not what it says.
    pub(crate) fn entries(&self, bytes: &[u8], salt: Salt) -> Option<Vec<Entry>> {
        if bytes.len() as u64 != u64::from(self.count) * ENTRY as u64 || salt.crc(bytes) != self.entries_crc {
            return None;
        }
        let entries: Option<Vec<Entry>> = bytes.chunks_exact(ENTRY).map(Entry::decode).collect();
        entries.filter(|entries| entries.iter().all(|entry| entry.end() <= self.start))
    }
}

/// Says what an eviction leaves: written before the segments are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// Oldest segment that stays.
    pub(crate) oldest: u32,
    /// Newest stamp ever evicted, per partition that lost anything.
    pub(crate) horizons: Vec<(Partition, ReceiptStamp)>,
}

impl Evicted {
    /// Writes the payload.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.oldest.to_le_bytes().to_vec();
        for (partition, stamp) in &self.horizons {
            bytes.extend((partition.index() as u16).to_le_bytes());
            bytes.extend(stamp.0.to_le_bytes());
        }
        bytes
    }

    /// Reads a payload.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (oldest, rest) = bytes.split_first_chunk::<4>()?;
        let (lines, []) = rest.as_chunks::<10>() else { return None };
        let horizons: Option<Vec<_>> = lines
            .iter()
            .map(|line| {
                let partition = Partition::new(u16::from_le_bytes(array_at(line, 0)))?;
                Some((partition, ReceiptStamp(u64_at(line, 2))))
            })
            .collect();
        Some(Self { oldest: u32::from_le_bytes(*oldest), horizons: horizons? })
    }
}

/// Returns the id under which a dropped partition is recorded.
pub(crate) fn partition_id(partition: Partition) -> RecordId {
    let mut bytes = [0; 32];
    put(&mut bytes, 0, &((partition.index() as u16) << 4).to_be_bytes());
    RecordId::from_digest(Digest::from_bytes(bytes))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Copies a field; the callers' offsets are constants inside arrays of fixed size.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Writes the checksum of a header into its last four bytes.
fn seal(bytes: &mut [u8], salt: Salt) {
    let end = bytes.len() - 4;
    let crc = salt.crc(&bytes[..end]);
    put(bytes, end, &crc.to_le_bytes());
}

fn is_sealed(bytes: &[u8], salt: Salt) -> bool {
    let end = bytes.len() - 4;
    salt.crc(&bytes[..end]) == u32_at(bytes, end)
}

#[cfg(test)]
mod tests;
