//! Digests of files by their stamps, shared by all compiles of this machine: after a fresh clone or a change of branch each header is hashed
//! once, not once for every source that includes it.
//!
//! `digests`, below the home: pages of 64 slots of 64 bytes, written in place and never locked.
//!
//! ```text
//! tag, 16 bytes, of the stamp | digest, 32 bytes | facts u8 | 3 zero bytes | check, 12 bytes, over the stamp and all before
//! ```
//!
//! Files that were put on a disk together have numbers close to each other, and are read together: neighbours have one page, and one read gets
//! them all. The check is keyed with the store's secret, so that a torn, foreign or older slot reads as nothing.
//!
//! Invariant: only a stamp that was old enough when the content was read is kept ([`Stamp::is_settled`]), on a file system whose stamps
//! can be trusted.

use crate::cpp::FileFacts;
use crate::home::Home;
use crate::store::Secret;
use crate::toolchain::Stamp;
use dccache_protocol::digest::Digest;
use rustix::fs::OFlags;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The file below the home.
const NAME: &str = "digests";

/// Bytes of a slot.
const SLOT: usize = 64;

/// Slots of a page.
const WAYS: usize = 64;

/// Number of pages: 65,536 files, more than the headers and sources of nearly all trees; 4 MiB.
const PAGES: u64 = 1 << 10;

/// Numbers of files that have one page. Half of its slots: pages are drawn by lot, and two such groups still fit.
const NEIGHBOURS: u64 = 32;

/// The table of one user. What was noted is written when it is told to, or dropped.
#[derive(Debug)]
pub struct Digests {
    file: File,
    secret: Secret,
    pages: RefCell<BTreeMap<u64, Page>>,
}

