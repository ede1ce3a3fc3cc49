//! The set of segment files: creating, reading, scanning and removing them, and which of their records were read.

use crate::config::PAYLOAD_MAX;
use crate::disk::{Disk, DiskFile};
use crate::format::{
    ENTRY, Entry, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, Salt, TRAILER, Trailer, is_segment_header,
    record_bytes, segment_header,
};
use crate::overlay::Location;
use bytes::Bytes;
use dccache_protocol::time::UnixMillis;
use lru::LruCache;
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Most segment files that are open at once; half of the usual limit of 1024 descriptors.
const HANDLES_MAX: NonZeroUsize = NonZeroUsize::new(512).expect("512 is not zero");

/// Bytes of a segment per access bit: most records have one of their own, and a terabyte needs 128 MiB.
const ACCESS_GRAIN: u64 = 1024;

/// Bytes read at a time when a damaged stretch is searched for the next record.
const WINDOW: usize = 64 << 10;

/// Bytes of a payload read at a time when only its checksum matters.
const CHUNK: usize = 256 << 10;

/// Why a record could not be read from its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The segment is no longer there.
    #[error("the segment is gone")]
    Gone,
    /// The file could not be opened, for example for want of descriptors; that says nothing about the record.
    #[error("not opened")]
    Closed(#[source] io::Error),
    /// The bytes there are not that record.
    #[error("damaged")]
    Damaged,
    /// The disk would not give them.
    #[error("not readable")]
    Io(#[source] io::Error),
}

/// A segment that counts.
#[derive(Debug)]
struct Segment {
    length: u64,
    read: Box<[AtomicU64]>,
}

/// What a segment without a footer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Records with sound checksums, in order.
    pub(crate) entries: Vec<Entry>,
    /// Place after the last of them; 0 if not even the segment's header is there.
    pub(crate) end: u64,
}

/// All segment files.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    salt: Salt,
    access_words: usize,
    map: RwLock<BTreeMap<u32, Segment>>,
    handles: Mutex<LruCache<u32, Arc<dyn DiskFile>>>,
    total: AtomicU64,
}

impl Segments {
    /// Makes an empty set for segments of about `segment_bytes`.
    pub(crate) fn new(disk: Arc<dyn Disk>, salt: Salt, segment_bytes: u64) -> Self {
        let access_words = (segment_bytes / ACCESS_GRAIN / 64 + 1) as usize;
        let handles = Mutex::new(LruCache::new(HANDLES_MAX));
        Self { disk, salt, access_words, map: RwLock::default(), handles, total: AtomicU64::new(0) }
    }

