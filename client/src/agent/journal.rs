//! The journal of pushes: what the ring has not acknowledged yet, one file per push.
//!
//! ```text
//! "dccj" | version u8 = 2 | 3 zero bytes | head length u32 LE | body length u64 LE | head | body | BLAKE3-256 of everything before
//! ```
//!
//! A push is written under a temporary name and renamed when it is whole, so a killed agent leaves either all of it or nothing.
//! Nothing is synced: after a power failure a file can be torn, which its digest shows; the push is then dropped and counted, and
//! costs one compile somewhere. Syncing would cost every compile a disk flush for that.
//!
//! Invariant: at most [`Bounds`] wait, drafts included; beyond that a push is refused, so a ring that is away for long
//! costs neither disk nor memory without end.

use dccache_protocol::limits;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MAGIC: [u8; 8] = *b"dccj\x02\0\0\0";
const HEADER: usize = 20;
const TRAILER: usize = 32;

/// Ending of a whole push.
const WHOLE: &str = "push";

/// Ending of one that is being written.
const PART: &str = "part";

/// Place of a push in the journal; later pushes have larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Pushes.
    pub entries: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries: limits::JOURNAL_ENTRIES_MAX, bytes: limits::JOURNAL_BYTES_MAX }
    }
}

/// Why a push is not taken.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// As much waits as may.
    #[error("the journal is full")]
    Full,
    /// The disk fails or is full.
    #[error("cannot write the journal")]
    Io(#[from] io::Error),
}

/// A push read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Head as it was given.
    pub head: Vec<u8>,
    /// Body as it was given.
    pub body: Vec<u8>,
}

/// The journal. Shared by all tasks of the agent; every method blocks on the disk.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    bounds: Bounds,
    state: Arc<Mutex<State>>,
    torn: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Sequence, u64>,
    next: u64,
    /// Drafts count against the bounds as well.
    drafts: usize,
    bytes: u64,
}

impl Journal {
    /// Opens the journal, creating its directory where it is missing. Files that no agent can have left whole are removed.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(directory: &Path, bounds: Bounds) -> io::Result<Self> {
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut state = State::default();
        let mut torn = 0;
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            match parse_name(&path) {
                Some(Name::Whole(sequence)) => match length_if_sound(&path) {
                    Some(length) => {
                        state.next = state.next.max(sequence.0 + 1);
                        state.bytes += length;
                        state.waiting.insert(sequence, length);
                    }
                    None => {
                        torn += 1;
                        let _ = std::fs::remove_file(&path);
                    }
                },
                Some(Name::Part) => {
                    let _ = std::fs::remove_file(&path);
                }
                None => {}
            }
        }
        let state = Arc::new(Mutex::new(state));
        Ok(Self { directory: directory.to_owned(), bounds, state, torn: AtomicU64::new(torn) })
    }

    /// Begins a push of `body` bytes.
    ///
    /// # Errors
    /// [`JournalError::Full`] at either bound, [`JournalError::Io`] when the disk does not take it.
    pub fn begin(&self, head: &[u8], body: u64) -> Result<Draft, JournalError> {
        let bytes = (HEADER + head.len() + TRAILER) as u64 + body;
        let sequence = self.reserve(bytes)?;
        let path = self.directory.join(format!("{:016x}.{PART}", sequence.0));
        let reservation =
            Reservation { state: Arc::clone(&self.state), sequence, bytes, path, is_committed: false };
        let file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&reservation.path)?;
        let mut draft = Draft { reservation, file, hasher: blake3::Hasher::new(), missing: body };
        draft.write(&MAGIC)?;
        draft.write(&(head.len() as u32).to_le_bytes())?;
        draft.write(&body.to_le_bytes())?;
        draft.write(head)?;
        Ok(draft)
    }

    fn reserve(&self, bytes: u64) -> Result<Sequence, JournalError> {
        let mut state = lock(&self.state);
        let fits = state.waiting.len() + state.drafts < self.bounds.entries
            && bytes <= self.bounds.bytes.saturating_sub(state.bytes);
        if !fits {
            return Err(JournalError::Full);
        }
        let sequence = Sequence(state.next);
        state.next += 1;
        state.drafts += 1;
        state.bytes += bytes;
        Ok(sequence)
    }

    /// Reads a push back; `None` when it is gone or torn. A torn one is removed and counted.
    pub fn read(&self, sequence: Sequence) -> Option<Waiting> {
        let read = std::fs::read(self.path(sequence)).ok().and_then(parse);
        if read.is_none() && self.remove(sequence) {
            self.torn.fetch_add(1, Ordering::Relaxed);
        }
        read
    }

    /// Removes a push: it is acknowledged, or refused for good. Tells whether it was there.
    pub fn remove(&self, sequence: Sequence) -> bool {
        let mut state = lock(&self.state);
        let Some(bytes) = state.waiting.remove(&sequence) else { return false };
        state.bytes -= bytes;
        drop(state);
        let _ = std::fs::remove_file(self.path(sequence));
        true
    }

    /// Returns everything that waits, oldest first.
    pub fn waiting(&self) -> Vec<Sequence> {
        lock(&self.state).waiting.keys().copied().collect()
    }

    /// Returns how many pushes wait up to `last`.
    pub fn waiting_up_to(&self, last: Sequence) -> usize {
        lock(&self.state).waiting.range(..=last).count()
    }

    /// Returns how many pushes and bytes wait.
    pub fn size(&self) -> (usize, u64) {
        let state = lock(&self.state);
        (state.waiting.len(), state.bytes)
    }

    /// Returns bytes of one push that waits; `None` when it is gone.
    pub fn size_of(&self, sequence: Sequence) -> Option<u64> {
        lock(&self.state).waiting.get(&sequence).copied()
    }

    /// Returns how many pushes were dropped because their files were torn.
    pub fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }

    fn path(&self, sequence: Sequence) -> PathBuf {
        self.directory.join(format!("{:016x}.{WHOLE}", sequence.0))
    }
}

