//! Round trips, golden bytes and arbitrary bytes for everything in a segment.

use super::*;
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = Kind> {
    let hint = any::<[u8; 16]>().prop_map(|node| Kind::Stored(RecordKind::Hint { target: NodeId(node) }));
    let erase = any::<[u8; 16]>().prop_map(|node| Kind::EraseHint(NodeId(node)));
    let plain = prop::sample::select(vec![
        Kind::Stored(RecordKind::Bundle),
        Kind::Stored(RecordKind::Manifest),
        Kind::Stored(RecordKind::Alias),
        Kind::Stored(RecordKind::Attestation),
        Kind::Stored(RecordKind::Tombstone),
        Kind::Erase,
        Kind::DropPartition,
        Kind::Evicted,
    ]);
    prop_oneof![plain, hint, erase]
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn header() -> impl Strategy<Value = RecordHeader> {
    (kind(), any::<[u32; 3]>(), any::<u64>(), digest(), digest()).prop_map(
        |(kind, numbers, stamp, id, digest)| {
            let ([length, payload_crc, segment], id) = (numbers, RecordId::from_digest(id));
            RecordHeader { kind, length, payload_crc, stamp: ReceiptStamp(stamp), id, digest, segment }
        },
    )
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let line = (kind(), 0..10_000u32, any::<u64>(), digest());
    prop::collection::vec(line, 0..20).prop_map(|lines| {
        let mut offset = SEGMENT_HEADER as u64;
        let entry = |(kind, length, stamp, id)| {
            let entry =
                Entry { kind, length, offset, stamp: ReceiptStamp(stamp), id: RecordId::from_digest(id) };
            offset = entry.end();
            entry
        };
        lines.into_iter().map(entry).collect()
    })
}

/// Reads a footer that ends a file, as a segment is read.
fn read_footer(file: &[u8], segment: u32, salt: Salt) -> Option<Vec<Entry>> {
    let trailer = file.get(file.len().checked_sub(TRAILER)?..)?;
    let trailer = Trailer::decode(trailer, segment, file.len() as u64, salt)?;
    trailer.entries(&file[trailer.start as usize..file.len() - TRAILER], salt)
}

proptest! {
    #[test]
    fn headers_survive_the_round_trip_and_no_flipped_bit(header in header(), salt: u32, at in 0..RECORD_HEADER, bit in 0..8u32) {
        let mut bytes = header.encode(Salt(salt));
        prop_assert_eq!(RecordHeader::decode(&bytes, header.segment, Salt(salt)), Some(header));
        prop_assert_eq!(RecordHeader::decode(&bytes, header.segment ^ 1, Salt(salt)), None);
        prop_assert_eq!(RecordHeader::decode(&bytes, header.segment, Salt(salt ^ 1)), None);
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(RecordHeader::decode(&bytes, header.segment, Salt(salt)), None);
    }

    #[test]
    fn footers_survive_the_round_trip_and_no_flipped_bit(entries in entries(), salt: u32, segment: u32, at: usize, bit in 0..8u32) {
        let start = entries.last().map_or(SEGMENT_HEADER as u64, Entry::end);
        let mut file = vec![0; start as usize];
        file.extend(footer(&entries, segment, start, Salt(salt)));
        let read = read_footer(&file, segment, Salt(salt));
        prop_assert_eq!(read.as_ref(), Some(&entries));
        let at = start as usize + at % (file.len() - start as usize);
        file[at] ^= 1 << bit;
        prop_assert_eq!(read_footer(&file, segment, Salt(salt)), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), salt: u32, length: u64) {
        let salt = Salt(salt);
        prop_assert_eq!(RecordHeader::decode(&bytes, 1, salt), None);
        prop_assert_eq!(Trailer::decode(&bytes, 1, length, salt), None);
        drop((Entry::decode(&bytes), Evicted::decode(&bytes), read_footer(&bytes, 1, salt)));
    }

    #[test]
    fn arbitrary_bytes_behind_a_right_checksum_never_panic(mut bytes: [u8; RECORD_HEADER], count: u32, start: u64, lines in prop::collection::vec(any::<u8>(), 0..300)) {
        let salt = Salt(3);
        put(&mut bytes, 0, &RECORD_MAGIC);
        put(&mut bytes, 5, &[0; 3]);
        seal(&mut bytes, salt);
        if let Some(header) = RecordHeader::decode(&bytes, u32_at(&bytes, 104), salt) {
            prop_assert_eq!(header.encode(salt), bytes);
        }
        let trailer = Trailer { count, start, entries_crc: salt.crc(&lines) };
        drop(trailer.entries(&lines, salt));
        let mut trailer: [u8; TRAILER] = array_at(&bytes, 0);
        put(&mut trailer, 0, &TRAILER_MAGIC);
        put(&mut trailer, 16, &u64::MAX.to_le_bytes());
        seal(&mut trailer, salt);
        prop_assert_eq!(Trailer::decode(&trailer, u32_at(&trailer, 12), u64::MAX, salt), None);
    }

    #[test]
    fn what_an_eviction_leaves_survives_the_round_trip(oldest: u32, stamps in prop::collection::btree_map(0..4096u16, any::<u64>(), 0..50)) {
        let horizons = stamps.into_iter().map(|(p, s)| (Partition::new(p).expect("in range"), ReceiptStamp(s))).collect();
        let evicted = Evicted { oldest, horizons };
        let bytes = evicted.encode();
        prop_assert_eq!(Evicted::decode(&bytes), Some(evicted));
        prop_assert_eq!(Evicted::decode(&bytes[1..]), None);
    }
}

#[test]
fn the_bytes_are_those_that_the_documentation_says() {
    let (id, digest) =
        (RecordId::from_digest(Digest::from_bytes([0xAA; 32])), Digest::from_bytes([0xBB; 32]));
    let kind = Kind::Stored(RecordKind::Hint { target: NodeId([0xCC; 16]) });
    let stamp = ReceiptStamp(0x0102_0304_0506_0708);
    let header = RecordHeader { kind, length: 0x11, payload_crc: 0x22, stamp, id, digest, segment: 0x33 };
    let bytes = header.encode(Salt(0));
    let crc = crc32fast::hash(&bytes[..108]);
    let wanted = [
        b"DCR\x01\x06\0\0\0\x11\0\0\0\x22\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01".as_slice(),
        &[0xAA; 32],
        &[0xCC; 16],
        &[0xBB; 32],
        b"\x33\0\0\0",
        &crc.to_le_bytes(),
    ];
    assert_eq!(bytes.as_slice(), wanted.concat());
    let segment = segment_header(0x44, 0x55, Salt(0));
    assert_eq!(segment[..28], *b"DCCSEG\0\x01\x44\0\0\0\0\0\0\0\x55\0\0\0\0\0\0\0\0\0\0\0");
    assert!(is_segment_header(&segment, 0x44, Salt(0)) && !is_segment_header(&segment, 0x45, Salt(0)));
}

#[test]
fn a_payload_that_imitates_a_footer_is_none_without_the_salt() {
    let id = RecordId::from_digest(Digest::from_bytes([1; 32]));
    let stamp = ReceiptStamp(1);
    let entry = Entry { kind: Kind::Stored(RecordKind::Bundle), length: 0, offset: 32, stamp, id };
    let mut file = vec![0; 144];
    file.extend(footer(&[entry], 1, 144, Salt(0)));
    assert!(read_footer(&file, 1, Salt(0)).is_some());
    assert_eq!(read_footer(&file, 1, Salt(0x1234_5678)), None);
}
