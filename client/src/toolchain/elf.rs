//! Which loader an ELF program asks for, and which shared libraries that loader gives it.

use super::Call;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Program header type of the loader's name.
const PT_INTERP: u32 = 3;

/// Most program headers that are looked at; real programs have about a dozen.
const HEADERS_MAX: u16 = 128;

/// What kind of program a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// No ELF file: a script.
    Script,
    /// Without a loader: it brings everything along.
    Static,
    /// Started by this loader.
    Dynamic(PathBuf),
}

/// Shared libraries of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Libraries {
    /// Found ones, the loader among them.
    pub(super) files: Vec<PathBuf>,
    /// Names that the loader tried, found or not.
    pub(super) tried: Vec<PathBuf>,
}

/// Reads what kind of program a file is.
pub(super) fn program(path: &Path) -> io::Result<Program> {
    let file = File::open(path)?;
    let mut head = [0; 64];
    let mut read = 0;
    while read < head.len() {
        match (&file).read(&mut head[read..])? {
            0 => break,
            length => read += length,
        }
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(Program::Script);
    }
    Ok(interpreter(&file, &head).map_or(Program::Static, Program::Dynamic))
}

/// Finds the loader's name; little-endian programs of both widths, which are all that gcc and clang run on here.
fn interpreter(file: &File, head: &[u8; 64]) -> Option<PathBuf> {
    let wide = head[4] == 2;
    let word = |bytes: &[u8], at: usize| {
        let length = if wide { 8 } else { 4 };
        let field = bytes.get(at..at + length)?;
        Some(field.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte)))
    };
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (table, size, count) =
        if wide { (word(head, 32)?, half(54), half(56)) } else { (word(head, 28)?, half(42), half(44)) };
    for index in 0..count.min(HEADERS_MAX) {
        let mut header = [0; 56];
        let length = if wide { 56 } else { 32 };
        let at = table.checked_add(u64::from(index) * u64::from(size))?;
        file.read_exact_at(&mut header[..length], at).ok()?;
        if u32::from_le_bytes([header[0], header[1], header[2], header[3]]) != PT_INTERP {
            continue;
        }
        let (start, bytes) = if wide {
            (word(&header, 8)?, word(&header, 32)?)
        } else {
            (word(&header, 4)?, word(&header, 16)?)
        };
        let mut name = vec![0; usize::try_from(bytes).ok().filter(|length| *length <= 4096)?];
        file.read_exact_at(&mut name, start).ok()?;
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
        return Some(PathBuf::from(OsString::from_vec(name)));
    }
    None
}

/// Asks a loader which libraries it gives a program, under the call's own environment.
pub(super) fn libraries(call: &Call<'_>, loader: &Path, program: &Path) -> io::Result<Libraries> {
    let mut command = Command::new(loader);
    command.arg("--list").arg(program).env("LD_DEBUG", "libs").env_remove("LD_DEBUG_OUTPUT");
    command.current_dir(call.working_directory).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other("the loader does not list the libraries"));
    }
    let mut libraries = Libraries { files: vec![loader.to_owned()], tried: Vec::new() };
    for line in output.stdout.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        let path = match memchr::memmem::find(line, b" => ") {
            Some(arrow) => &line[arrow + 4..],
            None => line,
        };
        let end = memchr::memmem::rfind(path, b" (0x").unwrap_or(path.len());
        if path[..end].contains(&b'/') {
            // One that is named by a path is found from the working directory.
            libraries.files.push(PathBuf::from(OsStr::from_bytes(&path[..end])));
        } else if path == b"not found" {
            return Err(io::Error::other("a library is not found"));
        }
    }
    for line in output.stderr.split(|&byte| byte == b'\n') {
        if let Some(at) = memchr::memmem::find(line, b"trying file=") {
            libraries.tried.push(PathBuf::from(OsStr::from_bytes(&line[at + 12..])));
        }
    }
    Ok(libraries)
}