/// A push that is being written. Dropped before [`Draft::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    reservation: Reservation,
    file: File,
    hasher: blake3::Hasher,
    missing: u64,
}

impl Draft {
    /// Adds the next bytes of the body.
    ///
    /// # Errors
    /// More bytes than announced, or the disk does not take them.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.missing = self.missing.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        self.write(bytes)
    }

    /// Makes the push part of the journal: from now on it survives the death of the agent.
    ///
    /// # Errors
    /// Fewer bytes than announced, or the disk does not take it.
    pub fn commit(mut self) -> io::Result<Sequence> {
        if self.missing > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let digest = *self.hasher.finalize().as_bytes();
        self.file.write_all(&digest)?;
        std::fs::rename(&self.reservation.path, self.reservation.path.with_extension(WHOLE))?;
        Ok(self.reservation.commit())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

/// Room in the journal for a draft.
#[derive(Debug)]
struct Reservation {
    state: Arc<Mutex<State>>,
    sequence: Sequence,
    bytes: u64,
    path: PathBuf,
    is_committed: bool,
}

impl Reservation {
    fn commit(mut self) -> Sequence {
        self.is_committed = true;
        let mut state = lock(&self.state);
        state.drafts -= 1;
        state.waiting.insert(self.sequence, self.bytes);
        self.sequence
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = std::fs::remove_file(&self.path);
            let mut state = lock(&self.state);
            state.drafts -= 1;
            state.bytes -= self.bytes;
        }
    }
}

enum Name {
    Whole(Sequence),
    Part,
}

fn parse_name(path: &Path) -> Option<Name> {
    let stem = path.file_stem()?.to_str()?;
    let sequence = u64::from_str_radix(stem, 16).ok().filter(|&number| stem.len() == 16 && number < u64::MAX);
    let sequence = Sequence(sequence?);
    match path.extension()?.to_str()? {
        WHOLE => Some(Name::Whole(sequence)),
        PART => Some(Name::Part),
        _ => None,
    }
}

/// Checks header and length of a file without reading all of it; its digest is checked when it is used.
fn length_if_sound(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let (head, body) = lengths(&header)?;
    let length = file.metadata().ok()?.len();
    (head.checked_add(body)?.checked_add((HEADER + TRAILER) as u64)? == length).then_some(length)
}

fn lengths(header: &[u8; HEADER]) -> Option<(u64, u64)> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (head, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.first_chunk::<8>()?;
    (*magic == MAGIC).then(|| (u64::from(u32::from_le_bytes(*head)), u64::from_le_bytes(*body)))
}

fn parse(mut bytes: Vec<u8>) -> Option<Waiting> {
    let header = bytes.first_chunk::<HEADER>()?;
    let (head, _) = lengths(header)?;
    let (content, digest) = bytes.split_last_chunk::<TRAILER>()?;
    if blake3::hash(content).as_bytes() != digest {
        return None;
    }
    let body_at = HEADER.checked_add(usize::try_from(head).ok()?)?;
    let head = content.get(HEADER..body_at)?.to_vec();
    let end = content.len();
    bytes.truncate(end);
    bytes.drain(..body_at);
    Some(Waiting { head, body: bytes })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No code under the lock can panic half-way through a change.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
