//! Digests of files by their stamps, shared by all compiles of this machine: after a fresh clone or a change of branch each header is hashed
//! once, not once for every source that includes it.
//!
//! `digests`, below the home: buckets of four slots of 64 bytes, written in place and never locked.
//!
//! ```text
//! tag, 16 bytes, of the stamp | digest, 32 bytes | facts u8 | 3 zero bytes | check, 12 bytes, over all before
//! ```
//!
//! Tag and check are keyed with the store's secret, so that a torn, foreign or older slot reads as nothing.
//!
//! Invariant: only a stamp that was old enough when the content was read is kept ([`Stamp::is_settled`]), on a file system whose stamps
//! can be trusted.

use crate::cpp::FileFacts;
use crate::home::Home;
use crate::store::Secret;
use crate::toolchain::Stamp;
use dccache_protocol::digest::Digest;
use rustix::fs::OFlags;
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The file below the home.
const NAME: &str = "digests";

/// Bytes of a slot.
const SLOT: usize = 64;

/// Slots that one stamp can take; one read gets them all.
const WAYS: usize = 4;

/// Number of buckets: 65,536 files, more than the headers and sources of nearly all trees; 4 MiB.
const BUCKETS: u64 = 1 << 14;

/// The table of one user.
#[derive(Debug)]
pub struct Digests {
    file: File,
    secret: Secret,
    /// The bucket that was read last, which is most often the next one written, and its place.
    last: Cell<Option<(u64, [u8; SLOT * WAYS])>>,
}

impl Digests {
    /// Opens the table; `None` where there can be none. `Access::Write` makes it.
    pub fn open(home: &Home, access: Access) -> Option<Self> {
        let (file, secret) = match access {
            Access::Read => (home.open_file(NAME, OFlags::RDONLY).ok()?, Secret::read(home)?),
            Access::Write => {
                (home.open_for_writing(NAME, OFlags::RDWR).ok()?, Secret::read_or_make(home).ok()?)
            }
        };
        Some(Self { file, secret, last: Cell::new(None) })
    }

    /// Returns digest and facts of the file that had this stamp.
    pub fn get(&self, stamp: &Stamp) -> Option<(Digest, FileFacts)> {
        let (tag, offset) = self.place(stamp);
        let bucket = self.bucket(offset)?;
        self.last.set(Some((offset, bucket)));
        let slot = bucket.chunks_exact(SLOT).find(|slot| slot[..16] == tag)?;
        (slot[52..] == self.check(slot)).then(|| {
            let digest = std::array::from_fn(|index| slot[16 + index]);
            (Digest::from_bytes(digest), FileFacts::from_bits(slot[48]))
        })
    }

    /// Notes digest and facts. What cannot be written is hashed again next time.
    pub fn put(&self, stamp: &Stamp, digest: &Digest, facts: FileFacts) {
        let (tag, offset) = self.place(stamp);
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(&tag);
        slot[16..48].copy_from_slice(digest.as_bytes());
        slot[48] = facts.bits();
        let check = self.check(&slot);
        slot[52..].copy_from_slice(&check);
        let last = self.last.take().filter(|(place, _)| *place == offset).map(|(_, bucket)| bucket);
        let bucket = last.or_else(|| self.bucket(offset)).unwrap_or([0; SLOT * WAYS]);
        let taken = |way: usize, tag: &[u8]| bucket[way * SLOT..way * SLOT + 16] == *tag;
        let own = (0..WAYS).find(|&way| taken(way, &tag) || taken(way, &[0; 16]));
        // A full bucket loses any one of its slots.
        let way = own.unwrap_or(usize::from(tag[15]) % WAYS);
        let _ = self.file.write_all_at(&slot, offset + (way * SLOT) as u64);
    }

