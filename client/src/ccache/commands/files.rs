//! Looking at single files: their hashes, and what a file of the cache holds.

use super::{Context, Failure};
use crate::home::Home;
use crate::say::{answer, say};
use crate::store::{FILE_MAX, Inspected, Store};
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

    /// Says what a file of a cache holds, wherever it lies.
    pub(super) fn inspect(&self, path: &str) -> Result<(), Failure> {
        self.look(path, |inspected, vouched| {
            let vouched =
                if vouched { "" } else { "nobody vouches for it: it lies where no cache keeps it\n" };
            answer(format_args!("{inspected}{vouched}"));
            Ok(())
        })
    }

    pub(super) fn extract_result(&self, path: &str) -> Result<(), Failure> {
        self.look(path, |inspected, _| {
            let parts = inspected.contents().ok_or("it is no result, or damaged")?;
            for (name, content) in parts.iter().filter(|_| !self.dry_run) {
                let file = format!("ccache-result.{name}");
                std::fs::write(&file, content).map_err(|error| format!("{file}: {error}"))?;
            }
            Ok(())
        })
    }

    /// Reads a file. Where it lies at its place in a cache, that must have written it, which its keyed hash tells.
    fn look(
        &self,
        path: &str,
        then: impl FnOnce(&Inspected, bool) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let inspected = match self.cache_of(path)? {
            Some((home, name)) => Store::new(&home, 0)
                .inspect(&name)
                .map(|inspected| (inspected, true))
                .ok_or_else(|| format!("{path}: no file that this cache wrote under this name")),
            None => content(path)
                .map_err(|error| format!("{path}: {error}"))
                .map(Inspected::anywhere)?
                .map(|inspected| (inspected, false))
                .ok_or_else(|| format!("{path}: neither a result nor a manifest")),
        };
        let (inspected, vouched) = inspected?;
        then(&inspected, vouched).map_err(|problem| format!("{path}: {problem}"))
    }

    /// Returns the cache in which a file lies at its place, `objects/S/NAME`, and its name.
    fn cache_of(&self, path: &str) -> Result<Option<(Home, String)>, Failure> {
        let file = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let within = file.ancestors().nth(2).is_some_and(|directory| directory.ends_with("objects"));
        let home = file.ancestors().nth(3).filter(|home| within && home.join("keys").is_dir());
        let home = home.map(|home| Home::open(home).map_err(|error| format!("{}: {error}", home.display())));
        Ok(home.transpose()?.map(|home| (home, name)))
    }
}

/// Reads a whole file, or standard input; a longer one is no file of a cache.
fn content(path: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let source: Box<dyn Read> =
        if path == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(Path::new(path))?) };
    source.take(FILE_MAX).read_to_end(&mut content)?;
    Ok(content)
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