    /// Creates the file of a segment and writes its header.
    pub(crate) fn create(&self, number: u32, now: UnixMillis) -> io::Result<Arc<dyn DiskFile>> {
        let name = file_name(number);
        // What an earlier, failed attempt left.
        match self.disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&name)?;
        file.write_at(0, &segment_header(number, now.0, self.salt))?;
        self.disk.sync_directory()?;
        self.adopt(number, SEGMENT_HEADER as u64);
        self.handles().put(number, Arc::clone(&file));
        Ok(file)
    }

    /// Counts a file that is there.
    pub(crate) fn adopt(&self, number: u32, length: u64) {
        let read = (0..self.access_words).map(|_| AtomicU64::new(0)).collect();
        self.total.fetch_add(length, Ordering::Relaxed);
        self.map_mut().insert(number, Segment { length, read });
    }

    /// Notes the new length of a segment's file.
    pub(crate) fn set_length(&self, number: u32, length: u64) {
        if let Some(segment) = self.map_mut().get_mut(&number) {
            self.total.fetch_add(length, Ordering::Relaxed);
            self.total.fetch_sub(std::mem::replace(&mut segment.length, length), Ordering::Relaxed);
        }
    }

    /// Removes a segment's file; its records read as misses from here on.
    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        if let Some(segment) = self.map_mut().remove(&number) {
            self.total.fetch_sub(segment.length, Ordering::Relaxed);
        }
        self.handles().pop(&number);
        match self.disk.remove(&file_name(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.sync_directory()
    }

    /// Returns the numbers of all segments with the lengths of their files in bytes, oldest first.
    pub(crate) fn list(&self) -> Vec<(u32, u64)> {
        self.map().iter().map(|(number, segment)| (*number, segment.length)).collect()
    }

    /// Returns the number of the newest segment.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.map().last_key_value().map(|(number, _)| *number)
    }

    /// Returns the bytes of all segment files.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Returns the open file of a segment.
    pub(crate) fn file(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.handles().get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&file_name(number))?;
        // Not kept if the segment was removed meanwhile: the handle would hold its space.
        let mut handles = self.handles();
        if self.map().contains_key(&number) {
            handles.put(number, Arc::clone(&file));
        }
        Ok(file)
    }

    /// Reads the record at a place and checks its checksums.
    pub(crate) fn read(&self, place: &Location) -> Result<(RecordHeader, Bytes), Fault> {
        let segment_length =
            self.map().get(&place.segment).map(|segment| segment.length).ok_or(Fault::Gone)?;
        let fits = place.offset.checked_add(place.bytes()).is_some_and(|end| end <= segment_length);
        if !fits || u64::from(place.length) > PAYLOAD_MAX {
            return Err(Fault::Damaged);
        }
        let file = match self.file(place.segment) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Fault::Gone),
            other => other.map_err(Fault::Closed)?,
        };
        let mut bytes = vec![0; place.bytes() as usize];
        file.read_at(place.offset, &mut bytes).map_err(Fault::Io)?;
        let header = RecordHeader::decode(&bytes, place.segment, self.salt).ok_or(Fault::Damaged)?;
        let payload = Bytes::from(bytes).slice(RECORD_HEADER..);
        let sound = header.length == place.length && self.salt.crc(&payload) == header.payload_crc;
        if sound { Ok((header, payload)) } else { Err(Fault::Damaged) }
    }

    /// Notes that the record at a place was read.
    pub(crate) fn mark_read(&self, place: &Location) {
        if let Some(segment) = self.map().get(&place.segment) {
            let (word, bit) = access_bit(segment, place.offset);
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Says whether the record at a place was read since it was written there; neighbours of less than 1 KiB may count.
    pub(crate) fn was_read(&self, place: &Location) -> bool {
        self.map().get(&place.segment).is_some_and(|segment| {
            let (word, bit) = access_bit(segment, place.offset);
            word.load(Ordering::Relaxed) & bit != 0
        })
    }

    /// Reads the footer of a segment; `None` if it has none that is sound.
    pub(crate) fn footer(&self, number: u32) -> io::Result<Option<Vec<Entry>>> {
        let file = self.file(number)?;
        let Some(trailer) = self.trailer(number)? else { return Ok(None) };
        let mut bytes = vec![0; trailer.count as usize * ENTRY];
        file.read_at(trailer.start, &mut bytes)?;
        Ok(trailer.entries(&bytes, self.salt))
    }

    /// Reads the trailer of a segment; `None` if it has none that is sound.
    pub(crate) fn trailer(&self, number: u32) -> io::Result<Option<Trailer>> {
        let file = self.file(number)?;
        let length = file.length()?;
        if length < (SEGMENT_HEADER + TRAILER) as u64 {
            return Ok(None);
        }
        let mut bytes = [0; TRAILER];
        file.read_at(length - TRAILER as u64, &mut bytes)?;
        Ok(Trailer::decode(&bytes, number, length, self.salt))
    }

    /// Returns all sound records of a segment: from its footer, else by scanning it.
    pub(crate) fn entries(&self, number: u32) -> io::Result<Vec<Entry>> {
        match self.footer(number)? {
            Some(entries) => Ok(entries),
            None => Ok(self.scan(number)?.entries),
        }
    }

    /// Walks through a segment record by record, past what is damaged.
    pub(crate) fn scan(&self, number: u32) -> io::Result<Scan> {
        let file = self.file(number)?;
        let length = file.length()?;
        let mut scan = Scan::default();
        let mut header = [0; SEGMENT_HEADER];
        if length < SEGMENT_HEADER as u64 {
            return Ok(scan);
        }
        file.read_at(0, &mut header)?;
        if !is_segment_header(&header, number, self.salt) {
            return Ok(scan);
        }
        let mut at = SEGMENT_HEADER as u64;
        scan.end = at;
        while let Some((offset, header)) = self.next_record(&*file, number, at, length)? {
            at = offset + record_bytes(header.length);
            if self.payload_is_sound(&*file, offset, &header)? {
                let RecordHeader { kind, length, stamp, id, .. } = header;
                scan.entries.push(Entry { kind, length, offset, stamp, id });
                scan.end = at;
            }
        }
        Ok(scan)
    }

    /// Finds the first sound header at or after `at` whose payload fits into the file.
    fn next_record(
        &self,
        file: &dyn DiskFile,
        number: u32,
        mut at: u64,
        length: u64,
    ) -> io::Result<Option<(u64, RecordHeader)>> {
        let mut window = vec![0; RECORD_HEADER];
        while at + RECORD_HEADER as u64 <= length {
            let size = window.len().min((length - at) as usize);
            file.read_at(at, &mut window[..size])?;
            let candidates = (0..=size - RECORD_HEADER).filter(|&i| window[i..].starts_with(b"DCR"));
            for i in candidates {
                let header = RecordHeader::decode(&window[i..], number, self.salt);
                let offset = at + i as u64;
                let fits = |header: &RecordHeader| offset + record_bytes(header.length) <= length;
                if let Some(header) = header.filter(fits) {
                    return Ok(Some((offset, header)));
                }
            }
            at += (size - RECORD_HEADER + 1) as u64;
            window.resize(WINDOW, 0);
        }
        Ok(None)
    }

    fn payload_is_sound(&self, file: &dyn DiskFile, offset: u64, header: &RecordHeader) -> io::Result<bool> {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.salt.0);
        let (mut at, end) = (offset + RECORD_HEADER as u64, offset + record_bytes(header.length));
        let mut chunk = vec![0; CHUNK.min(header.length as usize)];
        while at < end {
            let size = chunk.len().min((end - at) as usize);
            file.read_at(at, &mut chunk[..size])?;
            hasher.update(&chunk[..size]);
            at += size as u64;
        }
        Ok(hasher.finalize() == header.payload_crc)
    }

    fn map(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Segment>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Segment>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, LruCache<u32, Arc<dyn DiskFile>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn access_bit(segment: &Segment, offset: u64) -> (&AtomicU64, u64) {
    let bit = (offset / ACCESS_GRAIN) as usize % (segment.read.len() * 64);
    (&segment.read[bit / 64], 1 << (bit % 64))
}

/// Returns the file name of a segment.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:08x}.seg")
}

/// Returns the number of the segment that a file name says; `None` for other files.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number = u32::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
    (file_name(number) == name).then_some(number)
}
