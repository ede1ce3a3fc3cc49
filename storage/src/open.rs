//! Opening a data directory: whose it is, who else uses it, which segments are there, and what their tails hold.

use crate::config::Config;
use crate::disk::{Disk, FileDisk};
use crate::error::OpenError;
use crate::format::{SEGMENT_HEADER, Salt, footer};
use crate::index::INDEX_FILE;
use crate::log::{Core, Log};
use crate::segments::{Scan, number_of};
use dccache_protocol::time::Clock;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "lock";

/// What a FORMAT file of this version begins with.
const FORMAT: &str = "dccache-storage 1";

/// Bytes of a FORMAT file: the above, a space, eight digits, a newline.
const FORMAT_BYTES: usize = FORMAT.len() + 10;

/// Where the index came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It was there; only what the log holds beyond it was replayed.
    Reused,
    /// It was built from the segments.
    Rebuilt {
        /// What was wrong with the old one, for a log line.
        reason: String,
    },
}

/// What opening a store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the index came from.
    pub index: IndexState,
    /// Records of the log that the index did not hold yet.
    pub replayed: u64,
    /// Segments without a footer: those that were open at a crash.
    pub unsealed: u64,
    /// Bytes behind the last sound record of those: torn writes.
    pub torn_bytes: u64,
}

/// Opens a directory of the operating system and keeps others out.
pub(crate) fn open_directory(
    directory: &Path,
    config: Config,
    clock: Arc<dyn Clock>,
) -> Result<(Core, File, Recovery), OpenError> {
    let failed = |source| OpenError::Io { directory: directory.to_owned(), source };
    let config = config.checked()?;
    std::fs::create_dir_all(directory).map_err(failed)?;
    let disk = Arc::new(FileDisk::new(directory.to_owned()));
    // Looked at before the lock file is made, so that nothing is left in a directory that is not ours.
    read_format(&*disk, directory)?;
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
    let lock = options.open(directory.join(LOCK_FILE)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let (core, recovery) = open_disk(disk, directory, config, clock)?;
    Ok((core, lock, recovery))
}

/// Opens whatever lies on a disk; `name` stands for it in errors.
pub(crate) fn open_disk(
    disk: Arc<dyn Disk>,
    name: &Path,
    config: Config,
    clock: Arc<dyn Clock>,
) -> Result<(Core, Recovery), OpenError> {
    let config = config.checked()?;
    let failed = |source| OpenError::Io { directory: name.to_owned(), source };
    let salt = match read_format(&*disk, name)? {
        Some(salt) => salt,
        None => write_format(&*disk, config.salt).map_err(failed)?,
    };
    let core = Core::new(config, disk, salt, clock);
    let mut log = core.log();
    let (unsealed, torn_bytes) = core.adopt_segments(&mut log).map_err(failed)?;
    let loaded = core.load_index(&mut log);
    let (index, replayed) = loaded.map_err(|error| failed(io::Error::other(error.to_string())))?;
    core.drop_leftovers(&mut log);
    drop(log);
    Ok((core, Recovery { index, replayed, unsealed, torn_bytes }))
}

/// Reads the salt of a directory of this version; `None` for a new directory.
fn read_format(disk: &dyn Disk, name: &Path) -> Result<Option<Salt>, OpenError> {
    let failed = |source| OpenError::Io { directory: name.to_owned(), source };
    let files = disk.list().map_err(failed)?;
    let is_ours = |file: &String| number_of(file).is_some() || file == INDEX_FILE;
    let text = match disk.open(FORMAT_FILE) {
        Ok(file) => {
            let mut bytes = vec![0; (file.length().map_err(failed)?).min(FORMAT_BYTES as u64 + 1) as usize];
            file.read_at(0, &mut bytes).map_err(failed)?;
            bytes
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    if let Some(salt) = parse_format(&text) {
        return Ok(Some(salt));
    }
    // A crash while the directory was made leaves an incomplete line and nothing of ours.
    let is_begun = write_line(0).as_bytes()[..FORMAT.len() + 1]
        .starts_with(&text[..text.len().min(FORMAT.len() + 1)])
        && text.len() < FORMAT_BYTES
        || text.iter().all(|byte| *byte == 0);
    if is_begun && !files.iter().any(is_ours) {
        let foreign = files.into_iter().find(|file| file != FORMAT_FILE && file != LOCK_FILE);
        return match foreign {
            None => Ok(None),
            Some(file) => Err(OpenError::Foreign { directory: name.to_owned(), name: file }),
        };
    }
    let found = String::from_utf8_lossy(&text).trim_end().chars().take(40).collect();
    Err(OpenError::Version { directory: name.to_owned(), found, expected: FORMAT })
}

fn parse_format(text: &[u8]) -> Option<Salt> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(FORMAT)?.strip_prefix(' ')?.strip_suffix('\n')?;
    let salt = u32::from_str_radix(digits, 16).ok()?;
    (write_line(salt) == text).then_some(Salt(salt))
}

fn write_line(salt: u32) -> String {
    format!("{FORMAT} {salt:08x}\n")
}

fn write_format(disk: &dyn Disk, salt: Option<u32>) -> io::Result<Salt> {
    let salt = match salt {
        Some(salt) => salt,
        None => getrandom::u32().map_err(io::Error::other)?,
    };
    let file = match disk.create(FORMAT_FILE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(FORMAT_FILE)?,
        other => other?,
    };
    file.set_length(0)?;
    file.write_at(0, write_line(salt).as_bytes())?;
    file.sync()?;
    disk.sync_directory()?;
    Ok(Salt(salt))
}

impl Core {
    /// Counts all segment files and closes those that a crash left open. Returns how many, and the bytes of torn tails.
    fn adopt_segments(&self, log: &mut Log) -> io::Result<(u64, u64)> {
        let (mut unsealed, mut torn_bytes) = (0, 0);
        let mut numbers: Vec<u32> = self.disk.list()?.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        for number in numbers {
            log.next = log.next.max(number.saturating_add(1));
            let length = self.segments.file(number)?.length()?;
            self.segments.adopt(number, length);
            // The list of records before the trailer is checked when it is used.
            if self.segments.trailer(number)?.is_none() {
                unsealed += 1;
                torn_bytes += self.seal(number, length).unwrap_or_else(|error| {
                    tracing::warn!(segment = number, %error, "segment left without a footer");
                    0
                });
            }
        }
        Ok((unsealed, torn_bytes))
    }

    /// Cuts off what follows the last sound record and writes a footer; returns the bytes cut off.
    fn seal(&self, number: u32, length: u64) -> io::Result<u64> {
        let Scan { entries, end } = self.segments.scan(number)?;
        if end == 0 && length > SEGMENT_HEADER as u64 {
            // Its header is damaged: nothing says where it ends, so nothing is cut off.
            return Ok(0);
        }
        if entries.is_empty() {
            self.segments.remove(number)?;
            return Ok(length - end.min(length));
        }
        let file = self.segments.file(number)?;
        let footer = footer(&entries, number, end, self.salt);
        file.set_length(end)?;
        file.write_at(end, &footer)?;
        file.sync()?;
        self.segments.set_length(number, end + footer.len() as u64);
        Ok(length - end)
    }

    /// Finishes an eviction that a crash interrupted.
    fn drop_leftovers(&self, log: &mut Log) {
        log.next = log.next.max(log.meta.oldest).max(1);
        let numbers = self.segments.list().into_iter().map(|(number, _)| number);
        let leftovers: Vec<u32> = numbers.filter(|number| *number < log.meta.oldest).collect();
        self.remove_segments(&leftovers);
    }
}
