//! The scrubber: walks through all segments a little at a time and checks every live record against its digest.

use crate::format::{Kind, SEGMENT_HEADER};
use crate::log::{Core, key_of, place_of};
use crate::meta::Position;
use crate::segments::Fault;
use crate::store::Store;
use dccache_protocol::digest::Digest;
use std::sync::PoisonError;

/// What one call of the scrubber did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Live records checked.
    pub records: u64,
    /// Bytes of payload checked.
    pub bytes: u64,
    /// Records that were damaged or unreadable, and were taken out.
    pub damaged: u64,
    /// Whether the end was reached; the next call begins with the oldest segment.
    pub finished: bool,
}

impl Store {
    /// Checks live records where the last call stopped, until `budget_bytes` of payload are read or the end is reached.
    ///
    /// Calls take turns. Cost: reads the footer of each segment that it touches, and what it checks.
    pub fn scrub(&self, budget_bytes: u64) -> ScrubReport {
        let core = &self.core;
        let mut position = core.scrub.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = ScrubReport::default();
        let numbers = core.segments.list().into_iter().map(|(number, _)| number);
        for number in numbers.filter(|number| *number >= position.segment).collect::<Vec<_>>() {
            if number > position.segment {
                *position = Position { segment: number, offset: SEGMENT_HEADER as u64 };
            }
            if !core.scrub_segment(&mut position, budget_bytes, &mut report) {
                return report;
            }
        }
        *position = Position::default();
        report.finished = true;
        report
    }
}

impl Core {
    /// Checks one segment from `position` on; `false` when the budget is used up before its end.
    fn scrub_segment(&self, position: &mut Position, budget: u64, report: &mut ScrubReport) -> bool {
        let number = position.segment;
        // Footers are read without the log's lock: writers go on.
        let active = self.log().active_entries(number);
        let entries = active.unwrap_or_else(|| self.segments.entries(number).unwrap_or_default());
        for entry in entries.iter().filter(|entry| entry.offset >= position.offset) {
            if report.bytes >= budget {
                position.offset = entry.offset;
                return false;
            }
            let (Kind::Stored(_), Some(key)) = (entry.kind, key_of(entry.kind, entry.id)) else { continue };
            let place = place_of(number, entry);
            if !self.is_at(&key, &place).unwrap_or(false) {
                continue;
            }
            report.records += 1;
            report.bytes += u64::from(entry.length);
            self.counters.scrubbed_bytes.add(u64::from(entry.length));
            let fault = match self.segments.read(&place) {
                Ok((header, payload)) if Digest::of(&payload) == header.digest => continue,
                Ok(_) => Fault::Damaged,
                Err(Fault::Gone | Fault::Closed(_)) => continue,
                Err(fault) => fault,
            };
            report.damaged += 1;
            self.quarantine(&key, &place, &fault);
        }
        true
    }
}
