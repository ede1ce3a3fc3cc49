//! What a compile was made of, kept so that a later miss can be held against it.
//!
//! ```text
//! explain/log     records, appended     explain/log.1   the log before it
//! 0xDE, version 1 | length u16 LE | check | postcard
//! ```
//!
//! Shape: one append for each compile that was not served by this machine's own store. Nothing of it is believed by a look-up: it explains, and
//! what of it is torn, foreign or lost explains nothing.

use super::difference::Differences;
use crate::home::Home;
use crate::stats::frame;
use dccache_protocol::keys::{EntryKey, KeyField, ManifestKey};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

const LOG: &str = "explain/log";
const PREVIOUS: &str = "explain/log.1";

/// First bytes of a record; the second is the version.
const MAGIC: [u8; 2] = [0xDE, 1];

/// A log of this size in bytes is rolled over: some 5,000 compiles, more than all units of nearly every project, and as many in the log before.
const ROLL_OVER: u64 = 8 << 20;

/// Largest log that is read, in bytes: appends between the look at its size and the roll-over fit many times.
const LOG_MAX: u64 = 64 << 20;

/// Oldest record that is held against a compile, in ms: a month. What was compiled earlier says nothing about why something is compiled now.
const AGE_MAX_MS: u64 = 30 * 24 * 3_600_000;

/// Who can share a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Every checkout.
    Free,
    /// Only these directories, for this reason.
    Bound(String),
}

/// What one compile was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time of its event, ms since the Unix epoch.
    pub at_ms: u64,
    /// Physical working directory.
    pub directory: Vec<u8>,
    /// Root of the compile.
    pub root: Vec<u8>,
    /// Source as typed.
    pub source: Vec<u8>,
    /// Main output as typed or derived.
    pub output: Vec<u8>,
    /// What its key is made of beside what it reads; nothing where that was too long to be kept.
    pub fields: Vec<KeyField>,
    /// Who can share the result.
    pub sharing: Sharing,
    /// The command's manifest; `None` without direct mode.
    pub manifest: Option<ManifestKey>,
    /// Where the result lies; `None` where it was not stored.
    pub key: Option<EntryKey>,
    /// What it read that differs from what this machine knew of the same command before; `None` where it knew nothing.
    pub compared: Option<Differences>,
}

/// Appends a record. A log that has grown is rolled over by whoever finds nobody else doing it.
///
/// # Errors
/// Why it could not be written.
pub fn append(home: &Home, record: &Record) -> io::Result<()> {
    // A command line that is too long for a frame is left out: what its compile read still says what differs.
    let whole = frame::framed(MAGIC, record);
    let cut = || frame::framed(MAGIC, &Record { fields: Vec::new(), ..record.clone() });
    let Some(bytes) = whole.or_else(cut) else { return Ok(()) };
    let mut log = home.open_for_writing(LOG, OFlags::WRONLY | OFlags::APPEND)?;
    log.write_all(&bytes)?;
    // One record in 64 pays for looking at the size.
    if record.at_ms.is_multiple_of(64) && log.metadata()?.len() > ROLL_OVER {
        let lock = home.open_for_writing("explain/lock", OFlags::RDWR)?;
        if lock.try_lock().is_ok() && home.open_file(LOG, OFlags::RDONLY)?.metadata()?.len() > ROLL_OVER {
            home.rename(LOG, PREVIOUS)?;
        }
    }
    Ok(())
}

/// Returns all records that are not too old, oldest first.
pub fn read(home: &Home, now_ms: u64) -> Vec<Record> {
    let logs = [PREVIOUS, LOG].map(|name| home.read(name, LOG_MAX).unwrap_or_default());
    let mut records: Vec<Record> = logs.iter().flat_map(|bytes| frame::all(MAGIC, bytes)).collect();
    records.retain(|record| record.at_ms >= now_ms.saturating_sub(AGE_MAX_MS));
    records.sort_by_key(|record| record.at_ms);
    records
}