    fn bucket(&self, offset: u64) -> Option<[u8; SLOT * WAYS]> {
        let mut bucket = [0; SLOT * WAYS];
        let mut read = 0;
        // The last bucket of a young file may be cut short.
        while read < bucket.len() {
            match self.file.read_at(&mut bucket[read..], offset + read as u64).ok()? {
                0 => break,
                length => read += length,
            }
        }
        Some(bucket)
    }

    fn place(&self, stamp: &Stamp) -> ([u8; 16], u64) {
        let numbers = [stamp.device, stamp.inode, stamp.size, stamp.mtime as u64, stamp.ctime as u64]
            .map(u64::to_le_bytes);
        let hash = self.secret.seal(&[b"digests 2".as_slice(), numbers.as_flattened()].concat());
        let index = u64::from_le_bytes(std::array::from_fn(|byte| hash[16 + byte])) % BUCKETS;
        (std::array::from_fn(|byte| hash[byte]), index * (SLOT * WAYS) as u64)
    }

    fn check(&self, slot: &[u8]) -> [u8; 12] {
        let hash = self.secret.seal(&slot[..52]);
        std::array::from_fn(|byte| hash[byte])
    }
}

/// What a table is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and noting.
    Write,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64) -> Stamp {
        Stamp { device: 1, inode: number, size: 3, mtime: 4, ctime: 5 }
    }

    #[test]
    fn a_digest_is_found_by_the_whole_stamp_only() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        assert!(Digests::open(&home, Access::Read).is_none());
        let digests = Digests::open(&home, Access::Write).unwrap();
        let facts = FileFacts { date: true, embed: true, ..FileFacts::default() };
        let digest = Digest::of(b"content");
        digests.put(&stamp(1), &digest, facts);
        assert_eq!(digests.get(&stamp(1)), Some((digest, facts)));
        let changed = [
            Stamp { device: 2, ..stamp(1) },
            Stamp { inode: 2, ..stamp(1) },
            Stamp { size: 4, ..stamp(1) },
            Stamp { mtime: 5, ..stamp(1) },
            Stamp { ctime: 6, ..stamp(1) },
        ];
        assert!(changed.iter().all(|stamp| digests.get(stamp).is_none()));
    }

    #[test]
    fn torn_and_foreign_slots_read_as_nothing() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let digests = Digests::open(&home, Access::Write).unwrap();
        digests.put(&stamp(1), &Digest::of(b"content"), FileFacts::default());
        let file = place.path().join(NAME);
        let whole = std::fs::read(&file).unwrap();
        let start = whole.len() - SLOT;
        for byte in 0..SLOT {
            let mut torn = whole.clone();
            torn[start + byte] ^= 1;
            std::fs::write(&file, torn).unwrap();
            assert_eq!(digests.get(&stamp(1)), None, "byte {byte}");
        }
        std::fs::write(&file, &whole[..start + 20]).unwrap();
        assert_eq!(digests.get(&stamp(1)), None);
        let other = tempfile::tempdir().unwrap();
        let other = Home::open(other.path()).unwrap();
        other.replace(NAME, &[&whole]).unwrap();
        assert_eq!(Digests::open(&other, Access::Write).unwrap().get(&stamp(1)), None, "another store's");
    }

    #[test]
    fn a_full_table_forgets_and_never_mixes_up() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let digests = Digests::open(&home, Access::Write).unwrap();
        let digest = |number: u64| Digest::of(&number.to_le_bytes());
        let count = BUCKETS * 8;
        (0..count).for_each(|number| digests.put(&stamp(number), &digest(number), FileFacts::default()));
        let found: Vec<_> =
            (0..count).filter_map(|number| Some((number, digests.get(&stamp(number))?.0))).collect();
        assert!(found.iter().all(|(number, found)| *found == digest(*number)));
        assert!(found.len() as u64 > BUCKETS * 3, "{} of {} slots are in use", found.len(), BUCKETS * 4);
        assert!(std::fs::metadata(place.path().join(NAME)).unwrap().len() <= BUCKETS * (SLOT * WAYS) as u64);
    }
}
