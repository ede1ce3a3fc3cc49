//! Packs the C sources of zstd, which arrive with the `zstd-sys` dependency, into the binary, so that an installed
//! `dccache demo` has real sources to compile.
//!
//! Shape of the pack, before compression: for each file the length of its path and of its content (4 bytes each, little-endian), then both.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let library = env::var("DEP_ZSTD_INCLUDE").map(PathBuf::from).map_err(io::Error::other)?;
    let mut files = Vec::new();
    collect(&library, &mut files)?;
    files.sort();
    let mut pack = Vec::new();
    for file in &files {
        add(&mut pack, &Path::new("lib").join(file.strip_prefix(&library).map_err(io::Error::other)?), file)?;
    }
    add(&mut pack, Path::new("LICENSE"), &library.join("../LICENSE"))?;
    let packed = zstd::bulk::compress(&pack, 19)?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    fs::write(out.join("demo-sources.zst"), packed)?;
    println!("cargo:rustc-env=DEMO_SOURCES_SIZE={}", pack.len());
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "c" || extension == "h") {
            files.push(path);
        }
    }
    Ok(())
}

fn add(pack: &mut Vec<u8>, name: &Path, file: &Path) -> io::Result<()> {
    let name = name.to_str().ok_or_else(|| io::Error::other("a source's path is not UTF-8"))?;
    let content = fs::read(file)?;
    pack.extend((name.len() as u32).to_le_bytes());
    pack.extend((content.len() as u32).to_le_bytes());
    pack.extend(name.as_bytes());
    pack.extend(content);
    Ok(())
}
