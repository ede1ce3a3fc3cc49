//! A disk in memory that records every change and sync, builds the images that a crash could leave, and fails on demand.
//!
//! Model of a crash: what was synced is there. Of what was written to a file since its last sync, any subset may be there, each
//! write torn at any of its 512-byte sectors. Creations and removals of files since the last sync of the directory may or may
//! not have happened, each for itself.

use crate::fixtures::Dice;
use dccache_storage::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: usize = 512;

/// One recorded event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create {
        name: String,
        file: usize,
    },
    Remove {
        name: String,
    },
    SyncDirectory,
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLength {
        file: usize,
        length: usize,
    },
    Sync {
        file: usize,
    },
    /// The workload began its operation of this number.
    Begun(usize),
    /// Everything up to the operation of this number was acknowledged as durable.
    Durable(usize),
}

/// How the changes since the last sync fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    AllArrive,
    NoneArrive,
    Torn(u64),
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    journal: Vec<Event>,
    /// Bytes that may still be written before the disk is full; `None` for no limit.
    space: Option<u64>,
    fail_syncs: bool,
    /// Reads of files whose names end so fail.
    fail_reads: Option<&'static str>,
}

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
    name: String,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the disk")
    }

    pub(crate) fn note(&self, event: Event) {
        self.state().journal.push(event);
    }

    pub(crate) fn journal(&self) -> Vec<Event> {
        self.state().journal.clone()
    }

    pub(crate) fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    pub(crate) fn set_failing_syncs(&self, fail: bool) {
        self.state().fail_syncs = fail;
    }

    pub(crate) fn set_failing_reads(&self, suffix: Option<&'static str>) {
        self.state().fail_reads = suffix;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].clone()
    }

    pub(crate) fn overwrite(&self, name: &str, content: Vec<u8>) {
        let mut state = self.state();
        let file = state.names[name];
        state.files[file] = content;
    }

    /// An independent disk with the same content and no history.
    pub(crate) fn snapshot(&self) -> Self {
        let state = self.state();
        let copy = State { names: state.names.clone(), files: state.files.clone(), ..State::default() };
        Self(Arc::new(Mutex::new(copy)))
    }

    fn open_file(&self, name: &str, file: usize) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile { disk: self.clone(), file, name: name.to_owned() })
    }
}

/// Builds what a crash right after `events` could leave.
pub(crate) fn crash_image(events: &[Event], luck: Luck) -> MemoryDisk {
    let mut dice = Dice(match luck {
        Luck::Torn(seed) => seed,
        _ => 0,
    });
    let mut arrives = |synced: bool| {
        synced
            || match luck {
                Luck::AllArrive => true,
                Luck::NoneArrive => false,
                Luck::Torn(_) => dice.roll(2) == 0,
            }
    };
    let (last_sync, last_directory_sync) = last_syncs(events);
    let mut state = State::default();
    let mut sectors = Dice(match luck {
        Luck::Torn(seed) => !seed,
        _ => 1,
    });
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Create { name, file } => {
                state.files.resize(state.files.len().max(file + 1), Vec::new());
                if arrives(at < last_directory_sync) {
                    state.names.insert(name.clone(), *file);
                }
            }
            Event::Remove { name } => {
                if arrives(at < last_directory_sync) {
                    state.names.remove(name);
                }
            }
            Event::SetLength { file, length } => {
                if arrives(last_sync.get(file).is_some_and(|sync| at < *sync)) {
                    state.files[*file].resize(*length, 0);
                }
            }
            Event::Write { file, offset, bytes } => {
                let synced = last_sync.get(file).is_some_and(|sync| at < *sync);
                if synced || luck == Luck::AllArrive {
                    write(&mut state.files[*file], *offset, bytes);
                } else if arrives(false) {
                    write_torn(&mut state.files[*file], *offset, bytes, &mut sectors);
                }
            }
            Event::Sync { .. } | Event::SyncDirectory | Event::Begun(_) | Event::Durable(_) => {}
        }
    }
    MemoryDisk(Arc::new(Mutex::new(state)))
}

/// Returns the place of the last sync of each file, and of the directory.
fn last_syncs(events: &[Event]) -> (BTreeMap<usize, usize>, usize) {
    let (mut files, mut directory) = (BTreeMap::new(), 0);
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Sync { file } => drop(files.insert(*file, at)),
            Event::SyncDirectory => directory = at,
            _ => {}
        }
    }
    (files, directory)
}

/// Writes those sectors of a write that a seeded crash lets through: all, any, or the first ones.
fn write_torn(file: &mut Vec<u8>, offset: usize, bytes: &[u8], sectors: &mut Dice) {
    let torn = sectors.roll(3);
    for (i, sector) in bytes.chunks(SECTOR).enumerate() {
        let kept = match torn {
            0 => true,
            1 => sectors.roll(2) == 0,
            _ => (i as u64) < sectors.roll(1 + (bytes.len() / SECTOR) as u64),
        };
        if kept {
            write(file, offset + i * SECTOR, sector);
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    file.resize(file.len().max(end), 0);
    file[offset..end].copy_from_slice(bytes);
}

impl Disk for MemoryDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Vec::new());
        state.names.insert(name.to_owned(), file);
        state.journal.push(Event::Create { name: name.to_owned(), file });
        drop(state);
        Ok(self.open_file(name, file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.state().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.open_file(name, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        let freed = state.files[file].len() as u64;
        state.space = state.space.map(|space| space + freed);
        state.journal.push(Event::Remove { name: name.to_owned() });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.note(Event::SyncDirectory);
        Ok(())
    }
}

impl State {
    /// Takes space for a file that grows to `length`; half of what is asked for is written when it does not suffice.
    fn take_space(&mut self, file: usize, length: usize) -> bool {
        let grown = length.saturating_sub(self.files[file].len()) as u64;
        match self.space {
            Some(space) if space < grown => false,
            Some(space) => {
                self.space = Some(space - grown);
                true
            }
            None => true,
        }
    }
}

impl DiskFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        if state.fail_reads.is_some_and(|suffix| self.name.ends_with(suffix)) {
            return Err(io::Error::other("injected read error"));
        }
        let offset = offset as usize;
        let bytes = state.files[self.file].get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let offset = offset as usize;
        if !state.take_space(self.file, offset + bytes.len()) {
            let half = bytes.len() / 2;
            write(&mut state.files[self.file], offset, &bytes[..half]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        write(&mut state.files[self.file], offset, bytes);
        state.journal.push(Event::Write { file: self.file, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if !state.take_space(self.file, length as usize) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.files[self.file].resize(length as usize, 0);
        state.journal.push(Event::SetLength { file: self.file, length: length as usize });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.fail_syncs {
            return Err(io::Error::other("injected sync error"));
        }
        state.journal.push(Event::Sync { file: self.file });
        Ok(())
    }
}
