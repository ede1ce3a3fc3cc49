//! The log of events, its roll-over and its summary.
//!
//! ```text
//! stats/log      events, appended            stats/log.1   the log before it, still complete
//! stats/summary  version u8, postcard: sums by the hour of everything older     stats/zeroed   its mtime: when all was forgotten
//! ```
//!
//! A log is folded into the summary one roll-over after it was renamed: who opened it before the rename has long written by then.

use super::{Event, Totals};
use crate::home::Home;
use dccache_protocol::codec::{DecodeError, Format, ensure};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

const LOG: &str = "stats/log";
const PREVIOUS: &str = "stats/log.1";
const SUMMARY: &str = "stats/summary";

/// An empty file as old as the last time that all was forgotten.
const ZEROED: &str = "stats/zeroed";

/// A log of this size in bytes is rolled over: some ten thousand compiles.
const ROLL_OVER: u64 = 2 << 20;

/// Largest log that is read, in bytes: appends between the size check and the roll-over fit many times.
const LOG_MAX: u64 = 64 << 20;

/// Hours kept apart; older ones become one.
const HOURS_MAX: usize = 24 * 90;

const HOUR_MS: u64 = 3_600_000;

/// Sums by hour since the Unix epoch; hour 0 holds everything older.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    hours: BTreeMap<u64, Totals>,
}

impl Format for Summary {
    const VERSION: u8 = 4;
    const LIMIT: usize = 16 << 20;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.hours.len() <= HOURS_MAX + 1, "number of hours")
    }
}

/// Appends an event. A log that has grown is rolled over by whoever finds nobody else doing it.
///
/// # Errors
/// Why it could not be written.
pub fn append(home: &Home, event: &Event) -> io::Result<()> {
    let Some(bytes) = event.to_bytes() else { return Ok(()) };
    let mut log = home.open_for_writing(LOG, OFlags::WRONLY | OFlags::APPEND)?;
    log.write_all(&bytes)?;
    // One event in 64 pays for looking at the size.
    if event.at_ms.is_multiple_of(64) && log.metadata()?.len() > ROLL_OVER {
        roll_over(home)?;
    }
    Ok(())
}

/// Sums everything since `since_ms`, ms since the Unix epoch; the summary is exact to the hour.
pub fn read(home: &Home, since_ms: u64) -> Totals {
    let mut totals = Totals::default();
    let first_hour = since_ms / HOUR_MS;
    for (_, hour) in summary(home).hours.range(first_hour..) {
        totals.join(hour);
    }
    let events = [PREVIOUS, LOG].into_iter().flat_map(|name| events(home, name));
    events.filter(|event| event.at_ms >= since_ms).for_each(|event| totals.add(&event));
    totals
}

/// Returns the newest event of a working directory, or of all where `directory` is `None`.
pub fn last(home: &Home, directory: Option<&[u8]>) -> Option<Event> {
    let wanted = |event: &Event| directory.is_none_or(|directory| event.directory == directory);
    let newest = |name| events(home, name).into_iter().rev().find(wanted);
    newest(LOG).or_else(|| newest(PREVIOUS))
}

/// Returns the events since `since_ms`, ms since the Unix epoch, oldest first, as far back as they are kept one by one.
pub fn events_since(home: &Home, since_ms: u64) -> Vec<Event> {
    let events = [PREVIOUS, LOG].into_iter().flat_map(|name| events(home, name));
    let mut events: Vec<Event> = events.filter(|event| event.at_ms >= since_ms).collect();
    events.sort_by_key(|event| event.at_ms);
    events
}