impl Record {
    /// Returns the items of a field by its name; none where it is not there.
    pub fn field(&self, name: &str) -> &[Vec<u8>] {
        let field = self.fields.iter().find(|field| field.name() == name);
        field.map_or(&[], |field| field.items.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::{Changed, How};
    use super::*;
    use dccache_protocol::digest::Digest;
    use dccache_protocol::keys::{DirectKey, RootPath};

    pub(crate) fn record(at_ms: u64) -> Record {
        let changed =
            Changed { path: RootPath::Root(b"a.h".to_vec()), how: How::Content, was: None, now: None };
        Record {
            at_ms,
            directory: b"/r/w".to_vec(),
            root: b"/r".to_vec(),
            source: b"a.c".to_vec(),
            output: b"a.o".to_vec(),
            fields: vec![KeyField { tag: 11, items: vec![b"-O2".to_vec()] }],
            sharing: Sharing::Bound("-g".to_owned()),
            manifest: Some(ManifestKey::from_digest(Digest::from_bytes([1; 32]))),
            key: Some(EntryKey::Direct(DirectKey::from_digest(Digest::from_bytes([2; 32])))),
            compared: Some(Differences { changed: vec![changed], more: 3 }),
        }
    }

    #[test]
    fn a_record_keeps_its_bytes() {
        let bytes = frame::framed(MAGIC, &record(300)).unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let one = "01".repeat(32);
        let two = "02".repeat(32);
        let body = format!(
            "ac02042f722f77022f7203612e6303612e6f010b01032d4f3201022d6701{one}0100{two}01010003612e6800000003"
        );
        assert_eq!((&text[..4], &text[16..]), ("de01", body.as_str()));
        assert_eq!(frame::all::<Record>(MAGIC, &bytes), [record(300)]);
    }

    #[test]
    fn whole_records_are_read_around_torn_ones_and_old_ones_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let now = AGE_MAX_MS + 5;
        let whole = frame::framed(MAGIC, &record(now)).unwrap();
        append(&home, &record(4)).unwrap();
        append(&home, &record(5)).unwrap();
        for cut in 0..whole.len() {
            home.replace(PREVIOUS, &[&whole[..cut], &whole]).unwrap();
            let times: Vec<u64> = read(&home, now).iter().map(|record| record.at_ms).collect();
            assert_eq!(times, [5, now], "cut at {cut}");
        }
        for byte in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[byte] ^= 0x80;
            home.replace(PREVIOUS, &[&flipped]).unwrap();
            assert_eq!(read(&home, now).len(), 1, "byte {byte}");
        }
    }

    #[test]
    fn the_log_stays_bounded() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let long = Record { source: vec![b'x'; 60_000], ..record(64) };
        (0..600).for_each(|_| append(&home, &long).unwrap());
        let size = |name: &str| home.path().join(name).metadata().map_or(0, |found| found.len());
        assert!(size(PREVIOUS) > 0 && size(LOG) + size(PREVIOUS) <= 3 * ROLL_OVER);
        // What no frame can hold is not recorded, but for a long command, whose fields go.
        let fields = vec![KeyField { tag: 11, items: vec![vec![b'x'; 70_000]] }];
        append(&home, &Record { fields, ..record(66) }).unwrap();
        assert_eq!(read(&home, 64).last(), Some(&Record { fields: Vec::new(), ..record(66) }));
        append(&home, &Record { source: vec![b'x'; 70_000], ..record(65) }).unwrap();
        assert!(read(&home, 64).iter().all(|record| record.at_ms != 65));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(256) })]

        #[test]
        fn arbitrary_bytes_never_panic_not_even_behind_a_right_digest(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let prefix = [&MAGIC[..], &(body.len() as u16).to_le_bytes(), &frame::check(&body)].concat();
            let _ = frame::all::<Record>(MAGIC, &[&prefix, body.as_slice()].concat());
        }
    }
}
