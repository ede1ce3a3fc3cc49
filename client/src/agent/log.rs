//! The agent's log file, bounded: at [`LOG_MAX`] bytes it becomes `agent.log.1`, over the older one, and begins anew.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Most bytes of one log file; two are kept.
const LOG_MAX: u64 = 1 << 20;

/// A log file that never grows without end.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    open: Mutex<(File, u64)>,
}

impl Log {
    /// Opens the log for appending.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), open: Mutex::new(open(path)?) })
    }
}

impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if file.1 + line.len() as u64 > LOG_MAX {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *file = open(&self.path)?;
        }
        file.0.write_all(line)?;
        file.1 += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().append(true).create(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_bounded_size_hold_the_newest_lines() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("agent.log");
        let line = [b'x'; 1 << 16];
        let log = Log::open(&path).unwrap();
        for _ in 0..100 {
            (&log).write_all(&line).unwrap();
        }
        drop(log);
        (&Log::open(&path).unwrap()).write_all(b"newest").unwrap();
        assert!(std::fs::read(&path).unwrap().ends_with(b"newest"));
        for name in ["agent.log", "agent.log.1"] {
            assert!(scratch.path().join(name).metadata().unwrap().len() <= LOG_MAX);
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
    }
}