/// A page that was read.
#[derive(Debug)]
struct Page {
    bytes: Box<[u8; SLOT * WAYS]>,
    /// Slots that are not in the file yet.
    noted: Vec<[u8; SLOT]>,
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
        Some(Self { file, secret, pages: RefCell::default() })
    }

    /// Returns digest and facts of the file that had this stamp.
    pub fn get(&self, stamp: &Stamp) -> Option<(Digest, FileFacts)> {
        let tag = tag_of(stamp);
        self.with_page(stamp, |page| {
            let slot = page.bytes.chunks_exact(SLOT).find(|slot| slot[..16] == tag)?;
            (slot[52..] == self.check(stamp, slot)).then(|| {
                let digest = std::array::from_fn(|index| slot[16 + index]);
                (Digest::from_bytes(digest), FileFacts::from_bits(slot[48]))
            })
        })
    }

    /// Notes digest and facts. What cannot be written is hashed again next time.
    pub fn put(&self, stamp: &Stamp, digest: &Digest, facts: FileFacts) {
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(&tag_of(stamp));
        slot[16..48].copy_from_slice(digest.as_bytes());
        slot[48] = facts.bits();
        let check = self.check(stamp, &slot);
        slot[52..].copy_from_slice(&check);
        self.with_page(stamp, |page| {
            if !page.bytes.chunks_exact(SLOT).any(|known| *known == slot) {
                page.insert(&slot);
                page.noted.push(slot);
            }
        });
    }

    /// Writes what was noted, a page at once. What others noted meanwhile stays, but for what they write at this very moment.
    pub fn flush(&self) {
        for (number, page) in self.pages.borrow_mut().iter_mut().filter(|(_, page)| !page.noted.is_empty()) {
            let noted = std::mem::take(&mut page.noted);
            *page = self.read(*number);
            let ways = noted.iter().map(|slot| page.insert(slot));
            let (first, last) = ways.fold((WAYS, 0), |(first, last), way| (first.min(way), last.max(way)));
            let changed = &page.bytes[first * SLOT..(last + 1) * SLOT];
            let _ = self.file.write_all_at(changed, number * (SLOT * WAYS) as u64 + (first * SLOT) as u64);
        }
    }

    fn with_page<T>(&self, stamp: &Stamp, look: impl FnOnce(&mut Page) -> T) -> T {
        let number = page_of(stamp);
        look(self.pages.borrow_mut().entry(number).or_insert_with(|| self.read(number)))
    }

    /// Reads a page; what is not there, as at the end of a young file, is empty.
    fn read(&self, number: u64) -> Page {
        let mut bytes = Box::new([0; SLOT * WAYS]);
        let mut read = 0;
        while read < bytes.len() {
            match self.file.read_at(&mut bytes[read..], number * (SLOT * WAYS) as u64 + read as u64) {
                Ok(0) | Err(_) => break,
                Ok(length) => read += length,
            }
        }
        Page { bytes, noted: Vec::new() }
    }

    fn check(&self, stamp: &Stamp, slot: &[u8]) -> [u8; 12] {
        let mut covered = [0; 40 + 52];
        covered[..40].copy_from_slice(&bytes_of(stamp));
        covered[40..].copy_from_slice(&slot[..52]);
        let hash = self.secret.seal(&covered);
        std::array::from_fn(|byte| hash[byte])
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Page {
    /// Puts a slot where its stamp has one, else where none is, else in place of another one; returns where.
    fn insert(&mut self, slot: &[u8; SLOT]) -> usize {
        let tag = &slot[..16];
        let taken = |way: usize, tag: &[u8]| self.bytes[way * SLOT..way * SLOT + 16] == *tag;
        let own = (0..WAYS).find(|&way| taken(way, tag) || taken(way, &[0; 16]));
        // A full page loses any one of its slots.
        let way = own.unwrap_or(usize::from(tag[15]) % WAYS);
        self.bytes[way * SLOT..(way + 1) * SLOT].copy_from_slice(slot);
        way
    }
}

fn bytes_of(stamp: &Stamp) -> [u8; 40] {
    let numbers = [stamp.device, stamp.inode, stamp.size, stamp.mtime as u64, stamp.ctime as u64];
    let mut bytes = [0; 40];
    bytes.copy_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
    bytes
}

/// Tells stamps apart but for chance or malice, which the check finds.
fn tag_of(stamp: &Stamp) -> [u8; 16] {
    xxh3_128(&bytes_of(stamp)).to_le_bytes()
}

fn page_of(stamp: &Stamp) -> u64 {
    let neighbours = [stamp.inode / NEIGHBOURS, stamp.device].map(u64::to_le_bytes);
    xxh3_64(neighbours.as_flattened()) % PAGES
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
        // A number that leads to the same page.
        let device =
            (2..).find(|device| page_of(&Stamp { device: *device, ..stamp(1) }) == page_of(&stamp(1)));
        let changed = [
            Stamp { device: device.unwrap(), ..stamp(1) },
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
        digests.flush();
        let file = place.path().join(NAME);
        let whole = std::fs::read(&file).unwrap();
        let start = whole.len() - SLOT;
        let get = || Digests::open(&home, Access::Read).unwrap().get(&stamp(1));
        assert!(get().is_some());
        for byte in 0..SLOT {
            let mut torn = whole.clone();
            torn[start + byte] ^= 1;
            std::fs::write(&file, torn).unwrap();
            assert_eq!(get(), None, "byte {byte}");
        }
        std::fs::write(&file, &whole[..start + 20]).unwrap();
        assert_eq!(get(), None);
        let other = tempfile::tempdir().unwrap();
        let other = Home::open(other.path()).unwrap();
        other.replace(NAME, &[&whole]).unwrap();
        assert_eq!(Digests::open(&other, Access::Write).unwrap().get(&stamp(1)), None, "another store's");
    }

    #[test]
    fn a_slot_of_another_stamp_is_not_taken_for_one_of_the_same_tag() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let digests = Digests::open(&home, Access::Write).unwrap();
        digests.put(&stamp(1), &Digest::of(b"content"), FileFacts::default());
        digests.flush();
        let file = place.path().join(NAME);
        let mut forged = std::fs::read(&file).unwrap();
        let start = forged.len() - SLOT;
        let other = Stamp { size: 4, ..stamp(1) };
        forged[start..start + 16].copy_from_slice(&tag_of(&other));
        std::fs::write(&file, forged).unwrap();
        assert_eq!(Digests::open(&home, Access::Read).unwrap().get(&other), None);
    }

    #[test]
    fn neighbours_lie_in_one_page_and_what_two_note_at_once_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let both = [Access::Write; 2].map(|access| Digests::open(&home, access).unwrap());
        let digest = |number: u64| Digest::of(&number.to_le_bytes());
        // Both have read the page before either writes.
        let stamps: Vec<u64> = (NEIGHBOURS..2 * NEIGHBOURS).collect();
        for number in &stamps {
            both[*number as usize % 2].put(&stamp(*number), &digest(*number), FileFacts::default());
        }
        drop(both);
        let read = Digests::open(&home, Access::Read).unwrap();
        for number in stamps {
            assert_eq!(read.get(&stamp(number)).map(|(found, _)| found), Some(digest(number)), "{number}");
        }
        assert_eq!(read.pages.borrow().len(), 1);
    }

    #[test]
    fn a_full_table_forgets_and_never_mixes_up() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let digest = |number: u64| Digest::of(&number.to_le_bytes());
        let (slots, count) = (PAGES * WAYS as u64, PAGES * WAYS as u64 * 2);
        let digests = Digests::open(&home, Access::Write).unwrap();
        (0..count).for_each(|number| digests.put(&stamp(number), &digest(number), FileFacts::default()));
        drop(digests);
        let digests = Digests::open(&home, Access::Read).unwrap();
        let found: Vec<_> =
            (0..count).filter_map(|number| Some((number, digests.get(&stamp(number))?.0))).collect();
        assert!(found.iter().all(|(number, found)| *found == digest(*number)));
        assert!(found.len() as u64 > slots / 4 * 3, "{} of {slots} slots are in use", found.len());
        assert!(std::fs::metadata(place.path().join(NAME)).unwrap().len() <= slots * SLOT as u64);
    }
}
