//! Appending: where the next record goes, what happens when the disk refuses, and when a segment is closed.

use crate::error::WriteError;
use crate::format::{ENTRY, Entry, Kind, RecordHeader, SEGMENT_HEADER, TRAILER, footer, record_bytes};
use crate::log::{Active, CHANGES_MAX, Core, Log};
use crate::overlay::Location;
use crate::record::RecordKind;
use crate::sync::Ticket;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::RecordId;
use dccache_protocol::time::ReceiptStamp;

/// Payloads up to this size, in bytes, are copied behind their header and written at once; the copy is cheaper than a second call.
const JOIN_MAX: usize = 64 << 10;

/// A record that is ready to be written; digests were taken before the log's lock.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    kind: Kind,
    id: RecordId,
    stamp: ReceiptStamp,
    payload: &'a [u8],
    payload_crc: u32,
    digest: Digest,
}

impl Prepared<'_> {
    fn header(&self, segment: u32) -> RecordHeader {
        RecordHeader {
            kind: self.kind,
            length: self.payload.len() as u32,
            payload_crc: self.payload_crc,
            stamp: self.stamp,
            id: self.id,
            digest: self.digest,
            segment,
        }
    }

    /// Bytes that the record takes in a segment, its line of the footer included.
    fn bytes(&self) -> u64 {
        record_bytes(self.payload.len() as u32) + ENTRY as u64
    }
}

impl Active {
    /// Bytes of the file if it were closed now.
    fn closed_bytes(&self) -> u64 {
        self.end + (self.entries.len() * ENTRY + TRAILER) as u64
    }
}

impl Core {
    /// Digests a record of a caller.
    pub(crate) fn prepare<'a>(
        &self,
        kind: RecordKind,
        id: RecordId,
        stamp: ReceiptStamp,
        payload: &'a [u8],
    ) -> Prepared<'a> {
        self.prepare_kind(Kind::Stored(kind), id, stamp, payload)
    }

    /// Digests a record of any kind.
    pub(crate) fn prepare_kind<'a>(
        &self,
        kind: Kind,
        id: RecordId,
        stamp: ReceiptStamp,
        payload: &'a [u8],
    ) -> Prepared<'a> {
        let (payload_crc, digest) = (self.salt.crc(payload), Digest::of(payload));
        Prepared { kind, id, stamp, payload, payload_crc, digest }
    }

    /// Makes room, evicting if need be, and appends.
    pub(crate) fn append(
        &self,
        log: &mut Log,
        record: &Prepared<'_>,
    ) -> Result<(Location, Ticket), WriteError> {
        if self.index.waiting() > CHANGES_MAX {
            return Err(WriteError::Index);
        }
        loop {
            self.ready_for(log, record.bytes())?;
            let excess = self.excess(log, record.bytes());
            if excess == 0 || !self.evict(log, excess)? {
                break;
            }
        }
        self.append_here(log, record)
    }

    /// Appends to the active segment, whatever its size.
    pub(crate) fn append_here(
        &self,
        log: &mut Log,
        record: &Prepared<'_>,
    ) -> Result<(Location, Ticket), WriteError> {
        let active = self.active(log)?;
        let header = record.header(active.number);
        let bytes = header.encode(self.salt);
        let written = if record.payload.len() <= JOIN_MAX {
            active.file.write_at(active.end, &[&bytes[..], record.payload].concat())
        } else {
            let payload_at = active.end + bytes.len() as u64;
            active
                .file
                .write_at(active.end, &bytes)
                .and_then(|()| active.file.write_at(payload_at, record.payload))
        };
        if let Err(error) = written {
            tracing::warn!(segment = active.number, %error, "append failed");
            // A tail that cannot be cut off is found to be torn when the segment is scanned; it takes no more appends.
            if active.file.set_length(active.end).is_err() {
                log.active = None;
            }
            return Err(error.into());
        }
        let entry = Entry {
            kind: record.kind,
            length: header.length,
            offset: active.end,
            stamp: record.stamp,
            id: record.id,
        };
        active.end = entry.end();
        active.entries.push(entry);
        self.segments.set_length(active.number, active.end);
        let ticket = self.sync.appended(active.number, &active.file);
        self.wake.dirty();
        Ok((crate::log::place_of(active.number, &entry), ticket))
    }

    /// Bytes that the active segment can still take and stay within its size.
    pub(crate) fn room(&self, log: &Log) -> u64 {
        let used = log.active.as_ref().map_or(SEGMENT_HEADER as u64, Active::closed_bytes);
        self.config.segment_bytes.saturating_sub(used)
    }

    /// Sees to an active segment that takes `need` bytes: a record larger than a segment gets one of its own.
    pub(crate) fn ready_for(&self, log: &mut Log, need: u64) -> Result<(), WriteError> {
        if let Some(active) = &log.active {
            let is_full = need > self.room(log) && !active.entries.is_empty();
            if is_full || self.sync.is_retired(active.number) {
                self.close_active(log);
            }
        }
        self.active(log).map(drop)
    }

    /// Writes the footer of the active segment. If that fails the segment stays readable and is scanned when next opened.
    ///
    /// Invariant: a sound footer means that the records before it were synced, so nobody need check them again.
    pub(crate) fn close_active(&self, log: &mut Log) {
        let Some(active) = log.active.take() else { return };
        if self.sync.settle(self.sync.newest()).is_err() {
            return;
        }
        let footer = footer(&active.entries, active.number, active.end, self.salt);
        match active.file.write_at(active.end, &footer) {
            Ok(()) => {
                self.segments.set_length(active.number, active.end + footer.len() as u64);
                self.sync.appended(active.number, &active.file);
            }
            Err(error) => {
                tracing::warn!(segment = active.number, %error, "footer not written");
                let _cut = active.file.set_length(active.end);
            }
        }
    }

    /// Bytes over the capacity once the active segment is full and holds `need` more bytes.
    fn excess(&self, log: &Log, need: u64) -> u64 {
        let (now, closed) = log.active.as_ref().map_or((0, 0), |active| (active.end, active.closed_bytes()));
        let others = self.segments.total_bytes().saturating_sub(now);
        let planned = self.config.segment_bytes.max(closed + need);
        (others + planned).saturating_sub(self.config.capacity_bytes)
    }

    fn active<'a>(&self, log: &'a mut Log) -> Result<&'a mut Active, WriteError> {
        let active = match log.active.take() {
            Some(active) => active,
            None => {
                let number = log.next;
                let file = self.segments.create(number, self.clock.now())?;
                log.next += 1;
                Active { number, file, end: SEGMENT_HEADER as u64, entries: Vec::new() }
            }
        };
        Ok(log.active.insert(active))
    }
}
