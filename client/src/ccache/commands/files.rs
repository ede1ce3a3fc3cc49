//! Looking at single files: their hashes, and what a file of the cache holds.

use super::{Context, Failure};
use crate::home::Home;
use crate::say::{answer, say};
use crate::store::{Inspected, Store};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of a BLAKE3 hash that are printed.
const HASH_BYTES: usize = 20;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

impl Context {
    pub(super) fn hash_file(&self, path: &str) -> Result<(), Failure> {
        let mut hasher = blake3::Hasher::new();
        each_chunk(path, |chunk| {
            hasher.update(chunk);
        })?;
        say!("{}", hex(&hasher.finalize().as_bytes()[..HASH_BYTES]));
        Ok(())
    }

    pub(super) fn checksum_file(&self, path: &str) -> Result<(), Failure> {
        let mut hasher = Xxh3::new();
        each_chunk(path, |chunk| hasher.update(chunk))?;
        say!("{:032x}", hasher.digest128());
        Ok(())
    }

    /// Says what a file of the cache holds, after its keyed hash was checked.
    pub(super) fn inspect(&self, path: &str) -> Result<(), Failure> {
        self.look(path, |inspected| {
            answer(format_args!("{inspected}"));
            Ok(())
        })
    }

    pub(super) fn extract_result(&self, path: &str) -> Result<(), Failure> {
        self.look(path, |inspected| {
            let parts = inspected.contents().ok_or("it is no result, or damaged")?;
            for (name, content) in parts.iter().filter(|_| !self.dry_run) {
                let file = format!("ccache-result.{name}");
                std::fs::write(&file, content).map_err(|error| format!("{file}: {error}"))?;
            }
            Ok(())
        })
    }

    fn look(&self, path: &str, then: impl FnOnce(&Inspected) -> Result<(), Failure>) -> Result<(), Failure> {
        let file = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // objects/S/NAME below the directory of the cache.
        let home = file.ancestors().nth(3).filter(|home| home.is_dir());
        let home = home.map(|home| Home::open(home).map_err(|error| format!("{}: {error}", home.display())));
        let inspected = match home.transpose()? {
            Some(home) => Store::new(&home, 0).inspect(name),
            None => None,
        };
        let inspected =
            inspected.ok_or_else(|| format!("{path}: no file that this cache wrote under this name"));
        then(&inspected?).map_err(|problem| format!("{path}: {problem}"))
    }
}

fn each_chunk(path: &str, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
    let read = || -> io::Result<()> {
        let mut source: Box<dyn Read> =
            if path == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(Path::new(path))?) };
        let mut chunk = vec![0; CHUNK];
        loop {
            match source.read(&mut chunk)? {
                0 => return Ok(()),
                count => each(&chunk[..count]),
            }
        }
    };
    let mut read = read;
    read().map_err(|error| format!("{path}: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