/// Forgets everything, and notes when.
///
/// # Errors
/// Why a file could not be removed.
pub fn clear(home: &Home) -> io::Result<()> {
    for name in [LOG, PREVIOUS, SUMMARY] {
        match home.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    home.replace(ZEROED, &[])
}

/// Returns when something was counted last, and when all was forgotten; `None` for never.
pub fn times(home: &Home) -> [Option<SystemTime>; 2] {
    let changed = |name: &str| home.open_file(name, OFlags::PATH).ok()?.metadata().ok()?.modified().ok();
    [[LOG, PREVIOUS, ZEROED].into_iter().filter_map(changed).max(), changed(ZEROED)]
}

fn events(home: &Home, name: &str) -> Vec<Event> {
    Event::all(&home.read(name, LOG_MAX).unwrap_or_default())
}

fn summary(home: &Home) -> Summary {
    let bytes = home.read(SUMMARY, Summary::LIMIT as u64).unwrap_or_default();
    Summary::from_bytes(&bytes).unwrap_or_default()
}

fn roll_over(home: &Home) -> io::Result<()> {
    let lock = home.open_for_writing("stats/lock", OFlags::RDWR)?;
    if lock.try_lock().is_err() || home.open_file(LOG, OFlags::RDONLY)?.metadata()?.len() <= ROLL_OVER {
        return Ok(());
    }
    let mut summary = summary(home);
    for event in events(home, PREVIOUS) {
        summary.hours.entry(event.at_ms / HOUR_MS).or_default().add(&event);
    }
    while summary.hours.len() > HOURS_MAX {
        let Some((_, oldest)) = summary.hours.pop_first() else { break };
        let Some((hour, mut next)) = summary.hours.pop_first() else { break };
        next.join(&oldest);
        summary.hours.insert(if summary.hours.is_empty() { hour } else { 0 }, next);
    }
    home.replace(SUMMARY, &[&summary.to_bytes()])?;
    home.rename(LOG, PREVIOUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Moves, Served, Verdict};

    #[test]
    fn nothing_is_lost_over_roll_overs_and_what_is_kept_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        // Every 64th event looks at the size; these all do.
        let events = 9000u64;
        for number in 0..events {
            let verdict = if number % 2 == 0 { Verdict::Hit(Served::Local) } else { Verdict::Miss };
            let at_ms = number * 64 * 1000;
            append(&home, &Event { at_ms, verdict, cause: vec![b'x'; 1000], ..Event::default() }).unwrap();
        }
        let totals = read(&home, 0);
        assert_eq!((totals.local_hits, totals.stored), (events / 2, events / 2));
        let size = |name: &str| home.path().join(name).metadata().unwrap().len();
        assert!(size(LOG) + size(PREVIOUS) + size(SUMMARY) < 3 * ROLL_OVER);
        assert_eq!(read(&home, events * 64_000 - 1).hits() + read(&home, events * 64_000 - 1).misses(), 0);
        assert_eq!(last(&home, None).unwrap().at_ms, (events - 1) * 64_000);
    }

    /// Asserts that a value is written as its golden file holds it, and that the file is still read.
    fn golden<T: Format + PartialEq + std::fmt::Debug>(text: &str, value: &T) {
        let now: String = value.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(now, text.trim());
        assert_eq!(&T::from_bytes(&value.to_bytes()).unwrap(), value);
    }

    #[test]
    fn a_summary_keeps_its_bytes() {
        let names = |name: &str, count| BTreeMap::from([(name.to_owned(), count)]);
        let totals = Totals {
            direct_hits: 4,
            local_hits: 1,
            ring_hits: 2,
            shared_hits: 21,
            stored: 300,
            not_stored: names("input_changed", 4),
            bypassed: names("linking", 5),
            faults: names("corrupt_entry", 6),
            served_bytes: 70_000,
            stored_bytes: 8,
            saved_ms: 9,
            direct_misses: 10,
            preprocessed_misses: 11,
            local_misses: 12,
            remote_misses: 13,
            recached: 14,
            local: Moves { found: 15, missed: 16, written: 17 },
            remote: Moves { found: 18, missed: 19, written: 20 },
            verified: 21,
        };
        let summary = Summary { hours: BTreeMap::from([(497_000, totals)]) };
        let text = concat!(
            "0401e8aa1e01021504ac02010d696e7075745f6368616e6765640401076c696e6b696e6705010d636f72",
            "727570745f656e74727906f0a20408090a0b0c0d0e0f101112131415",
        );
        golden::<Summary>(text, &summary);
    }

    #[test]
    fn a_summary_of_more_hours_than_are_kept_apart_loses_no_count() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let hours = (1..=HOURS_MAX as u64 + 1).map(|hour| (hour, Totals { stored: 1, ..Totals::default() }));
        home.replace(SUMMARY, &[&Summary { hours: hours.collect() }.to_bytes()]).unwrap();
        home.replace(LOG, &[&vec![0; ROLL_OVER as usize + 1]]).unwrap();
        roll_over(&home).unwrap();
        assert_eq!(read(&home, 0).stored, HOURS_MAX as u64 + 1);
        assert!(summary(&home).hours.len() <= HOURS_MAX);
    }
}
