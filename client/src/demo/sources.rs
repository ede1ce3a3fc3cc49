//! The demo's code base: zstd's C sources, embedded by the build script and unpacked into a directory.

use super::DemoError;
use crate::loopback::LoopbackError;
use std::path::{Path, PathBuf};

static PACK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo-sources.zst"));

/// Bytes of the pack before compression; the bound of its decompression.
const PACK_SIZE: &str = env!("DEMO_SOURCES_SIZE");

/// An unpacked code base.
#[derive(Debug)]
pub struct Sources {
    /// Directory from which every file is compiled.
    pub root: PathBuf,
    /// C files to compile, relative to `root`.
    pub units: Vec<PathBuf>,
    /// First lines of the licence, to be shown.
    pub licence: String,
}

impl Sources {
    /// Unpacks into a directory that does not exist yet.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn unpack(root: &Path) -> Result<Self, DemoError> {
        let size = PACK_SIZE.parse().map_err(|_| DemoError::Sources)?;
        let pack = zstd::bulk::decompress(PACK, size).map_err(|_| DemoError::Sources)?;
        let mut units = Vec::new();
        let mut licence = String::new();
        let mut rest = pack.as_slice();
        while !rest.is_empty() {
            let (name, content, after) = next_file(rest).ok_or(DemoError::Sources)?;
            rest = after;
            let path = root.join(name);
            let parent = path.parent().ok_or(DemoError::Sources)?;
            std::fs::create_dir_all(parent).map_err(|source| LoopbackError::file(parent, source))?;
            std::fs::write(&path, content).map_err(|source| LoopbackError::file(&path, source))?;
            if name.ends_with(".c") {
                units.push(PathBuf::from(name));
            }
            if name == "LICENSE" {
                licence = String::from_utf8_lossy(content).lines().take(5).collect::<Vec<_>>().join("\n");
            }
        }
        Ok(Self { root: root.to_owned(), units, licence })
    }
}

fn next_file(pack: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (name_length, rest) = pack.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*name_length) as usize)?;
    let (content, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((std::str::from_utf8(name).ok()?, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_sources_unpack_with_their_licence() {
        let directory = tempfile::tempdir().unwrap();
        let sources = Sources::unpack(&directory.path().join("zstd")).unwrap();
        assert!(sources.units.len() >= 30, "{} units", sources.units.len());
        assert!(sources.licence.contains("BSD"), "{}", sources.licence);
        assert!(sources.units.iter().all(|unit| sources.root.join(unit).is_file()));
    }
}
